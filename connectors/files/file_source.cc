#include "connectors/files/file_source.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <set>
#include <vector>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "connectors/files/byte_stream.h"
#include "connectors/files/year_shift.h"
#include "env/log.h"
#include "formats/format.h"
#include "operators/operator.h"
#include "operators/pacer.h"
#include "wire/binary/codec.h"

namespace drey::connectors::files {
namespace {

using operators::Emitter;
using operators::OperatorContext;
using operators::Progress;
using wire::field;
using wire::Fields;

// Large enough for a batch, small enough that block, batches and a decompressor's window share the second cache.
constexpr std::size_t kBlockBytes = 128u << 10;
constexpr std::uint64_t kSplitBytesMin = 64u << 10;
constexpr std::size_t kHeadBytes = 64u << 10;  // what tells how lines end
constexpr int kSkippedRowsLogged = 5;          // a subtask

enum class OnError { kFail, kSkip };
constexpr auto enum_table(OnError) {
  return std::array{EnumRow{OnError::kFail, "fail"}, EnumRow{OnError::kSkip, "skip"}};
}

struct FileSourceOptions {
  std::string path;
  formats::FormatOptions format;
  OnError on_error = OnError::kFail;
  std::int64_t watch_ms = 0;
  double rate = 0;
  std::int64_t passes = 1;
  std::int64_t pass_shift_years_column = -1;

  static constexpr auto options() {
    using M = FileSourceOptions;
    using config::option;
    return config::Options{
        option("path", &M::path, "A file, or a directory of files.").required(),
        config::part(&M::format),
        option("on_error", &M::on_error, "Whether a row that cannot be read fails the job or is counted and left out."),
        option("watch_ms", &M::watch_ms, "How often to look for new files in the directory, without end; 0: never.")
            .at_least(0),
        option("rate", &M::rate, "Rows a second over all subtasks that have a split, may be a fraction; 0: unlimited.")
            .at_least(0),
        option("passes", &M::passes, "How often everything is read.").at_least(1),
        option("pass_shift_years_column", &M::pass_shift_years_column,
               "Number of a column of timestamps that moves by a calendar year each pass; -1: none.")
            .at_least(-1)};
  }
};
static_assert(config::EveryMemberIsAnOption<FileSourceOptions>);

// A share of the input: range `lane` of `lanes` of each file that can be cut, and of the others those whose number is
// `turn` modulo `lanes`. What moves when the parallelism changes; cut further when there are more subtasks than lanes:
// ranges of ranges meet where theirs did.
struct Lane {
  std::uint32_t lane = 0;
  std::uint32_t lanes = 1;
  std::uint32_t turn = 0;
  std::int64_t pass = 0;
  std::uint64_t file = 0;  // index into files
  // Of the file's range (decompressed bytes) what is left, once it has begun.
  bool has_begun = false;
  bool is_cut = false;  // the file is one that can be cut
  bool in_row = false;  // a row may be under way at `offset`: it is the neighbour's
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
  std::vector<std::string> files;
  std::vector<std::uint64_t> sizes;  // of the files when they were found: ranges follow from them, also after a restore
  static constexpr auto fields() {
    using M = Lane;
    return Fields{field("lane", &M::lane),     field("lanes", &M::lanes),   field("turn", &M::turn),
                  field("pass", &M::pass),     field("file", &M::file),     field("has-begun", &M::has_begun),
                  field("is-cut", &M::is_cut), field("in-row", &M::in_row), field("offset", &M::offset),
                  field("end", &M::end),       field("files", &M::files),   field("sizes", &M::sizes)};
  }
};
static_assert(wire::EveryMemberHasARow<Lane>);

// A lane with the subtask that had it. All subtasks get all of them, to agree on who has which next.
struct Position {
  std::uint32_t subtask = 0;
  std::uint32_t parallelism = 0;
  Lane lane;
  static constexpr auto fields() {
    using M = Position;
    return Fields{field("subtask", &M::subtask), field("parallelism", &M::parallelism), field("lane", &M::lane)};
  }
};
static_assert(wire::EveryMemberHasARow<Position>);

constexpr std::uint32_t kLanesMax = 1u << 20;
constexpr std::uint32_t kLanesOfSubtaskMax = 4;  // as far as even shares are worth it

// Where range `lane` of `lanes` begins.
std::uint64_t bound(std::uint64_t bytes, std::uint32_t lane, std::uint32_t lanes) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(bytes) * lane / lanes);
}

