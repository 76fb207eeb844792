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
// A function is copied once for each subtask. Members like ListState bind themselves by name then; states
// of keyed functions always mean the key of the current row or timer. The hooks open(ctx), finish(ctx, out)
// and on_timer are optional. Views (Text) read from state are valid during the call.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <typeinfo>

#include "drey/codec.h"

namespace drey {
inline namespace api {

// Names a side output of rows of type T.
//
//   inline const drey::SideOutput<Flight> kLate{"late"};
//   ctx.emit(kLate, flight);                    // in the function
//   auto late = result.side_output(kLate);      // in the job
template <class T>
struct SideOutput {
  const char* name;
};

namespace detail {

// The identity of a type within this shared object.
template <class T>
struct [[gnu::visibility("hidden")]] TypeTag {
  static inline const char tag = 0;
};
template <class T>
const void* type_tag() {
  return &TypeTag<T>::tag;
}

// Side outputs of an operator as the job declared them: output i + 1.
struct SideTable {
  struct Row {
    std::string name;
    const void* type;
  };
  std::vector<Row> rows;
};

inline std::string demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string out = status == 0 ? text : name;
  std::free(text);
  return out;
}

// Runs a piece of user code; exceptions become the failure of the task.
template <class F>
int guarded(drey_task* task, const drey_host* host, F&& f) {
  try {
    f();
    return 0;
  } catch (const HostFailure&) {
  } catch (const std::exception& e) {
    host->fail(task, demangle(typeid(e).name()).c_str(), e.what());
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    host->fail(task, type == nullptr ? "unknown" : demangle(type->name()).c_str(), "");
  }
  return 1;
}

class Bound;

// One instance of an operator, as its states and context see it.
struct Runtime {
  drey_task* task = nullptr;
  const drey_host* host = nullptr;
  const drey_view* keys = nullptr;        // of the rows or timers of this call; null: no key
  const std::uint64_t* hashes = nullptr;
  std::uint32_t at = 0;                   // the current one's number
  std::uint32_t input = 0;
  const std::int64_t* times = nullptr;    // of the physical rows, else `fixed_time`
  std::int64_t fixed_time = 0;
  std::uint32_t row = 0;                  // the current physical row
  bool has_time = false;
  const drey_batch* batch = nullptr;
  const void* key_type = nullptr;
  std::vector<Bound*> bound;
  const SideTable* sides = nullptr;
  std::vector<std::unique_ptr<Output>> side_outs;
  std::vector<void (*)(Output&)> side_flush;
  Scratch scratch;
  Buffer buffer, buffer2;

  Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const drey_view* key() const { return keys + at; }
  const std::uint64_t& hash() const { return hashes[at]; }
  std::int64_t time() const { return times != nullptr ? times[row] : fixed_time; }
  void need_key(const char* what) const {
    if (keys == nullptr) [[unlikely]] {
      throw std::logic_error(std::string(what) + ": there is no current key (the input is not keyed)");
    }
  }
};

// Members of a function that bind themselves: made or copied while `collecting` is set, they enroll.
inline thread_local std::vector<Bound*>* collecting [[gnu::visibility("hidden")]] = nullptr;

class Bound {
 public:
  explicit Bound(const char* name) : name_(name) { enroll(); }
  Bound(const Bound& o) : name_(o.name_) { enroll(); }
  Bound& operator=(const Bound&) { return *this; }
  virtual ~Bound() {
    if (collecting != nullptr) std::erase(*collecting, this);
  }
  virtual void open(Runtime& rt) { rt_ = &rt; }
  virtual void prepare(std::uint32_t, const drey_view*, const std::uint64_t*) {}  // keys of a batch
  virtual void call_ended() {}
  virtual void snapshot() {}

 protected:
  void enroll() {
    if (collecting != nullptr) collecting->push_back(this);
  }
  Runtime& rt() const {
    if (rt_ == nullptr) [[unlikely]] throw std::logic_error(std::string(name_) + " is used outside of a running function");
    return *rt_;
  }
  const drey_host& host() const { return *rt().host; }

  const char* name_;
  Runtime* rt_ = nullptr;
};

class StateBase : public Bound {
 public:
  using Bound::Bound;

 protected:
  void open_as(drey_state_kind kind, std::uint32_t fixed, const ArrowSchema* value, const ArrowSchema* map_key) {
    drey_state_spec spec{};
    spec.size = sizeof spec;
    spec.kind = kind;
    spec.name = name_;
    spec.fixed_bytes = fixed;
    spec.value = value;
    spec.map_key = map_key;
    state_ = check(rt_->host->state_open(rt_->task, &spec));
  }
  const drey_view* key() const {
    rt().need_key(name_);
    return rt_->key();
  }
  drey_state* state_ = nullptr;
};

// The schema of a type in state; opaque types have none.
template <class T>
const ArrowSchema* state_schema() {
  if constexpr (HasFields<T> || Scalar<T> || kIsTuple<T>) {
    return schema_of<T>();
  } else {
    return nullptr;
  }
}

}  // namespace detail

// One value per key. Fixed types (no text inside) are reached in place: a pointer dereference.
//
//   drey::ValueState<Delay> delay{"delay"};
//   delay.ref().add(flight);                        // made with Delay{} at first use
//   if (const Delay* d = delay.get()) ...           // null: none yet
//   delay.set(Delay{1, 2}); delay.clear();
template <class T>
class ValueState : public detail::StateBase {
 public:
  explicit ValueState(const char* name) : StateBase(name) {}

