// What functions with a life of their own see: context, timers, state, side outputs, counters.
//
//   struct Bursts : drey::KeyedProcess<Leg, Streak> {
//     drey::ListState<Leg> legs{"legs"};
//     drey::LongCounter late{"lateLegs"};
//     void process(const Leg& leg, Context& ctx, Out& out) {
//       if (leg.time < ctx.watermark()) late.add(1);
//       legs.add(leg);
//       ctx.timers().event(leg.time + 12h);
//     }
//     void on_timer(drey::Timestamp at, Context& ctx, Out& out) { ... legs.clear(); }
//   };
//
// A function is copied once for each subtask. Members like ListState bind themselves by name then;
// states of keyed functions always mean the key of the current row or timer. The hooks open(ctx),
// finish(ctx, out) and on_timer are optional. Views (Text) read from state are valid during the
// call.
#pragma once

#include "drey/counters.h"
#include "drey/state.h"

namespace drey {
inline namespace api {

// Timers of the current key. One per key and time: setting it twice is setting it once.
class Timers {
 public:
  explicit Timers(detail::Runtime& rt) : rt_(rt) {}
  void event(Timestamp at) { set(DREY_EVENT_TIME, at); }
  void processing(Timestamp at) { set(DREY_PROCESSING_TIME, at); }
  void delete_event(Timestamp at) { remove(DREY_EVENT_TIME, at); }
  void delete_processing(Timestamp at) { remove(DREY_PROCESSING_TIME, at); }

 private:
  void set(drey_time_kind kind, Timestamp at) {
    rt_.need_key("timers");
    detail::check(rt_.host->timer_set(rt_.task, kind, rt_.key(), rt_.hash(), at.ms));
  }
  void remove(drey_time_kind kind, Timestamp at) {
    rt_.need_key("timers");
    detail::check(rt_.host->timer_delete(rt_.task, kind, rt_.key(), rt_.hash(), at.ms));
  }
  detail::Runtime& rt_;
};

enum class LogLevel { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

// What a function may ask during a call.
class Context {
 public:
  explicit Context(detail::Runtime& rt) : rt_(rt) {}

  // The current key: K is the type of the key_by (one member's type, std::tuple of several); for an
  // optional member also the type inside (a null key reads as an empty value).
  template <class K>
  K key() const {
    rt_.need_key("key");
    const bool same = rt_.key_type == detail::type_tag<K>() ||
                      (detail::Scalar<K> && rt_.key_type == detail::type_tag<std::optional<K>>());
    if (!same) throw std::logic_error("ctx.key<K>(): the stream is keyed by another type");
    if constexpr (detail::Scalar<K>) {
      if (rt_.key()->size == 0) return K{};
    }
    return detail::decode_key<K>(*rt_.key());
  }
  // Event time of the row, or the time of the timer.
  bool has_time() const { return rt_.has_time; }
  Timestamp time() const {
    if (!rt_.has_time) throw std::logic_error("the rows have no event time: call watermarks() on the stream before");
    return {rt_.time()};
  }
  Timestamp watermark() const { return {rt_.host->watermark(rt_.task)}; }
  Timestamp processing_time() const { return {rt_.host->processing_time(rt_.task)}; }
  Timers timers() { return Timers(rt_); }

  // To a side output. Rows that nobody reads are dropped.
  template <class T>
  void emit(const SideOutput<T>& tag, const std::type_identity_t<T>& value) {
    auto& rows = rt_.sides->rows;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].name == tag.name) return side<T>(i).emit(value);
    }
    if (!rt_.sides->undeclared) return;
    rt_.sides->undeclared(*rt_.sides, {tag.name, detail::type_tag<T>(), schema_of<T>()});
    side<T>(rows.size() - 1).emit(value);
  }

  // Adds to an accumulator of the job. In hot functions prefer a LongCounter member.
  class Accumulating {
   public:
    Accumulating(detail::Runtime& rt, const char* name) : rt_(rt), name_(name) {}
    void add(std::int64_t n) { rt_.host->accumulator_add(rt_.task, name_, DREY_LONG_COUNTER, n, 0); }
    void add_double(double n) { rt_.host->accumulator_add(rt_.task, name_, DREY_DOUBLE_COUNTER, 0, n); }
    void max(std::int64_t n) { rt_.host->accumulator_add(rt_.task, name_, DREY_LONG_MAX, n, 0); }
    void min(std::int64_t n) { rt_.host->accumulator_add(rt_.task, name_, DREY_LONG_MIN, n, 0); }

   private:
    detail::Runtime& rt_;
    const char* name_;
  };
  Accumulating accumulator(const char* name) { return {rt_, name}; }

  std::uint32_t subtask() const { return rt_.host->subtask_index(rt_.task); }
  std::uint32_t parallelism() const { return rt_.host->parallelism(rt_.task); }
  std::uint32_t attempt() const { return rt_.host->attempt(rt_.task); }
  void log(LogLevel level, const std::string& message) {
    rt_.host->log(rt_.task, static_cast<int>(level), message.c_str());
  }

 private:
  template <class T>
  Out<T>& side(std::size_t i) {
    const auto& row = rt_.sides->rows[i];
    if (row.type != detail::type_tag<T>()) {
      throw std::logic_error("side output '" + row.name + "' is declared with another type");
    }
    if (rt_.side_outs.size() <= i) {
      rt_.side_outs.resize(i + 1);
      rt_.side_flush.resize(i + 1);
    }
    if (rt_.side_outs[i] == nullptr) {
      auto out = std::make_unique<Out<T>>();
      out->attach(rt_.task, rt_.host, static_cast<std::uint32_t>(i) + 1);
      rt_.side_outs[i] = std::move(out);
      rt_.side_flush[i] = [](detail::Output& o) { static_cast<Out<T>&>(o).flush(); };
    }
    auto& out = static_cast<Out<T>&>(*rt_.side_outs[i]);
    out.input(rt_.batch);
    out.time(rt_.has_time, rt_.has_time ? rt_.time() : 0);
    return out;
  }
  detail::Runtime& rt_;
};

// Bases of functions. They only name the types.
//   void process(const In& row, Context& ctx, Out& out);         (or without `out`, or without
//   both)
template <class In, class O>
struct Process {
  using Input = In;
  using Output = O;
  using Context = drey::Context;
  using Out = drey::Out<O>;
};
//   void process(...);  void on_timer(drey::Timestamp at, Context& ctx, Out& out);
template <class In, class O>
struct KeyedProcess : Process<In, O> {};
//   void process1(const A&, Context&, Out&);  void process2(const B&, Context&, Out&);
template <class A, class B, class O>
struct CoProcess {
  using Input1 = A;
  using Input2 = B;
  using Output = O;
  using Context = drey::Context;
  using Out = drey::Out<O>;
};
//   void process(const In&, Context&, Out&);  void process_broadcast(const B&, Context&, Out&);
//   void on_input_end(int input, Context&, Out&);      0: the stream, 1: the broadcast one
template <class In, class B, class O>
struct BroadcastProcess {
  using Input = In;
  using Broadcast = B;
  using Output = O;
  using Context = drey::Context;
  using Out = drey::Out<O>;
};
//   void process(const K& key, drey::Window window, const std::vector<In>& rows, Out& out);
template <class K, class In, class O>
struct WindowProcess {
  using Key = K;
  using Input = In;
  using Output = O;
  using Out = drey::Out<O>;
};

}  // namespace api
}  // namespace drey