std::vector<Lane> cut(const Lane& whole, std::uint32_t pieces) {
  std::vector<Lane> out;
  for (std::uint32_t i = 0; i < pieces; ++i) {
    Lane piece = whole;
    piece.lanes = whole.lanes * pieces;
    piece.lane = whole.lane * pieces + i;
    piece.turn = whole.turn + whole.lanes * i;
    if (whole.has_begun && whole.is_cut) {
      const std::uint64_t left = std::min(whole.end, whole.sizes[whole.file]) - whole.offset;
      piece.offset = whole.offset + bound(left, i, pieces);
      if (i + 1 < pieces) piece.end = whole.offset + bound(left, i + 1, pieces);
      piece.in_row = (whole.in_row || i > 0) && piece.offset > 0;
    } else if (whole.has_begun && i > 0) {
      // Somebody else's to the end; then it is this one's turn.
      piece.has_begun = false;
      ++piece.file;
    }
    out.push_back(std::move(piece));
  }
  return out;
}

// What this subtask reads of what is left.
std::vector<Lane> dealt_out(std::vector<Position> positions, std::uint32_t subtask, std::uint32_t parallelism) {
  std::vector<Lane> own;
  std::vector<Lane> all;
  for (Position& p : positions) {
    if (p.parallelism == parallelism && p.subtask == subtask) own.push_back(p.lane);
    all.push_back(std::move(p.lane));
  }
  if (positions.empty() || positions[0].parallelism == parallelism) return own;
  std::sort(all.begin(), all.end(), [](const Lane& a, const Lane& b) {
    return std::uint64_t{a.lane} * b.lanes < std::uint64_t{b.lane} * a.lanes;
  });
  const auto count = static_cast<std::uint32_t>(all.size());
  if (count < parallelism) {
    std::uint32_t pieces = parallelism / std::gcd(count, parallelism);
    if (count * pieces > kLanesOfSubtaskMax * parallelism) pieces = (parallelism + count - 1) / count;
    std::vector<Lane> cut_ones;
    for (const Lane& lane : all) {
      if (lane.lanes > kLanesMax / pieces) {
        cut_ones.push_back(lane);
        continue;
      }
      for (Lane& piece : cut(lane, pieces)) cut_ones.push_back(std::move(piece));
    }
    all = std::move(cut_ones);
  }
  for (std::size_t i = subtask; i < all.size(); i += parallelism) own.push_back(std::move(all[i]));
  return own;
}

class FileSource final : public operators::Source {
 public:
  FileSource(OperatorContext& context, const FileSourceOptions& options)
      : context_(context),
        path_(local_path(options.path)),
        format_(options.format),
        skips_(options.on_error == OnError::kSkip),
        passes_(options.passes),
        shift_column_(options.pass_shift_years_column),
        watch_ms_(options.watch_ms),
        rate_(options.rate) {}

  Status open(OperatorContext& context) override {
    DREY_TRY_ASSIGN(parser_, formats::make_parser(format_, context.output_schema(0)));
    errors_ = context.metric("numRecordsInErrors", DREY_COUNTER);
    DREY_TRY_ASSIGN(positions_, context.state().operator_list(context.operator_id(), "lanes", true));
    std::vector<std::string> found;
    if (context.state().is_restored()) {
      std::vector<Position> positions;
      for (const std::string& element : positions_->elements()) {
        DREY_TRY_ASSIGN(Position position, wire::decode<Position>(element));
        if (position.lane.sizes.size() != position.lane.files.size() || position.lane.lanes == 0) {
          return fail(Code::kCorrupt,
                      fmt::format("A stored position of source '{}' contradicts itself", context.node().name));
        }
        positions.push_back(std::move(position));
      }
      lanes_ = dealt_out(std::move(positions), context.subtask(), context.parallelism());
      if (!lanes_.empty()) found = lanes_[0].files;
    } else {
      DREY_TRY_ASSIGN(found, list_files());
      Lane lane;
      lane.lane = lane.turn = context.subtask();
      lane.lanes = context.parallelism();
      lane.files = found;
      lanes_.push_back(std::move(lane));
      for (const std::string& file : found) {
        DREY_TRY_ASSIGN(const env::FileStat stat, context.env().files.stat(file));
        lanes_.back().sizes.push_back(stat.size);
      }
    }
    split_of_.resize(lanes_.size());
    std::iota(split_of_.begin(), split_of_.end(), 0u);
    context.splits().active.assign(std::max<std::size_t>(lanes_.size(), 1), true);
    // The rate is shared by the subtasks that have something to read.
    std::uint32_t readers = context.parallelism();
    if (rate_ > 0 && !found.empty()) {
      bool any_splits = false;
      for (const std::string& file : found) {
        DREY_TRY_ASSIGN(const env::FileStat stat, context.env().files.stat(file));
        DREY_TRY_ASSIGN(const bool cut, can_split(file, stat.size));
        any_splits = any_splits || cut;
      }
      if (!any_splits) readers = static_cast<std::uint32_t>(std::min<std::size_t>(readers, found.size()));
    }
    pacer_ = operators::Pacer(rate_ / std::max(readers, 1u));
    return {};
  }

