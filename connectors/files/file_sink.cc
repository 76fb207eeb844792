#include "connectors/files/file_sink.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

#include "connectors/files/file_source.h"
#include "env/log.h"
#include "formats/format.h"
#include "operators/operator.h"
#include "operators/send_metrics.h"
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

// A file that is shown when a checkpoint is complete.
struct Pending {
  std::int64_t checkpoint = 0;
  std::string directory;  // a job that goes on from a savepoint may write elsewhere
  std::string name;       // visible
  static constexpr auto fields() {
    return Fields{field("checkpoint", &Pending::checkpoint), field("directory", &Pending::directory),
                  field("name", &Pending::name)};
  }
};
static_assert(wire::EveryMemberHasARow<Pending>);

// What a checkpoint remembers of one subtask.
struct SinkState {
  std::uint32_t subtask = 0;
  std::uint64_t next = 0;  // number of the next file
  std::vector<Pending> pending;
  static constexpr auto fields() {
    using M = SinkState;
    return Fields{field("subtask", &M::subtask), field("next", &M::next), field("pending", &M::pending)};
  }
};
static_assert(wire::EveryMemberHasARow<SinkState>);

class FileSink final : public operators::Operator {
 public:
  FileSink(OperatorContext& context, const FileSinkOptions& options)
      : context_(context),
        directory_(local_path(options.path)),
        format_(options.format),
        overwrites_(options.overwrite) {}