  // The value of the current key, or null; until the end of the call or the next change.
  const T* get() {
    key();
    if constexpr (detail::kFixed<T>) {
      return find();
    } else {
      drey_span s{};
      if (host().value_get(state_, rt_->key(), rt_->hash(), &s) != 0) return nullptr;
      bytes_.assign(s.data, s.size);
      value_ = detail::decode_value<T>(bytes_, &rt_->scratch);
      return &*value_;
    }
  }
  bool has() { return get() != nullptr; }
  T value_or(T otherwise) {
    const T* v = get();
    return v == nullptr ? otherwise : *v;
  }
  // In place, made with T{} if there is none.
  T& ref() {
    static_assert(detail::kFixed<T>,
                  "drey::ValueState<T>::ref(): T holds text or lists, so it is not kept in place: use update() or set()");
    key();
    T* v = find();
    return v != nullptr ? *v : *new (insert()) T{};
  }
  // f(T&) on the value, or on T{} if there is none.
  template <class F>
  void update(F&& f) {
    if constexpr (detail::kFixed<T>) {
      f(ref());
    } else {
      const T* v = get();
      T next = v == nullptr ? T{} : *v;
      f(next);
      set(next);
    }
  }
  void set(const T& v) {
    key();
    if constexpr (detail::kFixed<T>) {
      T* p = find();
      new (p != nullptr ? static_cast<void*>(p) : insert()) T(v);
    } else {
      const drey_span s = detail::value_span(v, rt_->buffer);
      detail::check(host().value_put(state_, rt_->key(), rt_->hash(), s));
    }
  }
  void clear() {
    key();
    if constexpr (detail::kFixed<T>) {
      if (find() == nullptr) return;
      prepared_ = 0;  // erasing a key moves others
    }
    detail::check(host().state_clear(state_, rt_->key(), rt_->hash()));
  }

  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    open_as(DREY_STATE_VALUE, detail::kFixed<T> ? sizeof(T) : 0, detail::state_schema<T>(), nullptr);
  }
  void prepare(std::uint32_t n, const drey_view* keys, const std::uint64_t* hashes) override {
    if constexpr (detail::kFixed<T>) {
      if (rows_.size() < n) rows_.resize(n);
      detail::check(rt_->host->state_rows(state_, n, keys, hashes, 0, rows_.data(), nullptr));
      prepared_ = n;
      inserted_ = false;
    }
  }
  void call_ended() override { prepared_ = 0; }

 private:
  T* find() {
    if (rt_->at < prepared_) [[likely]] {
      void*& row = rows_[rt_->at];
      if (row == nullptr && inserted_) row = probe(0);
      return static_cast<T*>(row);
    }
    return static_cast<T*>(probe(0));
  }
  void* insert() {
    void* row = detail::check(probe(1));
    if (rt_->at < prepared_) rows_[rt_->at] = row;
    inserted_ = true;
    return row;
  }
  void* probe(int upsert) {
    void* row = nullptr;
    detail::check(host().state_rows(state_, 1, rt_->key(), &rt_->hash(), upsert, &row, nullptr));
    return row;
  }

  std::vector<void*> rows_;
  std::uint32_t prepared_ = 0;
  bool inserted_ = false;
  std::string bytes_;
  std::optional<T> value_;
};

