#include <algorithm>
#include <cstring>
#include <vector>

#include "operators/timer_windows.h"

namespace drey::operators {
namespace {

struct Session {
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::string trigger;      // its part, see Triggers
  std::string accumulator;  // empty: purged
};

// Session windows: per key a sorted list of sessions in one value; a new row makes a session of its own, which is
// merged with those it touches.
//
//   value := (i64 start, i64 end, u32 size, trigger's part, accumulator)*
//   timers: those of the triggers, and where no row can reach a session any more
class SessionWindows final : public TimerWindows {
 public:
  SessionWindows(OperatorContext& context, WindowOptions options) : TimerWindows(context, options) {}

  Status open(OperatorContext&) override { return open_windows("~sessions", false, true); }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    DREY_TRY(check_event_time(context_, options_, *batch));
    keys_.encode(*batch, context_.key_columns(0));
    const std::int64_t mark = options_.event_time ? context_.watermark() : kMinWatermark;
    late_.clear();
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t id = batch->physical(i);
      const std::int64_t time = options_.event_time ? batch->row_times()[id] : context_.processing_time();
      DREY_TRY(add(batch, i, id, time, mark, out));
    }
    DREY_TRY(give_late_rows(context_, options_, batch, late_, late_dropped_, out));
    schedule();
    return {};
  }

 private:
  Status add(const data::BatchRef& batch, std::uint32_t i, std::uint32_t id, std::int64_t time, std::int64_t mark,
             Emitter& out) {
    const data::View& key = keys_.keys()[i];
    const std::uint64_t hash = keys_.hashes()[i];
    std::vector<Session> sessions;
    if (const state::Address row = table_->find(key, hash); row != state::kNoRow)
      sessions = unpack(table_->value_of(row));
    Session merged{time, saturating_add(time, options_.gap_ms), std::string(triggers_.bytes(), '\0'), {}};
    triggers_.begin(merged.trigger.data());
    std::vector<Session> touched;
    std::vector<Session> kept;
    for (Session& s : sessions) {
      if (s.start <= merged.end && s.end >= merged.start) {
        merged.start = std::min(merged.start, s.start);
        merged.end = std::max(merged.end, s.end);
        touched.push_back(std::move(s));
      } else {
        kept.push_back(std::move(s));
      }
    }
    if (options_.is_gone(merged.end, mark)) {
      late_.push_back(id);
      return {};
    }
    for (std::size_t t = 0; t < touched.size(); ++t) {
      Session& s = touched[t];
      drop_timers(key, hash, s, kept);
      if (t == 0) {
        merged.trigger = std::move(s.trigger);
      } else {
        DREY_TRY(triggers_.merge(merged.trigger.data(), s.trigger.data(), out));
      }
      if (merged.accumulator.empty()) {
        merged.accumulator = std::move(s.accumulator);
      } else if (!s.accumulator.empty()) {
        DREY_TRY(accumulators_.merge(merged.accumulator, s.accumulator, out));
      }
    }
    DREY_TRY(accumulators_.add_one(batch, id, merged.accumulator, out));
    const std::int64_t row_time = batch->row_times() != nullptr ? batch->row_times()[id] : DREY_NO_TIME;
    DREY_TRY_ASSIGN(const int answer,
                    triggers_.on_element({merged.start, merged.end}, batch, id, row_time, merged.trigger.data(), out));
    DREY_TRY(obey(answer, key, merged, out));
    DREY_TRY(set_timers(key, hash, merged));
    kept.push_back(std::move(merged));
    std::sort(kept.begin(), kept.end(), [](const Session& a, const Session& b) { return a.start < b.start; });
    return store(key, hash, kept);
  }

  Status obey(int answer, const data::View& key, Session& s, Emitter& out) {
    if ((answer & Triggers::kFire) != 0 && !s.accumulator.empty()) {
      DREY_TRY(accumulators_.fire({s.start, s.end}, {key}, {s.accumulator}, out));
    }
    if ((answer & Triggers::kPurge) != 0) s.accumulator.clear();
    return {};
  }

