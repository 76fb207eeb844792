#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "operators/window.h"

namespace drey::operators {
namespace {

struct Session {
  std::int64_t start;
  std::int64_t end;
  std::string accumulator;
};

// Session windows: per key a sorted list of sessions in one value; a new row makes a session of its own, which is
// merged with those it touches. One timer per end of a session.
//
//   value := (i64 start, i64 end, u32 size, accumulator)*
class SessionWindows final : public Operator {
 public:
  SessionWindows(OperatorContext& context, WindowOptions options) : context_(context), options_(options) {}

  Status open(OperatorContext& context) override {
    DREY_TRY(accumulators_.open(context, true));
    DREY_TRY_ASSIGN(table_, context.state().table(context.operator_id(), context.node().name, "~sessions", {0, false, false}));
    DREY_TRY_ASSIGN(timers_, context.state().timers(context.operator_id()));
    late_dropped_ = context.metric("numLateRecordsDropped", DREY_COUNTER);
    schedule();
    return {};
  }

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

  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    if (options_.event_time) DREY_TRY(advance(state::TimeKind::kEvent, watermark, out));
    return out.advance(watermark);
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    if (!options_.event_time) DREY_TRY(advance(state::TimeKind::kProcessing, now, out));
    schedule();
    return {};
  }

 private:
  state::TimeKind kind() const { return options_.event_time ? state::TimeKind::kEvent : state::TimeKind::kProcessing; }
  bool is_gone(std::int64_t end, std::int64_t mark) const {
    return mark != kMinWatermark && end - 1 <= mark - options_.allowed_lateness_ms;
  }

  Status add(const data::BatchRef& batch, std::uint32_t i, std::uint32_t id, std::int64_t time, std::int64_t mark, Emitter& out) {
    const data::View& key = keys_.keys()[i];
    const std::uint64_t hash = keys_.hashes()[i];
    std::vector<Session> sessions;
    if (const state::Address row = table_->find(key, hash); row != state::kNoRow) sessions = unpack(table_->value_of(row));
    Session merged{time, time + options_.gap_ms, {}};
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
    if (is_gone(merged.end, mark)) {
      late_.push_back(id);
      return {};
    }
    for (const Session& s : touched) {
      timers_->remove(kind(), key, hash, cleanup(s.end));
      if (merged.accumulator.empty()) {
        merged.accumulator = s.accumulator;
      } else {
        DREY_TRY(accumulators_.merge(merged.accumulator, s.accumulator, out));
      }
    }
    DREY_TRY(accumulators_.add_one(batch, id, merged.accumulator, out));
    if (merged.end - 1 <= mark) {  // late but allowed: fires at once
      DREY_TRY(accumulators_.fire({merged.start, merged.end}, {key}, {merged.accumulator}, out));
    } else {
      DREY_TRY(timers_->set(kind(), key, hash, merged.end - 1));
    }
    if (options_.allowed_lateness_ms > 0) DREY_TRY(timers_->set(kind(), key, hash, cleanup(merged.end)));
    kept.push_back(std::move(merged));
    std::sort(kept.begin(), kept.end(), [](const Session& a, const Session& b) { return a.start < b.start; });
    return store(key, hash, kept);
  }

  std::int64_t cleanup(std::int64_t end) const { return end - 1 + options_.allowed_lateness_ms; }

  Status advance(state::TimeKind time_kind, std::int64_t now, Emitter& out) {
    while (true) {
      due_.clear();
      timers_->pop_due(time_kind, now, 1024, due_);
      if (due_.empty()) return {};
      for (const drey_timer& timer : due_) {
        const state::Address row = table_->find(timer.key, timer.hash);
        if (row == state::kNoRow) continue;
        std::vector<Session> sessions = unpack(table_->value_of(row));
        std::vector<Session> kept;
        for (Session& s : sessions) {
          if (s.end - 1 == timer.time) {
            DREY_TRY(accumulators_.fire({s.start, s.end}, {timer.key}, {s.accumulator}, out));
          }
          if (cleanup(s.end) > timer.time) kept.push_back(std::move(s));
        }
        DREY_TRY(store(timer.key, timer.hash, kept));
      }
    }
  }

