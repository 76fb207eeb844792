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
    DREY_TRY(fire(state::TimeKind::kEvent, watermark, out));
    DREY_TRY(code_.call(&drey_functions::on_watermark, &out, nullptr, watermark));
    return out.advance(watermark);
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    DREY_TRY(fire(state::TimeKind::kProcessing, now, out));
    schedule();
    return {};
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
  Status fire(state::TimeKind kind, std::int64_t up_to, Emitter& out) {
    while (true) {
      // Timers that a call sets for a due time fire in the next round.
      due_.clear();
      timers_->pop_due(kind, up_to, kTimersPerCall, due_);
      if (due_.empty()) return {};
      DREY_TRY(code_.call(&drey_functions::on_timers, &out, nullptr, static_cast<std::uint32_t>(due_.size()),
                          static_cast<const drey_timer*>(due_.data())));
    }
  }

  void schedule() {
    const std::int64_t next = timers_->next(state::TimeKind::kProcessing);
    if (next != kMaxWatermark) context_.wake_at(next);
  }

  OperatorContext& context_;
  UserCode code_;
  data::KeyVector keys_;
  state::Timers* timers_ = nullptr;
  std::vector<drey_timer> due_;
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
