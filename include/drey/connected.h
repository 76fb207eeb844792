// Two streams of different types in one function: connect and interval join.
//
//   flights.connect(airlines.broadcast()).process(AddName{})
#pragma once

#include "drey/stream_parts.h"

namespace drey {
inline namespace api {

// Two streams of different types that meet in one function: CoProcess or BroadcastProcess.
template <class A, class B>
class ConnectedStreams {
 public:
  ConnectedStreams(detail::Streams a, detail::Streams b, const void* key_type, const char* name)
      : a_(std::move(a)), b_(std::move(b)), key_type_(key_type), name_(name) {}
  template <class Given = void, class F>
  auto process(F fn) const {
    using O = detail::Emitted<Given, F>;
    detail::Node& n = a_.graph->add(DREY_KIND_USER, name_);
    n.outputs.push_back(schema_of<O>());
    n.code<detail::ProcessOp<F, A, B, O>>(std::move(fn), key_type_);
    n.emits_sides = true;
    a_.enter(n, 0);
    b_.enter(n, 1);
    return DataStream<O>(detail::streams_of(*a_.graph, n));
  }

 private:
  detail::Streams a_, b_;
  const void* key_type_;
  const char* name_;
};

namespace detail {
// Rows of both sides are kept until no row of the other side can match them.
template <class A, class B, class O, class F>
struct IntervalJoinFn : CoProcess<A, B, O> {
  using Context = drey::Context;
  Millis low, high;
  F fn;
  ListState<std::pair<Timestamp, A>> left{"left"};
  ListState<std::pair<Timestamp, B>> right{"right"};

  IntervalJoinFn(Millis lo, Millis hi, F f) : low(lo), high(hi), fn(std::move(f)) {}
  void process1(const A& a, Context& ctx, Out<O>& out) {
    const Timestamp t = ctx.time();
    if (t < ctx.watermark()) return;  // late, as in Flink
    left.add({t, a});
    for (const auto& [u, b] : right.get()) {
      if (u - t >= low && u - t <= high) call(a, b, std::max(t, u), out);
    }
    ctx.timers().event(left_until(t) + Millis(1));
  }
  void process2(const B& b, Context& ctx, Out<O>& out) {
    const Timestamp u = ctx.time();
    if (u < ctx.watermark()) return;
    right.add({u, b});
    for (const auto& [t, a] : left.get()) {
      if (u - t >= low && u - t <= high) call(a, b, std::max(t, u), out);
    }
    ctx.timers().event(right_until(u) + Millis(1));
  }
  void on_timer(Timestamp at, Context&) {
    prune(left, [&](Timestamp t) { return left_until(t) >= at; });
    prune(right, [&](Timestamp u) { return right_until(u) >= at; });
  }

 private:
  // The last watermark at which a row of the other side that is not late may match.
  Timestamp left_until(Timestamp t) const { return t + std::max(high, Millis(0)); }
  Timestamp right_until(Timestamp u) const { return low < Millis(0) ? u - low : u; }
  void call(const A& a, const B& b, Timestamp at, Out<O>& out) {
    if constexpr (std::is_invocable_v<F&, const A&, const B&, Out<O>&>) {
      out.time(true, at.ms);
      fn(a, b, out);
    } else {
      out.emit(fn(a, b), at);
    }
  }
  template <class State, class Keep>
  static void prune(State& state, Keep keep) {
    auto rows = state.get();
    const std::size_t before = rows.size();
    std::erase_if(rows, [&](const auto& r) { return !keep(r.first); });
    if (rows.size() != before) state.assign(rows);
  }
};
}  // namespace detail

template <class A, class B>
class IntervalJoin {
 public:
  IntervalJoin(detail::Streams a, detail::Streams b, const void* key_type)
      : a_(std::move(a)), b_(std::move(b)), key_type_(key_type) {}
  // b's time is in [a's time + low, a's time + high].
  IntervalJoin& between(Millis low, Millis high) {
    if (low > high) throw JobError("interval_join: between(low, high): low is above high");
    low_ = low;
    high_ = high;
    return *this;
  }
  // fn(const A&, const B&) returning the joined row, or fn(a, b, out).
  template <class Given = void, class F>
  auto process(F fn) const {
    if constexpr (std::is_invocable_v<F&, const A&, const B&>) {
      return build<std::remove_cvref_t<std::invoke_result_t<F&, const A&, const B&>>>(std::move(fn));
    } else {
      return build<detail::Emitted<Given, F>>(std::move(fn));
    }
  }

 private:
  template <class O, class F>
  auto build(F fn) const {
    detail::Node& n = a_.graph->add(DREY_KIND_USER, "Interval Join");
    n.needs_watermarks = true;
    n.outputs.push_back(schema_of<O>());
    using J = detail::IntervalJoinFn<A, B, O, F>;
    n.code<detail::ProcessOp<J, A, B, O>>(J(low_, high_, std::move(fn)), key_type_);
    a_.enter(n, 0);
    b_.enter(n, 1);
    return DataStream<O>(detail::streams_of(*a_.graph, n));
  }
  detail::Streams a_, b_;
  const void* key_type_;
  Millis low_{0}, high_{0};
};

}  // namespace api
}  // namespace drey
