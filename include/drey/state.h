// State: members of a function that bind themselves by name.
//
//   struct Bursts : drey::KeyedProcess<Leg, Streak> {
//     drey::ListState<Leg> legs{"legs"};
//     ...
//   };
//
// A function is copied once for each subtask; its members are bound then. States of keyed functions
// always mean the key of the current row or timer. Views (Text) read from state are valid during
// the call.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <functional>
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
struct DREY_HIDDEN_ TypeTag {
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
    const ArrowSchema* schema;
  };
  std::vector<Row> rows;
  // Emitting to one that is not declared; absent: the row is dropped.
  std::function<void(SideTable&, Row)> undeclared;
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
  const drey_view* keys = nullptr;  // of the rows or timers of this call; null: no key
  const std::uint64_t* hashes = nullptr;
  std::uint32_t at = 0;  // the current one's number
  std::uint32_t input = 0;
  const std::int64_t* times = nullptr;  // of the physical rows, else `fixed_time`
  std::int64_t fixed_time = 0;
  std::uint32_t row = 0;  // the current physical row
  bool has_time = false;
  const drey_batch* batch = nullptr;
  const void* key_type = nullptr;
  std::vector<Bound*> bound;
  SideTable* sides = nullptr;
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

// Members of a function that bind themselves: made or copied while `collecting` is set, they
// enroll.
inline thread_local std::vector<Bound*>* collecting DREY_HIDDEN_ = nullptr;

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
    if (rt_ == nullptr) [[unlikely]]
      throw std::logic_error(std::string(name_) + " is used outside of a running function");
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
                  "drey::ValueState<T>::ref(): T holds text or lists, so it is not kept in place: "
                  "use update() or set()");
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
    visit([&](std::string_view) {
      none = false;
      return false;
    });
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
    detail::check(
        host().list_assign(state_, rt_->key(), rt_->hash(), static_cast<std::uint32_t>(spans.size()), spans.data()));
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
    const int rc = host().list_each(
        state_, rt_->key(), rt_->hash(),
        [](void* self, drey_span s) -> int {
          auto* c = static_cast<Call*>(self);
          try {
            return (*c->f)(detail::view(s)) ? 0 : 2;
          } catch (...) {
            c->failed = std::current_exception();
            return 2;
          }
        },
        &call);
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
    const int rc = host().map_each(
        state_, key, hash,
        [](void* self, drey_span k, drey_span v) -> int {
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
        },
        &call);
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
    check(host().map_each(
        state_, key, hash,
        [](void* self, drey_span k, drey_span v) -> int {
          auto* c = static_cast<Call*>(self);
          c->all->append(k.data, k.size);
          c->all->append(v.data, v.size);
          c->sizes->push_back({k.size, v.size});
          return 0;
        },
        &call));
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

// A value per key that each added one is folded into: ReducingState<T> max{"max", [](T a, T b) {
// ... }}.
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

// A list of the subtask, not of a key. On restore it is divided evenly (OperatorListState), or
// every subtask gets all of it (OperatorUnionState). Kept in memory.
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
    detail::check(rt.host->operator_list_each(
        state_,
        [](void* self, drey_span s) -> int {
          static_cast<OperatorList*>(self)->items_.emplace_back(s.data, s.size);
          return 0;
        },
        this));
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

}  // namespace api
}  // namespace drey
