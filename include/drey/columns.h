// From columns to records and back: RowReader<T> reads row i of a batch, Out<T> collects records.
//
// A reader is a handful of column pointers; read(i) is inlined, so members that a function does not
// use are not loaded. Out<T> writes into a batch of the engine and hands it on when it is full or
// the call ends. Text that points into the batch being processed is passed on as it is; other text
// is copied.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>

#include "drey/record.h"

namespace drey {
inline namespace api {
namespace detail {

#define DREY_INLINE_ [[gnu::always_inline]] inline

// A host function has failed; the engine already knows why.
struct HostFailure {};
inline void check(int rc) {
  if (rc != 0) [[unlikely]]
    throw HostFailure{};
}
template <class T>
T* check(T* p) {
  if (p == nullptr) [[unlikely]]
    throw HostFailure{};
  return p;
}

// --- Reading ---

template <class M>
struct ColumnReader {  // Plain and Viewlike
  const M* values = nullptr;
  void bind(const ArrowArray& a) { values = static_cast<const M*>(a.buffers[1]); }
  DREY_INLINE_ M get(std::uint32_t i) const { return values[i]; }
};
template <>
struct ColumnReader<bool> {
  const std::uint8_t* bits = nullptr;
  void bind(const ArrowArray& a) { bits = static_cast<const std::uint8_t*>(a.buffers[1]); }
  DREY_INLINE_ bool get(std::uint32_t i) const { return ((bits[i >> 3] >> (i & 7)) & 1) != 0; }
};
template <>
struct ColumnReader<std::string> : ColumnReader<Text> {
  std::string get(std::uint32_t i) const { return values[i].str(); }
};
template <class M>
struct ColumnReader<std::optional<M>> {
  ColumnReader<M> value;
  const std::uint8_t* valid = nullptr;
  void bind(const ArrowArray& a) {
    value.bind(a);
    valid = static_cast<const std::uint8_t*>(a.buffers[0]);
  }
  DREY_INLINE_ std::optional<M> get(std::uint32_t i) const {
    if (valid != nullptr && ((valid[i >> 3] >> (i & 7)) & 1) == 0) return std::nullopt;
    return value.get(i);
  }
};
template <class M>
struct ColumnReader<List<M>> {
  const std::int32_t* offsets = nullptr;
  const ArrowArray* child = nullptr;
  void bind(const ArrowArray& a) {
    offsets = static_cast<const std::int32_t*>(a.buffers[1]);
    child = a.children[0];
  }
  static M element(const void* base, std::uint32_t i) {
    ColumnReader<M> reader;
    reader.bind(*static_cast<const ArrowArray*>(base));
    return reader.get(i);
  }
  List<M> get(std::uint32_t i) const {
    return List<M>(child, &element, static_cast<std::uint32_t>(offsets[i]),
                   static_cast<std::uint32_t>(offsets[i + 1] - offsets[i]));
  }
};
template <class M>
struct ColumnReader<std::vector<M>> : ColumnReader<List<M>> {
  std::vector<M> get(std::uint32_t i) const { return ColumnReader<List<M>>::get(i).to_vector(); }
};

template <class T, class = std::make_index_sequence<Shape<T>::kColumns>>
struct Readers;
template <class T, std::size_t... I>
struct Readers<T, std::index_sequence<I...>> {
  std::tuple<ColumnReader<typename Shape<T>::template Column<I>>...> columns;
  void bind(ArrowArray* const* arrays) { (std::get<I>(columns).bind(*arrays[I]), ...); }
  DREY_INLINE_ T get(std::uint32_t i) const {
    T row{};
    ((Shape<T>::template get<I>(row) = std::get<I>(columns).get(i)), ...);
    return row;
  }
};
template <class R>
requires(Shape<R>::kIsRecord) struct ColumnReader<R> {  // a nested record
  Readers<R> fields;
  void bind(const ArrowArray& a) { fields.bind(a.children); }
  DREY_INLINE_ R get(std::uint32_t i) const { return fields.get(i); }
};

// --- Writing ---

class Output;

template <class M>
struct ColumnWriter {  // Plain
  M* values = nullptr;
  void bind(drey_builder_column& c) { values = static_cast<M*>(c.values); }
  DREY_INLINE_ void put(std::uint32_t row, const M& v, Output&) { values[row] = v; }
};
template <>
struct ColumnWriter<bool> {
  std::uint8_t* bits = nullptr;
  void bind(drey_builder_column& c) { bits = static_cast<std::uint8_t*>(c.values); }
  DREY_INLINE_ void put(std::uint32_t row, bool v, Output&) {
    const unsigned mask = 1u << (row & 7);
    bits[row >> 3] = static_cast<std::uint8_t>(v ? bits[row >> 3] | mask : bits[row >> 3] & ~mask);
  }
};

// Where records go: one output of one operator instance, and the batch under construction for it.
class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  virtual ~Output() {
    if (builder_ != nullptr && own_) host_->batch_drop(task_, builder_);
  }

  // Copies text into the batch that is being built: for text that was made in the function.
  Text text(std::string_view s) {
    if (s.size() <= DREY_VIEW_INLINE_MAX) return Text(s);
    ensure();
    return Text(std::string_view(copy(s), s.size()));
  }

  void attach(drey_task* task, const drey_host* host, std::uint32_t output) {
    task_ = task;
    host_ = host;
    output_ = output;
  }
  // The batch that is being processed: its text may be passed on. Null: none.
  void input(const drey_batch* batch) { input_ = batch; }
  // Row time of what is emitted from now on: a fixed one, or that of row(i) of a batch.
  void time(bool has, std::int64_t at) {
    from_ = nullptr;
    has_time_ = has;
    time_ = at;
  }
  void times_from(const drey_batch& b) {
    from_ = b.row_times;
    has_time_ = b.row_times != nullptr;
  }
  DREY_INLINE_ void row(std::uint32_t physical) { at_ = physical; }
  DREY_INLINE_ drey_view keep(const drey_view& v) { return v.size <= DREY_VIEW_INLINE_MAX ? v : keep_far(v); }
  drey_task* task() const { return task_; }
  const drey_host* host() const { return host_; }
  drey_builder* builder() const { return builder_; }
  void reserve(drey_builder_column& list, std::uint32_t children) {
    check(host_->list_reserve(task_, builder_, &list, children));
  }

 protected:
  static constexpr std::uint32_t kCapacity = 1024;
  virtual void bind() = 0;

  void ensure() {
    if (builder_ == nullptr) begin(kCapacity);
  }
  void begin(std::uint32_t capacity) {
    builder_ = check(host_->batch_begin(task_, output_, capacity));
    own_ = true;
    capacity_ = capacity < builder_->capacity ? builder_->capacity : capacity;
    started();
  }
  // A builder that the host has made and will take itself.
  void borrow(drey_builder* builder) {
    builder_ = builder;
    own_ = false;
    capacity_ = builder->capacity;
    started();
  }
  void started() {
    row_ = 0;
    text_ = text_end_ = nullptr;
    times_ = builder_->row_times;
    timed_ = false;
    bind();
  }
  void end() {
    builder_->rows = row_;
    builder_->has_row_times = timed_ ? 1 : 0;
    drey_builder* full = builder_;
    builder_ = nullptr;
    if (!own_) return;
    if (row_ == 0) {
      host_->batch_drop(task_, full);
    } else {
      check(host_->batch_emit(task_, output_, full));
    }
  }
  drey_view keep_far(const drey_view& v) {
    const auto at = reinterpret_cast<std::uintptr_t>(v.u.far.data);
    if (input_ != nullptr) {
      const drey_span* arenas = input_->arenas;
      for (std::uint32_t k = 0; k < input_->arena_count; ++k) {
        if (at - reinterpret_cast<std::uintptr_t>(arenas[k].data) < arenas[k].size) return v;
      }
    }
    if (at - reinterpret_cast<std::uintptr_t>(last_) < last_size_) return v;  // from text()
    drey_view kept = v;
    kept.u.far.data = copy({v.u.far.data, v.size});
    return kept;
  }
  char* copy(std::string_view s) {
    if (static_cast<std::size_t>(text_end_ - text_) < s.size() || text_ == nullptr) {
      std::size_t chunk = capacity_ < 64 ? 512 : 8192;
      if (chunk < s.size()) chunk = s.size();
      text_ = check(host_->text(task_, builder_, chunk));
      text_end_ = text_ + chunk;
      last_ = text_;
      last_size_ = chunk;
    }
    char* to = text_;
    std::memcpy(to, s.data(), s.size());
    text_ += s.size();
    return to;
  }

  drey_task* task_ = nullptr;
  const drey_host* host_ = nullptr;
  const drey_batch* input_ = nullptr;
  drey_builder* builder_ = nullptr;
  std::int64_t* times_ = nullptr;
  const std::int64_t* from_ = nullptr;
  std::int64_t time_ = 0;
  char* text_ = nullptr;
  char* text_end_ = nullptr;
  const char* last_ = nullptr;
  std::size_t last_size_ = 0;
  std::uint32_t output_ = 0;
  std::uint32_t at_ = 0;
  std::uint32_t row_ = 0;
  std::uint32_t capacity_ = 0;
  bool own_ = true;
  bool timed_ = false;
  bool has_time_ = false;
};

template <Viewlike M>
struct ColumnWriter<M> {
  drey_view* values = nullptr;
  void bind(drey_builder_column& c) { values = static_cast<drey_view*>(c.values); }
  DREY_INLINE_ void put(std::uint32_t row, const M& v, Output& out) { values[row] = out.keep(v.raw()); }
};
template <>
struct ColumnWriter<std::string> : ColumnWriter<Text> {
  void put(std::uint32_t row, const std::string& v, Output& out) { ColumnWriter<Text>::put(row, Text(v), out); }
};
template <class M>
struct ColumnWriter<std::optional<M>> {
  ColumnWriter<M> value;
  drey_builder_column* column = nullptr;
  void bind(drey_builder_column& c) {
    column = &c;
    value.bind(c);
  }
  DREY_INLINE_ void put(std::uint32_t row, const std::optional<M>& v, Output& out) {
    if (v.has_value()) {
      value.put(row, *v, out);
    } else {
      value.put(row, M{}, out);
      column->validity[row >> 6] &= ~(std::uint64_t{1} << (row & 63));
      column->has_nulls = 1;
    }
  }
};
template <class M>
struct ColumnWriter<List<M>> {
  drey_builder_column* column = nullptr;
  ColumnWriter<M> item;
  void bind(drey_builder_column& c) {
    column = &c;
    static_cast<std::int32_t*>(c.values)[0] = 0;
    c.child_rows = 0;
    if (c.child_capacity > 0) item.bind(c.children[0]);
  }
  template <class Range>
  void put(std::uint32_t row, const Range& v, Output& out) {
    const auto n = static_cast<std::uint32_t>(v.size());
    std::uint32_t at = column->child_rows;
    if (at + n > column->child_capacity) {
      out.reserve(*column, (at + n) * 2 < 64 ? 64 : (at + n) * 2);
      item.bind(column->children[0]);
    }
    for (std::uint32_t k = 0; k < n; ++k) item.put(at + k, v[k], out);
    column->child_rows = at + n;
    static_cast<std::int32_t*>(column->values)[row + 1] = static_cast<std::int32_t>(at + n);
  }
};
template <class M>
struct ColumnWriter<std::vector<M>> : ColumnWriter<List<M>> {};

template <class T, class = std::make_index_sequence<Shape<T>::kColumns>>
struct Writers;
template <class T, std::size_t... I>
struct Writers<T, std::index_sequence<I...>> {
  std::tuple<ColumnWriter<typename Shape<T>::template Column<I>>...> columns;
  void bind(drey_builder_column* c) { (std::get<I>(columns).bind(c[I]), ...); }
  DREY_INLINE_ void put(std::uint32_t row, const T& v, Output& out) {
    (std::get<I>(columns).put(row, Shape<T>::template get<I>(v), out), ...);
  }
};
template <class R>
requires(Shape<R>::kIsRecord) struct ColumnWriter<R> {
  Writers<R> fields;
  void bind(drey_builder_column& c) { fields.bind(c.children); }
  DREY_INLINE_ void put(std::uint32_t row, const R& v, Output& out) { fields.put(row, v, out); }
};

// Calls body(physical row, k) for row k = 0, 1, ... of the batch.
template <class Body>
DREY_INLINE_ void for_rows(const drey_batch& b, Body&& body) {
  const std::uint32_t n = b.rows;
  if (const std::uint32_t* sel = b.selection; sel != nullptr) {
    for (std::uint32_t k = 0; k < n; ++k) body(sel[k], k);
  } else {
    for (std::uint32_t k = 0; k < n; ++k) body(k, k);
  }
}

}  // namespace detail

// Reads records from a batch.
//
//   drey::RowReader<Flight> rows(batch);
//   Flight f = rows.read(i);            // physical row i
template <class T>
class RowReader {
 public:
  RowReader() = default;
  explicit RowReader(const drey_batch& batch) { bind(batch); }
  void bind(const drey_batch& batch) { columns_.bind(batch.columns); }
  DREY_INLINE_ T read(std::uint32_t i) const { return columns_.get(i); }