// A list per key, in order of insertion.
template <class T>
class ListState : public detail::StateBase {
 public:
  explicit ListState(const char* name) : StateBase(name) {}

  void add(const T& v) {
    key();
    detail::check(host().list_add(state_, rt_->key(), rt_->hash(), detail::value_span(v, rt_->buffer)));
  }
  // All elements; text in them is valid until the end of the call.
  std::vector<T> get() {
    std::vector<T> all;
    visit([&](std::string_view bytes) {
      if constexpr (!detail::kFixed<T>) bytes = rt_->scratch.keep(bytes);
      all.push_back(detail::decode_value<T>(bytes, &rt_->scratch));
      return true;
    });
    return all;
  }
  // f(const T&) for each, without keeping them; f may return false to stop.
  template <class F>
  void each(F&& f) {
    visit([&](std::string_view bytes) {
      const T v = detail::decode_value<T>(bytes, &rt_->scratch);
      if constexpr (std::is_same_v<decltype(f(v)), bool>) {
        return f(v);
      } else {
        f(v);
        return true;
      }
    });
  }
  bool empty() {
    bool none = true;
    visit([&](std::string_view) { none = false; return false; });
    return none;
  }
  // Replaces the list by the elements of a range (which may come from get()).
  template <class Range>
  void assign(const Range& range) {
    key();
    detail::Buffer all;
    std::vector<std::size_t> ends;
    for (const auto& v : range) {
      detail::encode_value<T>(all, v);
      ends.push_back(all.size());
    }
    if (ends.empty()) return clear();
    std::vector<drey_span> spans(ends.size());
    for (std::size_t i = 0, at = 0; i < ends.size(); at = ends[i++]) spans[i] = {all.data() + at, ends[i] - at};
    detail::check(host().list_assign(state_, rt_->key(), rt_->hash(), static_cast<std::uint32_t>(spans.size()), spans.data()));
  }
  void clear() {
    key();
    detail::check(host().state_clear(state_, rt_->key(), rt_->hash()));
  }

  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    open_as(DREY_STATE_LIST, 0, detail::state_schema<T>(), nullptr);
  }

 private:
  template <class F>
  void visit(F f) {
    key();
    struct Call {
      F* f;
      std::exception_ptr failed;
    } call{&f, nullptr};
    const int rc = host().list_each(state_, rt_->key(), rt_->hash(), [](void* self, drey_span s) -> int {
      auto* c = static_cast<Call*>(self);
      try {
        return (*c->f)(detail::view(s)) ? 0 : 2;
      } catch (...) {
        c->failed = std::current_exception();
        return 2;
      }
    }, &call);
    if (call.failed) std::rethrow_exception(call.failed);
    if (rc != 0 && rc != 2) throw detail::HostFailure{};
  }
};

namespace detail {
// Shared by MapState and BroadcastState.
template <class K, class V>
class MapBase : public StateBase {
 public:
  using StateBase::StateBase;

 protected:
  std::optional<V> get_of(const drey_view* key, std::uint64_t hash, const K& k) {
    drey_span s{};
    if (host().map_get(state_, key, hash, key_span(k, rt_->buffer), &s) != 0) return std::nullopt;
    std::string_view bytes = view(s);
    if constexpr (!kFixed<V>) bytes = rt_->scratch.keep(bytes);
    return decode_value<V>(bytes, &rt_->scratch);
  }
  void put_of(const drey_view* key, std::uint64_t hash, const K& k, const V& v) {
    const drey_span ks = key_span(k, rt_->buffer);
    check(host().map_put(state_, key, hash, ks, value_span(v, rt_->buffer2)));
  }
  void remove_of(const drey_view* key, std::uint64_t hash, const K& k) {
    check(host().map_remove(state_, key, hash, key_span(k, rt_->buffer)));
  }
  template <class F>
  void each_of(const drey_view* key, std::uint64_t hash, F& f) {
    struct Call {
      F* f;
      Scratch* scratch;
      std::exception_ptr failed;
    } call{&f, &rt_->scratch, nullptr};
    const int rc = host().map_each(state_, key, hash, [](void* self, drey_span k, drey_span v) -> int {
      auto* c = static_cast<Call*>(self);
      try {
        const K mk = Decoder(view(k), c->scratch).get<K>();
        const V mv = decode_value<V>(view(v), c->scratch);
        if constexpr (std::is_same_v<decltype((*c->f)(mk, mv)), bool>) {
          return (*c->f)(mk, mv) ? 0 : 2;
        } else {
          (*c->f)(mk, mv);
          return 0;
        }
      } catch (...) {
        c->failed = std::current_exception();
        return 2;
      }
    }, &call);
    if (call.failed) std::rethrow_exception(call.failed);
    if (rc != 0 && rc != 2) throw HostFailure{};
  }
  std::vector<std::pair<K, V>> entries_of(const drey_view* key, std::uint64_t hash) {
    Buffer all;
    std::vector<std::pair<std::size_t, std::size_t>> sizes;
    struct Call {
      Buffer* all;
      std::vector<std::pair<std::size_t, std::size_t>>* sizes;
    } call{&all, &sizes};
    check(host().map_each(state_, key, hash, [](void* self, drey_span k, drey_span v) -> int {
      auto* c = static_cast<Call*>(self);
      c->all->append(k.data, k.size);
      c->all->append(v.data, v.size);
      c->sizes->push_back({k.size, v.size});
      return 0;
    }, &call));
    std::string_view bytes = rt_->scratch.keep(all);
    std::vector<std::pair<K, V>> entries;
    for (const auto& [k, v] : sizes) {
      entries.push_back({Decoder(bytes.substr(0, k), &rt_->scratch).template get<K>(),
                         decode_value<V>(bytes.substr(k, v), &rt_->scratch)});
      bytes.remove_prefix(k + v);
    }
    return entries;
  }
};
}  // namespace detail

