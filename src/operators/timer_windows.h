// TimerWindows: what windows share whose triggers set timers of their own. Internal to operators/.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "operators/window.h"

namespace drey::operators {

class TimerWindows : public Operator {
 public:
  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    DREY_TRY(advance(state::TimeKind::kEvent, watermark, out));
    return out.advance(watermark);
  }
  Status on_processing_time(std::int64_t now, Emitter& out) override {
    DREY_TRY(advance(state::TimeKind::kProcessing, now, out));
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
    schedule();
    return {};
  }

  // Time has come so far.
  virtual Status advance(state::TimeKind time_kind, std::int64_t now, Emitter& out) = 0;
  // A timer is due; it is no longer set.
  virtual Status on_timer(state::TimeKind time_kind, const drey_timer& timer, Emitter& out) = 0;
  // Asks for on_processing_time when it is needed next.
  virtual void schedule() {
    const std::int64_t next = timers_->next(state::TimeKind::kProcessing);
    if (next != INT64_MAX) context_.wake_at(next);
  }

  // Time of the windows; triggers may have timers in the other one.
  state::TimeKind kind() const { return options_.event_time ? state::TimeKind::kEvent : state::TimeKind::kProcessing; }
  static std::int64_t timer_of(state::TimeKind time_kind, const char* part) {
    const Triggers::Timers timers = Triggers::timers_of(part);
    return time_kind == state::TimeKind::kEvent ? timers.event : timers.processing;
  }

  // One instant at a time: a trigger that fires may set a timer before those that are due as well.
  Status fire_timers(state::TimeKind time_kind, std::int64_t up_to, Emitter& out) {
    while (true) {
      const std::int64_t next = timers_->next(time_kind);
      if (next > up_to) return {};
      due_.clear();
      timers_->pop_due(time_kind, next, 1024, due_);
      if (due_.empty()) return {};
      for (const drey_timer& timer : due_) DREY_TRY(on_timer(time_kind, timer, out));
    }
  }

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
  std::vector<drey_timer> due_;
};

}  // namespace drey::operators
