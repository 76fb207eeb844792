// Windows of keyed streams: assigners, triggers, and what is computed in a window.
//
//   flights.key_by(&Flight::origin).window(drey::tumbling(1h)).aggregate<Delay>(result)
#pragma once

#include "drey/stream_parts.h"
#include "drey/triggers.h"

namespace drey {
inline namespace api {

// Which windows a row belongs to. Merging: windows whose accumulators are merged.
template <bool Merging>
class WindowAssigner {
 public:
  WindowAssigner(const char* kind, std::string name) : name_(std::move(name)) { set("assigner", kind); }
  WindowAssigner& set(const char* key, std::string value) {
    const auto same = [&](const auto& o) { return o.first == key; };
    std::erase_if(options_, same);
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
    return trigger(purging(count_trigger(n)));
  }
  WindowAssigner& trigger(const BuiltInTrigger& t) {
    triggered_ = true;
    trigger_needs_watermarks_ = t.event_time;
    set("trigger", t.option);
    return set("purge", t.purges ? "true" : "false");
  }
  bool needs_watermarks() const { return (event_ && !global_) || trigger_needs_watermarks_; }
  bool needs_trigger() const { return global_ && !triggered_; }
  WindowAssigner& all_time() {
    global_ = true;
    return *this;
  }
  const std::string& name() const { return name_; }
  const std::vector<std::pair<std::string, std::string>>& options() const { return options_; }

 private:
  std::string name_;
  std::vector<std::pair<std::string, std::string>> options_;
  bool event_ = true, global_ = false, triggered_ = false, trigger_needs_watermarks_ = false;
};
inline WindowAssigner<false> tumbling(Millis size) {
  if (size.count() <= 0) throw JobError("drey::tumbling: the size must be positive");
  return WindowAssigner<false>("tumbling", "TumblingWindow").set("size_ms", detail::ms(size));
}
inline WindowAssigner<true> sliding(Millis size, Millis slide) {
  if (size.count() <= 0 || slide.count() <= 0) throw JobError("drey::sliding: size and slide must be positive");
  return WindowAssigner<true>("sliding", "SlidingWindow")
      .set("size_ms", detail::ms(size))
      .set("slide_ms", detail::ms(slide));
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
    return Fields{field("key", &R::key), field("start", &R::start), field("end", &R::end), field("count", &R::count)};
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
  // When windows fire instead of once, at their end: see drey/triggers.h.
  WindowedStream trigger(const BuiltInTrigger& t) const {
    WindowedStream w = *this;
    w.windows_.trigger(t);
    return w;
  }
  // A class with on_element(row, window, ctx), and maybe on_event_time, on_processing_time; or
  // fn(const T& row, Window, std::int64_t rows_so_far) -> TriggerResult, called after every row.
  template <class F>
  auto trigger(F fn) const {
    static_assert(detail::TriggerLambda<F, T> || detail::TriggerClass<F, T>,
                  "drey: trigger(fn): fn(const T&, drey::Window, std::int64_t count) -> drey::TriggerResult, "
                  "or a class with on_element(const T&, drey::Window, drey::TriggerContext&)");
    constexpr std::size_t bytes = detail::trigger_bytes<F>();
    if constexpr (bytes > 0 && Merging) {
      static_assert(
          requires(F & f, typename F::State & a, const typename F::State& b) { f.merge(a, b); } || !Merging,
          "drey: a trigger with State needs merge(State& into, const State& from) where windows "
          "are merged");
    }
    WindowedStream<T, K, Merging, F> w(in_, windows_, std::move(fn));
    w.windows_.set("trigger", "custom");
    w.windows_.set("trigger_bytes", std::to_string(bytes));
    w.late_ = late_;
    w.custom_ = true;
    return w;
  }

  // Acc has add(const T&), and merge(const Acc&) for sliding and session windows;
  // fn(const K& key, Window, const Acc&) returns the result, or an optional of it, or takes an
  // `out`, too.
  template <class Acc, class F>
  auto aggregate(F fn) const {
    static_assert(
        requires(Acc & a, const T& row) { a.add(row); }, "drey: aggregate<Acc>: Acc needs a member add(const T& row)");
    static_assert(
        !Merging || requires(Acc & a, const Acc& b) { a.merge(b); },
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
  // fn(const T&, const T&) -> T; the result is that T, or what result(key, window, value) makes of
  // it.
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
    return aggregate<Count>([](const K& k, Window w, const Count& c) {
      return WindowCount<K>{k, w.start, w.end, c.n};
    });
  }
  // All rows at once: fn(const K& key, Window, const std::vector<T>& rows, Out<O>& out), or
  // returning O.
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
      static_assert(!std::is_void_v<R>,
                    "drey: a window function returns its result, or has a parameter drey::Out<X>& out");
      return std::type_identity<typename detail::Unwrapped<R>::Type>{};
    } else {
      using O = detail::Emitted<void, F>;
      static_assert(
          requires(F & f, const K& k, const V& v, Out<O>& o) { f(k, Window{}, v, o); } ||
              requires(F & f, const K& k, const V& v, Out<O>& o) { f.process(k, Window{}, v, o); },
          "drey: a window function is called with (const Key&, drey::Window, const Accumulator&[, "
          "drey::Out<X>&]); "
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
    detail::Node& n = in_.graph->add(DREY_KIND_WINDOW, windows_.name() + "-" + what);
    for (const auto& [k, v] : windows_.options()) n.set(k.c_str(), v);
    n.needs_watermarks = windows_.needs_watermarks();
    n.outputs.push_back(schema_of<O>());
    if (late_ != nullptr) {
      n.outputs.push_back(in_.schema);
      n.set("late_output", "1");
    }
    if (late_ != nullptr) n.late.push_back({late_, detail::type_tag<T>(), in_.schema});
    in_.enter(n);
    return n;
  }

  detail::Streams in_;
  WindowAssigner<Merging> windows_;
  Trigger trigger_;
  const char* late_ = nullptr;
  bool custom_ = false;
};

}  // namespace api
}  // namespace drey
