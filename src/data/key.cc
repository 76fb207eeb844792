#include "data/key.h"

#include <bit>
#include <cmath>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace drey::data {
namespace {

constexpr std::uint64_t kNanDouble = 0x7FF8000000000000ULL;
constexpr std::uint32_t kNanFloat = 0x7FC00000U;

View null_key() {
  View v{};
  std::memset(v.u.inlined, 0xff, 4);
  return v;
}

// The view of a value of `width` bytes; `bits` are its little-endian ones, zero-extended.
ViewWords fixed_words(std::uint64_t bits, std::uint32_t width) { return {bits << 32 | width, bits >> 32}; }

// Calls body(i, physical row of row i).
template <typename Body>
void for_rows(const RowBatch& batch, Body&& body) {
  const std::uint32_t rows = batch.rows();
  if (const std::uint32_t* selection = batch.selection(); selection != nullptr) {
    for (std::uint32_t i = 0; i < rows; ++i) body(i, selection[i]);
  } else {
    for (std::uint32_t i = 0; i < rows; ++i) body(i, i);
  }
}

}  // namespace

std::uint64_t detail::hash_far(const View& v) { return XXH3_64bits(v.u.far.data, v.size); }

KeyGroupRange key_groups_of(std::uint32_t subtask, std::uint32_t parallelism, std::uint32_t max_parallelism) {
  // Inverse of subtask_of: ceil(subtask * max / p) .. ceil((subtask + 1) * max / p) - 1.
  const std::uint32_t first = (subtask * max_parallelism + parallelism - 1) / parallelism;
  const std::uint32_t end = ((subtask + 1) * max_parallelism + parallelism - 1) / parallelism;
  return {first, end - 1};
}

Status check_key_columns(const Schema& schema, std::span<const std::uint32_t> columns) {
  for (const std::uint32_t c : columns) {
    if (c >= schema.size()) {
      return fail(Code::kInvalidArgument, fmt::format("Key column {} does not exist: columns={}", c, schema.size()));
    }
    const TypeKind kind = schema[c].type.kind;
    if (kind == TypeKind::kStruct || kind == TypeKind::kList) {
      return fail(Code::kInvalidArgument,
                  fmt::format("Column '{}' cannot be part of a key: it is a nested record or a list", schema[c].name));
    }
  }
  if (columns.empty()) return fail(Code::kInvalidArgument, "A hash edge needs at least one key column");
  return {};
}

namespace {

// How a column's bits become key bits. The batch does not carry its schema, so the width of a value is told
// by the key's declaration (KeyColumn), not by the array.
std::uint64_t canonical(TypeKind kind, std::uint64_t bits) {
  if (kind == TypeKind::kDouble) {
    if (bits << 1 == 0) return 0;
    if (std::isnan(std::bit_cast<double>(bits))) return kNanDouble;
  } else if (kind == TypeKind::kFloat) {
    const auto narrow = static_cast<std::uint32_t>(bits);
    if (narrow << 1 == 0) return 0;
    if (std::isnan(std::bit_cast<float>(narrow))) return kNanFloat;
  }
  return bits;
}

}  // namespace

void KeyVector::encode(const RowBatch& batch, std::span<const KeyColumn> columns) {
  const std::uint32_t rows = batch.rows();
  keys_.resize(rows);
  hashes_.resize(rows);
  if (columns.size() == 1) {
    encode_one(batch, columns[0]);
  } else {
    encode_many(batch, columns);
  }
}

void KeyVector::hash(const RowBatch& batch, std::span<const KeyColumn> columns) {
  const KeyColumn& column = columns[0];
  const bool is_text = column.kind == TypeKind::kText || column.kind == TypeKind::kBytes;
  const bool is_word = column.width == 8 && column.kind != TypeKind::kDouble;
  if (columns.size() > 1 || !(is_text || is_word) || batch.validity(column.index) != nullptr) {
    encode(batch, columns);
    return;
  }
  // The usual cases: the key is never written down.
  hashes_.resize(batch.rows());
  std::uint64_t* const hashes = hashes_.data();
  if (is_text) {
    const View* views = batch.values<View>(column.index);
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) { hashes[i] = hash_of(views[row]); });
  } else {
    const auto* values = batch.values<std::uint64_t>(column.index);
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) { hashes[i] = hash_of(fixed_words(values[row], 8)); });
  }
}

