// The operators behind the DataStream API: what runs a user's function over batches.
//
// Each is a class with a Closure (made while the job is built, shared by all subtasks) and an
// instance per subtask. Functions<Op> turns it into the C table of abi.h; exceptions end there. Not
// for job authors.
#pragma once

#include "drey/function.h"

namespace drey {
inline namespace api {
namespace detail {

template <class F>
struct Closure {
  F fn;
  std::shared_ptr<SideTable> sides = std::make_shared<SideTable>();
  const void* key_type = nullptr;
};

// The C table of an operator class: only the members that the class has.
template <class Op>
struct DREY_HIDDEN_ Functions {
  static Op& op(void* self) { return *static_cast<Op*>(self); }  // namespace detail
  template <class F>
  static int run(void* self, F&& f) {
    Op& o = op(self);
    return guarded(o.task, o.host, [&] { f(o); });
  }
  static drey_functions make() {
    drey_functions t{};
    t.size = sizeof t;
    t.create = [](const void* closure, drey_task* task, const drey_host* host) -> void* {
      Op* made = nullptr;
      guarded(task, host, [&] { made = new Op(*static_cast<const typename Op::Closure*>(closure), task, host); });
      return made;
    };
    t.destroy = [](void* self) { delete static_cast<Op*>(self); };
    if constexpr (requires(Op & o) { o.open(); }) {
      t.open = [](void* self) { return run(self, [](Op& o) { o.open(); }); };
    }
    if constexpr (requires(Op & o, const drey_batch& b, const drey_keys* k) { o.process(0u, b, k); }) {
      t.process = [](void* self, std::uint32_t input, const drey_batch* b, const drey_keys* keys) {
        return run(self, [&](Op& o) { o.process(input, *b, keys); });
      };
    }
    if constexpr (requires(Op & o, const drey_timer* x) { o.on_timers(0u, x); }) {
      t.on_timers = [](void* self, std::uint32_t n, const drey_timer* timers) {
        return run(self, [&](Op& o) { o.on_timers(n, timers); });
      };
    }
    if constexpr (requires(Op & o) { o.on_watermark(std::int64_t{}); }) {
      t.on_watermark = [](void* self, std::int64_t w) { return run(self, [&](Op& o) { o.on_watermark(w); }); };
    }
    if constexpr (requires(Op & o) { o.on_input_end(0u); }) {
      t.on_input_end = [](void* self, std::uint32_t input) { return run(self, [&](Op& o) { o.on_input_end(input); }); };
    }
    if constexpr (requires(Op & o) { o.snapshot(); }) {
      t.snapshot = [](void* self, std::int64_t) { return run(self, [](Op& o) { o.snapshot(); }); };
    }
    if constexpr (requires(Op & o) { o.finish(); }) {
      t.finish = [](void* self) { return run(self, [](Op& o) { o.finish(); }); };
    }
    if constexpr (requires(Op & o, const drey_batch& b, void* const* r) { o.accumulate(b, 0u, nullptr, r, nullptr); }) {
      t.accumulate = [](void* self, const drey_batch* b, std::uint32_t n, const std::uint32_t* ids, void* const* rows,
                        const std::uint8_t* fresh) {
        return run(self, [&](Op& o) { o.accumulate(*b, n, ids, rows, fresh); });
      };
    }
    if constexpr (requires(Op & o, void* p) { o.merge(p, p); }) {
      t.merge = [](void* self, void* into, const void* from) { return run(self, [&](Op& o) { o.merge(into, from); }); };
    }
    if constexpr (requires(Op & o, const drey_batch& b) { o.accumulate_encoded(b, 0u, drey_span{}); }) {
      t.accumulate_encoded = [](void* self, const drey_batch* b, std::uint32_t id, drey_span before, drey_span* after) {
        return run(self, [&](Op& o) { *after = o.accumulate_encoded(*b, id, before); });
      };
    }
    if constexpr (requires(Op & o) { o.merge_encoded(drey_span{}, drey_span{}); }) {
      t.merge_encoded = [](void* self, drey_span a, drey_span b, drey_span* merged) {
        return run(self, [&](Op& o) { *merged = o.merge_encoded(a, b); });
      };
    }
    if constexpr (requires(Op & o, const drey_batch& b) { o.encode_element(b, 0u); }) {
      t.encode_element = [](void* self, const drey_batch* b, std::uint32_t id, drey_span* element) {
        return run(self, [&](Op& o) { *element = o.encode_element(*b, id); });
      };
    }
    if constexpr (requires(Op & o, const void* const* a) { o.fire(drey_window{}, 0u, nullptr, a); }) {
      t.fire = [](void* self, drey_window w, std::uint32_t n, const drey_view* keys, const void* const* accumulators) {
        return run(self, [&](Op& o) { o.fire(w, n, keys, accumulators); });
      };
    }
    if constexpr (requires(Op & o, const drey_batch& b, std::int64_t* x) { o.row_times(b, x); }) {
      t.row_times = [](void* self, const drey_batch* b, std::int64_t* times) {
        return run(self, [&](Op& o) { o.row_times(*b, times); });
      };
    }
    if constexpr (requires(Op & o, drey_trigger & x) { o.on_trigger(DREY_ON_ELEMENT, nullptr, 0u, x); }) {
      t.on_trigger = [](void* self, drey_trigger_event event, const drey_batch* b, std::uint32_t id, drey_trigger* x) {
        int answer = 0;
        const int rc = run(self, [&](Op& o) { answer = o.on_trigger(event, b, id, *x); });
        return rc != 0 ? -1 : answer;
      };
    }
    if constexpr (requires(Op & o, void* p) { o.merge_trigger(p, p); }) {
      t.merge_trigger = [](void* self, void* into, const void* from) {
        return run(self, [&](Op& o) { o.merge_trigger(into, from); });
      };
    }
    if constexpr (requires(Op & o, const drey_batch& b, std::uint32_t* x) { o.partition(b, 1u, x); }) {
      t.partition = [](void* self, const drey_batch* b, std::uint32_t targets, std::uint32_t* out) {
        return run(self, [&](Op& o) { o.partition(*b, targets, out); });
      };
    }
    if constexpr (requires(Op & o, drey_builder * b) { o.generate(b, std::int64_t{}, 0u); }) {
      t.generate = [](void* self, drey_builder* b, std::int64_t first, std::uint32_t count) {
        return run(self, [&](Op& o) { o.generate(b, first, count); });
      };
    }
    return t;
  }
  static const drey_functions* get() {
    static const drey_functions table = make();
    return &table;
  }
};

// An instance: its task and its own copy of the user's function.
template <class F>
struct Instance {
  using Closure = detail::Closure<F>;
  drey_task* task;
  const drey_host* host;
  F fn;
  Instance(const Closure& c, drey_task* t, const drey_host* h) : task(t), host(h), fn(c.fn) {}
};

template <class F, class In, class O>
struct MapOp : Instance<F> {
  Out<O> out;
  MapOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys*) {
    const RowReader<In> in(b);
    out.emit_all(b, [&](std::uint32_t i, std::uint32_t) { return O(this->fn(in.read(i))); });
  }
};

template <class F, class In>
struct FilterOp : Instance<F> {
  std::vector<std::uint32_t> ids;
  using Instance<F>::Instance;
  void process(std::uint32_t, const drey_batch& b, const drey_keys*) {
    if (ids.size() < b.rows) ids.resize(b.rows);
    const RowReader<In> in(b);
    std::uint32_t* to = ids.data();
    std::uint32_t n = 0;
    for_rows(b, [&](std::uint32_t i, std::uint32_t) {
      to[n] = i;
      n += this->fn(in.read(i)) ? 1 : 0;
    });
    if (n > 0) check(this->host->emit_rows(this->task, 0, &b, to, n));
  }
};

// fn(row, out), or fn(row) returning an optional or a range.
template <class F, class In, class O>
struct FlatMapOp : Instance<F> {
  Out<O> out;
  FlatMapOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys*) {
    const RowReader<In> in(b);
    out.input(&b);
    out.times_from(b);
    for_rows(b, [&](std::uint32_t i, std::uint32_t) {
      out.row(i);
      if constexpr (std::is_invocable_v<F&, const In&, Out<O>&>) {
        this->fn(in.read(i), out);
      } else {
        auto made = this->fn(in.read(i));
        if constexpr (kIsOptional<decltype(made)>) {
          if (made) out.emit(*made);
        } else {
          for (const auto& row : made) out.emit(row);
        }
      }
    });
    out.flush();
  }
};

// fn(rows, out), once a batch.
template <class F, class In, class O>
struct BatchOp : Instance<F> {
  Out<O> out;
  BatchOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys*) {
    out.input(&b);
    this->fn(Rows<In>(b), out);
    out.flush();
  }
};