  Result<Progress> poll(Emitter& out, operators::Budget budget) override {
    std::int64_t rows = budget.rows_max;
    if (pacer_.is_limited()) {
      rows = std::min(rows, pacer_.allowed(context_.env().clock.ticks()));
      if (rows == 0) {
        context_.wake_at(context_.processing_time() + 1);
        return Progress::kIdle;
      }
    }
    while (!lanes_.empty()) {
      if (!reading_) {
        DREY_TRY_ASSIGN(const bool began, begin_file());
        // A lane at its end holds no event time back.
        context_.splits().active[split_of_.back()] = began;
        if (!began && watch_ms_ > 0) {
          next_lane();
          if (++lanes_at_end_ < lanes_.size()) continue;
          lanes_at_end_ = 0;
          return watch();
        }
        if (!began) {
          lanes_.pop_back();
          split_of_.pop_back();
          continue;
        }
        lanes_at_end_ = 0;
      }
      data::BatchBuilder builder(context_.output_schema(0), static_cast<std::uint32_t>(rows), context_.pool());
      // Of the rows; when the file ends within the batch another lane is next.
      const std::uint32_t split = split_of_.back();
      const std::int64_t pass = lanes_.back().pass;
      DREY_TRY(fill(builder));
      if (builder.rows() == 0) continue;
      if (shift_column_ >= 0 && pass > 0) shift(builder, pass);
      if (pacer_.is_limited()) pacer_.spend(builder.rows());
      context_.splits().current = split;
      DREY_TRY(out.emit(builder.build()));
      return Progress::kBusy;
    }
    return Progress::kDone;
  }

  Status snapshot(std::int64_t) override {
    std::vector<std::string> elements;
    for (const Lane& lane : lanes_)
      elements.push_back(wire::encode(Position{context_.subtask(), context_.parallelism(), lane}));
    positions_->assign(std::move(elements));
    return {};
  }

 private:
  Result<std::vector<std::string>> list_files() {
    auto& files = context_.env().files;
    DREY_TRY_ASSIGN(const env::FileStat stat, files.stat(path_));
    if (!stat.is_directory) return std::vector<std::string>{path_};
    std::vector<std::string> found;
    DREY_TRY_ASSIGN(const auto names, files.list(path_));
    for (const std::string& name : names) {
      if (name.starts_with('.') || name.starts_with('_')) continue;
      const auto inner = files.stat(path_ + "/" + name);
      if (inner.ok() && !inner->is_directory) found.push_back(path_ + "/" + name);
    }
    return found;
  }

  Result<bool> can_split(const std::string& file, std::uint64_t size) {
    if (format_.multiline || watch_ms_ > 0) return false;
    DREY_TRY_ASSIGN(const Compression compression, compression_of(context_.env().files, file));
    return compression == Compression::kNone && size > kSplitBytesMin;
  }

  // Whose turn a file is follows from it. In a directory that is watched lanes find files in different orders.
  std::uint64_t number_of(const Lane& lane) const {
    const std::string& path = lane.files[lane.file];
    return watch_ms_ > 0 ? XXH3_64bits(path.data(), path.size()) : lane.file;
  }

