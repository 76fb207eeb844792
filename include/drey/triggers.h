// When windows fire: built-in triggers, and what a trigger of one's own is.
//
//   pages.window(drey::tumbling(1h)).trigger(drey::purging(drey::count_trigger(100))).count();
//
//   struct Bursts {                                     // fires at a pause of 5 s, and at the end
//     using State = drey::Timestamp;                    // of each window; saved with it
//     drey::TriggerResult on_element(const Hit& hit, drey::Window w, drey::TriggerContext& ctx) {
//       ctx.state<State>() = std::max(ctx.state<State>(), hit.time);
//       ctx.event_timer(std::min(ctx.state<State>() + 5s, w.last()));
//       return drey::TriggerResult::kContinue;
//     }
//     drey::TriggerResult on_event_time(drey::Timestamp, drey::Window, drey::TriggerContext&) {
//       return drey::TriggerResult::kFireAndPurge;
//     }
//     static void merge(State& into, const State& from) { into = std::max(into, from); }  // sessions
//   };
//   pages.window(drey::session(1h)).trigger(Bursts{}).count();
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "drey/types.h"

namespace drey {
inline namespace api {

enum class TriggerResult { kContinue = 0, kFire = 1, kPurge = 2, kFireAndPurge = 3 };

// What a trigger may ask and set during a call, for one key and window.
class TriggerContext {
 public:
  explicit TriggerContext(drey_trigger& t) : t_(t) {}

  // Event time of the row or of the timer.
  bool has_time() const { return t_.time != DREY_NO_TIME; }
  Timestamp time() const { return {t_.time}; }
  Timestamp watermark() const { return {t_.watermark}; }
  Timestamp processing_time() const { return {t_.processing_time}; }
  // Rows since the window began, fired or was purged; the current one included.
  std::int64_t count() const { return t_.count; }
  // Asks for on_event_time, on_processing_time. A window has one timer of each kind: setting it
  // again moves it. When sessions become one, their timers are gone; on_element is called next.
  void event_timer(Timestamp at) { t_.event_timer = at.ms; }
  void processing_timer(Timestamp at) { t_.processing_timer = at.ms; }
  void delete_event_timer() { t_.event_timer = DREY_NO_TIME; }
  void delete_processing_timer() { t_.processing_timer = DREY_NO_TIME; }
  // The trigger's State of this key and window; zeroes at first.
  template <class S>
  S& state() {
    return *static_cast<S*>(t_.state);
  }

 private:
  drey_trigger& t_;
};

// A trigger that the engine knows.
struct BuiltInTrigger {
  std::string option;
  bool event_time = false;  // needs watermarks
  bool purges = false;
};
namespace detail {
inline BuiltInTrigger trigger_with(const char* name, std::int64_t n, bool event_time) {
  if (n < 1) throw std::invalid_argument(std::string("drey::") + name + ": the number must be positive");
  std::string kind(name);
  kind.resize(kind.size() - std::string_view("_trigger").size());
  return {kind + ":" + std::to_string(n), event_time, false};
}

template <class F, class T>
concept TriggerLambda = std::is_invocable_r_v<TriggerResult, F&, const T&, Window, std::int64_t>;
template <class F, class T>
concept TriggerClass = requires(F& f, const T& row, Window w, TriggerContext& ctx) {
  { f.on_element(row, w, ctx) } -> std::same_as<TriggerResult>;
};
template <class F>
constexpr std::size_t trigger_bytes() {
  if constexpr (requires { typename F::State; }) {
    static_assert(std::is_trivially_copyable_v<typename F::State>,
                  "drey: a trigger's State is plain numbers and times");
    static_assert(alignof(typename F::State) <= 8, "drey: a trigger's State is 8-byte aligned");
    return sizeof(typename F::State);
  } else {
    return 0;
  }
}
}  // namespace detail

// Fires when the watermark passes the window's end, and at once for rows that come later: the
// default in event time.
inline BuiltInTrigger event_time_trigger() { return {"event_time", true, false}; }
// Fires when the clock passes the window's end: the default in processing time.
inline BuiltInTrigger processing_time_trigger() { return {"processing_time", false, false}; }
// Fires at every n rows of a window. The end of the window is no reason to fire.
inline BuiltInTrigger count_trigger(std::int64_t n) { return detail::trigger_with("count_trigger", n, false); }
// Fires whenever the watermark passes a multiple of the interval, and at the window's end.
// Not on global windows.
inline BuiltInTrigger continuous_event_time_trigger(Millis interval) {
  return detail::trigger_with("continuous_event_time_trigger", interval.count(), true);
}
// Fires whenever the clock passes a multiple of the interval.
inline BuiltInTrigger continuous_processing_time_trigger(Millis interval) {
  return detail::trigger_with("continuous_processing_time_trigger", interval.count(), false);
}
// The same, and the window is empty after it has fired.
inline BuiltInTrigger purging(BuiltInTrigger trigger) {
  trigger.purges = true;
  return trigger;
}

}  // namespace api
}  // namespace drey