// A row and the columns of the key that a key_by(lambda) has found for it.
template <class T, class K>
struct WithKey {
  T row{};
  K key{};
};
template <class T, class K>
struct Shape<WithKey<T, K>> {
  static constexpr std::size_t kRow = Shape<T>::kColumns;
  static constexpr std::size_t kColumns = kRow + Shape<K>::kColumns;
  static constexpr bool kIsRecord = true;
  template <std::size_t I>
  static auto column() {
    if constexpr (I < kRow) {
      return std::type_identity<typename Shape<T>::template Column<I>>{};
    } else {
      return std::type_identity<typename Shape<K>::template Column<I - kRow>>{};
    }
  }
  template <std::size_t I>
  using Column = typename decltype(column<I>())::type;
  static constexpr const char* name(std::size_t at) {
    constexpr const char* names[] = {"__key0", "__key1", "__key2", "__key3", "__key4", "__key5", "__key6", "__key7"};
    return at < kRow ? Shape<T>::name(at) : names[at - kRow];
  }
  template <std::size_t I, class V>
  static constexpr auto& get(V& v) {
    if constexpr (I < kRow) {
      return Shape<T>::template get<I>(v.row);
    } else {
      return Shape<K>::template get<I - kRow>(v.key);
    }
  }
};

// --- Keyed: reduce and sums ---

