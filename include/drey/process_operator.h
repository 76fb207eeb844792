// The operator behind functions with a context: one or two inputs, keyed or not. Not for job
// authors.
#pragma once

#include "drey/operators.h"

namespace drey {
inline namespace api {
namespace detail {

struct Collecting {
  std::vector<Bound*>* before = collecting;
  explicit Collecting(std::vector<Bound*>& into) { collecting = &into; }
  ~Collecting() { collecting = before; }
};
template <class F>
F collected_copy(const F& f, std::vector<Bound*>& into) {
  Collecting c(into);
  return f;
}

template <class F, class Row, class O>
DREY_INLINE_ void call_process(F& f, const Row& r, Context& c, Out<O>& o) {
  if constexpr (requires { f.process(r, c, o); })
    f.process(r, c, o);
  else if constexpr (requires { f.process(r, c); })
    f.process(r, c);
  else if constexpr (requires { f.process(r, o); })
    f.process(r, o);
  else if constexpr (requires { f(r, c, o); })
    f(r, c, o);
  else
    static_assert(
        requires { f(r, c, o); }, "drey: process(const In&, Context&, Out&) is missing or has other types");
}
template <class F, class Row, class O>
DREY_INLINE_ void call_process1(F& f, const Row& r, Context& c, Out<O>& o) {
  if constexpr (requires { f.process1(r, c, o); })
    f.process1(r, c, o);
  else if constexpr (requires { f.process1(r, c); })
    f.process1(r, c);
  else
    call_process(f, r, c, o);
}
template <class F, class Row, class O>
DREY_INLINE_ void call_process2(F& f, const Row& r, Context& c, Out<O>& o) {
  if constexpr (requires { f.process2(r, c, o); })
    f.process2(r, c, o);
  else if constexpr (requires { f.process2(r, c); })
    f.process2(r, c);
  else if constexpr (requires { f.process_broadcast(r, c, o); })
    f.process_broadcast(r, c, o);
  else if constexpr (requires { f.process_broadcast(r, c); })
    f.process_broadcast(r, c);
  else
    static_assert(
        requires { f.process2(r, c, o); },
        "drey: process2 or process_broadcast(const B&, Context&, Out&) is missing or has other "
        "types");
}

// All functions with context: one or two inputs (B = void: one), keyed or not.
template <class F, class In, class B, class O>
struct ProcessOp {
  using Closure = detail::Closure<F>;
  drey_task* task;
  const drey_host* host;
  Runtime rt;
  F fn;
  Context ctx;
  Out<O> out;
  std::shared_ptr<SideTable> sides;
  std::vector<drey_view> keys_;
  std::vector<std::uint64_t> hashes_;

  ProcessOp(const Closure& c, drey_task* t, const drey_host* h)
      : task(t), host(h), fn(collected_copy(c.fn, rt.bound)), ctx(rt), sides(c.sides) {
    rt.task = t;
    rt.host = h;
    rt.sides = sides.get();
    rt.key_type = c.key_type;
    out.attach(t, h, 0);
  }
  void open() {
    for (Bound* b : rt.bound) b->open(rt);
    if constexpr (requires { fn.open(ctx); }) {
      no_row(false, 0);
      fn.open(ctx);
      end_call();
    }
  }
  void process(std::uint32_t input, const drey_batch& b, const drey_keys* keys) {
    rt.batch = &b;
    rt.input = input;
    out.input(&b);
    if constexpr (std::is_same_v<In, O>) out.may_pass(input == 0, b.column_count == Shape<In>::kColumns);
    if (keys != nullptr) {
      for (Bound* x : rt.bound) x->prepare(b.rows, keys->keys, keys->hashes);
    }
    if constexpr (std::is_void_v<B>) {
      rows<In>(b, keys, [&](const In& row) { call_process(fn, row, ctx, out); });
    } else {
      if (input == 0) {
        rows<In>(b, keys, [&](const In& row) { call_process1(fn, row, ctx, out); });
      } else {
        rows<B>(b, keys, [&](const B& row) { call_process2(fn, row, ctx, out); });
      }
    }
    end_call();
  }
  void on_timers(std::uint32_t n, const drey_timer* timers) requires(
      requires(F& f, Timestamp t, Context& c, Out<O>& o) { f.on_timer(t, c, o); } ||
      requires(F & f, Timestamp t, Context& c) { f.on_timer(t, c); }) {
    no_row(true, 0);
    keys_.resize(n);
    hashes_.resize(n);
    for (std::uint32_t k = 0; k < n; ++k) {
      keys_[k] = timers[k].key;
      hashes_[k] = timers[k].hash;
    }
    for (Bound* x : rt.bound) x->prepare(n, keys_.data(), hashes_.data());
    rt.keys = keys_.data();
    rt.hashes = hashes_.data();
    for (std::uint32_t k = 0; k < n; ++k) {
      rt.at = k;
      rt.fixed_time = timers[k].time;
      out.time(timers[k].kind == DREY_EVENT_TIME, timers[k].time);
      if constexpr (requires { fn.on_timer(Timestamp{}, ctx, out); }) {
        fn.on_timer(Timestamp{timers[k].time}, ctx, out);
      } else {
        fn.on_timer(Timestamp{timers[k].time}, ctx);
      }
    }
    end_call();
  }
  void on_watermark(std::int64_t w) requires requires(F& f, Timestamp t, Context& c, Out<O>& o) {
    f.on_watermark(t, c, o);
  }
  {
    no_row(true, w);
    fn.on_watermark(Timestamp{w}, ctx, out);
    end_call();
  }
  void on_input_end(std::uint32_t input) requires requires(F& f, Context& c, Out<O>& o) { f.on_input_end(0, c, o); }
  {
    no_row(false, 0);
    rt.input = input;
    fn.on_input_end(static_cast<int>(input), ctx, out);
    end_call();
  }
  void snapshot() {
    for (Bound* b : rt.bound) b->snapshot();
  }
  void finish() requires requires(F& f, Context& c, Out<O>& o) { f.finish(c, o); }
  {
    no_row(false, 0);
    fn.finish(ctx, out);
    end_call();
  }

 private:
  template <class Row, class Call>
  DREY_INLINE_ void rows(const drey_batch& b, const drey_keys* keys, Call&& call) {
    const RowReader<Row> in(b);
    rt.times = b.row_times;
    rt.has_time = b.row_times != nullptr;
    rt.keys = keys == nullptr ? nullptr : keys->keys;
    rt.hashes = keys == nullptr ? nullptr : keys->hashes;
    out.times_from(b);
    for_rows(b, [&](std::uint32_t i, std::uint32_t k) {
      rt.at = k;
      rt.row = i;
      out.row(i);
      call(in.read(i));
    });
    no_row(false, 0);
  }
  void no_row(bool timed, std::int64_t time) {
    rt.keys = nullptr;
    rt.at = UINT32_MAX;
    rt.times = nullptr;
    rt.has_time = timed;
    rt.fixed_time = time;
    out.time(timed, time);
  }
  void end_call() {
    out.flush();
    for (std::size_t i = 0; i < rt.side_outs.size(); ++i) {
      if (rt.side_outs[i] != nullptr) rt.side_flush[i](*rt.side_outs[i]);
    }
    for (Bound* b : rt.bound) b->call_ended();
    rt.batch = nullptr;
    out.input(nullptr);
    out.may_pass(false, false);
    rt.scratch.clear();
  }
};

}  // namespace detail
}  // namespace api
}  // namespace drey
