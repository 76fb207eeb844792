// The DataStream API: what a job includes.
//
//   #include <drey/datastream.h>
//   using namespace drey::literals;
//
//   struct Hit { drey::Text page; drey::Timestamp time; DREY_FIELDS(Hit, page, time) };
//   struct PerPage {
//     drey::Text page; drey::Timestamp hour; std::int64_t hits = 0;
//     DREY_FIELDS(PerPage, page, hour, hits)
//   };
//   struct Count {
//     std::int64_t n = 0;
//     void add(const Hit&) { ++n; }
//     void merge(const Count& o) { n += o.n; }
//   };
//
//   DREY_JOB("hits", env, args) {
//     env.from(drey::csv<Hit>(args.path("input")))
//         .watermarks(drey::bounded_out_of_orderness(&Hit::time, 5min))
//         .key_by(&Hit::page)
//         .window(drey::tumbling(1h))
//         .aggregate<Count>([](const drey::Text& page, drey::Window w, const Count& c) {
//           return PerPage{page, w.start, c.n};
//         })
//         .uid("hits-per-page")
//         .to(drey::csv_files(args.path("output")));
//   }
//
// Functions (lambdas or classes) are copied once for each subtask; what they capture must not refer to
// main's variables. What is wrong with a job is said by the compiler, or when the job is submitted.
#pragma once

#include "drey/connectors.h"

