// RowBatch: rows with equal columns, immutable; the unit of work and of exchange.
//
// Layout is the ABI's (drey_batch): Arrow columns, optional selection, row times, row kinds, arenas that
// far text points into. One pooled block holds header, columns and buffers of a built batch; a batch
// that selects rows of another shares its columns.
// Threading: immutable, shared between threads by reference count.
//
// BatchBuilder: makes one. Threading: one owner. The ABI's drey_builder is its face for user code.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/memory.h"
#include "data/type.h"
#include "data/view.h"

namespace drey::data {

class RowBatch;

class BatchRef {
 public:
  BatchRef() = default;
  explicit BatchRef(RowBatch* batch) : batch_(batch) {}  // takes the reference
  BatchRef(const BatchRef& other);
  BatchRef(BatchRef&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
  BatchRef& operator=(BatchRef other) noexcept {
    std::swap(batch_, other.batch_);
    return *this;
  }
  ~BatchRef();
  const RowBatch* get() const { return batch_; }
  const RowBatch* operator->() const { return batch_; }
  const RowBatch& operator*() const { return *batch_; }
  explicit operator bool() const { return batch_ != nullptr; }
  // For passing through C: gives up / takes back the reference.
  RowBatch* detach() { return std::exchange(batch_, nullptr); }

 private:
  RowBatch* batch_ = nullptr;
};

class RowBatch {
 public:
  RowBatch(const RowBatch&) = delete;
  RowBatch& operator=(const RowBatch&) = delete;

  // The rows `ids` (physical, ascending) of `source`. ENSURES: never a chain: a selection of a selection
  // refers to the first batch.
  static BatchRef select(const BatchRef& source, std::span<const std::uint32_t> ids, BlockPool& pool);
  // The same rows with event times of their own (one per physical row).
  static BatchRef with_times(const BatchRef& source, std::span<const std::int64_t> times, BlockPool& pool);

  const drey_batch& abi() const { return abi_; }
  std::uint32_t rows() const { return abi_.rows; }
  std::uint32_t physical_rows() const { return abi_.physical_rows; }
  std::uint32_t columns() const { return abi_.column_count; }
  const std::uint32_t* selection() const { return abi_.selection; }
  // Physical row of row i.
  std::uint32_t physical(std::uint32_t i) const { return abi_.selection != nullptr ? abi_.selection[i] : i; }
  const ArrowArray& column(std::size_t c) const { return *abi_.columns[c]; }
  template <typename T>
  const T* values(std::size_t c) const {
    return static_cast<const T*>(abi_.columns[c]->buffers[1]);
  }
  const std::uint64_t* validity(std::size_t c) const {
    return static_cast<const std::uint64_t*>(abi_.columns[c]->buffers[0]);
  }
  const std::int64_t* row_times() const { return abi_.row_times; }
  const std::int8_t* row_kinds() const { return abi_.row_kinds; }
  // Column bytes of the rows that count: fixed widths times rows plus far text. What channels bound and
  // numBytesIn/Out count.
  std::uint64_t bytes() const { return bytes_; }
  std::span<const BlockRef> arenas() const { return arenas_; }

 private:
  friend class BatchBuilder;
  friend class BatchRef;
  RowBatch() = default;
  static BatchRef derive(const BatchRef& source);

  drey_batch abi_{};
  std::uint64_t bytes_ = 0;
  BlockRef block_;  // header, columns, buffers (built), or the selection (selected)
  BlockRef extra_;  // times of with_times
  BatchRef base_;   // whose columns a selected batch shares
  std::vector<BlockRef> arenas_;
  std::vector<drey_span> arena_spans_;
  std::array<std::uint32_t, 5> few_{};  // a selection that needs no block
  std::atomic<std::uint32_t> references_{1};
};

inline BatchRef::BatchRef(const BatchRef& other) : batch_(other.batch_) {
  if (batch_ != nullptr) batch_->references_.fetch_add(1, std::memory_order_relaxed);
}

inline bool is_valid(const std::uint64_t* bits, std::uint32_t row) {
  return bits == nullptr || ((bits[row / 64] >> (row % 64)) & 1) != 0;
}
inline bool get_bit(const void* bits, std::uint32_t row) {
  return ((static_cast<const std::uint64_t*>(bits)[row / 64] >> (row % 64)) & 1) != 0;
}
inline void set_bit(void* bits, std::uint32_t row, bool value) {
  auto& word = static_cast<std::uint64_t*>(bits)[row / 64];
  const std::uint64_t mask = std::uint64_t{1} << (row % 64);
  word = value ? word | mask : word & ~mask;
}

// Default and largest number of rows of a batch that the engine builds, and its bytes (engine.md 1.3).
inline constexpr std::uint32_t kBatchRows = 1024;
inline constexpr std::uint64_t kBatchBytesMax = 256u << 10;

class BatchBuilder {
 public:
  // `schema` must outlive the builder.
  BatchBuilder(const Schema& schema, std::uint32_t capacity, BlockPool& pool);
  ~BatchBuilder();
  BatchBuilder(const BatchBuilder&) = delete;
  BatchBuilder& operator=(const BatchBuilder&) = delete;

  // The ABI's face; its `host` member points back here.
  drey_builder& abi() { return abi_; }
  static BatchBuilder& of(drey_builder& builder) { return *static_cast<BatchBuilder*>(builder.host); }

  std::uint32_t rows() const { return abi_.rows; }
  std::uint32_t capacity() const { return abi_.capacity; }
  bool is_full() const { return abi_.rows == abi_.capacity; }
  template <typename T>
  T* values(std::size_t c) {
    return static_cast<T*>(abi_.columns[c].values);
  }
  void set_null(std::size_t c, std::uint32_t row) {
    set_bit(abi_.columns[c].validity, row, false);
    abi_.columns[c].has_nulls = 1;
  }
  // Room for text that lives as long as the batch. Never null.
  char* text(std::size_t size);
  // A view of a copy of `text` (inline when short).
  View copy_text(std::string_view text);
  // Keeps another batch's arenas alive: its far views may be written here as they are.
  void share_arenas(const RowBatch& batch);
  // Keeps a block alive that far views written here point into.
  void share_arena(const BlockRef& arena);
  void reserve_list(drey_builder_column& list, std::uint32_t child_capacity);

  // Appends rows (physical ids) of a batch of the same schema: values are copied, far text is shared.
  // REQUIRES: rows() + ids.size() <= capacity().
  void append(const RowBatch& batch, std::span<const std::uint32_t> ids);
  // Bytes written so far, as RowBatch::bytes will say (approximate for lists).
  std::uint64_t bytes() const;

  // The batch; the builder is spent. REQUIRES: 0 < rows() <= capacity().
  BatchRef build() { return build(bytes()); }
  // A copy of a batch that says of itself to hold `bytes`.
  BatchRef build(std::uint64_t bytes);

 private:
  void lay_out_columns();

  const Schema& schema_;
  BlockPool& pool_;
  drey_builder abi_{};
  BlockRef block_;
  char* cursor_ = nullptr;       // next free byte of block_ while laying out
  std::vector<BlockRef> lists_;  // buffers of list children
  std::vector<BlockRef> arenas_;
  const RowBatch* last_shared_ = nullptr;
  std::size_t own_arena_ = 0;  // index + 1 of the arena that text() fills
  std::size_t own_arena_used_ = 0;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace drey::data
