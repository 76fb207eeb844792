#include <algorithm>
#include <vector>

#include "operators/builtin.h"
#include "operators/user_code.h"

namespace drey::operators {
namespace {

constexpr std::size_t kTimersPerCall = 1024;

// user: the job's own functions: process, timers, watermarks, end of input. Keys and hashes of keyed inputs
// are made here, once a batch.
class UserOperator final : public Operator {
 public:
  explicit UserOperator(OperatorContext& context) : context_(context) {}

  Status open(OperatorContext& context) override {
    DREY_TRY_ASSIGN(timers_, context.state().timers(context.operator_id()));
    DREY_TRY(code_.create(context, "process", context.functions() && context.functions()->process));
    // The checkpoint may have been taken while timers fired.
    const std::int64_t mark = context.watermark();
    if (timers_->next(state::TimeKind::kEvent) <= mark) begin_firing(state::TimeKind::kEvent, mark);
    schedule();
    return {};
  }

  Status process(std::uint32_t input, const data::BatchRef& batch, Emitter& out) override {
    const auto& columns = context_.key_columns(input);
    if (columns.empty()) {
      return code_.call(&drey_functions::process, &out, &batch, input, &batch->abi(),
                        static_cast<const drey_keys*>(nullptr));
    }
    keys_.encode(*batch, columns);
    const drey_keys keys = keys_.abi();
    DREY_TRY(code_.call(&drey_functions::process, &out, &batch, input, &batch->abi(), &keys));
    schedule();
    return {};
  }

  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    begin_firing(state::TimeKind::kEvent, watermark);
    return fire_more(out);
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    begin_firing(state::TimeKind::kProcessing, now);
    return fire_more(out);
  }

  bool is_firing() const override { return is_firing_; }

  Status fire_more(Emitter& out) override {
    // Timers that a call sets for a due time fire in a later one.
    due_timers_.clear();
    timers_->pop_due(due_kind_, due_, kTimersPerCall, due_timers_);
    if (!due_timers_.empty()) {
      DREY_TRY(code_.call(&drey_functions::on_timers, &out, nullptr, static_cast<std::uint32_t>(due_timers_.size()),
                          static_cast<const drey_timer*>(due_timers_.data())));
    }
    is_firing_ = timers_->next(due_kind_) <= due_ && !due_timers_.empty();
    if (is_firing_) return {};
    if (due_kind_ == state::TimeKind::kProcessing) {
      schedule();
      return {};
    }
    DREY_TRY(code_.call(&drey_functions::on_watermark, &out, nullptr, due_));
    return out.advance(due_);
  }

  Status on_input_end(std::uint32_t input, Emitter& out) override {
    return code_.call(&drey_functions::on_input_end, &out, nullptr, input);
  }

  Status snapshot(std::int64_t checkpoint_id) override {
    return code_.call(&drey_functions::snapshot, nullptr, nullptr, checkpoint_id);
  }

  Status on_checkpoint_complete(std::int64_t checkpoint_id) override {
    return code_.call(&drey_functions::on_checkpoint_complete, nullptr, nullptr, checkpoint_id);
  }

  Status finish(Emitter& out) override { return code_.call(&drey_functions::finish, &out, nullptr); }

 private:
  void begin_firing(state::TimeKind kind, std::int64_t due) {
    due_kind_ = kind;
    due_ = due;
    is_firing_ = true;
  }

  void schedule() {
    const std::int64_t next = timers_->next(state::TimeKind::kProcessing);
    if (next != kMaxWatermark) context_.wake_at(next);
  }

  OperatorContext& context_;
  UserCode code_;
  data::KeyVector keys_;
  state::Timers* timers_ = nullptr;
  std::vector<drey_timer> due_timers_;
  state::TimeKind due_kind_ = state::TimeKind::kEvent;
  std::int64_t due_ = kMinWatermark;
  bool is_firing_ = false;
};

}  // namespace

OperatorKind user_kind() {
  return declare<NoOptions>({
      .name = DREY_KIND_USER,
      .doc = "Runs the job's own functions: `process`, timers, watermarks, the end of inputs.",
      .traits = {.needs_code = true, .accepts = graph::Changes::kAll},
      .inputs = 2,
      .make_operator = [](OperatorContext& context,
                          const NoOptions&) { return std::make_unique<UserOperator>(context); },
  });
}

}  // namespace drey::operators