namespace drey {
inline namespace api {

template <class T>
class DataStream;
template <class T>
class BroadcastStream;
template <class T, class K>
class KeyedStream;
template <class T, class K, bool Merging, class Trigger>
class WindowedStream;

namespace detail {

template <class M>
struct CallOf;
template <class C, class R, class... A>
struct CallOf<R (C::*)(A...)> {
  using Last = std::remove_cvref_t<std::tuple_element_t<sizeof...(A) - 1, std::tuple<A...>>>;
};
template <class C, class R, class... A>
struct CallOf<R (C::*)(A...) const> : CallOf<R (C::*)(A...)> {};

template <class T>
struct ElementOf {
  using Type = void;
};
template <class T>
struct ElementOf<Out<T>> {
  using Type = T;
};

// What a function with an `out` emits: given, or its Output, or the X of its last parameter Out<X>&.
template <class Given, class F>
constexpr auto emitted() {
  if constexpr (!std::is_void_v<Given>) {
    return std::type_identity<Given>{};
  } else if constexpr (requires { typename F::Output; }) {
    return std::type_identity<typename F::Output>{};
  } else if constexpr (requires { &F::operator(); }) {
    using X = typename ElementOf<typename CallOf<decltype(&F::operator())>::Last>::Type;
    static_assert(!std::is_void_v<X>,
                  "drey: cannot tell the type of the output: the last parameter must be drey::Out<X>& out");
    return std::type_identity<X>{};
  } else {
    static_assert(!std::is_void_v<Given>, "drey: cannot tell the type of the output: call it as name<X>(function)");
  }
}
template <class Given, class F>
using Emitted = typename decltype(emitted<Given, F>())::type;

template <class R>
struct Unwrapped {
  using Type = R;
};
template <class R>
  requires(kIsOptional<R>)
struct Unwrapped<R> {
  using Type = typename R::value_type;
};
template <class R>
  requires(!HasFields<R> && !Scalar<R> && !kIsOptional<R> && !kIsTuple<R> && requires(R& r) { *r.begin(); })
struct Unwrapped<R> {
  using Type = std::remove_cvref_t<decltype(*std::declval<R&>().begin())>;
};

// Where rows come from, and how the next operator gets them.
struct Streams {
  Graph* graph = nullptr;
  std::vector<Edge> from;
  Node* node = nullptr;                    // the last operator, when there is just one
  const ArrowSchema* schema = nullptr;     // with hidden key columns behind those of T, maybe

  void enter(Node& n, std::uint32_t input = 0) const {
    for (Edge e : from) {
      e.input = input;
      n.inputs.push_back(std::move(e));
    }
  }
  Node& last(const char* what) const {
    if (node == nullptr) throw JobError(std::string(what) + "() follows an operator, not a union");
    return *node;
  }
  void partition(drey_partitioner p) {
    for (Edge& e : from) {
      e.partitioner = p;
      e.keys.clear();
    }
  }
};
inline Streams streams_of(Graph& g, Node& n, std::uint32_t output = 0) {
  Streams s;
  s.graph = &g;
  s.node = &n;
  s.schema = n.outputs.at(output);
  s.from.resize(1);
  s.from[0].from = &n;
  s.from[0].output = output;
  return s;
}

inline void need_positive(const Node* n, const char* what, std::int64_t v) {
  if (v < 1) throw JobError("operator '" + (n == nullptr ? std::string("?") : n->name) + "': " + what + " must be at least 1");
}
inline std::string ms(Millis d) { return std::to_string(d.count()); }

// What can be said about the operator that has just been added.
template <class Self>
class OperatorSettings {
 public:
  // Identifies the operator's state across versions of the job. Unique in the job.
  Self& uid(std::string id) {
    Node& n = self().streams_.last("uid");
    n.uid = std::move(id);
    n.has_uid = true;
    return self();
  }
  Self& name(std::string text) { return self().streams_.last("name").name = std::move(text), self(); }
  Self& parallelism(int p) {
    Node& n = self().streams_.last("parallelism");
    need_positive(&n, "parallelism", p);
    n.parallelism = p;
    return self();
  }
  Self& max_parallelism(int p) {
    Node& n = self().streams_.last("max_parallelism");
    need_positive(&n, "max_parallelism", p);
    n.max_parallelism = p;
    return self();
  }
  Self& slot_sharing_group(std::string group) {
    return self().streams_.last("slot_sharing_group").group = std::move(group), self();
  }
  Self& start_new_chain() { return self().streams_.last("start_new_chain").chaining = 1, self(); }
  Self& disable_chaining() { return self().streams_.last("disable_chaining").chaining = 2, self(); }

 private:
  Self& self() { return static_cast<Self&>(*this); }
};

}  // namespace detail

// --- Event time -----------------------------------------------------------------------------------------

// How event times are found in rows (At: a member, or a function) and how far behind them the watermark is.
template <class At>
class WatermarkStrategy {
 public:
  WatermarkStrategy(At at, Millis bound) : at_(std::move(at)), bound_(bound) {}
  // A subtask without rows for this long no longer holds back the others.
  WatermarkStrategy& idle_after(Millis d) {
    idle_ = d;
    return *this;
  }
  template <class T>
  void build(detail::Node& n) const {
    n.set("out_of_orderness_ms", detail::ms(bound_));
    if (idle_.count() > 0) n.set("idle_timeout_ms", detail::ms(idle_));
    if constexpr (std::is_same_v<At, Timestamp detail::ClassOf<T>::*>) {
      n.set("time_column", std::to_string(detail::column_of<T>(at_)));
    } else {
      static_assert(std::is_invocable_v<const At&, const T&>,
                    "drey: watermarks need a member of the stream's record that is a drey::Timestamp (or int64 "
                    "milliseconds), or a function of the row");
      auto f = [at = at_](const T& row) { return std::invoke(at, row); };
      using R = std::remove_cvref_t<decltype(f(std::declval<const T&>()))>;
      static_assert(std::is_same_v<R, Timestamp> || std::is_same_v<R, std::int64_t>,
                    "drey: an event time is a drey::Timestamp or std::int64_t milliseconds");
      n.code<detail::TimesOp<decltype(f), T>>(f);
    }
  }

 private:
  At at_;
  Millis bound_;
  Millis idle_{0};
};
// Rows are out of order by no more than `bound`.
template <class At>
WatermarkStrategy<At> bounded_out_of_orderness(At at, Millis bound) {
  return {at, bound};
}
// Rows of one source are in order of time.
template <class At>
WatermarkStrategy<At> monotonous(At at) {
  return {at, Millis(0)};
}

// --- Windows --------------------------------------------------------------------------------------------

enum class TriggerResult { kContinue = 0, kFire = 1, kPurge = 2, kFireAndPurge = 3 };

// Which windows a row belongs to. Merging: windows whose accumulators are merged.
template <bool Merging>
class WindowAssigner {
 public:
  WindowAssigner(const char* kind, std::string name) : name_(std::move(name)) { set("assigner", kind); }
  WindowAssigner& set(const char* key, std::string value) {
    options_.push_back({key, std::move(value)});
    return *this;
  }
  // Windows start at this offset from the epoch (days in UTC+2 start at -2h).
  WindowAssigner& offset(Millis d) { return set("offset_ms", detail::ms(d)); }
  WindowAssigner& processing_time() {
    event_ = false;
    return set("time", "processing");
  }
  // Fires at every n rows of a window and starts anew.
  WindowAssigner& count(std::int64_t n) {
    detail::need_positive(nullptr, "a window's count", n);
    counted_ = true;
    set("trigger", "count:" + std::to_string(n));
    return set("purge", "true");
  }
  bool needs_watermarks() const { return event_ && !global_; }
  bool needs_trigger() const { return global_ && !counted_; }
  WindowAssigner& all_time() {
    global_ = true;
    return *this;
  }
  const std::string& name() const { return name_; }
  const std::vector<std::pair<std::string, std::string>>& options() const { return options_; }

 private:
  std::string name_;
  std::vector<std::pair<std::string, std::string>> options_;
  bool event_ = true, global_ = false, counted_ = false;
};
inline WindowAssigner<false> tumbling(Millis size) {
  if (size.count() <= 0) throw JobError("drey::tumbling: the size must be positive");
  return WindowAssigner<false>("tumbling", "TumblingWindow").set("size_ms", detail::ms(size));
}
inline WindowAssigner<true> sliding(Millis size, Millis slide) {
  if (size.count() <= 0 || slide.count() <= 0) throw JobError("drey::sliding: size and slide must be positive");
  return WindowAssigner<true>("sliding", "SlidingWindow").set("size_ms", detail::ms(size)).set("slide_ms", detail::ms(slide));
}
inline WindowAssigner<true> session(Millis gap) {
  if (gap.count() <= 0) throw JobError("drey::session: the gap must be positive");
  return WindowAssigner<true>("session", "SessionWindow").set("gap_ms", detail::ms(gap));
}
inline WindowAssigner<false> global() { return WindowAssigner<false>("global", "GlobalWindow").all_time(); }

template <class K>
struct WindowCount {
  K key{};
  Timestamp start;
  Timestamp end;
  std::int64_t count = 0;
  static constexpr auto fields() {
    using R = WindowCount;
    return std::tuple{field("key", &R::key), field("start", &R::start), field("end", &R::end), field("count", &R::count)};
  }
};

// A keyed stream in windows.
template <class T, class K, bool Merging, class Trigger>
class WindowedStream {
 public:
  WindowedStream(detail::Streams in, WindowAssigner<Merging> windows, Trigger trigger)
      : in_(std::move(in)), windows_(std::move(windows)), trigger_(std::move(trigger)) {}

  // Windows stay this long after the watermark has passed them, and fire again for each late row.
  WindowedStream& allowed_lateness(Millis d) {
    windows_.set("allowed_lateness_ms", detail::ms(d));
    return *this;
  }
  // Rows too late for their window go to a side output of the result.
  WindowedStream& late_to(const SideOutput<T>& tag) {
    late_ = tag.name;
    return *this;
  }
  // fn(const T& row, Window, std::int64_t rows_so_far) -> TriggerResult, after every row.
  template <class F>
  auto trigger(F fn) const {
    static_assert(std::is_invocable_r_v<TriggerResult, F&, const T&, Window, std::int64_t>,
                  "drey: trigger(fn): fn(const T&, drey::Window, std::int64_t count) -> drey::TriggerResult");
    WindowedStream<T, K, Merging, F> w(in_, windows_, std::move(fn));
    w.windows_.set("trigger", "custom");
    w.late_ = late_;
    w.custom_ = true;
    return w;
  }

  // Acc has add(const T&), and merge(const Acc&) for sliding and session windows;
  // fn(const K& key, Window, const Acc&) returns the result, or an optional of it, or takes an `out`, too.
  template <class Acc, class F>
  auto aggregate(F fn) const {
    static_assert(requires(Acc& a, const T& row) { a.add(row); },
                  "drey: aggregate<Acc>: Acc needs a member add(const T& row)");
    static_assert(!Merging || requires(Acc& a, const Acc& b) { a.merge(b); },
                  "drey: aggregate<Acc>: sliding and session windows need Acc::merge(const Acc&)");
    static_assert(std::is_default_constructible_v<Acc>, "drey: aggregate<Acc>: Acc must be default-constructible");
    using O = Result<F, Acc>;
    using W = detail::WindowFn<F, Trigger>;
    detail::Node& n = node<O>("Aggregate");
    n.accumulator_bytes = detail::kFixed<Acc> ? sizeof(Acc) : 0;
    n.set("accumulate", detail::kFixed<Acc> ? "fixed" : "encoded");
    n.code<detail::AggregateWindowOp<W, T, K, Acc, O>>(W{std::move(fn), trigger_});
    return DataStream<O>(detail::streams_of(*in_.graph, n));
  }
  // fn(const T&, const T&) -> T; the result is that T, or what result(key, window, value) makes of it.
  template <class F>
  auto reduce(F fn) const {
    return reduce(std::move(fn), [](const K&, Window, const T& v) { return v; });
  }
  template <class F, class R>
  auto reduce(F fn, R result) const {
    static_assert(std::is_invocable_r_v<T, F&, const T&, const T&>, "drey: reduce(fn): fn(const T&, const T&) -> T");
    struct Both {
      F fold;
      R make;
      T reduce(const T& a, const T& b) { return fold(a, b); }
      auto operator()(const K& k, Window w, const T& v) { return make(k, w, v); }
    };
    using O = Result<R, T>;
    using W = detail::WindowFn<Both, Trigger>;
    detail::Node& n = node<O>("Reduce");
    n.accumulator_bytes = detail::kFixed<T> ? sizeof(T) : 0;
    n.set("accumulate", detail::kFixed<T> ? "fixed" : "encoded");
    n.code<detail::ReduceWindowOp<W, T, K, O>>(W{Both{std::move(fn), std::move(result)}, trigger_});
    return DataStream<O>(detail::streams_of(*in_.graph, n));
  }
  template <class M>
  auto sum(M detail::ClassOf<T>::*member) const {
    return reduce([member](const T& a, const T& b) {
      T r = a;
      r.*member = static_cast<M>(a.*member + b.*member);
      return r;
    });
  }
  auto count() const {
    struct Count {
      std::int64_t n = 0;
      void add(const T&) { ++n; }
      void merge(const Count& o) { n += o.n; }
    };
    return aggregate<Count>([](const K& k, Window w, const Count& c) { return WindowCount<K>{k, w.start, w.end, c.n}; });
  }
  // All rows at once: fn(const K& key, Window, const std::vector<T>& rows, Out<O>& out), or returning O.
  template <class Given = void, class F>
  auto process(F fn) const {
    using O = Result<F, std::vector<T>, Given>;
    using W = detail::WindowFn<F, Trigger>;
    detail::Node& n = node<O>("Process");
    n.set("accumulate", "elements");
    n.code<detail::ProcessWindowOp<W, T, K, O>>(W{std::move(fn), trigger_});
    return DataStream<O>(detail::streams_of(*in_.graph, n));
  }

 private:
  template <class, class, bool, class>
  friend class WindowedStream;

  template <class F, class V, class Given>
  static constexpr auto result() {
    if constexpr (!std::is_void_v<Given>) {
      return std::type_identity<Given>{};
    } else if constexpr (std::is_invocable_v<F&, const K&, Window, const V&>) {
      using R = std::remove_cvref_t<std::invoke_result_t<F&, const K&, Window, const V&>>;
      static_assert(!std::is_void_v<R>, "drey: a window function returns its result, or has a parameter drey::Out<X>& out");
      return std::type_identity<typename detail::Unwrapped<R>::Type>{};
    } else {
      using O = detail::Emitted<void, F>;
      static_assert(requires(F& f, const K& k, const V& v, Out<O>& o) { f(k, Window{}, v, o); } ||
                        requires(F& f, const K& k, const V& v, Out<O>& o) { f.process(k, Window{}, v, o); },
                    "drey: a window function is called with (const Key&, drey::Window, const Accumulator&[, drey::Out<X>&]); "
                    "the key's type is that of the member in key_by");
      return std::type_identity<O>{};
    }
  }
  template <class F, class V, class Given = void>
  using Result = typename decltype(result<F, V, Given>())::type;

  template <class O>
  detail::Node& node(const char* what) const {
    if (windows_.needs_trigger() && !custom_) {
      throw JobError("drey::global() windows never fire by themselves: give them .count(n), or a trigger");
    }
    detail::Node& n = in_.graph->add("window", windows_.name() + "-" + what);
    for (const auto& [k, v] : windows_.options()) n.set(k.c_str(), v);
    n.needs_watermarks = windows_.needs_watermarks();
    n.outputs.push_back(schema_of<O>());
    if (late_ != nullptr) {
      n.outputs.push_back(in_.schema);
      n.set("late_output", "1");
    }
    if (late_ != nullptr) n.late.push_back({late_, detail::type_tag<T>()});
    in_.enter(n);
    return n;
  }

  detail::Streams in_;
  WindowAssigner<Merging> windows_;
  Trigger trigger_;
  const char* late_ = nullptr;
  bool custom_ = false;
};

// --- Two inputs -----------------------------------------------------------------------------------------

// Two streams of different types that meet in one function: CoProcess or BroadcastProcess.
template <class A, class B>
class ConnectedStreams {
 public:
  ConnectedStreams(detail::Streams a, detail::Streams b, const void* key_type, const char* name)
      : a_(std::move(a)), b_(std::move(b)), key_type_(key_type), name_(name) {}
  template <class Given = void, class F>
  auto process(F fn) const {
    using O = detail::Emitted<Given, F>;
    detail::Node& n = a_.graph->add("user", name_);
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
    if (t <= ctx.watermark()) return;  // late, as in Flink
    left.add({t, a});
    for (const auto& [u, b] : right.get()) {
      if (u - t >= low && u - t <= high) call(a, b, std::max(t, u), out);
    }
    ctx.timers().event(left_until(t));
  }
  void process2(const B& b, Context& ctx, Out<O>& out) {
    const Timestamp u = ctx.time();
    if (u <= ctx.watermark()) return;
    right.add({u, b});
    for (const auto& [t, a] : left.get()) {
      if (u - t >= low && u - t <= high) call(a, b, std::max(t, u), out);
    }
    ctx.timers().event(right_until(u));
  }
  void on_timer(Timestamp at, Context&) {
    prune(left, [&](Timestamp t) { return left_until(t) > at; });
    prune(right, [&](Timestamp u) { return right_until(u) > at; });
  }

 private:
  Timestamp left_until(Timestamp t) const { return t + std::max(high, Millis(0)); }
  Timestamp right_until(Timestamp u) const { return u + std::max(-low, Millis(0)); }
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
    detail::Node& n = a_.graph->add("user", "Interval Join");
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

// --- Streams --------------------------------------------------------------------------------------------

// The end of a stream.
class SinkHandle : public detail::OperatorSettings<SinkHandle> {
 public:
  explicit SinkHandle(detail::Streams s) : streams_(std::move(s)) {}

 private:
  template <class>
  friend class detail::OperatorSettings;
  detail::Streams streams_;
};

// Rows of type T.
template <class T>
class DataStream : public detail::OperatorSettings<DataStream<T>> {
 public:
  using Row = T;
  explicit DataStream(detail::Streams s) : streams_(std::move(s)) {}

  // fn(const T&) -> O, one row for each row.
  template <class F>
  auto map(F fn) const {
    static_assert(std::is_invocable_v<F&, const T&>, "drey: map(fn): fn is called with (const T& row) of this stream");
    using O = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
    static_assert(!std::is_void_v<O>, "drey: map(fn): fn must return the new row");
    return add<detail::MapOp<F, T, O>, O>("Map", std::move(fn));
  }
  // fn(const T&) -> bool: rows that stay.
  template <class F>
  DataStream filter(F fn) const {
    static_assert(std::is_invocable_r_v<bool, F&, const T&>, "drey: filter(fn): fn(const T& row) -> bool");
    detail::Node& n = same_rows("user", "Filter");
    n.code<detail::FilterOp<F, T>>(std::move(fn));
    return DataStream(detail::streams_of(*streams_.graph, n));
  }
  // fn(const T&, Out<O>& out), or fn returning an optional or a range of O.
  template <class Given = void, class F>
  auto flat_map(F fn) const {
    if constexpr (std::is_void_v<Given> && std::is_invocable_v<F&, const T&>) {
      using R = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
      using O = typename detail::Unwrapped<R>::Type;
      static_assert(!std::is_same_v<O, R>, "drey: flat_map(fn): fn returns a std::optional or a range, or takes an out");
      return add<detail::FlatMapOp<F, T, O>, O>("Flat Map", std::move(fn));
    } else {
      using O = detail::Emitted<Given, F>;
      static_assert(std::is_invocable_v<F&, const T&, Out<O>&>,
                    "drey: flat_map(fn): fn is called with (const T& row, drey::Out<O>& out)");
      return add<detail::FlatMapOp<F, T, O>, O>("Flat Map", std::move(fn));
    }
  }
  // A Process<T, O>, or a lambda (const T&, Context&, Out<O>&).
  template <class Given = void, class F>
  auto process(F fn) const {
    using O = detail::Emitted<Given, F>;
    auto made = add<detail::ProcessOp<F, T, void, O>, O>("Process", std::move(fn));
    return made;
  }

  // By members (columns), or by a function of the row (a hidden column).
  template <class M>
  KeyedStream<T, M> key_by(M detail::ClassOf<T>::*member) const {
    return KeyedStream<T, M>(keyed({detail::column_of<T>(member)}), {detail::column_of<T>(member)});
  }
  template <class M, class N, class... More>
  KeyedStream<T, std::tuple<M, N, More...>> key_by(M detail::ClassOf<T>::*first, N detail::ClassOf<T>::*second, More detail::ClassOf<T>::*... more) const {
    std::vector<std::uint32_t> columns{detail::column_of<T>(first), detail::column_of<T>(second), detail::column_of<T>(more)...};
    return KeyedStream<T, std::tuple<M, N, More...>>(keyed(columns), columns);
  }
  template <class F>
    requires std::is_invocable_v<F&, const T&>
  auto key_by(F fn) const {
    using K = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
    static_assert(detail::Scalar<K> || detail::kIsTuple<K> || detail::kIsOptional<K> || HasFields<K>,
                  "drey: key_by(fn): a key is a scalar, text, or a record or tuple of them");
    auto with = [fn = std::move(fn)](const T& row) mutable { return detail::WithKey<T, K>{row, fn(row)}; };
    using W = detail::WithKey<T, K>;
    detail::Node& n = streams_.graph->add("user", "KeyBy");
    n.outputs.push_back(schema_of<W>());
    n.code<detail::MapOp<decltype(with), T, W>>(std::move(with));
    streams_.enter(n);
    detail::Streams s = detail::streams_of(*streams_.graph, n);
    std::vector<std::uint32_t> columns;
    for (std::uint32_t c = 0; c < detail::Shape<K>::kColumns; ++c) {
      columns.push_back(static_cast<std::uint32_t>(detail::Shape<T>::kColumns) + c);
    }
    s.from[0].partitioner = DREY_HASH;
    s.from[0].keys = columns;
    return KeyedStream<T, K>(std::move(s), {});
  }

  template <class At>
  DataStream watermarks(const WatermarkStrategy<At>& strategy) const {
    detail::Node& n = same_rows("watermarks", "Timestamps/Watermarks");
    strategy.template build<T>(n);
    return DataStream(detail::streams_of(*streams_.graph, n));
  }

  template <class... More>
  DataStream union_with(const DataStream& other, const More&... more) const {
    DataStream all = plain();
    for (const DataStream& s : {other.plain(), more.plain()...}) {
      all.streams_.from.insert(all.streams_.from.end(), s.streams_.from.begin(), s.streams_.from.end());
    }
    all.streams_.node = nullptr;
    return all;
  }
  template <class B>
  ConnectedStreams<T, B> connect(const DataStream<B>& other) const {
    return {streams_, other.streams_, nullptr, "Co-Process"};
  }
  template <class B>
  ConnectedStreams<T, B> connect(const BroadcastStream<B>& other) const {
    return {streams_, other.streams_, nullptr, "Co-Process-Broadcast"};
  }

  // Rows that a function of the last operator emits to this tag.
  template <class S>
  DataStream<S> side_output(const SideOutput<S>& tag) const {
    detail::Node& n = streams_.last("side_output");
    for (std::size_t i = 0; i < n.late.size(); ++i) {
      if (n.late[i].name == tag.name) return side<S>(n, n.late[i], 1);
    }
    if (!n.emits_sides) throw JobError("operator '" + n.name + "' has no side output '" + tag.name + "'");
    auto& rows = n.sides->rows;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].name == tag.name) return side<S>(n, rows[i], static_cast<std::uint32_t>(i) + 1);
    }
    rows.push_back({tag.name, detail::type_tag<S>()});
    n.outputs.push_back(schema_of<S>());
    return side<S>(n, rows.back(), static_cast<std::uint32_t>(rows.size()));
  }

