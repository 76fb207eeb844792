// The operators behind windows: accumulators in place, encoded, or all elements. Not for job
// authors.
#pragma once

#include "drey/operators.h"
#include "drey/triggers.h"

namespace drey {
inline namespace api {

namespace detail {

template <class Fire, class Trigger>
struct WindowFn {
  Fire fire;
  Trigger trigger;
};

// What windows with any accumulator share: results, the custom trigger.
template <class F, class In, class K, class O>
struct WindowBase : Instance<F> {
  Out<O> out;
  Scratch scratch;
  Buffer buffer;
  WindowBase(const Closure<F>& c, drey_task* t, const drey_host* h) : Instance<F>(c, t, h) { out.attach(t, h, 0); }

  int on_trigger(drey_trigger_event event, const drey_batch* b, std::uint32_t id,
                 drey_trigger& t) requires(!std::is_same_v<decltype(F::trigger), Nothing>) {
    auto& f = this->fn.trigger;
    const Window w{{t.window.start}, {t.window.end}};
    TriggerContext ctx(t);
    TriggerResult r = TriggerResult::kContinue;
    if (event == DREY_ON_ELEMENT) {
      const In row = RowReader<In>(*b).read(id);
      if constexpr (TriggerLambda<decltype(F::trigger), In>) {
        r = f(row, w, t.count);
      } else {
        r = f.on_element(row, w, ctx);
      }
    } else if (event == DREY_ON_EVENT_TIME) {
      if constexpr (requires { f.on_event_time(Timestamp{}, w, ctx); }) r = f.on_event_time(Timestamp{t.time}, w, ctx);
    } else {
      if constexpr (requires { f.on_processing_time(Timestamp{}, w, ctx); })
        r = f.on_processing_time(Timestamp{t.time}, w, ctx);
    }
    return static_cast<int>(r);
  }
  void merge_trigger(void* into,
                     const void* from) requires(requires(decltype(F::trigger)& t,
                                                         typename decltype(F::trigger)::State& a) { t.merge(a, a); }) {
    using S = typename decltype(F::trigger)::State;
    this->fn.trigger.merge(*static_cast<S*>(into), *static_cast<const S*>(from));
  }

 protected:
  // Emits what the function makes of (key, window, value).
  template <class V>
  void emit_result(const drey_view& key, Window w, const V& v) {
    auto& f = this->fn.fire;
    const K k = decode_key<K>(key);
    if constexpr (std::is_invocable_v<decltype(f), const K&, Window, const V&, Out<O>&>) {
      f(k, w, v, out);
    } else if constexpr (requires { f.process(k, w, v, out); }) {
      f.process(k, w, v, out);
    } else {
      auto made = f(k, w, v);
      if constexpr (kIsOptional<decltype(made)> && !kIsOptional<O>) {
        if (made) out.emit(*made);
      } else {
        out.emit(made);
      }
    }
  }
  void begin_fire(drey_window w) {
    out.input(nullptr);
    out.time(true, w.end == INT64_MAX ? INT64_MAX : w.end - 1);
  }
  void end_fire() {
    out.flush();
    scratch.clear();
  }
};

// Acc::add(const In&), Acc::merge(const Acc&).
template <class F, class In, class K, class Acc, class O>
struct AggregateWindowOp : WindowBase<F, In, K, O> {
  using WindowBase<F, In, K, O>::WindowBase;

  void accumulate(const drey_batch& b, std::uint32_t n, const std::uint32_t* ids, void* const* rows,
                  const std::uint8_t* fresh) requires(kFixed<Acc>) {
    const RowReader<In> in(b);
    for (std::uint32_t k = 0; k < n; ++k) {
      Acc* acc = fresh[k] != 0 ? new (rows[k]) Acc{} : static_cast<Acc*>(rows[k]);
      acc->add(in.read(ids[k]));
    }
  }
  void merge(void* into, const void* from) requires(kFixed<Acc>&& requires(Acc& a, const Acc& b) { a.merge(b); }) {
    static_cast<Acc*>(into)->merge(*static_cast<const Acc*>(from));
  }
  drey_span accumulate_encoded(const drey_batch& b, std::uint32_t id, drey_span before) requires(!kFixed<Acc>) {
    Acc acc = before.size == 0 ? Acc{} : decode_value<Acc>(view(before), &this->scratch);
    acc.add(RowReader<In>(b).read(id));
    Buffer next;
    encode(next, acc);
    this->buffer.swap(next);
    return {this->buffer.data(), this->buffer.size()};
  }
  drey_span merge_encoded(drey_span a,
                          drey_span b) requires(!kFixed<Acc> && requires(Acc & x, const Acc& y) { x.merge(y); }) {
    Acc acc = a.size == 0 ? Acc{} : decode_value<Acc>(view(a), &this->scratch);
    if (b.size != 0) acc.merge(decode_value<Acc>(view(b), &this->scratch));
    Buffer next;
    encode(next, acc);
    this->buffer.swap(next);
    return {this->buffer.data(), this->buffer.size()};
  }
  void fire(drey_window w, std::uint32_t n, const drey_view* keys, const void* const* accumulators) {
    this->begin_fire(w);
    for (std::uint32_t k = 0; k < n; ++k) {
      if constexpr (kFixed<Acc>) {
        this->emit_result(keys[k], Window{{w.start}, {w.end}}, *static_cast<const Acc*>(accumulators[k]));
      } else {
        const auto& bytes = *static_cast<const drey_span*>(accumulators[k]);
        this->emit_result(keys[k], Window{{w.start}, {w.end}}, decode_value<Acc>(view(bytes), &this->scratch));
      }
    }
    this->end_fire();
  }
};

// Fire::reduce(T, T); the accumulator is the value so far.
template <class F, class T, class K, class O>
struct ReduceWindowOp : WindowBase<F, T, K, O> {
  using WindowBase<F, T, K, O>::WindowBase;

  void accumulate(const drey_batch& b, std::uint32_t n, const std::uint32_t* ids, void* const* rows,
                  const std::uint8_t* fresh) requires(kFixed<T>) {
    const RowReader<T> in(b);
    for (std::uint32_t k = 0; k < n; ++k) {
      T* state = static_cast<T*>(rows[k]);
      if (fresh[k] != 0) {
        new (state) T(in.read(ids[k]));
      } else {
        *state = this->fn.fire.reduce(static_cast<const T&>(*state), in.read(ids[k]));
      }
    }
  }
  void merge(void* into, const void* from) requires(kFixed<T>) {
    T* a = static_cast<T*>(into);
    *a = this->fn.fire.reduce(static_cast<const T&>(*a), *static_cast<const T*>(from));
  }
  drey_span accumulate_encoded(const drey_batch& b, std::uint32_t id, drey_span before) requires(!kFixed<T>) {
    const T row = RowReader<T>(b).read(id);
    return keep(before.size == 0 ? row : this->fn.fire.reduce(decode_value<T>(view(before), &this->scratch), row));
  }
  drey_span merge_encoded(drey_span a, drey_span b) requires(!kFixed<T>) {
    if (a.size == 0) return b;
    if (b.size == 0) return a;
    return keep(
        this->fn.fire.reduce(decode_value<T>(view(a), &this->scratch), decode_value<T>(view(b), &this->scratch)));
  }
  void fire(drey_window w, std::uint32_t n, const drey_view* keys, const void* const* accumulators) {
    this->begin_fire(w);
    for (std::uint32_t k = 0; k < n; ++k) {
      if constexpr (kFixed<T>) {
        this->emit_result(keys[k], Window{{w.start}, {w.end}}, *static_cast<const T*>(accumulators[k]));
      } else {
        const auto& bytes = *static_cast<const drey_span*>(accumulators[k]);
        this->emit_result(keys[k], Window{{w.start}, {w.end}}, decode_value<T>(view(bytes), &this->scratch));
      }
    }
    this->end_fire();
  }

 private:
  drey_span keep(const T& v) {
    Buffer next;
    encode(next, v);
    this->buffer.swap(next);
    return {this->buffer.data(), this->buffer.size()};
  }
};

// All rows of the window at once.
template <class F, class In, class K, class O>
struct ProcessWindowOp : WindowBase<F, In, K, O> {
  using WindowBase<F, In, K, O>::WindowBase;

  drey_span encode_element(const drey_batch& b, std::uint32_t id) {
    this->buffer.clear();
    encode_value(this->buffer, RowReader<In>(b).read(id));
    return {this->buffer.data(), this->buffer.size()};
  }
  void fire(drey_window w, std::uint32_t n, const drey_view* keys, const void* const* accumulators) {
    this->begin_fire(w);
    for (std::uint32_t k = 0; k < n; ++k) {
      Decoder all(view(*static_cast<const drey_span*>(accumulators[k])), &this->scratch);
      std::vector<In> rows;
      while (!all.done()) rows.push_back(decode_value<In>(all.take(all.raw<std::uint32_t>()), &this->scratch));
      this->emit_result(keys[k], Window{{w.start}, {w.end}}, rows);
    }
    this->end_fire();
  }
};

}  // namespace detail
}  // namespace api
}  // namespace drey
