// What streams are made of: where rows come from, settings of operators, types of functions;
// watermarks.
#pragma once

#include "drey/graph.h"
#include "drey/process_operator.h"
#include "drey/window_operators.h"

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

// What a function with an `out` emits: given, or its Output, or the X of its last parameter
// Out<X>&.
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
requires(kIsOptional<R>) struct Unwrapped<R> {
  using Type = typename R::value_type;
};
template <class R>
requires(!HasFields<R> && !Scalar<R> && !kIsOptional<R> && !kIsTuple<R> &&
         requires(R & r) { *r.begin(); }) struct Unwrapped<R> {
  using Type = std::remove_cvref_t<decltype(*std::declval<R&>().begin())>;
};

// Where rows come from, and how the next operator gets them.
struct Streams {
  Graph* graph = nullptr;
  std::vector<Edge> from;
  Node* node = nullptr;                 // the last operator, when there is just one
  const ArrowSchema* schema = nullptr;  // with hidden key columns behind those of T, maybe

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
  if (v < 1)
    throw JobError("operator '" + (n == nullptr ? std::string("?") : n->name) + "': " + what + " must be at least 1");
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

// --- Event time ---

// How event times are found in rows (At: a member, or a function) and how far behind them the
// watermark is.
template <class At>
class WatermarkStrategy {
 public:
  WatermarkStrategy(At at, Millis bound) : at_(std::move(at)), bound_(bound) {}
  // A subtask, or a part of its input, without rows for this long no longer holds back the others.
  WatermarkStrategy& idle_after(Millis d) {
    idle_ = d;
    return *this;
  }
  template <class T>
  void build(detail::Node& n) const {
    n.set("out_of_orderness_ms", detail::ms(bound_));
    if (idle_.count() != 0) n.set("idle_timeout_ms", detail::ms(idle_));
    if constexpr (std::is_same_v<At, Timestamp detail::ClassOf<T>::*>) {
      n.set("time_column", std::to_string(detail::column_of<T>(at_)));
    } else {
      static_assert(std::is_invocable_v<const At&, const T&>,
                    "drey: watermarks need a member of the stream's record that is a "
                    "drey::Timestamp (or int64 "
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

}  // namespace api
}  // namespace drey
