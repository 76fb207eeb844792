#include "operators/sink.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <fmt/format.h>

#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::operators {
namespace {

using wire::field;
using wire::Fields;

constexpr Millis kFirstPause{50};
constexpr Millis kLongestPause{2000};
constexpr Millis kCommitDeadline{120'000};
constexpr const char* kWriters = "~writers";
constexpr const char* kCommittables = "~committables";

// Of one barrier of one subtask, until they are committed.
struct Committables {
  std::int64_t checkpoint = 0;
  std::uint32_t subtask = 0;
  std::vector<std::string> values;
  static constexpr auto fields() {
    using M = Committables;
    return Fields{field("checkpoint", &M::checkpoint), field("subtask", &M::subtask), field("values", &M::values)};
  }
};
static_assert(wire::EveryMemberHasARow<Committables>);

class SinkOperator final : public Operator {
 public:
  SinkOperator(OperatorContext& context, std::unique_ptr<SinkWriter> writer, std::shared_ptr<Committer> committer)
      : context_(context), writer_(std::move(writer)), committer_(std::move(committer)) {}

  Status open(OperatorContext& context) override {
    DREY_TRY_ASSIGN(writers_, context.state().operator_list(context.operator_id(), kWriters, true));
    DREY_TRY_ASSIGN(committables_, context.state().operator_list(context.operator_id(), kCommittables, true));
    if (committer_ != nullptr) {
      waiting_ = context.metric("pendingCommittables", DREY_GAUGE);
      committed_ = context.metric("successfulCommittables", DREY_COUNTER);
      retried_ = context.metric("retriedCommittables", DREY_COUNTER);
    }
    RestoredSink restored{context.state().is_restored(), writers_->elements(), {}};
    for (const std::string& element : committables_->elements()) {
      DREY_TRY_ASSIGN(Committables these, wire::decode<Committables>(element));
      restored.committables.insert(restored.committables.end(), these.values.begin(), these.values.end());
      // Those of a subtask fall to the one that has its number; with fewer subtasks, to the one that it maps to.
      if (these.subtask % context.parallelism() == context.subtask()) pending_.push_back(std::move(these));
    }
    std::stable_sort(pending_.begin(), pending_.end(),
                     [](const auto& a, const auto& b) { return a.checkpoint < b.checkpoint; });
    count_pending();
    return writer_->open(restored);
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter&) override { return writer_->write(batch); }
  Status on_watermark(std::int64_t watermark, Emitter&) override { return writer_->on_watermark(watermark); }
  Status on_processing_time(std::int64_t now_ms, Emitter&) override { return writer_->on_processing_time(now_ms); }

  Status prepare_barrier(std::int64_t checkpoint_id, Emitter&) override {
    DREY_TRY_ASSIGN(auto values, writer_->prepare_commit(checkpoint_id));
    if (!values.empty() && committer_ != nullptr)
      pending_.push_back({checkpoint_id, context_.subtask(), std::move(values)});
    count_pending();
    return {};
  }

  Status snapshot(std::int64_t) override {
    writers_->assign(writer_->snapshot());
    std::vector<std::string> elements;
    for (const Committables& these : pending_) elements.push_back(wire::encode(these));
    committables_->assign(std::move(elements));
    return {};
  }

  Status on_checkpoint_complete(std::int64_t checkpoint_id) override {
    complete_ = std::max(complete_, checkpoint_id);
    commit();
    return {};
  }

 private:
  // Commits what is complete, unless a commit is under way, which goes on with it.
  void commit() {
    if (committing_ != 0) return;
    std::vector<std::string> values;
    for (const Committables& these : pending_) {
      if (these.checkpoint > complete_) break;
      values.insert(values.end(), these.values.begin(), these.values.end());
      ++committing_;
    }
    if (committing_ == 0) return;
    tries_ = 0;
    try_commit(std::make_shared<const std::vector<std::string>>(std::move(values)), Millis(0));
  }

  void try_commit(std::shared_ptr<const std::vector<std::string>> values, Millis pause) {
    AsyncWork work;
    work.name = fmt::format("committing {} committables", values->size());
    work.deadline = kCommitDeadline;
    work.delay = pause;
    work.run = [committer = committer_, values] { return committer->commit(*values); };
    work.done = [this, values, pause](const Status& result, Emitter&) { return on_commit(result, values, pause); };
    context_.start(std::move(work));
  }

  Status on_commit(const Status& result, const std::shared_ptr<const std::vector<std::string>>& values, Millis pause) {
    if (!result.ok()) {
      // One that hangs is still at it: a second one must not run beside it.
      const bool heals = row_of(result.code()).retry == Retry::kBackoff && result.code() != Code::kTimeout;
      if (!heals || ++tries_ > kCommitRetries)
        return Status(result).with_context(fmt::format("{}: committing", context_.task_name()));
      OperatorContext::add(retried_, static_cast<std::int64_t>(values->size()));
      env::log_warn("sink", "{}: committing failed, trying again ({} of {}): {}", context_.task_name(), tries_,
                    kCommitRetries, result.to_string());
      try_commit(values, std::min(std::max(pause * 2, kFirstPause), kLongestPause));
      return {};
    }
    OperatorContext::add(committed_, static_cast<std::int64_t>(values->size()));
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(committing_));
    committing_ = 0;
    count_pending();
    commit();
    return {};
  }

  void count_pending() {
    if (waiting_ == nullptr) return;
    std::size_t count = 0;
    for (const Committables& these : pending_) count += these.values.size();
    OperatorContext::set(waiting_, static_cast<std::int64_t>(count));
  }

  OperatorContext& context_;
  const std::unique_ptr<SinkWriter> writer_;
  const std::shared_ptr<Committer> committer_;
  state::OperatorList* writers_ = nullptr;
  state::OperatorList* committables_ = nullptr;
  std::deque<Committables> pending_;  // by checkpoint
  std::size_t committing_ = 0;        // the first so many
  std::int64_t complete_ = -1;        // the newest complete checkpoint
  int tries_ = 0;
  std::int64_t* waiting_ = nullptr;
  std::int64_t* committed_ = nullptr;
  std::int64_t* retried_ = nullptr;
};

}  // namespace

std::unique_ptr<Operator> make_sink(OperatorContext& context, std::unique_ptr<SinkWriter> writer,
                                    std::shared_ptr<Committer> committer) {
  return std::make_unique<SinkOperator>(context, std::move(writer), std::move(committer));
}

}  // namespace drey::operators
