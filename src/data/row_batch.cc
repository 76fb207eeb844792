#include "data/row_batch.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

namespace drey::data {
namespace {

constexpr std::size_t kTextBlockBytes = 64u << 10;

std::size_t aligned(std::size_t bytes) { return (bytes + 63) & ~std::size_t{63}; }
std::size_t bitmap_bytes(std::uint32_t rows) { return aligned((std::size_t{rows} + 63) / 64 * 8); }

std::size_t value_bytes(const Type& type, std::uint32_t capacity) {
  switch (type.kind) {
    case TypeKind::kBool:
      return bitmap_bytes(capacity);
    case TypeKind::kList:
      return aligned((std::size_t{capacity} + 1) * 4);
    case TypeKind::kStruct:
      return 0;
    default:
      return aligned(std::size_t{type.width()} * capacity);
  }
}

// Bytes that allocate_column() takes for a column of this type; list children have blocks of their own.
std::size_t column_bytes(const Type& type, std::uint32_t capacity) {
  std::size_t bytes = bitmap_bytes(capacity) + value_bytes(type, capacity);
  bytes += aligned(type.children.size() * sizeof(drey_builder_column));
  if (type.kind == TypeKind::kStruct) {
    for (const Field& child : type.children) bytes += column_bytes(child.type, capacity);
  }
  return bytes;
}

char* take(char*& cursor, std::size_t bytes) {
  char* at = cursor;
  cursor += aligned(bytes);
  return at;
}

void allocate_column(drey_builder_column& column, const Type& type, std::uint32_t capacity, char*& cursor) {
  column = {};
  column.validity = reinterpret_cast<std::uint64_t*>(take(cursor, bitmap_bytes(capacity)));
  std::memset(column.validity, 0xff, bitmap_bytes(capacity));
  if (const std::size_t bytes = value_bytes(type, capacity); bytes != 0) {
    column.values = take(cursor, bytes);
    if (type.kind == TypeKind::kList) static_cast<std::int32_t*>(column.values)[0] = 0;
  }
  if (type.children.empty()) return;
  column.child_count = static_cast<std::uint32_t>(type.children.size());
  column.children =
      reinterpret_cast<drey_builder_column*>(take(cursor, type.children.size() * sizeof(drey_builder_column)));
  if (type.kind == TypeKind::kStruct) {
    for (std::size_t i = 0; i < type.children.size(); ++i) {
      allocate_column(column.children[i], type.children[i].type, capacity, cursor);
    }
  } else {
    column.children[0] = {};
  }
}

// Copies the first `rows` rows of a column into a larger one of the same type.
void copy_column(const drey_builder_column& from, drey_builder_column& to, const Type& type, std::uint32_t rows) {
  std::memcpy(to.validity, from.validity, (std::size_t{rows} + 63) / 64 * 8);
  to.has_nulls = from.has_nulls;
  if (type.kind == TypeKind::kBool) {
    std::memcpy(to.values, from.values, (std::size_t{rows} + 63) / 64 * 8);
  } else if (type.kind == TypeKind::kList) {
    std::memcpy(to.values, from.values, (std::size_t{rows} + 1) * 4);
    to.children[0] = from.children[0];
    to.child_capacity = from.child_capacity;
    to.child_rows = from.child_rows;
  } else if (type.kind == TypeKind::kStruct) {
    for (std::uint32_t i = 0; i < to.child_count; ++i) {
      copy_column(from.children[i], to.children[i], type.children[i].type, rows);
    }
  } else {
    std::memcpy(to.values, from.values, std::size_t{type.width()} * rows);
  }
}

template <typename T>
void gather(const void* from, void* to, std::span<const std::uint32_t> ids, std::uint32_t at) {
  const T* source = static_cast<const T*>(from);
  T* target = static_cast<T*>(to) + at;
  for (std::size_t i = 0; i < ids.size(); ++i) target[i] = source[ids[i]];
}

struct Wide16 {
  std::uint64_t a, b;
};

// The views of null rows are whatever lay in the block.
std::uint64_t far_bytes(const drey_builder_column& column, std::uint32_t rows) {
  const View* views = static_cast<const View*>(column.values);
  const auto far = [&](std::uint32_t i) { return is_inline(views[i]) ? 0 : std::uint64_t{views[i].size}; };
  std::uint64_t bytes = 0;
  if (column.has_nulls != 0) {
    for (std::uint32_t i = 0; i < rows; ++i) bytes += get_bit(column.validity, i) ? far(i) : 0;
    return bytes;
  }
#pragma GCC unroll 4
  for (std::uint32_t i = 0; i < rows; ++i) bytes += far(i);
  return bytes;
}

std::uint64_t bytes_of(const drey_builder_column& column, const Type& type, std::uint32_t rows) {
  switch (type.kind) {
    case TypeKind::kBool:
      return (rows + 7) / 8;
    case TypeKind::kStruct: {
      std::uint64_t bytes = 0;
      for (std::uint32_t i = 0; i < column.child_count; ++i) {
        bytes += bytes_of(column.children[i], type.children[i].type, rows);
      }
      return bytes;
    }
    case TypeKind::kList:
      return std::uint64_t{4} * rows +
             (column.child_rows == 0 ? 0 : bytes_of(column.children[0], type.children[0].type, column.child_rows));
    case TypeKind::kText:
    case TypeKind::kBytes:
      return std::uint64_t{16} * rows + far_bytes(column, rows);
    default:
      return std::uint64_t{type.width()} * rows;
  }
}

// Fills ArrowArrays (and their buffer and child arrays) from builder columns.
struct ArrayWriter {
  char*& cursor;