  Status open(OperatorContext& context) override {
    DREY_TRY_ASSIGN(writer_, formats::make_writer(format_, context.input_schema(0)));
    send_metrics_.open(context);
    send_time_ = context.metric("currentSendTime", DREY_GAUGE);
    pending_committables_ = context.metric("pendingCommittables", DREY_GAUGE);
    job8_ = context.job_id().to_string().substr(0, 8);
    DREY_TRY(files().make_directories(directory_));
    DREY_TRY_ASSIGN(state_list_, context.state().operator_list(context.operator_id(), "~sink", true));
    std::set<std::string> keep;
    if (context.state().is_restored()) {
      for (const std::string& element : state_list_->elements()) {
        DREY_TRY_ASSIGN(const SinkState state, wire::decode<SinkState>(element));
        next_ = std::max(next_, state.next);
        for (const Pending& pending : state.pending) {
          if (pending.directory == directory_) keep.insert(pending.name);
          // Who had the subtask's number commits; what is left over by a smaller parallelism falls to the first.
          if (state.subtask % context.parallelism() == context.subtask()) pending_.push_back(pending);
        }
      }
    }
    OperatorContext::set(pending_committables_, static_cast<std::int64_t>(pending_.size()));
    return clean(overwrites_, keep);
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter&) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) writer_->append(*batch, batch->physical(i), buffer_);
    rows_ += batch->rows();
    return buffer_.size() >= kBufferBytes ? write_out() : Status();
  }

  Status prepare_barrier(std::int64_t checkpoint_id, Emitter&) override {
    if (buffer_.empty() && file_ == nullptr) return {};
    DREY_TRY(write_out());
    DREY_TRY(file_->sync());
    DREY_TRY(file_->close());
    DREY_TRY(files().sync_directory(directory_));
    file_.reset();
    pending_.push_back({checkpoint_id, directory_, name_});
    OperatorContext::set(pending_committables_, static_cast<std::int64_t>(pending_.size()));
    return {};
  }

  Status snapshot(std::int64_t) override {
    state_list_->assign({wire::encode(SinkState{context_.subtask(), next_, pending_})});
    return {};
  }

  Status on_checkpoint_complete(std::int64_t checkpoint_id) override {
    std::set<std::string> changed;
    for (const Pending& p : pending_) {
      if (p.checkpoint > checkpoint_id) continue;
      const Status status = files().rename(p.directory + "/." + p.name, p.directory + "/" + p.name);
      if (status.ok()) {
        changed.insert(p.directory);
      } else if (status.code() != Code::kNotFound) {
        return status;
      } else if (!files().stat(p.directory + "/" + p.name).ok()) {
        // It was durable before the checkpoint could be: it has been shown, and its reader has taken it away.
        env::log_warn("files", "An output file was there already and has been taken away: {}/{}", p.directory, p.name);
      }
    }
    std::erase_if(pending_, [&](const Pending& p) { return p.checkpoint <= checkpoint_id; });
    OperatorContext::set(pending_committables_, static_cast<std::int64_t>(pending_.size()));
    for (const std::string& directory : changed) DREY_TRY(files().sync_directory(directory));
    return {};
  }

 private:
  env::FileSystem& files() { return context_.env().files; }

  // Leftovers of this job's failed attempts go; files of other jobs stay, with a warning, or go when asked for.
  Status clean(bool overwrite, const std::set<std::string>& keep) {
    DREY_TRY_ASSIGN(const auto names, files().list(directory_));
    std::size_t others = 0;
    const std::string mine = fmt::format(".part-{}-{}-", job8_, context_.subtask());
    const std::string ours = fmt::format("part-{}-", job8_);
    // Subtasks of a larger parallelism are nobody's any more.
    const auto is_orphan = [&](const std::string& name) {
      std::uint32_t subtask = 0;
      if (context_.subtask() != 0 || !name.starts_with("." + ours)) return false;
      const char* first = name.data() + 1 + ours.size();
      return std::from_chars(first, name.data() + name.size(), subtask).ec == std::errc() &&
             subtask >= context_.parallelism();
    };
    for (const std::string& name : names) {
      const std::string shown = name.starts_with('.') ? name.substr(1) : name;
      if (name.starts_with(mine) || is_orphan(name)) {
        if (!keep.contains(shown)) DREY_TRY(remove(name));
      } else if (shown.starts_with("part-") && !shown.starts_with(ours)) {
        ++others;
        if (overwrite && !context_.state().is_restored() && context_.subtask() == 0 && context_.attempt() == 0)
          DREY_TRY(remove(name));
      }
    }
    if (others > 0 && !overwrite && context_.subtask() == 0) {
      env::log_warn("files", "The output directory {} holds {} files of other jobs; they stay", directory_, others);
    }
    return {};
  }

  Status remove(const std::string& name) {
    const Status status = files().remove(directory_ + "/" + name);
    return status.code() == Code::kNotFound ? Status() : status;
  }

  Status write_out() {
    if (file_ == nullptr) {
      name_ =
          fmt::format("part-{}-{}-{}.{}", job8_, context_.subtask(), next_++, formats::file_extension(format_.format));
      DREY_TRY_ASSIGN(file_, files().create(directory_ + "/." + name_));
      std::string header;
      writer_->append_header(header);
      if (!header.empty()) DREY_TRY(file_->append(header));
    }
    const Ticks began = context_.env().clock.ticks();
    DREY_TRY(file_->append(buffer_));
    OperatorContext::set(send_time_, (context_.env().clock.ticks() - began).count() / 1'000'000);
    send_metrics_.add(rows_, buffer_.size());
    rows_ = 0;
    buffer_.clear();
    return {};
  }

  OperatorContext& context_;
  const std::string directory_;
  const formats::FormatOptions format_;
  const bool overwrites_;
  std::unique_ptr<formats::RowWriter> writer_;
  std::string job8_;
  state::OperatorList* state_list_ = nullptr;
  std::uint64_t next_ = 0;
  std::vector<Pending> pending_;
  std::unique_ptr<env::WritableFile> file_;
  std::string name_;
  std::string buffer_;
  std::uint64_t rows_ = 0;  // in the buffer
  operators::SendMetrics send_metrics_;
  std::int64_t* send_time_ = nullptr;
  std::int64_t* pending_committables_ = nullptr;
};

}  // namespace

operators::OperatorKind file_sink_kind() {
  return operators::declare<FileSinkOptions>({
      .name = DREY_KIND_FILE_SINK,
      .doc = "Rows into CSV or JSON lines files, exactly once: a file is visible when the checkpoint that covers it is "
             "complete.",
      .traits = {.role = graph::Role::kSink, .commits_on_completion = true},
      .make_operator = [](OperatorContext& context,
                          const FileSinkOptions& options) { return std::make_unique<FileSink>(context, options); },
  });
}

}  // namespace drey::connectors::files