 private:
  detail::Readers<T> columns_;
};

// The rows of a batch, for functions that want them all at once (process_batch).
//
//   rows.process_batch([](const drey::Rows<Reading>& rows, drey::Out<double>& out) {
//     double sum = 0;
//     for (std::size_t k = 0; k < rows.size(); ++k) sum += rows[k].value;
//     out.emit(sum);
//   });
template <class T>
class Rows {
 public:
  explicit Rows(const drey_batch& batch) : batch_(batch), reader_(batch) {}
  std::size_t size() const { return batch_.rows; }
  DREY_INLINE_ T operator[](std::size_t k) const { return reader_.read(physical(k)); }
  bool has_times() const { return batch_.row_times != nullptr; }
  Timestamp time(std::size_t k) const { return {batch_.row_times[physical(k)]}; }
  // The columns themselves, in Arrow's layout: see abi.h.
  const drey_batch& batch() const { return batch_; }

 private:
  DREY_INLINE_ std::uint32_t physical(std::size_t k) const {
    return batch_.selection != nullptr ? batch_.selection[k] : static_cast<std::uint32_t>(k);
  }
  const drey_batch& batch_;
  RowReader<T> reader_;
};

// Collects records of type T: the `out` of a function.
//
//   words.flat_map([](const drey::Text& line, drey::Out<Word>& out) { out.emit({line, 1}); });
template <class T>
class Out final : public detail::Output {
 public:
  // Emits with the time of the row (or timer, or window) that is being processed.
  DREY_INLINE_ void emit(const T& value) { emit_at(value, has_time_, from_ != nullptr ? from_[at_] : time_); }
  DREY_INLINE_ void emit(const T& value, Timestamp at) { emit_at(value, true, at.ms); }
  void operator()(const T& value) { emit(value); }
  // Emits the row that is being processed as it is: without copying, where its columns are those of
  // T. Only in a process function whose input and output have the same type.
  DREY_INLINE_ void pass() {
    if (passes_) [[likely]] {
      passed_.push_back(at_);
    } else {
      pass_copy();
    }
  }