  ArrowArray* write(const drey_builder_column& column, const Type& type, std::uint32_t rows) {
    auto* array = new (take(cursor, sizeof(ArrowArray))) ArrowArray{};
    char* memory = take(cursor, (2 + type.children.size()) * sizeof(void*));
    auto** tables = reinterpret_cast<const void**>(memory);
    array->length = rows;
    array->null_count = column.has_nulls != 0 ? -1 : 0;
    array->n_buffers = type.kind == TypeKind::kStruct ? 1 : 2;
    array->buffers = tables;
    tables[0] = column.has_nulls != 0 ? column.validity : nullptr;
    tables[1] = column.values;
    array->n_children = static_cast<std::int64_t>(type.children.size());
    array->children = reinterpret_cast<ArrowArray**>(memory + 2 * sizeof(void*));
    // What lies in a list that no row has anything in was never laid out.
    static const drey_builder_column kNothing{};
    for (std::size_t i = 0; i < type.children.size(); ++i) {
      const std::uint32_t child_rows = type.kind == TypeKind::kList ? column.child_rows : rows;
      const drey_builder_column& child = column.children != nullptr ? column.children[i] : kNothing;
      array->children[i] = write(child, type.children[i].type, child_rows);
    }
    return array;
  }
};

// Per node: the array and its two small tables, each rounded up to a cache line.
std::size_t array_bytes(const Type& type) {
  std::size_t bytes = aligned(sizeof(ArrowArray)) + aligned((2 + type.children.size()) * sizeof(void*));
  for (const Field& child : type.children) bytes += array_bytes(child.type);
  return bytes;
}

}  // namespace

BatchRef::~BatchRef() {
  if (batch_ != nullptr && batch_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete batch_;
}

BatchRef RowBatch::derive(const BatchRef& source) {
  auto* batch = new RowBatch();
  batch->abi_ = source->abi_;
  batch->base_ = source->base_ ? source->base_ : source;
  // The base keeps arenas and columns alive; spans point into the base's vectors.
  batch->arenas_ = {};
  batch->extra_ = source->extra_;
  return BatchRef(batch);
}

BatchRef RowBatch::select(const BatchRef& source, std::span<const std::uint32_t> ids, BlockPool& pool) {
  DREY_CHECK(!ids.empty());
  DREY_DCHECK(ids.back() < source->physical_rows());
  BatchRef derived = derive(source);
  RowBatch* batch = derived.detach();
  std::uint32_t* selection = batch->few_.data();
  if (ids.size() > batch->few_.size()) {
    batch->block_ = pool.allocate(ids.size() * sizeof(std::uint32_t));
    selection = reinterpret_cast<std::uint32_t*>(batch->block_->data());
  }
  std::memcpy(selection, ids.data(), ids.size() * sizeof(std::uint32_t));
  batch->abi_.rows = static_cast<std::uint32_t>(ids.size());
  batch->abi_.selection = selection;
  batch->bytes_ = source->bytes_ * ids.size() / source->rows();
  return BatchRef(batch);
}

BatchRef RowBatch::with_times(const BatchRef& source, std::span<const std::int64_t> times, BlockPool& pool) {
  DREY_CHECK_EQ(times.size(), source->physical_rows());
  BatchRef derived = derive(source);
  RowBatch* batch = derived.detach();
  batch->block_ = source->block_;  // keeps a selection alive
  if (source->abi_.selection == source->few_.data()) {
    batch->few_ = source->few_;
    batch->abi_.selection = batch->few_.data();
  }
  batch->extra_ = pool.allocate(times.size_bytes());
  std::memcpy(batch->extra_->data(), times.data(), times.size_bytes());
  batch->abi_.row_times = reinterpret_cast<const std::int64_t*>(batch->extra_->data());
  batch->bytes_ = source->bytes_;
  return BatchRef(batch);
}

BatchBuilder::BatchBuilder(const Schema& schema, std::uint32_t capacity, BlockPool& pool)
    : schema_(schema), pool_(pool) {
  DREY_CHECK_GT(capacity, 0u);
  std::size_t bytes = aligned(std::size_t{capacity} * 8) + aligned(capacity);
  bytes += aligned(schema.size() * sizeof(drey_builder_column));
  bytes += aligned(schema.size() * sizeof(ArrowArray*));
  for (const Field& field : schema.fields()) {
    bytes += column_bytes(field.type, capacity) + array_bytes(field.type);
  }
  block_ = pool.allocate(bytes + 64);
  cursor_ = block_->data();
  abi_.capacity = capacity;
  abi_.column_count = static_cast<std::uint32_t>(schema.size());
  abi_.host = this;
  abi_.columns = reinterpret_cast<drey_builder_column*>(take(cursor_, schema.size() * sizeof(drey_builder_column)));
  lay_out_columns();
}

BatchBuilder::~BatchBuilder() = default;

void BatchBuilder::lay_out_columns() {
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    allocate_column(abi_.columns[c], schema_[c].type, abi_.capacity, cursor_);
  }
  abi_.row_times = reinterpret_cast<std::int64_t*>(take(cursor_, std::size_t{abi_.capacity} * 8));
  abi_.row_kinds = reinterpret_cast<std::int8_t*>(take(cursor_, abi_.capacity));
}

char* BatchBuilder::text(std::size_t size) {
  text_bytes_ += size;
  if (own_arena_ == 0 || arenas_[own_arena_ - 1]->capacity() - own_arena_used_ < size) {
    const std::size_t wanted = std::max(size, kTextBlockBytes - Block::kHeaderBytes);
    arenas_.push_back(pool_.allocate(wanted));
    own_arena_ = arenas_.size();
    own_arena_used_ = 0;
  }
  char* at = arenas_[own_arena_ - 1]->data() + own_arena_used_;
  own_arena_used_ += size;
  return at;
}

View BatchBuilder::copy_text(std::string_view text_to_copy) {
  if (text_to_copy.size() <= DREY_VIEW_INLINE_MAX) return make_view(text_to_copy);
  char* at = text(text_to_copy.size());
  std::memcpy(at, text_to_copy.data(), text_to_copy.size());
  return make_view(at, text_to_copy.size());
}

void BatchBuilder::share_arenas(const RowBatch& batch) {
  const RowBatch& base = batch.base_ ? *batch.base_ : batch;
  if (&base == last_shared_) return;
  last_shared_ = &base;
  for (const BlockRef& arena : base.arenas_) share_arena(arena);
}

void BatchBuilder::share_arena(const BlockRef& arena) {
  const auto same = [&](const BlockRef& mine) { return mine.get() == arena.get(); };
  if (std::none_of(arenas_.begin(), arenas_.end(), same)) arenas_.push_back(arena);
}

void BatchBuilder::reserve_list(drey_builder_column& list, std::uint32_t child_capacity) {
  if (child_capacity <= list.child_capacity) return;
  child_capacity = std::max({child_capacity, list.child_capacity * 2, 64u});
  // The column's type: found by walking the schema beside the builder's columns.
  const Type* type = nullptr;
  auto find = [&](auto&& self, drey_builder_column& column, const Type& t) -> void {
    if (&column == &list) type = &t;
    for (std::uint32_t i = 0; i < column.child_count && type == nullptr; ++i) {
      if (t.kind == TypeKind::kStruct || column.child_capacity > 0) {
        self(self, column.children[i], t.children[i].type);
      }
    }
  };
  for (std::size_t c = 0; c < schema_.size() && type == nullptr; ++c) {
    find(find, abi_.columns[c], schema_[c].type);
  }
  DREY_CHECK(type != nullptr && type->kind == TypeKind::kList);
  const Type& child_type = type->children[0].type;
  BlockRef block = pool_.allocate(column_bytes(child_type, child_capacity) + 64);
  char* cursor = block->data();
  drey_builder_column grown;
  allocate_column(grown, child_type, child_capacity, cursor);
  if (list.child_capacity > 0) copy_column(list.children[0], grown, child_type, list.child_rows);
  list.children[0] = grown;
  list.child_capacity = child_capacity;
  lists_.push_back(std::move(block));
}

void BatchBuilder::append(const RowBatch& batch, std::span<const std::uint32_t> ids) {
  DREY_CHECK_LE(rows() + ids.size(), capacity());
  const std::uint32_t at = rows();
  bool shares = false;
  auto copy = [&](auto&& self, const ArrowArray& from, drey_builder_column& to, const Type& type,
                  std::span<const std::uint32_t> rows_to_copy, std::uint32_t to_row) -> void {
    const auto* bits = static_cast<const std::uint64_t*>(from.buffers[0]);
    if (bits != nullptr) {
      for (std::size_t i = 0; i < rows_to_copy.size(); ++i) {
        if (!is_valid(bits, rows_to_copy[i])) {
          set_bit(to.validity, to_row + static_cast<std::uint32_t>(i), false);
          to.has_nulls = 1;
        }
      }
    }
    switch (type.kind) {
      case TypeKind::kBool:
        for (std::size_t i = 0; i < rows_to_copy.size(); ++i) {
          set_bit(to.values, to_row + static_cast<std::uint32_t>(i), get_bit(from.buffers[1], rows_to_copy[i]));
        }
        break;
      case TypeKind::kStruct:
        for (std::uint32_t i = 0; i < to.child_count; ++i) {
          self(self, *from.children[i], to.children[i], type.children[i].type, rows_to_copy, to_row);
        }
        break;
      case TypeKind::kList: {
        const auto* offsets = static_cast<const std::int32_t*>(from.buffers[1]);
        auto* out = static_cast<std::int32_t*>(to.values);
        std::vector<std::uint32_t> children;
        for (std::size_t i = 0; i < rows_to_copy.size(); ++i) {
          for (std::int32_t k = offsets[rows_to_copy[i]]; k < offsets[rows_to_copy[i] + 1]; ++k) {
            children.push_back(static_cast<std::uint32_t>(k));
          }
          out[to_row + i + 1] = static_cast<std::int32_t>(to.child_rows + children.size());
        }
        if (!children.empty()) {
          const auto total = static_cast<std::uint32_t>(to.child_rows + children.size());
          reserve_list(to, total);
          self(self, *from.children[0], to.children[0], type.children[0].type, children, to.child_rows);
          to.child_rows = total;
        }
        break;
      }
      case TypeKind::kText:
      case TypeKind::kBytes:
        shares = true;
        gather<Wide16>(from.buffers[1], to.values, rows_to_copy, to_row);
        break;
      default:
        switch (type.width()) {
          case 1:
            gather<std::uint8_t>(from.buffers[1], to.values, rows_to_copy, to_row);
            break;
          case 2:
            gather<std::uint16_t>(from.buffers[1], to.values, rows_to_copy, to_row);
            break;
          case 4:
            gather<std::uint32_t>(from.buffers[1], to.values, rows_to_copy, to_row);
            break;
          case 8:
            gather<std::uint64_t>(from.buffers[1], to.values, rows_to_copy, to_row);
            break;
          default:
            gather<Wide16>(from.buffers[1], to.values, rows_to_copy, to_row);
            break;
        }
    }
  };
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    copy(copy, batch.column(c), abi_.columns[c], schema_[c].type, ids, at);
  }
  if (shares) share_arenas(batch);
  if (batch.row_times() != nullptr) {
    abi_.has_row_times = 1;
    gather<std::int64_t>(batch.row_times(), abi_.row_times, ids, at);
  }
  if (batch.row_kinds() != nullptr) {
    if (abi_.has_row_kinds == 0) std::memset(abi_.row_kinds, 0, at);
    abi_.has_row_kinds = 1;
    gather<std::int8_t>(batch.row_kinds(), abi_.row_kinds, ids, at);
  } else if (abi_.has_row_kinds != 0) {
    std::memset(abi_.row_kinds + at, 0, ids.size());
  }
  abi_.rows += static_cast<std::uint32_t>(ids.size());
}