  // How rows get to the subtasks of the next operator.
  DataStream rebalance() const { return partitioned(DREY_REBALANCE); }
  DataStream rescale() const { return partitioned(DREY_RESCALE); }
  DataStream shuffle() const { return partitioned(DREY_SHUFFLE); }
  DataStream global() const { return partitioned(DREY_GLOBAL); }
  DataStream forward() const { return partitioned(DREY_FORWARD); }
  BroadcastStream<T> broadcast() const { return BroadcastStream<T>(partitioned(DREY_BROADCAST)); }
  // fn(const T& row, std::uint32_t targets) -> number of the subtask.
  template <class F>
  DataStream partition_custom(F fn) const {
    static_assert(std::is_invocable_r_v<std::int64_t, F&, const T&, std::uint32_t>,
                  "drey: partition_custom(fn): fn(const T& row, std::uint32_t targets) -> a number below targets");
    DataStream s = partitioned(DREY_CUSTOM);
    using Op = detail::PartitionOp<F, T>;
    for (detail::Edge& e : s.streams_.from) {
      e.functions = detail::Functions<Op>::get();
      e.closure = [fn]() -> void* { return new typename Op::Closure{fn}; };
      e.release = [](void* p) { delete static_cast<typename Op::Closure*>(p); };
    }
    return s;
  }

