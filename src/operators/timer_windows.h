// TimerWindows: what windows share whose triggers set timers of their own. Internal to operators/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "operators/window.h"

namespace drey::operators {

class TimerWindows : public Operator {
 public:
  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    begin_firing(state::TimeKind::kEvent, watermark);
    return fire_more(out);
  }
  // What is set for a millisecond is due when that has passed.
  Status on_processing_time(std::int64_t now, Emitter& out) override {
    begin_firing(state::TimeKind::kProcessing, now - 1);
    return fire_more(out);
  }
  bool is_firing() const override { return is_firing_; }
  Status fire_more(Emitter& out) override {
    budget_ = kFirePart;
    DREY_TRY_ASSIGN(const bool is_done, advance(due_kind_, due_, out));
    is_firing_ = !is_done;
    if (is_firing_) return {};
    if (due_kind_ == state::TimeKind::kEvent) return out.advance(due_);
    schedule();
    return {};
  }

 protected:
  TimerWindows(OperatorContext& context, WindowOptions options) : context_(context), options_(options) {}

  Status open_windows(std::string_view table, bool grouped, bool merges) {
    DREY_TRY(accumulators_.open(context_, merges));
    DREY_TRY(triggers_.open(context_, options_, accumulators_.code()));
    DREY_TRY_ASSIGN(table_,
                    context_.state().table(context_.operator_id(), context_.node().name, table, {0, grouped, false}));
    DREY_TRY_ASSIGN(timers_, context_.state().timers(context_.operator_id()));
    late_dropped_ = context_.metric("numLateRecordsDropped", DREY_COUNTER);
    // The checkpoint may have been taken while timers fired.
    if (context_.watermark() != kMinWatermark) begin_firing(state::TimeKind::kEvent, context_.watermark());
    schedule();
    return {};
  }

  // Time has come so far: fires what is due and forgets what has gone, until spend() says that it is enough for now.
  // Returns whether nothing is left.
  virtual Result<bool> advance(state::TimeKind time_kind, std::int64_t now, Emitter& out) = 0;
  // A timer is due; it is no longer set.
  virtual Status on_timer(state::TimeKind time_kind, const drey_timer& timer, Emitter& out) = 0;
  // Asks for on_processing_time when it is needed next.
  virtual void schedule() {
    const std::int64_t next = timers_->next(state::TimeKind::kProcessing);
    if (next != INT64_MAX) context_.wake_at(next + 1);
  }

  // Time of the windows; triggers may have timers in the other one.
  state::TimeKind kind() const { return options_.event_time ? state::TimeKind::kEvent : state::TimeKind::kProcessing; }
  static std::int64_t timer_of(state::TimeKind time_kind, const char* part) {
    const Triggers::Timers timers = Triggers::timers_of(part);
    return time_kind == state::TimeKind::kEvent ? timers.event : timers.processing;
  }

  // Timers, or windows looked at for one. Returns whether there is budget left for this call of advance().
  bool spend(std::size_t work) {
    budget_ -= std::min(budget_, work);
    return budget_ > 0;
  }

  // One instant at a time: a trigger that fires may set a timer before those that are due as well. Returns whether
  // nothing is left.
  Result<bool> fire_timers(state::TimeKind time_kind, std::int64_t up_to, Emitter& out) {
    while (true) {
      const std::int64_t next = timers_->next(time_kind);
      if (next > up_to) return true;
      due_timers_.clear();
      timers_->pop_due(time_kind, next, work_of_timer() > 1 ? 1 : kTimersPerCall, due_timers_);
      if (due_timers_.empty()) return true;
      for (const drey_timer& timer : due_timers_) DREY_TRY(on_timer(time_kind, timer, out));
      if (!spend(due_timers_.size() * work_of_timer())) return false;
    }
  }
  // Windows that on_timer() looks at.
  virtual std::size_t work_of_timer() const { return 1; }

  OperatorContext& context_;
  const WindowOptions options_;
  Accumulators accumulators_;
  Triggers triggers_;
  state::Table* table_ = nullptr;
  state::Timers* timers_ = nullptr;
  std::int64_t* late_dropped_ = nullptr;
  data::KeyVector keys_;
  std::vector<std::uint32_t> late_;

 private:
  static constexpr std::size_t kFirePart = 4096;
  static constexpr std::size_t kTimersPerCall = 1024;

  void begin_firing(state::TimeKind time_kind, std::int64_t due) {
    due_kind_ = time_kind;
    due_ = due;
    is_firing_ = true;
  }

  std::vector<drey_timer> due_timers_;
  state::TimeKind due_kind_ = state::TimeKind::kEvent;
  std::int64_t due_ = kMinWatermark;
  bool is_firing_ = false;
  std::size_t budget_ = 0;
};

}  // namespace drey::operators