void KeyVector::encode_one(const RowBatch& batch, const KeyColumn& column) {
  const std::uint64_t* valid = batch.validity(column.index);
  View* const keys = keys_.data();
  std::uint64_t* const hashes = hashes_.data();
  const auto put = [&](std::uint32_t i, const View& key) {
    keys[i] = key;
    hashes[i] = hash_of(key);
  };
  // Both halves of the view are stored as words: put together in memory first, they could only be read back after the
  // stores.
  const auto put_fixed = [&](std::uint32_t i, std::uint64_t bits, std::uint32_t width) {
    const ViewWords words = fixed_words(bits, width);
    std::memcpy(&keys[i], &words.low, 8);
    std::memcpy(reinterpret_cast<char*>(&keys[i]) + 8, &words.high, 8);
    hashes[i] = hash_of(words);
  };
  const auto put_null = [&](std::uint32_t i) { put(i, null_key()); };
  if (column.kind == TypeKind::kText || column.kind == TypeKind::kBytes) {
    const View* views = batch.values<View>(column.index);
    if (valid != nullptr) {
      for_rows(batch,
               [&](std::uint32_t i, std::uint32_t row) { put(i, is_valid(valid, row) ? views[row] : null_key()); });
    } else {
      for_rows(batch, [&](std::uint32_t i, std::uint32_t row) {
        const ViewWords words = words_of(views[row]);
        std::memcpy(&keys[i], &words, sizeof words);
        hashes[i] = is_inline(views[row]) ? hash_of(words) : detail::hash_far(views[row]);
      });
    }
  } else if (column.kind == TypeKind::kBool) {
    const void* bits = batch.column(column.index).buffers[1];
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) {
      is_valid(valid, row) ? put_fixed(i, get_bit(bits, row) ? 1 : 0, 1) : put_null(i);
    });
  } else if (column.width == 16) {
    const auto* bytes = batch.values<char>(column.index);
    text_.resize(std::size_t{batch.rows()} * 16);
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) {
      std::memcpy(&text_[std::size_t{i} * 16], bytes + std::size_t{row} * 16, 16);
      put(i, is_valid(valid, row) ? make_view(&text_[std::size_t{i} * 16], 16) : null_key());
    });
  } else if (column.width == 8 && valid == nullptr && column.kind != TypeKind::kDouble) {
    const auto* values = batch.values<std::uint64_t>(column.index);
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) { put_fixed(i, values[row], 8); });
  } else {
    const auto* bytes = batch.values<char>(column.index);
    for_rows(batch, [&](std::uint32_t i, std::uint32_t row) {
      if (!is_valid(valid, row)) return put_null(i);
      std::uint64_t bits = 0;
      std::memcpy(&bits, bytes + std::size_t{row} * column.width, column.width);
      put_fixed(i, canonical(column.kind, bits), column.width);
    });
  }
}

void KeyVector::encode_many(const RowBatch& batch, std::span<const KeyColumn> columns) {
  const std::uint32_t rows = batch.rows();
  text_.clear();
  std::vector<std::size_t>& ends = ends_;
  ends.resize(rows);
  for (std::uint32_t i = 0; i < rows; ++i) {
    const std::uint32_t row = batch.physical(i);
    for (const KeyColumn& column : columns) {
      if (!is_valid(batch.validity(column.index), row)) {
        text_.push_back(0);
        continue;
      }
      text_.push_back(1);
      if (column.kind == TypeKind::kText || column.kind == TypeKind::kBytes) {
        const View& v = batch.values<View>(column.index)[row];
        const char* size = reinterpret_cast<const char*>(&v.size);
        text_.insert(text_.end(), size, size + 4);
        text_.insert(text_.end(), data_of(v), data_of(v) + v.size);
      } else if (column.kind == TypeKind::kBool) {
        text_.push_back(get_bit(batch.column(column.index).buffers[1], row) ? 1 : 0);
      } else {
        char raw[16];
        const auto* bytes = batch.values<char>(column.index) + std::size_t{row} * column.width;
        std::memcpy(raw, bytes, column.width);
        if (column.width <= 8) {
          std::uint64_t bits = 0;
          std::memcpy(&bits, raw, column.width);
          bits = canonical(column.kind, bits);
          std::memcpy(raw, &bits, column.width);
        }
        text_.insert(text_.end(), raw, raw + column.width);
      }
    }
    ends[i] = text_.size();
  }
  std::size_t begin = 0;
  for (std::uint32_t i = 0; i < rows; ++i) {
    keys_[i] = make_view(text_.data() + begin, ends[i] - begin);
    hashes_[i] = hash_of(keys_[i]);
    begin = ends[i];
  }
}

std::vector<KeyColumn> key_columns(const Schema& schema, std::span<const std::uint32_t> columns) {
  std::vector<KeyColumn> out;
  for (const std::uint32_t c : columns) out.push_back({c, schema[c].type.kind, schema[c].type.width()});
  return out;
}

}  // namespace drey::data