  SinkHandle to(const Sink& sink) const {
    const DataStream rows = plain();
    detail::Node& n = sink.build(*streams_.graph);
    rows.streams_.enter(n);
    detail::Streams s;
    s.graph = streams_.graph;
    s.node = &n;
    return SinkHandle(std::move(s));
  }
  SinkHandle print(std::string prefix = "") const { return to(drey::print(std::move(prefix))); }

 private:
  template <class>
  friend class DataStream;
  template <class, class>
  friend class KeyedStream;
  template <class>
  friend class BroadcastStream;
  template <class>
  friend class detail::OperatorSettings;

  template <class Op, class O, class F>
  DataStream<O> add(const char* name, F&& fn) const {
    detail::Node& n = streams_.graph->add("user", name);
    n.outputs.push_back(schema_of<O>());
    n.code<Op>(std::forward<F>(fn));
    n.emits_sides = requires(Op& op) { op.sides; };
    streams_.enter(n);
    return DataStream<O>(detail::streams_of(*streams_.graph, n));
  }
  detail::Node& same_rows(const char* kind, const char* name) const {
    detail::Node& n = streams_.graph->add(kind, name);
    n.outputs.push_back(streams_.schema);
    streams_.enter(n);
    return n;
  }
  DataStream partitioned(drey_partitioner p) const {
    DataStream s = *this;
    s.streams_.partition(p);
    return s;
  }
  detail::Streams keyed(std::vector<std::uint32_t> columns) const {
    detail::Streams s = streams_;
    for (detail::Edge& e : s.from) {
      e.partitioner = DREY_HASH;
      e.keys = columns;
      e.functions = nullptr;
      e.closure = nullptr;
    }
    return s;
  }
  // Without hidden columns.
  DataStream plain() const {
    if (streams_.schema == schema_of<T>()) return *this;
    auto same = [](const T& row) { return row; };
    return add<detail::MapOp<decltype(same), T, T>, T>("Columns", same);
  }
  template <class S>
  DataStream<S> side(detail::Node& n, const detail::SideTable::Row& row, std::uint32_t output) const {
    if (row.type != detail::type_tag<S>()) {
      throw JobError("operator '" + n.name + "': side output '" + row.name + "' is read with another type");
    }
    DataStream<S> s(detail::streams_of(*streams_.graph, n, output));
    s.streams_.node = &n;
    return s;
  }