  // --- for operators ---
  // Emits f(physical row, k) for all rows of the batch: the tight loop behind map.
  template <class F>
  void emit_all(const drey_batch& b, F&& f) {
    if (b.rows == 0) return;
    input(&b);
    begin(b.rows);
    detail::Writers<T> w = columns_;
    detail::for_rows(b, [&](std::uint32_t i, std::uint32_t k) { w.put(k, f(i, k), *this); });
    if (b.row_times != nullptr) {
      std::int64_t* to = times_;
      const std::int64_t* from = b.row_times;
      detail::for_rows(b, [&](std::uint32_t i, std::uint32_t k) { to[k] = from[i]; });
      timed_ = true;
    }
    row_ = b.rows;
    flush();
  }
  // Writes f(k), k = 0 .. n-1, into a batch of the host (n <= capacity).
  template <class F>
  void fill(drey_builder* builder, std::uint32_t n, F&& f) {
    borrow(builder);
    detail::Writers<T> w = columns_;
    for (std::uint32_t k = 0; k < n; ++k) w.put(k, f(k), *this);
    row_ = n;
    end();
  }
  void flush() {
    if (!passed_.empty()) pass_on();
    if (builder_ != nullptr) end();
  }
  // Whether rows of the batch are of type T, and have no more columns than T.
  void may_pass(bool same_type, bool same_columns) {
    passes_ = same_type && same_columns;
    may_copy_ = same_type;
    if (passes_) passed_.reserve(input_->rows);
  }
  void discard() {
    if (builder_ == nullptr) return;
    if (own_) host_->batch_drop(task_, builder_);
    builder_ = nullptr;
  }
  void use(drey_builder* builder) { borrow(builder); }
  std::uint32_t rows() const { return builder_ == nullptr ? 0 : row_; }