  // Opens the next file of the lane that has something for it. False: the lane is at its end.
  Result<bool> begin_file() {
    Lane& lane = lanes_.back();
    auto& files = context_.env().files;
    while (true) {
      if (lane.file >= lane.files.size()) {
        if (lane.pass + 1 >= passes_ || lane.files.empty()) return false;
        ++lane.pass;
        lane.file = 0;
      }
      const std::string& path = lane.files[lane.file];
      DREY_TRY_ASSIGN(const Compression compression, compression_of(files, path));
      DREY_TRY_ASSIGN(const env::FileStat stat, files.stat(path));
      const std::uint64_t found_size = lane.sizes[lane.file];
      if (!lane.has_begun) {
        DREY_TRY_ASSIGN(lane.is_cut, can_split(path, found_size));
        if (!lane.is_cut && number_of(lane) % lane.lanes != lane.turn) {
          ++lane.file;
          continue;
        }
        lane.has_begun = true;
        lane.offset = lane.is_cut ? bound(found_size, lane.lane, lane.lanes) : 0;
        lane.end =
            lane.is_cut && lane.lane + 1 < lane.lanes ? bound(found_size, lane.lane + 1, lane.lanes) : UINT64_MAX;
        lane.in_row = lane.offset > 0;
      }
      // The neighbours' ranges follow from the size, too: with another one rows would be read twice or not at all.
      if (lane.is_cut && lane.lanes > 1 && stat.size != found_size) return changed(path, found_size, stat.size);
      size_ = stat.size;
      compression_ = compression;
      DREY_TRY_ASSIGN(const bool has_rows, read_head(path));
      // A row belongs to the range in which its first byte lies, that is, in which a line ends right before it.
      const std::uint64_t from = lane.in_row ? lane.offset - 1 : lane.offset;
      skip_line_ = lane.in_row || (lane.offset == 0 && parser_->has_header());
      DREY_TRY_ASSIGN(stream_, open_text(path, from));
      offset_ = from;
      skip_mark_ = from == 0 && !skip_line_;
      block_ = data::BlockRef();
      filled_ = at_ = 0;
      ended_ = !has_rows;
      reading_ = true;
      return true;
    }
  }

  Result<std::unique_ptr<ByteStream>> open_text(const std::string& path, std::uint64_t offset) {
    DREY_TRY_ASSIGN(auto stream, open_stream(context_.env().files, path, compression_, offset));
    return ends_with_returns_ ? with_newlines(std::move(stream)) : std::move(stream);
  }

  // Finds out how lines end and hands the header to the parser. False: there is nothing in the file.
  Result<bool> read_head(const std::string& path) {
    ends_with_returns_ = false;
    DREY_TRY_ASSIGN(auto stream, open_text(path, 0));
    std::string head;
    const auto read_more = [&]() -> Result<bool> {
      const std::size_t before = head.size();
      head.resize(before + std::max(kHeadBytes, before));
      std::size_t got = 0;
      for (std::size_t now = 1; now > 0 && before + got < head.size(); got += now) {
        DREY_TRY_ASSIGN(now, stream->read(head.data() + before + got, head.size() - before - got));
      }
      const bool is_full = before + got == head.size();
      head.resize(before + got);
      return is_full;
    };
    DREY_TRY_ASSIGN(bool has_more, read_more());
    // The last byte may be the first half of "\r\n".
    const std::string_view known = std::string_view(head).substr(0, head.size() - (has_more ? 1 : 0));
    if (known.find('\n') == std::string_view::npos && known.find('\r') != std::string_view::npos) {
      ends_with_returns_ = true;
      std::replace(head.begin(), head.end(), '\r', '\n');
    }
    if (!parser_->has_header()) return true;
    while (has_more && head.find('\n') == std::string::npos) {
      if (head.size() > format_.row_bytes_max) {
        return fail(Code::kInvalidArgument,
                    fmt::format("The header line is longer than {} bytes (option row_bytes_max): file={}",
                                format_.row_bytes_max, path));
      }
      DREY_TRY_ASSIGN(has_more, read_more());
    }
    const std::size_t mark = formats::byte_order_mark_bytes(head);
    if (!has_more && head.find_first_not_of("\r\n", mark) == std::string::npos) return false;
    DREY_TRY(parser_->set_header(std::string_view(head).substr(0, head.find('\n'))).with_context("file=" + path));
    return true;
  }