  static std::vector<Session> unpack(std::string_view bytes) {
    std::vector<Session> sessions;
    while (bytes.size() >= 20) {
      Session s{};
      std::uint32_t size = 0;
      std::memcpy(&s.start, bytes.data(), 8);
      std::memcpy(&s.end, bytes.data() + 8, 8);
      std::memcpy(&size, bytes.data() + 16, 4);
      s.accumulator = std::string(bytes.substr(20, size));
      bytes.remove_prefix(20 + size);
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
      bytes.append(reinterpret_cast<const char*>(&size), 4).append(s.accumulator);
    }
    DREY_TRY_ASSIGN(state::Address row, table_->upsert(key, hash, 0, 0));
    DREY_TRY_ASSIGN(row, table_->resize(row, static_cast<std::uint32_t>(bytes.size())));
    std::memcpy(table_->writable_value(row), bytes.data(), bytes.size());
    return {};
  }

  void schedule() {
    const std::int64_t next = timers_->next(state::TimeKind::kProcessing);
    if (next != INT64_MAX) context_.wake_at(next);
  }

  OperatorContext& context_;
  const WindowOptions options_;
  Accumulators accumulators_;
  state::Table* table_ = nullptr;
  state::Timers* timers_ = nullptr;
  std::int64_t* late_dropped_ = nullptr;
  data::KeyVector keys_;
  std::vector<std::uint32_t> late_;
  std::vector<drey_timer> due_;
};

// Global windows: one per key, fired by count or by the user's trigger.
//
//   value := i64 count, accumulator
class GlobalWindows final : public Operator {
 public:
  GlobalWindows(OperatorContext& context, WindowOptions options) : context_(context), options_(options) {}

  Status open(OperatorContext& context) override {
    if (options_.trigger == WindowOptions::Trigger::kDefault) {
      return fail(Code::kInvalidArgument, fmt::format("Window operator '{}': a global window never fires without a trigger: use "
                                                      "count(n) or a trigger of your own",
                                                      context.node().name));
    }
    DREY_TRY(accumulators_.open(context, false));
    DREY_TRY_ASSIGN(table_, context.state().table(context.operator_id(), context.node().name, "~windows", {0, false, false}));
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    constexpr drey_window kAll{INT64_MIN, INT64_MAX};
    keys_.encode(*batch, context_.key_columns(0));
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t id = batch->physical(i);
      const data::View& key = keys_.keys()[i];
      DREY_TRY_ASSIGN(state::Address row, table_->upsert(key, keys_.hashes()[i], 0, 0));
      const std::string_view before = table_->value_of(row);
      std::int64_t count = 0;
      std::string accumulator;
      if (before.size() >= 8) {
        std::memcpy(&count, before.data(), 8);
        accumulator = std::string(before.substr(8));
      }
      ++count;
      DREY_TRY(accumulators_.add_one(batch, id, accumulator, out));
      bool fires = options_.trigger == WindowOptions::Trigger::kCount && count >= options_.count;
      bool purges = fires && options_.purge;
      if (options_.trigger == WindowOptions::Trigger::kCustom) {
        DREY_TRY_ASSIGN(const int answer, ask(batch, id, count, out));
        fires = (answer & 1) != 0;
        purges = (answer & 2) != 0;
      }
      if (fires) {
        DREY_TRY(accumulators_.fire(kAll, {key}, {accumulator}, out));
        count = 0;
      }
      if (purges) {
        table_->erase(row);
        continue;
      }
      DREY_TRY_ASSIGN(row, table_->resize(row, static_cast<std::uint32_t>(8 + accumulator.size())));
      char* value = table_->writable_value(row);
      std::memcpy(value, &count, 8);
      if (!accumulator.empty()) std::memcpy(value + 8, accumulator.data(), accumulator.size());
    }
    return {};
  }

 private:
  Result<int> ask(const data::BatchRef& batch, std::uint32_t id, std::int64_t count, Emitter& out) {
    const drey_functions& f = accumulators_.code().functions();
    if (f.on_element == nullptr) return 0;
    context_.enter_user_code(&out, &batch);
    const int answer = f.on_element(accumulators_.code().self(), &batch->abi(), id, {INT64_MIN, INT64_MAX}, count);
    context_.enter_user_code(nullptr, nullptr);
    if (Status status = context_.take_failure(); !status.ok()) return status;
    return answer;
  }

  OperatorContext& context_;
  const WindowOptions options_;
  Accumulators accumulators_;
  state::Table* table_ = nullptr;
  data::KeyVector keys_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_session_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<SessionWindows>(context, options));
}

Result<std::unique_ptr<Operator>> make_global_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<GlobalWindows>(context, options));
}

}  // namespace drey::operators
