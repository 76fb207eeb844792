#include "connectors/files/file_sink.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "connectors/files/file_source.h"
#include "env/log.h"
#include "formats/format.h"
#include "operators/operator.h"
#include "operators/send_metrics.h"
#include "operators/sink.h"
#include "wire/binary/codec.h"

namespace drey::connectors::files {
namespace {

using operators::Emitter;
using operators::OperatorContext;
using wire::field;
using wire::Fields;

constexpr std::size_t kBufferBytes = 256u << 10;

struct FileSinkOptions {
  std::string path;
  formats::FormatOptions format{.header = false};
  bool overwrite = false;

  static constexpr auto options() {
    using M = FileSinkOptions;
    using config::option;
    return config::Options{option("path", &M::path, "The directory that files are written into.").required(),
                           config::part(&M::format),
                           option("overwrite", &M::overwrite, "Whether files that lie there are removed first.")};
  }
  std::string problem() const {
    return format.format == formats::Format::kText ? "Option format must be csv or json: value=text" : "";
  }
};
static_assert(config::EveryMemberIsAnOption<FileSinkOptions>);

// The value of a committable.
struct HiddenFile {
  std::string directory;  // a job that goes on from a savepoint may write elsewhere
  std::string name;       // without the dot
  static constexpr auto fields() {
    return Fields{field("directory", &HiddenFile::directory), field("name", &HiddenFile::name)};
  }
};
static_assert(wire::EveryMemberHasARow<HiddenFile>);

// Of one subtask.
struct WriterState {
  std::uint64_t next = 0;  // number of the next file
  static constexpr auto fields() { return Fields{field("next", &WriterState::next)}; }
};
static_assert(wire::EveryMemberHasARow<WriterState>);

// A subtask's state in checkpoints of the first format, in the list "~sink".
struct FirstFormat {
  struct File {
    std::int64_t checkpoint = 0;
    std::string directory;
    std::string name;
    static constexpr auto fields() {
      return Fields{field("checkpoint", &File::checkpoint), field("directory", &File::directory),
                    field("name", &File::name)};
    }
  };
  std::uint32_t subtask = 0;
  std::uint64_t next = 0;
  std::vector<File> pending;
  static constexpr auto fields() {
    using M = FirstFormat;
    return Fields{field("subtask", &M::subtask), field("next", &M::next), field("pending", &M::pending)};
  }
};
static_assert(wire::EveryMemberHasARow<FirstFormat>);

std::string hidden(const std::string& directory, const std::string& name) { return directory + "/." + name; }

// Work of one writer that is in order, on the I/O pool: a file from its first bytes to its sync.
struct Part {
  env::FileSystem& files;
  const std::string directory;
  const std::string name;
  const std::string header;  // what the file begins with
  std::unique_ptr<env::WritableFile> file = nullptr;

  Status append(std::string_view bytes) {
    if (file == nullptr) {
      DREY_TRY_ASSIGN(file, files.create(hidden(directory, name)));
      if (!header.empty()) DREY_TRY(file->append(header));
    }
    return file->append(bytes);
  }
  Status finish() {
    DREY_TRY(file->sync());
    DREY_TRY(file->close());
    return files.sync_directory(directory);
  }
};

// Prepares the directory: makes it, and removes what this job's failed attempts have left. Files of other jobs stay,
// with a warning, or go when asked for.
struct Preparation {
  env::FileSystem& files;
  std::string directory;
  std::string job;   // "part-<job id>-"
  std::string mine;  // "part-<job id>-<operator id>-"
  std::uint32_t subtask = 0;
  std::uint32_t parallelism = 1;
  bool removes_others = false;
  bool warns_of_others = false;
  std::set<std::string> keep = {};  // names of files that are to be committed

  Status run() const {
    DREY_TRY(files.make_directories(directory));
    DREY_TRY_ASSIGN(const auto names, files.list(directory));
    std::size_t others = 0;
    for (const std::string& name : names) {
      const std::string shown = name.starts_with('.') ? name.substr(1) : name;
      if (is_leftover(name)) {
        if (!keep.contains(shown)) DREY_TRY(remove(name));
      } else if (shown.starts_with("part-") && !shown.starts_with(job)) {
        ++others;
        if (removes_others) DREY_TRY(remove(name));
      }
    }
    if (others > 0 && warns_of_others)
      env::log_warn("files", "The output directory {} holds {} files of other jobs; they stay", directory, others);
    return {};
  }