// A map per key.
template <class K, class V>
class MapState : public detail::MapBase<K, V> {
  using Base = detail::MapBase<K, V>;

 public:
  explicit MapState(const char* name) : Base(name) {}
  std::optional<V> get(const K& k) { return this->get_of(this->key(), this->rt_->hash(), k); }
  bool contains(const K& k) { return get(k).has_value(); }
  void put(const K& k, const V& v) { this->put_of(this->key(), this->rt_->hash(), k, v); }
  void remove(const K& k) { this->remove_of(this->key(), this->rt_->hash(), k); }
  // f(const K&, const V&) for each; f may return false to stop; it must not change the map.
  template <class F>
  void each(F&& f) {
    const drey_view* key = this->key();
    this->each_of(key, this->rt_->hash(), f);
  }
  std::vector<std::pair<K, V>> entries() { return this->entries_of(this->key(), this->rt_->hash()); }
  void clear() {
    const drey_view* key = this->key();
    detail::check(this->host().state_clear(this->state_, key, this->rt_->hash()));
  }
  void open(detail::Runtime& rt) override {
    this->rt_ = &rt;
    this->open_as(DREY_STATE_MAP, 0, detail::state_schema<V>(), detail::state_schema<K>());
  }
};

// A map that is equal on every subtask: written only from the broadcast input, read from both.
template <class K, class V>
class BroadcastState : public detail::MapBase<K, V> {
  using Base = detail::MapBase<K, V>;

 public:
  explicit BroadcastState(const char* name) : Base(name) {}
  std::optional<V> get(const K& k) { return (this->rt(), this->get_of(nullptr, 0, k)); }
  bool contains(const K& k) { return get(k).has_value(); }
  void put(const K& k, const V& v) {
    writable();
    this->put_of(nullptr, 0, k, v);
  }
  void remove(const K& k) {
    writable();
    this->remove_of(nullptr, 0, k);
  }
  template <class F>
  void each(F&& f) {
    this->rt();
    this->each_of(nullptr, 0, f);
  }
  std::vector<std::pair<K, V>> entries() { return (this->rt(), this->entries_of(nullptr, 0)); }
  void open(detail::Runtime& rt) override {
    this->rt_ = &rt;
    this->open_as(DREY_STATE_BROADCAST, 0, detail::state_schema<V>(), detail::state_schema<K>());
  }

 private:
  void writable() const {
    if (this->rt().input != 1) {
      throw std::logic_error(std::string(this->name_) + ": broadcast state is written by process_broadcast only");
    }
  }
};

// A value per key that each added one is folded into: ReducingState<T> max{"max", [](T a, T b) { ... }}.
template <class T>
class ReducingState : public ValueState<T> {
 public:
  using Reduce = T (*)(const T&, const T&);
  ReducingState(const char* name, Reduce reduce) : ValueState<T>(name), reduce_(reduce) {}
  void add(const T& v) {
    const T* before = this->get();
    this->set(before == nullptr ? v : reduce_(*before, v));
  }