  detail::Streams streams_;
};

// A stream whose rows go to every subtask: for connect().
template <class T>
class BroadcastStream : public DataStream<T> {
 public:
  explicit BroadcastStream(DataStream<T> s) : DataStream<T>(std::move(s)) {}
};

// A stream partitioned by a key of type K.
template <class T, class K>
class KeyedStream {
 public:
  KeyedStream(detail::Streams s, std::vector<std::uint32_t> columns) : streams_(std::move(s)), columns_(std::move(columns)) {}

  // A KeyedProcess<T, O>, or a lambda (const T&, Context&, Out<O>&).
  template <class Given = void, class F>
  auto process(F fn) const {
    using O = detail::Emitted<Given, F>;
    detail::Node& n = node<O>("KeyedProcess");
    n.code<detail::ProcessOp<F, T, void, O>>(std::move(fn), detail::type_tag<K>());
    n.emits_sides = true;
    return DataStream<O>(detail::streams_of(*streams_.graph, n));
  }
  // fn(const T& so_far, const T& row) -> T; emits the new value for every row.
  template <class F>
  DataStream<T> reduce(F fn) const {
    static_assert(std::is_invocable_r_v<T, F&, const T&, const T&>, "drey: reduce(fn): fn(const T&, const T&) -> T");
    detail::Node& n = node<T>("Keyed Reduce");
    n.code<detail::ReduceOp<F, T>>(std::move(fn));
    return DataStream<T>(detail::streams_of(*streams_.graph, n));
  }
  // The member's running sum, minimum or maximum; other members are those of the key's first row.
  template <class M>
  DataStream<T> sum(M detail::ClassOf<T>::*member) const {
    return fold("Keyed Sum", member, [](const M& a, const M& b) { return static_cast<M>(a + b); });
  }
  template <class M>
  DataStream<T> min(M detail::ClassOf<T>::*member) const {
    return fold("Keyed Min", member, [](const M& a, const M& b) { return b < a ? b : a; });
  }
  template <class M>
  DataStream<T> max(M detail::ClassOf<T>::*member) const {
    return fold("Keyed Max", member, [](const M& a, const M& b) { return a < b ? b : a; });
  }
  // {key, rows so far} for every row.
  auto count() const {
    using O = detail::Counted<K>;
    detail::Node& n = node<O>("Keyed Count");
    n.code<detail::CountOp<K>>(detail::Nothing{});
    return DataStream<O>(detail::streams_of(*streams_.graph, n));
  }