// Calls f(physical row, k, T* value, fresh) with the state rows of all keys of the batch.
template <class V>
class RowsOfBatch {
 public:
  void open(drey_task* task, const drey_host* host, const char* name) {
    host_ = host;
    drey_state_spec spec{};
    spec.size = sizeof spec;
    spec.kind = DREY_STATE_VALUE;
    spec.name = name;
    spec.fixed_bytes = sizeof(V);
    spec.value = state_schema<V>();
    state_ = check(host->state_open(task, &spec));
  }
  void find(const drey_batch& b, const drey_keys* keys) {
    if (rows_.size() < b.rows) {
      rows_.resize(b.rows);
      fresh_.resize(b.rows);
    }
    check(host_->state_rows(state_, b.rows, keys->keys, keys->hashes, 1, rows_.data(), fresh_.data()));
  }
  V* row(std::uint32_t k) const { return static_cast<V*>(rows_[k]); }
  bool fresh(std::uint32_t k) const { return fresh_[k] != 0; }

 private:
  const drey_host* host_ = nullptr;
  drey_state* state_ = nullptr;
  std::vector<void*> rows_;
  std::vector<std::uint8_t> fresh_;
};

// fn(T before, T row) -> T; emits the new value for every row.
template <class F, class T>
struct ReduceOp : Instance<F> {
  Out<T> out;
  RowsOfBatch<T> rows;
  ReduceOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void open() { rows.open(this->task, this->host, "reduce"); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys* keys) {
    rows.find(b, keys);
    const RowReader<T> in(b);
    out.emit_all(b, [&](std::uint32_t i, std::uint32_t k) {
      T* state = rows.row(k);
      if (rows.fresh(k)) {
        return *new (state) T(in.read(i));
      }
      T next = this->fn(static_cast<const T&>(*state), in.read(i));
      *state = next;
      return next;
    });
  }
};
template <class F, class T>
requires(!kFixed<T>) struct ReduceOp<F, T> : Instance<F> {
  Out<T> out;
  drey_state* state = nullptr;
  Buffer buffer;
  Scratch scratch;
  ReduceOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void open() {
    drey_state_spec spec{};
    spec.size = sizeof spec;
    spec.kind = DREY_STATE_VALUE;
    spec.name = "reduce";
    spec.value = state_schema<T>();
    state = check(this->host->state_open(this->task, &spec));
  }
  void process(std::uint32_t, const drey_batch& b, const drey_keys* keys) {
    const RowReader<T> in(b);
    out.input(&b);
    out.times_from(b);
    for_rows(b, [&](std::uint32_t i, std::uint32_t k) {
      out.row(i);
      drey_span before{};
      const bool fresh = this->host->value_get(state, &keys->keys[k], keys->hashes[k], &before) != 0;
      T next = in.read(i);
      if (!fresh) next = this->fn(decode_value<T>(view(before), &scratch), next);
      buffer.clear();
      encode(buffer, next);
      out.emit(next);  // before the put: `before` may be replaced
      check(this->host->value_put(state, &keys->keys[k], keys->hashes[k], {buffer.data(), buffer.size()}));
    });
    out.flush();
    scratch.clear();
  }
};