 private:
  // Of this subtask; subtasks of a larger parallelism are nobody's any more, and fall to the first.
  bool is_leftover(const std::string& name) const {
    if (!name.starts_with("." + mine)) return false;
    std::uint32_t its = 0;
    const char* first = name.data() + 1 + mine.size();
    if (std::from_chars(first, name.data() + name.size(), its).ec != std::errc()) return false;
    return its == subtask || (subtask == 0 && its >= parallelism);
  }
  Status remove(const std::string& name) const {
    const Status status = files.remove(directory + "/" + name);
    return status.code() == Code::kNotFound ? Status() : status;
  }
};

// Shows files.
class FileCommitter final : public operators::Committer {
 public:
  explicit FileCommitter(env::FileSystem& files) : files_(files) {}

  Status commit(const std::vector<std::string>& committables) override {
    std::set<std::string> changed;
    for (const std::string& committable : committables) {
      DREY_TRY_ASSIGN(const HiddenFile file, wire::decode<HiddenFile>(committable));
      const std::string path = file.directory + "/" + file.name;
      const Status status = files_.rename(hidden(file.directory, file.name), path);
      if (status.ok()) {
        changed.insert(file.directory);
      } else if (status.code() != Code::kNotFound) {
        return status;
      } else if (files_.stat(path).ok()) {
        changed.insert(file.directory);  // the try before this one may have failed at the sync
      } else {
        // It was durable before the checkpoint could be: it has been shown, and its reader has taken it away.
        env::log_warn("files", "An output file was there already and has been taken away: {}", path);
      }
    }
    for (const std::string& directory : changed) DREY_TRY(files_.sync_directory(directory));
    return {};
  }

 private:
  env::FileSystem& files_;
};

class FileWriter final : public operators::SinkWriter {
 public:
  FileWriter(OperatorContext& context, const FileSinkOptions& options)
      : context_(context),
        directory_(local_path(options.path)),
        format_(options.format),
        overwrites_(options.overwrite) {}

  Status open(const operators::RestoredSink& restored) override {
    DREY_TRY_ASSIGN(writer_, formats::make_writer(format_, context_.input_schema(0)));
    send_metrics_.open(context_);
    send_time_ = context_.metric("currentSendTime", DREY_GAUGE);
    const std::string job = fmt::format("part-{}-", context_.job_id().to_string());
    const std::string mine = job + context_.operator_id().to_string() + "-";
    prefix_ = fmt::format("{}{}-", mine, context_.subtask());

    Preparation preparation{files(), directory_, job, mine, context_.subtask(), context_.parallelism()};
    preparation.removes_others =
        overwrites_ && !restored.is_restored && context_.subtask() == 0 && context_.attempt() == 0;
    preparation.warns_of_others = !overwrites_ && context_.subtask() == 0;
    // A job that goes on from an older checkpoint than the last complete one, which was damaged, writes the files since
    // then again: by the same numbers, so that they replace those that it had shown.
    for (const std::string& element : restored.states) {
      DREY_TRY_ASSIGN(const WriterState state, wire::decode<WriterState>(element));
      next_ = std::max(next_, state.next);
    }
    for (const std::string& committable : restored.committables) {
      DREY_TRY_ASSIGN(HiddenFile file, wire::decode<HiddenFile>(committable));
      if (file.directory == directory_) preparation.keep.insert(file.name);
    }
    DREY_TRY_ASSIGN(first_format_, context_.state().operator_list(context_.operator_id(), "~sink", true));
    for (const std::string& element : first_format_->elements()) {
      DREY_TRY_ASSIGN(const FirstFormat state, wire::decode<FirstFormat>(element));
      next_ = std::max(next_, state.next);
      for (const FirstFormat::File& file : state.pending) {
        if (file.directory == directory_) preparation.keep.insert(file.name);
        if (state.subtask % context_.parallelism() == context_.subtask())
          committables_.push_back(wire::encode(HiddenFile{file.directory, file.name}));
      }
    }
    context_.start({.name = "preparing the output directory " + directory_,
                    .run = [preparation = std::move(preparation)] { return preparation.run(); }});
    return {};
  }