  template <bool Merging>
  WindowedStream<T, K, Merging, detail::Nothing> window(WindowAssigner<Merging> windows) const {
    return {streams_, std::move(windows), {}};
  }
  WindowedStream<T, K, false, detail::Nothing> count_window(std::int64_t n) const { return window(global().count(n)); }

  template <class B>
  ConnectedStreams<T, B> connect(const KeyedStream<B, K>& other) const {
    return {streams_, other.streams_, detail::type_tag<K>(), "Co-Process"};
  }
  template <class B>
  ConnectedStreams<T, B> connect(const BroadcastStream<B>& other) const {
    return {streams_, static_cast<const DataStream<B>&>(other).streams_, detail::type_tag<K>(), "Co-Process-Broadcast"};
  }
  template <class B>
  IntervalJoin<T, B> interval_join(const KeyedStream<B, K>& other) const {
    return {streams_, other.streams_, detail::type_tag<K>()};
  }

  // The rows, partitioned by key, for functions that know no keys.
  DataStream<T> stream() const {
    detail::Streams s = streams_;
    s.node = nullptr;
    return DataStream<T>(std::move(s));
  }

 private:
  template <class, class>
  friend class KeyedStream;

  template <class O>
  detail::Node& node(const char* name) const {
    detail::Node& n = streams_.graph->add("user", name);
    n.outputs.push_back(schema_of<O>());
    streams_.enter(n);
    return n;
  }
  template <class M, class Fold>
  DataStream<T> fold(const char* name, M detail::ClassOf<T>::*member, Fold f) const {
    static_assert(std::is_arithmetic_v<M> || detail::kIsDecimal<M> || std::is_same_v<M, Timestamp> || std::is_same_v<M, Date>,
                  "drey: sum, min and max need a member that is a number (or a time, for min and max)");
    const std::uint32_t at = detail::column_of<T>(member);
    bool only = true;  // all other columns are the key's
    for (std::uint32_t c = 0; c < detail::Shape<T>::kColumns; ++c) {
      const bool in_key = std::find(columns_.begin(), columns_.end(), c) != columns_.end();
      if (in_key == (c == at)) only = false;
    }
    detail::Node& n = node<T>(name);
    if (only) {
      n.code<detail::FoldOp<T, M, Fold>>(detail::FoldMember<T, M, Fold>{member, f});
    } else {
      auto all = [member, f](const T& a, const T& b) {
        T r = a;
        r.*member = f(a.*member, b.*member);
        return r;
      };
      n.code<detail::ReduceOp<decltype(all), T>>(all);
    }
    return DataStream<T>(detail::streams_of(*streams_.graph, n));
  }