std::uint64_t BatchBuilder::bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    bytes += bytes_of(abi_.columns[c], schema_[c].type, abi_.rows);
  }
  return bytes;
}

BatchRef BatchBuilder::build(std::uint64_t bytes) {
  DREY_CHECK_GT(rows(), 0u);
  DREY_CHECK_LE(rows(), capacity());
  auto* batch = new RowBatch();
  batch->bytes_ = bytes;
  drey_batch& out = batch->abi_;
  out.physical_rows = abi_.rows;
  out.rows = abi_.rows;
  out.column_count = abi_.column_count;
  auto** arrays = reinterpret_cast<ArrowArray**>(take(cursor_, schema_.size() * sizeof(ArrowArray*)));
  ArrayWriter writer{cursor_};
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    arrays[c] = writer.write(abi_.columns[c], schema_[c].type, abi_.rows);
  }
  DREY_CHECK_LE(static_cast<std::size_t>(cursor_ - block_->data()), block_->capacity());
  out.columns = arrays;
  out.row_times = abi_.has_row_times != 0 ? abi_.row_times : nullptr;
  out.row_kinds = abi_.has_row_kinds != 0 ? abi_.row_kinds : nullptr;
  batch->block_ = std::move(block_);
  batch->arenas_ = std::move(arenas_);
  for (BlockRef& list : lists_) batch->arenas_.push_back(std::move(list));
  batch->arena_spans_.reserve(batch->arenas_.size());
  for (const BlockRef& arena : batch->arenas_) {
    batch->arena_spans_.push_back({arena->data(), arena->capacity()});
  }
  out.arenas = batch->arena_spans_.data();
  out.arena_count = static_cast<std::uint32_t>(batch->arena_spans_.size());
  return BatchRef(batch);
}

}  // namespace drey::data