 private:
  DREY_INLINE_ void emit_at(const T& value, bool has_time, std::int64_t at) {
    if (builder_ == nullptr) [[unlikely]]
      start();
    const std::uint32_t row = row_;
    columns_.put(row, value, *this);
    if (has_time) {
      if (!timed_ && row > 0) [[unlikely]]
        backfill();
      times_[row] = at;
      timed_ = true;
    } else if (timed_) {
      times_[row] = INT64_MIN;
    }
    row_ = row + 1;
    if (row_ == capacity_ && own_) [[unlikely]]
      flush();
  }
  // What has been passed on goes first; what comes after is copied, to keep the order.
  void start() {
    if (!passed_.empty()) pass_on();
    passes_ = false;
    begin(kCapacity);
  }
  void pass_on() {
    const int rc = host_->emit_rows(task_, output_, input_, passed_.data(), static_cast<std::uint32_t>(passed_.size()));
    passed_.clear();
    detail::check(rc);
  }
  void pass_copy() {
    if (!may_copy_ || input_ == nullptr) {
      throw std::logic_error("out.pass(): there is no row of this type to pass on");
    }
    emit(RowReader<T>(*input_).read(at_));
  }
  void backfill() {
    for (std::uint32_t k = 0; k < row_; ++k) times_[k] = INT64_MIN;
  }
  void bind() override { columns_.bind(builder_->columns); }

  detail::Writers<T> columns_;
  std::vector<std::uint32_t> passed_;
  bool passes_ = false;
  bool may_copy_ = false;
};

}  // namespace api
}  // namespace drey