  detail::Streams streams_;
  std::vector<std::uint32_t> columns_;
};

// --- Environment ------------------------------------------------------------------------------------------

// When and how often a failed job is started again.
//   env.restart(drey::fixed_delay(3, 10s));
struct RestartStrategy {
  std::vector<std::pair<std::string, std::string>> options;
};
inline RestartStrategy no_restart() { return {{{"restart-strategy.type", "none"}}}; }
inline RestartStrategy fixed_delay(int attempts, Millis delay) {
  return {{{"restart-strategy.type", "fixed-delay"},
           {"restart-strategy.fixed-delay.attempts", std::to_string(attempts)},
           {"restart-strategy.fixed-delay.delay", detail::ms(delay) + " ms"}}};
}
inline RestartStrategy failure_rate(int failures, Millis interval, Millis delay) {
  return {{{"restart-strategy.type", "failure-rate"},
           {"restart-strategy.failure-rate.max-failures-per-interval", std::to_string(failures)},
           {"restart-strategy.failure-rate.failure-rate-interval", detail::ms(interval) + " ms"},
           {"restart-strategy.failure-rate.delay", detail::ms(delay) + " ms"}}};
}
inline RestartStrategy exponential_delay(Millis initial, Millis max) {
  return {{{"restart-strategy.type", "exponential-delay"},
           {"restart-strategy.exponential-delay.initial-backoff", detail::ms(initial) + " ms"},
           {"restart-strategy.exponential-delay.max-backoff", detail::ms(max) + " ms"}}};
}

