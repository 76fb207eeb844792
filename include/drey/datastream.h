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
// Functions (lambdas or classes) are copied once for each subtask; what they capture must not refer
// to main's variables. What is wrong with a job is said by the compiler, or when the job is
// submitted.
#pragma once

#include "drey/connected.h"
#include "drey/connectors.h"
#include "drey/windows.h"

namespace drey {
inline namespace api {

// --- Streams ---

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
    detail::Node& n = same_rows(DREY_KIND_USER, "Filter");
    n.code<detail::FilterOp<F, T>>(std::move(fn));
    return DataStream(detail::streams_of(*streams_.graph, n));
  }
  // fn(const T&, Out<O>& out), or fn returning an optional or a range of O.
  template <class Given = void, class F>
  auto flat_map(F fn) const {
    if constexpr (std::is_void_v<Given> && std::is_invocable_v<F&, const T&>) {
      using R = std::remove_cvref_t<std::invoke_result_t<F&, const T&>>;
      using O = typename detail::Unwrapped<R>::Type;
      static_assert(!std::is_same_v<O, R>,
                    "drey: flat_map(fn): fn returns a std::optional or a range, or takes an out");
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

  // fn(const drey::Rows<T>& rows, Out<O>& out), called with a batch at a time; how many rows that
  // is, is the engine's matter. Event times have to be given with what is emitted.
  template <class Given = void, class F>
  auto process_batch(F fn) const {
    using O = detail::Emitted<Given, F>;
    static_assert(std::is_invocable_v<F&, const Rows<T>&, Out<O>&>,
                  "drey: process_batch(fn): fn is called with (const drey::Rows<T>& rows, "
                  "drey::Out<O>& out)");
    return add<detail::BatchOp<F, T, O>, O>("Process Batch", std::move(fn));
  }

  // By members (columns), or by a function of the row (a hidden column).
  template <class M>
  KeyedStream<T, M> key_by(M detail::ClassOf<T>::*member) const {
    return KeyedStream<T, M>(keyed({detail::column_of<T>(member)}), {detail::column_of<T>(member)});
  }
  template <class M, class N, class... More>
  KeyedStream<T, std::tuple<M, N, More...>> key_by(M detail::ClassOf<T>::*first, N detail::ClassOf<T>::*second,
                                                   More detail::ClassOf<T>::*... more) const {
    std::vector<std::uint32_t> columns{detail::column_of<T>(first), detail::column_of<T>(second),
                                       detail::column_of<T>(more)...};
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
    detail::Node& n = streams_.graph->add(DREY_KIND_USER, "KeyBy");
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
    detail::Node& n = same_rows(DREY_KIND_WATERMARKS, "Timestamps/Watermarks");
    n.gives_event_time = true;
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
    rows.push_back({tag.name, detail::type_tag<S>(), schema_of<S>()});
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
                  "drey: partition_custom(fn): fn(const T& row, std::uint32_t targets) -> a number "
                  "below targets");
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
    detail::Node& n = streams_.graph->add(DREY_KIND_USER, name);
    n.outputs.push_back(schema_of<O>());
    n.code<Op>(std::forward<F>(fn));
    n.emits_sides = requires(Op & op) { op.sides; };
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
  KeyedStream(detail::Streams s, std::vector<std::uint32_t> columns)
      : streams_(std::move(s)), columns_(std::move(columns)) {}

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
    foldable<M>();
    return fold("Keyed Sum", member, [](const auto& a, const auto& b) { return static_cast<M>(a + b); });
  }
  template <class M>
  DataStream<T> min(M detail::ClassOf<T>::*member) const {
    foldable<M>();
    return fold("Keyed Min", member, [](const M& a, const M& b) { return b < a ? b : a; });
  }
  template <class M>
  DataStream<T> max(M detail::ClassOf<T>::*member) const {
    foldable<M>();
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
    detail::Node& n = streams_.graph->add(DREY_KIND_USER, name);
    n.outputs.push_back(schema_of<O>());
    streams_.enter(n);
    return n;
  }
  template <class M>
  static constexpr void foldable() {
    static_assert(
        std::is_arithmetic_v<M> || detail::kIsDecimal<M> || std::is_same_v<M, Timestamp> || std::is_same_v<M, Date>,
        "drey: sum, min and max need a member that is a number (or a time, for min and max)");
  }
  template <class M, class Fold>
  DataStream<T> fold(const char* name, M detail::ClassOf<T>::*member, Fold f) const {
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

// --- Environment ---

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

  // Any option by Flink's name. The job's own settings win over those of its submission, as in
  // Flink.
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
  Environment& checkpointing(Millis interval) {
    return set("execution.checkpointing.interval", detail::ms(interval) + " ms");
  }
  Environment& at_least_once() { return set("execution.checkpointing.mode", "AT_LEAST_ONCE"); }
  // How long a row may wait for its batch to fill; 0: not at all; negative: until it is full.
  Environment& buffer_timeout(Millis d) {
    if (d < Millis(0)) return set("execution.buffer-timeout.enabled", "false");
    return set("execution.buffer-timeout.interval", detail::ms(d) + " ms");
  }
  Environment& restart(const RestartStrategy& strategy) {
    for (const auto& [k, v] : strategy.options) set(k, v);
    return *this;
  }

 private:
  detail::Graph& graph_;
};

// --- Jobs of a module ---

namespace detail {
template <void (*Body)(Environment&, ProgramArgs&)>
struct DREY_HIDDEN_ JobEntry {
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

// The jobs of a shared object are the entries of its section drey_jobs: a list made by the linker,
// so no code runs at load time and several files may hold jobs. Hidden: two jobs in one process
// never share it.
extern "C" {
extern const drey_job* const __start_drey_jobs[] __attribute__((weak, visibility("hidden")));
extern const drey_job* const __stop_drey_jobs[] __attribute__((weak, visibility("hidden")));
}
namespace drey {
inline namespace api {
namespace detail {
DREY_HIDDEN_ inline const drey_module* this_module() {
  static const std::vector<drey_job> jobs = [] {
    std::vector<drey_job> all;
    for (const drey_job* const* j = __start_drey_jobs; j < __stop_drey_jobs; ++j) all.push_back(**j);
    return all;
  }();
  static const drey_module module = {sizeof(drey_module), DREY_ABI_VERSION,  static_cast<std::uint32_t>(jobs.size()), 0,
                                     jobs.data(),         "C++ " __VERSION__};
  return &module;
}
}  // namespace detail
}  // namespace api
}  // namespace drey
extern "C" __attribute__((used, visibility("default"))) inline const drey_module* drey_module_entry(std::uint32_t) {
  return drey::detail::this_module();
}

// DREY_JOB("name", env, args) { ... }: a job of this shared object. `env` is a drey::Environment&,
// `args` a drey::ProgramArgs&. The body only describes; it must do the same for the same arguments.
#define DREY_JOB(name, env, args) DREY_JOB_1_(name, env, args, __COUNTER__)
#define DREY_JOB_1_(name, env, args, n) DREY_JOB_2_(name, env, args, n)
#define DREY_JOB_2_(name, env, args, n)                                                                         \
  static void drey_job_body_##n(::drey::Environment& env, ::drey::ProgramArgs& args);                           \
  static const drey_job drey_job_row_##n = {name, "", &::drey::detail::JobEntry<&drey_job_body_##n>::build};    \
  __attribute__((section("drey_jobs"), used)) static const drey_job* const drey_job_at_##n = &drey_job_row_##n; \
  static void drey_job_body_##n([[maybe_unused]] ::drey::Environment& env, [[maybe_unused]] ::drey::ProgramArgs& args)