  // Reads the next block; what is left of the last one goes in front of it.
  Status read_block() {
    const std::size_t left = filled_ - at_;
    data::BlockRef next = context_.pool().allocate(left + std::max(left, kBlockBytes));
    if (left > 0) std::memcpy(next->data(), block_->data() + at_, left);
    block_ = std::move(next);
    at_ = 0;
    filled_ = left;
    std::size_t got = 0;
    // To the brim: few rows then cross blocks.
    while (filled_ < block_->capacity()) {
      DREY_TRY_ASSIGN(got, stream_->read(block_->data() + filled_, block_->capacity() - filled_));
      if (got == 0) break;
      filled_ += got;
    }
    ended_ = got == 0;
    return ended_ ? check_size() : Status();
  }

  Status check_size() {
    const std::string& path = lanes_.back().files[lanes_.back().file];
    DREY_TRY_ASSIGN(const env::FileStat stat, context_.env().files.stat(path));
    return stat.size == size_ ? Status() : changed(path, size_, stat.size);
  }

  static Status changed(const std::string& path, std::uint64_t before, std::uint64_t now) {
    return fail(Code::kIo,
                fmt::format("The file changed while it was read: path={}, it had {} bytes, now {}", path, before, now));
  }

  Status fill(data::BatchBuilder& builder) {
    Lane& lane = lanes_.back();
    while (!builder.is_full()) {
      if (offset_ >= lane.end || (at_ == filled_ && ended_)) {
        if (!ended_) DREY_TRY(check_size());
        finish_file();
        return {};
      }
      if (at_ == filled_ && !ended_) {
        DREY_TRY(read_block());
        continue;
      }
      std::string_view input(block_->data() + at_, filled_ - at_);
      if (skip_mark_) {
        skip_mark_ = false;
        advance(formats::byte_order_mark_bytes(input));
        continue;
      }
      if (skip_line_) {
        const auto line = input.find('\n');
        if (line == std::string_view::npos) {
          advance(input.size());
        } else {
          advance(line + 1);
          skip_line_ = lane.in_row = false;
          lane.offset = offset_;
        }
        continue;
      }
      // Rows that begin behind the range are the neighbour's.
      if (lane.end != UINT64_MAX && lane.end - offset_ < input.size()) {
        const auto line = input.find('\n', lane.end - offset_ - 1);
        if (line != std::string_view::npos) input = input.substr(0, line + 1);
      }
      const bool is_last = ended_ && input.size() == filled_ - at_;
      builder.share_arena(block_);
      const formats::RowParser::Outcome outcome = parser_->parse(input, is_last, builder);
      const std::uint64_t row_begin = offset_;
      advance(outcome.consumed);
      lane.offset = offset_;
      if (outcome.error) {
        formats::RowError error = *outcome.error;
        error.offset += row_begin;
        DREY_TRY(refuse_row(error));
      } else if (outcome.needs_more) {
        if (ended_) {
          finish_file();
          return {};
        }
        // A batch never waits for the disk with rows in it when the block must be changed: they point into it.
        if (builder.rows() > 0) return {};
        if (filled_ - at_ > format_.row_bytes_max) {
          DREY_TRY(refuse_row(
              {offset_, "",
               fmt::format("the row is longer than {} bytes (option row_bytes_max)", format_.row_bytes_max)}));
          skip_line_ = true;
          continue;
        }
        DREY_TRY(read_block());
      } else if (outcome.consumed == 0) {
        return {};
      }
    }
    return {};
  }

  void advance(std::size_t bytes) {
    at_ += bytes;
    offset_ += bytes;
  }

  void finish_file() {
    Lane& lane = lanes_.back();
    ++lane.file;
    lane.has_begun = false;
    reading_ = false;
    stream_.reset();
    next_lane();
  }

  // Lanes take turns file by file: event time would otherwise stand still until the first one is at its end.
  void next_lane() {
    std::rotate(lanes_.begin(), lanes_.end() - 1, lanes_.end());
    std::rotate(split_of_.begin(), split_of_.end() - 1, split_of_.end());
  }

  void shift(data::BatchBuilder& builder, std::int64_t pass) {
    auto* values = builder.values<std::int64_t>(static_cast<std::size_t>(shift_column_));
    for (std::uint32_t i = 0; i < builder.rows(); ++i) values[i] = year_shift_.apply(values[i], pass);
  }