// The job under description: sources and settings.
class Environment {
 public:
  explicit Environment(detail::Graph& graph) : graph_(graph) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // A stream of a source's rows: csv, json_lines, text_lines, generator, from, socket_text.
  template <class Source>
  auto from(const Source& source) {
    using T = typename Source::Row;
    detail::Node& n = source.build(graph_);
    n.outputs.push_back(schema_of<T>());
    return DataStream<T>(detail::streams_of(graph_, n));
  }
  template <class T>
  DataStream<T> from(std::initializer_list<T> rows) {
    return from(drey::from<T>(rows));
  }

  // Any option by Flink's name; what is given at submission wins.
  Environment& set(const std::string& key, const std::string& value) { return graph_.set(key, value), *this; }
  std::optional<std::string> get(const std::string& key) const { return graph_.get(key); }

  Environment& name(const std::string& text) { return set("pipeline.name", text); }
  Environment& parallelism(int p) {
    detail::need_positive(nullptr, "parallelism", p);
    return set("parallelism.default", std::to_string(p));
  }
  Environment& max_parallelism(int p) {
    detail::need_positive(nullptr, "max parallelism", p);
    return set("pipeline.max-parallelism", std::to_string(p));
  }
  Environment& checkpointing(Millis interval) { return set("execution.checkpointing.interval", detail::ms(interval) + " ms"); }
  Environment& at_least_once() { return set("execution.checkpointing.mode", "AT_LEAST_ONCE"); }
  Environment& buffer_timeout(Millis d) { return set("execution.buffer-timeout.interval", detail::ms(d) + " ms"); }
  Environment& restart(const RestartStrategy& strategy) {
    for (const auto& [k, v] : strategy.options) set(k, v);
    return *this;
  }

 private:
  detail::Graph& graph_;
};

// --- Jobs of a module ---------------------------------------------------------------------------------------

namespace detail {
template <void (*Body)(Environment&, ProgramArgs&)>
struct [[gnu::visibility("hidden")]] JobEntry {
  static int build(drey_graph* graph, const drey_graph_builder* builder, std::uint32_t argc, const char* const* argv) {
    try {
      Graph g(graph, builder);
      Environment env(g);
      ProgramArgs args(std::vector<std::string>(argv, argv + argc));
      Body(env, args);
      g.hand_over();
      return 0;
    } catch (const HostFailure&) {
    } catch (const std::exception& e) {
      builder->fail(graph, demangle(typeid(e).name()).c_str(), e.what());
    } catch (...) {
      const std::type_info* type = abi::__cxa_current_exception_type();
      builder->fail(graph, type == nullptr ? "unknown" : demangle(type->name()).c_str(), "");
    }
    return 1;
  }
};
}  // namespace detail
}  // namespace api
}  // namespace drey

// The jobs of a shared object are the entries of its section drey_jobs: a list made by the linker, so no code
// runs at load time and several files may hold jobs. Hidden: two jobs in one process never share it.
extern "C" {
extern const drey_job* const __start_drey_jobs[] __attribute__((weak, visibility("hidden")));
extern const drey_job* const __stop_drey_jobs[] __attribute__((weak, visibility("hidden")));
}
namespace drey {
inline namespace api {
namespace detail {
[[gnu::visibility("hidden")]] inline const drey_module* this_module() {
  static const std::vector<drey_job> jobs = [] {
    std::vector<drey_job> all;
    for (const drey_job* const* j = __start_drey_jobs; j < __stop_drey_jobs; ++j) all.push_back(**j);
    return all;
  }();
  static const drey_module module = {sizeof(drey_module), DREY_ABI_VERSION, static_cast<std::uint32_t>(jobs.size()),
                                     0, jobs.data(), "C++ " __VERSION__};
  return &module;
}
}  // namespace detail
}  // namespace api
}  // namespace drey
extern "C" __attribute__((used, visibility("default"))) inline const drey_module* drey_module_entry(std::uint32_t) {
  return drey::detail::this_module();
}

// DREY_JOB("name", env, args) { ... }: a job of this shared object. `env` is a drey::Environment&, `args` a
// drey::ProgramArgs&. The body only describes; it must do the same for the same arguments.
#define DREY_JOB(name, env, args) DREY_JOB_1_(name, env, args, __COUNTER__)
#define DREY_JOB_1_(name, env, args, n) DREY_JOB_2_(name, env, args, n)
#define DREY_JOB_2_(name, env, args, n)                                                                      \
  static void drey_job_body_##n(::drey::Environment& env, ::drey::ProgramArgs& args);                       \
  static const drey_job drey_job_row_##n = {name, "", &::drey::detail::JobEntry<&drey_job_body_##n>::build}; \
  __attribute__((section("drey_jobs"), used)) static const drey_job* const drey_job_at_##n = &drey_job_row_##n; \
  static void drey_job_body_##n([[maybe_unused]] ::drey::Environment& env, [[maybe_unused]] ::drey::ProgramArgs& args)