// Folds one member, all others being part of the key: the state is that member alone.
template <class T, class M, class Fold>
struct FoldMember {
  M T::*member;
  Fold fold;
};
template <class T, class M, class Fold>
struct FoldOp : Instance<FoldMember<T, M, Fold>> {
  using F = FoldMember<T, M, Fold>;
  Out<T> out;
  RowsOfBatch<M> rows;
  FoldOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void open() { rows.open(this->task, this->host, "fold"); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys* keys) {
    rows.find(b, keys);
    const RowReader<T> in(b);
    const auto member = this->fn.member;
    const auto fold = this->fn.fold;
    out.emit_all(b, [&](std::uint32_t i, std::uint32_t k) {
      T row = in.read(i);
      M* state = rows.row(k);
      const M next = rows.fresh(k) ? row.*member : static_cast<M>(fold(*state, row.*member));
      *state = next;
      row.*member = next;
      return row;
    });
  }
};

template <class K>
struct Counted {
  K key{};
  std::int64_t count = 0;
  static constexpr auto fields() { return Fields{field("key", &Counted::key), field("count", &Counted::count)}; }
};
struct Nothing {};
template <class K>
struct CountOp : Instance<Nothing> {
  Out<Counted<K>> out;
  RowsOfBatch<std::int64_t> rows;
  CountOp(const Closure& c, drey_task* t, const drey_host* h) : Instance(c, t, h) { out.attach(t, h, 0); }
  void open() { rows.open(task, host, "count"); }
  void process(std::uint32_t, const drey_batch& b, const drey_keys* keys) {
    rows.find(b, keys);
    out.emit_all(b, [&](std::uint32_t, std::uint32_t k) {
      return Counted<K>{decode_key<K>(keys->keys[k]), ++*rows.row(k)};
    });
  }
};

// --- Event times, partitioners, generators ---

template <class F, class In>
struct TimesOp : Instance<F> {
  using Instance<F>::Instance;
  void row_times(const drey_batch& b, std::int64_t* times) {
    const RowReader<In> in(b);
    for_rows(b, [&](std::uint32_t i, std::uint32_t k) {
      const auto t = this->fn(in.read(i));
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(t)>, Timestamp>) {
        times[k] = t.ms;
      } else {
        times[k] = t;
      }
    });
  }
};

template <class F, class In>
struct PartitionOp : Instance<F> {
  using Instance<F>::Instance;
  void partition(const drey_batch& b, std::uint32_t targets, std::uint32_t* out) {
    const RowReader<In> in(b);
    for_rows(b, [&](std::uint32_t i, std::uint32_t k) {
      const auto to = this->fn(in.read(i), targets);
      if (to < 0 || static_cast<std::uint64_t>(to) >= targets) [[unlikely]] {
        throw std::out_of_range("partition_custom: the partitioner answered " + std::to_string(to) + " of " +
                                std::to_string(targets) + " targets");
      }
      out[k] = static_cast<std::uint32_t>(to);
    });
  }
};

// fn(number) -> T.
template <class F, class T>
struct GenerateOp : Instance<F> {
  Out<T> out;
  GenerateOp(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }
  void generate(drey_builder* builder, std::int64_t first, std::uint32_t count) {
    if constexpr (std::is_trivially_copyable_v<F>) {
      F f = this->fn;  // a local copy stays in registers
      out.fill(builder, count, [&](std::uint32_t k) { return T(f(first + k)); });
      std::memcpy(static_cast<void*>(&this->fn), &f, sizeof f);
    } else {
      out.fill(builder, count, [&](std::uint32_t k) { return T(this->fn(first + k)); });
    }
  }
};
template <class T>
struct Collection {
  std::shared_ptr<const std::vector<T>> rows;
  const T& operator()(std::int64_t i) const { return (*rows)[static_cast<std::size_t>(i)]; }
};

}  // namespace detail
}  // namespace api
}  // namespace drey
