#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "operators/window.h"

namespace drey::operators {

// In front of the state of a custom trigger.
struct Triggers::Part {
  std::int64_t count;
  std::int64_t event_timer;
  std::int64_t processing_timer;
  std::int64_t next;  // continuous triggers: when to fire, if the window does not end before
};

Status Triggers::open(OperatorContext& context, const WindowOptions& options, UserCode& code) {
  context_ = &context;
  options_ = &options;
  code_ = &code;
  bytes_ = static_cast<std::uint32_t>(sizeof(Part) + ((options.trigger_bytes + 7) & ~7));
  if (options.trigger != WindowOptions::Trigger::kCustom) return {};
  const drey_functions& f = code.functions();
  const bool merges = options.assigner == WindowOptions::Assigner::kSession && options.trigger_bytes > 0;
  if (f.on_trigger != nullptr && (!merges || f.merge_trigger != nullptr)) return {};
  return fail(Code::kIncompatible,
              fmt::format("Window operator '{}' has a trigger of its own, but its functions lack {}",
                          context.node().name, f.on_trigger == nullptr ? "on_trigger" : "merge_trigger"));
}

void Triggers::begin(char* part) const {
  std::memset(part, 0, bytes_);
  const Part fresh{0, DREY_NO_TIME, DREY_NO_TIME, DREY_NO_TIME};
  std::memcpy(part, &fresh, sizeof fresh);
}

Triggers::Timers Triggers::timers_of(const char* part) {
  Part p;
  std::memcpy(&p, part, sizeof p);
  return {p.event_timer, p.processing_timer};
}

Result<int> Triggers::on_element(drey_window window, const data::BatchRef& batch, std::uint32_t id, std::int64_t time,
                                 char* part, Emitter& out) {
  using Trigger = WindowOptions::Trigger;
  Part p;
  std::memcpy(&p, part, sizeof p);
  ++p.count;
  const std::int64_t last = WindowOptions::last_of(window.end);
  const int fires = options_->purge ? kFire | kPurge : kFire;
  int answer = kContinue;
  switch (options_->trigger) {
    case Trigger::kNever:
      break;
    case Trigger::kCustom: {
      std::memcpy(part, &p, sizeof p);
      DREY_TRY_ASSIGN(answer, ask(DREY_ON_ELEMENT, window, &batch, id, time, part, out));
      std::memcpy(&p, part, sizeof p);
      break;
    }
    case Trigger::kCount:
      if (p.count >= options_->count) answer = fires;
      break;
    case Trigger::kEventTime:
      if (last <= context_->watermark()) {
        answer = fires;
      } else {
        p.event_timer = last;
      }
      break;
    case Trigger::kProcessingTime:
      p.processing_timer = last;
      break;
    case Trigger::kContinuousEventTime:
      if (last <= context_->watermark()) {
        answer = fires;
        break;
      }
      if (p.next == DREY_NO_TIME && time != DREY_NO_TIME)
        p.next = window_start(time, 0, options_->count) + options_->count;
      p.event_timer = p.next == DREY_NO_TIME ? last : std::min(p.next, last);
      break;
    case Trigger::kContinuousProcessingTime:
      if (p.next == DREY_NO_TIME)
        p.next = window_start(context_->processing_time(), 0, options_->count) + options_->count;
      p.processing_timer = p.next;
      break;
  }
  if (answer != kContinue) p.count = 0;
  std::memcpy(part, &p, sizeof p);
  return answer;
}

Result<int> Triggers::on_time(state::TimeKind kind, drey_window window, std::int64_t time, char* part, Emitter& out) {
  using Trigger = WindowOptions::Trigger;
  Part p;
  std::memcpy(&p, part, sizeof p);
  (kind == state::TimeKind::kEvent ? p.event_timer : p.processing_timer) = DREY_NO_TIME;
  int answer = options_->purge ? kFire | kPurge : kFire;
  if (options_->trigger == Trigger::kCustom) {
    std::memcpy(part, &p, sizeof p);
    DREY_TRY_ASSIGN(answer, ask(kind == state::TimeKind::kEvent ? DREY_ON_EVENT_TIME : DREY_ON_PROCESSING_TIME, window,
                                nullptr, 0, time, part, out));
    std::memcpy(&p, part, sizeof p);
  } else if (options_->trigger == Trigger::kContinuousEventTime) {
    const std::int64_t last = WindowOptions::last_of(window.end);
    p.next = DREY_NO_TIME;
    if (time < last) {
      p.next = window_start(time, 0, options_->count) + options_->count;
      p.event_timer = std::min(p.next, last);
    }
  } else if (options_->trigger == Trigger::kContinuousProcessingTime) {
    // As long as the window lives; the clock may have gone on since the timer was due.
    p.next = window_start(std::max(time, context_->processing_time()), 0, options_->count) + options_->count;
    p.processing_timer = p.next;
  }
  if (answer != kContinue) p.count = 0;
  std::memcpy(part, &p, sizeof p);
  return answer;
}

Status Triggers::merge(char* into, const char* from, Emitter& out) {
  Part a;
  Part b;
  std::memcpy(&a, into, sizeof a);
  std::memcpy(&b, from, sizeof b);
  a.event_timer = a.processing_timer = DREY_NO_TIME;
  a.count += b.count;
  if (a.next == DREY_NO_TIME || (b.next != DREY_NO_TIME && b.next < a.next)) a.next = b.next;
  std::memcpy(into, &a, sizeof a);
  if (options_->trigger_bytes == 0) return {};
  // The job's code gets aligned copies.
  std::vector<std::uint64_t> x((bytes_ - sizeof(Part)) / 8), y(x.size());
  std::memcpy(x.data(), into + sizeof(Part), x.size() * 8);
  std::memcpy(y.data(), from + sizeof(Part), y.size() * 8);
  DREY_TRY(code_->call(&drey_functions::merge_trigger, &out, nullptr, static_cast<void*>(x.data()),
                       static_cast<const void*>(y.data())));
  std::memcpy(into + sizeof(Part), x.data(), x.size() * 8);
  return {};
}

Result<int> Triggers::ask(drey_trigger_event event, drey_window window, const data::BatchRef* batch, std::uint32_t id,
                          std::int64_t time, char* part, Emitter& out) {
  Part p;
  std::memcpy(&p, part, sizeof p);
  std::vector<std::uint64_t> state((bytes_ - sizeof(Part)) / 8);
  if (!state.empty()) std::memcpy(state.data(), part + sizeof(Part), state.size() * 8);
  drey_trigger t{window,  time,          context_->watermark(), context_->processing_time(),
                 p.count, p.event_timer, p.processing_timer,    state.data()};
  context_->enter_user_code(&out, batch);
  const int answer =
      code_->functions().on_trigger(code_->self(), event, batch == nullptr ? nullptr : &(*batch)->abi(), id, &t);
  context_->enter_user_code(nullptr, nullptr);
  if (Status status = context_->take_failure(); !status.ok()) return status;
  p.event_timer = t.event_timer;
  p.processing_timer = t.processing_timer;
  std::memcpy(part, &p, sizeof p);
  if (!state.empty()) std::memcpy(part + sizeof(Part), state.data(), state.size() * 8);
  return answer & (kFire | kPurge);
}

}  // namespace drey::operators