 private:
  Reduce reduce_;
};

// An accumulator (add, and merge where windows need it) per key.
template <class In, class Acc>
class AggregatingState : public ValueState<Acc> {
 public:
  using ValueState<Acc>::ValueState;
  void add(const In& v) {
    this->update([&](Acc& acc) { acc.add(v); });
  }
};

// A list of the subtask, not of a key. On restore it is divided evenly (OperatorListState), or every
// subtask gets all of it (OperatorUnionState). Kept in memory.
template <class T, drey_state_kind Kind>
class OperatorList : public detail::StateBase {
 public:
  explicit OperatorList(const char* name) : StateBase(name) {}
  void add(const T& v) {
    items_.emplace_back();
    detail::encode_value(items_.back(), v);
  }
  // Views in the elements are valid until they are cleared.
  template <class F>
  void each(F&& f) {
    for (const std::string& s : items_) f(detail::decode_value<T>(s, &scratch_));
  }
  std::vector<T> get() {
    std::vector<T> all;
    each([&](const T& v) { all.push_back(v); });
    return all;
  }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  void clear() {
    items_.clear();
    scratch_.clear();
  }

  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    open_as(Kind, 0, detail::state_schema<T>(), nullptr);
    detail::check(rt.host->operator_list_each(state_, [](void* self, drey_span s) -> int {
      static_cast<OperatorList*>(self)->items_.emplace_back(s.data, s.size);
      return 0;
    }, this));
  }
  void snapshot() override {
    std::vector<drey_span> spans;
    for (const std::string& s : items_) spans.push_back({s.data(), s.size()});
    detail::check(host().operator_list_assign(state_, static_cast<std::uint32_t>(spans.size()), spans.data()));
  }

 private:
  std::vector<std::string> items_;
  detail::Scratch scratch_;
};
template <class T>
using OperatorListState = OperatorList<T, DREY_STATE_OPERATOR_LIST>;
template <class T>
using OperatorUnionState = OperatorList<T, DREY_STATE_OPERATOR_UNION>;

// An accumulator of the job (`/jobs/:jobid/accumulators`), summed over all subtasks.
template <class N>
class Accumulator : public detail::Bound {
 public:
  explicit Accumulator(const char* name) : Bound(name) {}
  void add(N n) {
    if constexpr (std::is_integral_v<N>) {  // wraps
      sum_ = static_cast<N>(static_cast<std::uint64_t>(sum_) + static_cast<std::uint64_t>(n));
    } else {
      sum_ += n;
    }
  }
  void call_ended() override {
    if (sum_ == N{}) return;
    if constexpr (std::is_floating_point_v<N>) {
      host().accumulator_add(rt_->task, name_, DREY_DOUBLE_COUNTER, 0, sum_);
    } else {
      host().accumulator_add(rt_->task, name_, DREY_LONG_COUNTER, sum_, 0);
    }
    sum_ = N{};
  }

 private:
  N sum_{};
};
using LongCounter = Accumulator<std::int64_t>;
using DoubleCounter = Accumulator<double>;

// A metric of the operator, read by the metrics endpoints while the job runs.
template <drey_metric_kind Kind>
class MetricCell : public detail::Bound {
 public:
  explicit MetricCell(const char* name) : Bound(name) {}
  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    cell_ = detail::check(rt.host->metric(rt.task, name_, Kind));
  }
  void add(std::int64_t n = 1) { set(value() + n); }
  void set(std::int64_t n) { __atomic_store_n(rt_ == nullptr ? &own_ : cell_, n, __ATOMIC_RELAXED); }
  std::int64_t value() const { return rt_ == nullptr ? own_ : *cell_; }

 private:
  std::int64_t* cell_ = nullptr;
  std::int64_t own_ = 0;
};
using Counter = MetricCell<DREY_COUNTER>;
using Gauge = MetricCell<DREY_GAUGE>;
using Meter = MetricCell<DREY_METER>;

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

  // The current key: K is the type of the key_by (one member's type, std::tuple of several); for an optional
  // member also the type inside (a null key reads as an empty value).
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
    const auto& rows = rt_.sides->rows;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].name != tag.name) continue;
      if (rows[i].type != detail::type_tag<T>()) {
        throw std::logic_error("side output '" + rows[i].name + "' is declared with another type");
      }
      side<T>(i).emit(value);
      return;
    }
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
//   void process(const In& row, Context& ctx, Out& out);         (or without `out`, or without both)
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
