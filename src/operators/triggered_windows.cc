#include <algorithm>
#include <cstring>
#include <vector>

#include "operators/timer_windows.h"

namespace drey::operators {
namespace {

// Tumbling, sliding and global windows with a trigger other than "once, at the end": each (key, window) has an
// accumulator and what its trigger remembers.
//
//   table "~windows", groups are the windows (by end): value := trigger's part, accumulator (none: purged)
//   timers: those of the triggers, by key; which windows of the key they are for is in the triggers' parts
class TriggeredWindows final : public TimerWindows {
 public:
  TriggeredWindows(OperatorContext& context, WindowOptions options) : TimerWindows(context, options) {}

  Status open(OperatorContext&) override {
    DREY_TRY(open_windows("~windows", true, false));
    part_.resize(triggers_.bytes());
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    const bool is_global = options_.assigner == WindowOptions::Assigner::kGlobal;
    if (!is_global) DREY_TRY(check_event_time(context_, options_, *batch));
    keys_.encode(*batch, context_.key_columns(0));
    const std::int64_t mark = context_.watermark();
    const std::int64_t* times = batch->row_times();
    late_.clear();
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t id = batch->physical(i);
      const std::int64_t row_time = times != nullptr ? times[id] : DREY_NO_TIME;
      if (is_global) {
        DREY_TRY(add(batch, i, INT64_MAX, row_time, out));
        continue;
      }
      const std::int64_t time = options_.event_time ? row_time : context_.processing_time();
      if (!options_.has_windows(time)) {
        late_.push_back(id);
        continue;
      }
      bool taken = true;  // in a gap between windows: not late
      for (std::int64_t start = window_start(time, options_.offset_ms, options_.slide_ms);
           start > time - options_.size_ms; start -= options_.slide_ms) {
        taken = !options_.is_gone(start + options_.size_ms, mark);
        if (!taken) break;  // earlier windows are gone, too
        DREY_TRY(add(batch, i, start + options_.size_ms, row_time, out));
        if (options_.slide_ms >= options_.size_ms) break;
      }
      if (!taken &&
          options_.is_gone(window_start(time, options_.offset_ms, options_.slide_ms) + options_.size_ms, mark)) {
        late_.push_back(id);
      }
    }
    DREY_TRY(give_late_rows(context_, options_, batch, late_, late_dropped_, out));
    schedule();
    return {};
  }

 private:
  drey_window window_of(std::int64_t end) const { return {end == INT64_MAX ? INT64_MIN : end - options_.size_ms, end}; }

  Status add(const data::BatchRef& batch, std::uint32_t i, std::int64_t end, std::int64_t row_time, Emitter& out) {
    const data::View& key = keys_.keys()[i];
    const std::uint64_t hash = keys_.hashes()[i];
    bool fresh = false;
    DREY_TRY_ASSIGN(state::Address row, table_->upsert(key, hash, end, triggers_.bytes(), &fresh));
    if (fresh) triggers_.begin(table_->writable_value(row));
    DREY_TRY_ASSIGN(row, accumulators_.add_to_row(*table_, row, triggers_.bytes(), batch, batch->physical(i), out));
    // The job's code runs on a copy: it may not see the row move.
    std::memcpy(part_.data(), table_->value_of(row).data(), part_.size());
    const Triggers::Timers before = Triggers::timers_of(part_.data());
    DREY_TRY_ASSIGN(const int answer,
                    triggers_.on_element(window_of(end), batch, batch->physical(i), row_time, part_.data(), out));
    return obey(answer, row, end, hash, before, out);
  }

  Status obey(int answer, state::Address row, std::int64_t end, std::uint64_t hash, Triggers::Timers before,
              Emitter& out) {
    std::memcpy(table_->writable_value(row), part_.data(), part_.size());
    const std::string_view accumulator = table_->value_of(row).substr(part_.size());
    if ((answer & Triggers::kFire) != 0 && !accumulator.empty()) {
      // Fixed accumulators are handed over 8-byte aligned: rows are, and so is what the trigger keeps.
      DREY_TRY(accumulators_.fire(window_of(end), {table_->key_of(row)}, {accumulator}, out));
    }
    if ((answer & Triggers::kPurge) != 0) {
      DREY_TRY_ASSIGN(row, table_->resize(row, triggers_.bytes()));
    }
    const Triggers::Timers after = Triggers::timers_of(part_.data());
    const data::View key = table_->key_of(row);
    DREY_TRY(move_timer(state::TimeKind::kEvent, key, hash, before.event, after.event));
    return move_timer(state::TimeKind::kProcessing, key, hash, before.processing, after.processing);
  }

  Status move_timer(state::TimeKind time_kind, const data::View& key, std::uint64_t hash, std::int64_t from,
                    std::int64_t to) {
    if (from == to) return {};
    if (from != DREY_NO_TIME && !is_waited_for(time_kind, key, hash, from)) timers_->remove(time_kind, key, hash, from);
    return to == DREY_NO_TIME ? Status() : timers_->set(time_kind, key, hash, to);
  }
  // Windows of a key share its timers.
  bool is_waited_for(state::TimeKind time_kind, const data::View& key, std::uint64_t hash, std::int64_t time) const {
    for (const auto& [end, rows] : table_->groups()) {
      const state::Address row = table_->find(key, hash, end);
      if (row != state::kNoRow && timer_of(time_kind, table_->value_of(row).data()) == time) return true;
    }
    return false;
  }

  // Timers in order; windows go as soon as time has passed them, before later timers fire.
  Result<bool> advance(state::TimeKind time_kind, std::int64_t now, Emitter& out) override {
    const auto& windows = table_->groups();
    while (time_kind == kind() && !windows.empty() && windows.begin()->first != INT64_MAX) {
      const std::int64_t end = windows.begin()->first;
      if (options_.cleanup_of(end) > now) break;
      DREY_TRY_ASSIGN(const bool is_done, fire_timers(time_kind, options_.cleanup_of(end), out));
      if (!is_done) return false;
      table_->erase_group(end);
      if (!spend(1)) return false;
    }
    return fire_timers(time_kind, now, out);
  }
  std::size_t work_of_timer() const override { return table_->groups().size(); }

  Status on_timer(state::TimeKind time_kind, const drey_timer& timer, Emitter& out) override {
    ends_.clear();
    for (const auto& [end, rows] : table_->groups()) ends_.push_back(end);
    for (const std::int64_t end : ends_) {
      const state::Address row = table_->find(timer.key, timer.hash, end);
      if (row == state::kNoRow || timer_of(time_kind, table_->value_of(row).data()) != timer.time) continue;
      std::memcpy(part_.data(), table_->value_of(row).data(), part_.size());
      Triggers::Timers before = Triggers::timers_of(part_.data());
      (time_kind == state::TimeKind::kEvent ? before.event : before.processing) = DREY_NO_TIME;  // has just gone
      DREY_TRY_ASSIGN(const int answer, triggers_.on_time(time_kind, window_of(end), timer.time, part_.data(), out));
      DREY_TRY(obey(answer, row, end, timer.hash, before, out));
    }
    return {};
  }

  void schedule() override {
    TimerWindows::schedule();
    const auto& windows = table_->groups();
    if (!options_.event_time && !windows.empty() && windows.begin()->first != INT64_MAX) {
      context_.wake_at(saturating_add(options_.cleanup_of(windows.begin()->first), 1));
    }
  }

  std::vector<char> part_;
  std::vector<std::int64_t> ends_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_triggered_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<TriggeredWindows>(context, options));
}

}  // namespace drey::operators