  // Fails, or counts the row and goes on. The first ones are logged: a wrong schema would otherwise go unnoticed.
  Status refuse_row(const formats::RowError& error) {
    if (!skips_) return row_error(error);
    ++*errors_;
    context_.accumulate("numRecordsInErrors", DREY_LONG_COUNTER, 1, 0);
    if (rows_skipped_ < kSkippedRowsLogged) {
      env::log_warn("files", "{} (the row is skipped{})", row_error(error).message(),
                    ++rows_skipped_ == kSkippedRowsLogged ? "; more are only counted" : "");
    }
    return {};
  }

  // The line is counted only now: errors are rare, rows are not.
  Status row_error(const formats::RowError& error) {
    const std::string& path = lanes_.back().files[lanes_.back().file];
    std::uint64_t line = 1;
    auto stream = open_text(path, 0);
    std::vector<char> buffer(64u << 10);
    for (std::uint64_t left = error.offset; stream.ok() && left > 0;) {
      auto got = (*stream)->read(buffer.data(), std::min<std::uint64_t>(left, buffer.size()));
      if (!got.ok() || *got == 0) break;
      line += static_cast<std::uint64_t>(
          std::count(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*got), '\n'));
      left -= *got;
    }
    const std::string column = error.column.empty() ? "" : fmt::format(", column '{}'", error.column);
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot read a row: file={}, line={}{}: {}", path, line, column, error.what));
  }

  Result<Progress> watch() {
    DREY_TRY_ASSIGN(const auto found, list_files());
    bool more = false;
    for (Lane& lane : lanes_) {
      const std::set<std::string_view> known(lane.files.begin(), lane.files.end());
      std::vector<std::string> fresh;
      for (const std::string& file : found) {
        if (!known.contains(file)) fresh.push_back(file);
      }
      for (std::string& file : fresh) {
        DREY_TRY_ASSIGN(const env::FileStat stat, context_.env().files.stat(file));
        lane.files.push_back(std::move(file));
        lane.sizes.push_back(stat.size);
        more = true;
      }
    }
    if (more) return Progress::kBusy;
    context_.wake_at(context_.processing_time() + watch_ms_);
    return Progress::kIdle;
  }

  OperatorContext& context_;
  const std::string path_;
  const formats::FormatOptions format_;
  const bool skips_;
  const std::int64_t passes_;
  const std::int64_t shift_column_;
  const std::int64_t watch_ms_;
  const double rate_;
  operators::Pacer pacer_;
  std::int64_t* errors_ = nullptr;
  int rows_skipped_ = 0;  // as far as they are logged
  state::OperatorList* positions_ = nullptr;
  std::vector<Lane> lanes_;              // the last one is read first
  std::vector<std::uint32_t> split_of_;  // which of the task's splits a lane is
  std::size_t lanes_at_end_ = 0;         // one after another, of a directory that is watched
  std::unique_ptr<formats::RowParser> parser_;
  YearShift year_shift_;
  // Of the file that is being read.
  bool reading_ = false;
  std::unique_ptr<ByteStream> stream_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;  // of block_[at_] in the (decompressed) file
  Compression compression_ = Compression::kNone;
  bool ends_with_returns_ = false;  // '\r' alone ends a line
  bool skip_mark_ = false;          // a byte order mark may come
  bool skip_line_ = false;
  bool ended_ = false;
  data::BlockRef block_;
  std::size_t filled_ = 0;
  std::size_t at_ = 0;
};

}  // namespace

std::string local_path(std::string path) {
  if (path.starts_with("file:")) {
    path = path.substr(5);
    while (path.starts_with("//")) path = path.substr(1);
  }
  return path;
}

operators::OperatorKind file_source_kind() {
  return operators::declare<FileSourceOptions>({
      .name = DREY_KIND_FILE_SOURCE,
      .doc =
          "Rows of CSV, JSON lines or text files; plain, gzip or zstd. A `csv` source finds its columns by name in the "
          "header, else it takes them in order.",
      .traits = {.role = graph::Role::kSource},
      .make_source = [](OperatorContext& context,
                        const FileSourceOptions& options) { return std::make_unique<FileSource>(context, options); },
  });
}

}  // namespace drey::connectors::files