  // One timer may serve several sessions of a key.
  bool waits_for(const Session& s, state::TimeKind time_kind, std::int64_t time) const {
    if (time_kind == kind() && options_.cleanup_of(s.end) == time) return true;
    return timer_of(time_kind, s.trigger.data()) == time;
  }
  void drop_timers(const data::View& key, std::uint64_t hash, const Session& s, const std::vector<Session>& others) {
    const auto drop = [&](state::TimeKind time_kind, std::int64_t time) {
      if (time == DREY_NO_TIME) return;
      for (const Session& o : others) {
        if (waits_for(o, time_kind, time)) return;
      }
      timers_->remove(time_kind, key, hash, time);
    };
    const Triggers::Timers timers = Triggers::timers_of(s.trigger.data());
    drop(state::TimeKind::kEvent, timers.event);
    drop(state::TimeKind::kProcessing, timers.processing);
    drop(kind(), options_.cleanup_of(s.end));
  }
  Status set_timers(const data::View& key, std::uint64_t hash, const Session& s) {
    const Triggers::Timers timers = Triggers::timers_of(s.trigger.data());
    if (timers.event != DREY_NO_TIME) DREY_TRY(timers_->set(state::TimeKind::kEvent, key, hash, timers.event));
    if (timers.processing != DREY_NO_TIME)
      DREY_TRY(timers_->set(state::TimeKind::kProcessing, key, hash, timers.processing));
    return timers_->set(kind(), key, hash, options_.cleanup_of(s.end));
  }

  Result<bool> advance(state::TimeKind time_kind, std::int64_t now, Emitter& out) override {
    return fire_timers(time_kind, now, out);
  }

  Status on_timer(state::TimeKind time_kind, const drey_timer& timer, Emitter& out) override {
    const state::Address row = table_->find(timer.key, timer.hash);
    if (row == state::kNoRow) return {};
    std::vector<Session> sessions = unpack(table_->value_of(row));
    std::vector<Session> kept;
    for (Session& s : sessions) {
      if (timer_of(time_kind, s.trigger.data()) == timer.time) {
        DREY_TRY_ASSIGN(const int answer,
                        triggers_.on_time(time_kind, {s.start, s.end}, timer.time, s.trigger.data(), out));
        DREY_TRY(obey(answer, timer.key, s, out));
      }
      if (time_kind == kind() && options_.cleanup_of(s.end) <= timer.time) continue;
      DREY_TRY(set_timers(timer.key, timer.hash, s));
      kept.push_back(std::move(s));
    }
    return store(timer.key, timer.hash, kept);
  }

  std::vector<Session> unpack(std::string_view bytes) const {
    std::vector<Session> sessions;
    const std::uint32_t trigger_bytes = triggers_.bytes();
    while (bytes.size() >= 20 + trigger_bytes) {
      Session s;
      std::uint32_t size = 0;
      std::memcpy(&s.start, bytes.data(), 8);
      std::memcpy(&s.end, bytes.data() + 8, 8);
      std::memcpy(&size, bytes.data() + 16, 4);
      s.trigger = std::string(bytes.substr(20, trigger_bytes));
      s.accumulator = std::string(bytes.substr(20 + trigger_bytes, size));
      bytes.remove_prefix(20 + trigger_bytes + size);
      sessions.push_back(std::move(s));
    }
    return sessions;
  }

  Status store(const data::View& key, std::uint64_t hash, const std::vector<Session>& sessions) {
    if (sessions.empty()) {
      if (const state::Address row = table_->find(key, hash); row != state::kNoRow) table_->erase(row);
      return {};
    }
    std::string bytes;
    for (const Session& s : sessions) {
      const auto size = static_cast<std::uint32_t>(s.accumulator.size());
      bytes.append(reinterpret_cast<const char*>(&s.start), 8).append(reinterpret_cast<const char*>(&s.end), 8);
      bytes.append(reinterpret_cast<const char*>(&size), 4).append(s.trigger).append(s.accumulator);
    }
    DREY_TRY_ASSIGN(state::Address row, table_->upsert(key, hash, 0, 0));
    DREY_TRY_ASSIGN(row, table_->resize(row, static_cast<std::uint32_t>(bytes.size())));
    std::memcpy(table_->writable_value(row), bytes.data(), bytes.size());
    return {};
  }
};

}  // namespace

Result<std::unique_ptr<Operator>> make_session_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<SessionWindows>(context, options));
}

}  // namespace drey::operators