  Status write(const data::BatchRef& batch) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) writer_->append(*batch, batch->physical(i), buffer_);
    rows_ += batch->rows();
    if (buffer_.size() >= kBufferBytes) write_out();
    return {};
  }

  Result<std::vector<std::string>> prepare_commit(std::int64_t) override {
    first_format_->assign({});
    if (!buffer_.empty()) write_out();
    if (part_ != nullptr) {
      start("syncing", [part = part_] { return part->finish(); });
      committables_.push_back(wire::encode(HiddenFile{directory_, part_->name}));
      part_.reset();
    }
    return std::exchange(committables_, {});
  }

  std::vector<std::string> snapshot() override { return {wire::encode(WriterState{next_})}; }

 private:
  env::FileSystem& files() { return context_.env().files; }

  void write_out() {
    if (part_ == nullptr) {
      std::string header;
      writer_->append_header(header);
      part_ = std::make_shared<Part>(
          Part{files(), directory_, fmt::format("{}{}.{}", prefix_, next_++, formats::file_extension(format_.format)),
               header});
    }
    struct Piece {
      std::string bytes;
      std::uint64_t rows = 0;
      Nanos took{0};
    };
    auto piece = std::make_shared<Piece>(Piece{std::move(buffer_), std::exchange(rows_, 0)});
    buffer_.clear();
    if (!spare_.empty()) {
      buffer_ = std::move(spare_.back());
      spare_.pop_back();
    }
    start(
        "writing",
        [part = part_, piece, clock = &context_.env().clock] {
          const Ticks began = clock->ticks();
          DREY_TRY(part->append(piece->bytes));
          piece->took = clock->ticks() - began;
          return Status();
        },
        [this, piece] {
          OperatorContext::set(send_time_, piece->took.count() / 1'000'000);
          send_metrics_.add(piece->rows, piece->bytes.size());
          piece->bytes.clear();
          if (spare_.size() < 2) spare_.push_back(std::move(piece->bytes));  // fresh memory costs more than the copy
        });
  }

  // In order, before the next checkpoint is acknowledged.
  void start(std::string_view doing, std::function<Status()> run, std::function<void()> done = {}) {
    operators::AsyncWork work;
    work.name = fmt::format("{} {}", doing, hidden(part_->directory, part_->name));
    work.run = std::move(run);
    work.done = [this, done = std::move(done)](const Status& result, Emitter&) {
      if (result.ok() && done) done();
      return result.ok() ? Status() : Status(result).with_context(fmt::format("operator '{}'", context_.node().name));
    };
    work.in_order = true;
    work.holds_checkpoints = true;
    context_.start(std::move(work));
  }

  OperatorContext& context_;
  const std::string directory_;
  const formats::FormatOptions format_;
  const bool overwrites_;
  std::unique_ptr<formats::RowWriter> writer_;
  std::string prefix_;  // of the names of files
  std::uint64_t next_ = 0;
  state::OperatorList* first_format_ = nullptr;
  std::vector<std::string> committables_;  // for the next barrier
  std::shared_ptr<Part> part_;             // null: nothing has been written since the last barrier
  std::string buffer_;
  std::vector<std::string> spare_;  // buffers
  std::uint64_t rows_ = 0;          // in the buffer
  operators::SendMetrics send_metrics_;
  std::int64_t* send_time_ = nullptr;
};

}  // namespace

operators::OperatorKind file_sink_kind() {
  return operators::declare<FileSinkOptions>({
      .name = DREY_KIND_FILE_SINK,
      .doc = "Rows into CSV or JSON lines files, exactly once: a file is visible when the checkpoint that covers it is "
             "complete.",
      .traits = {.role = graph::Role::kSink, .commits_on_completion = true},
      .make_operator = [](OperatorContext& context,
                          const FileSinkOptions& options) -> operators::Made<operators::Operator> {
        return operators::make_sink(context, std::make_unique<FileWriter>(context, options),
                                    std::make_shared<FileCommitter>(context.env().files));
      },
  });
}

}  // namespace drey::connectors::files
