// Keys: from key columns to one byte string (a view) and its hash; key groups.
//
// Encoding (also in the ABI's terms: what drey_keys and drey_timer carry), version kKeyVersion:
//   one column    fixed width: its little-endian bytes (bool: one byte); text and bytes: themselves;
//                 null: size 0 with the inline bytes ff ff ff ff (differs from the empty text)
//   more columns  per column one byte (1 = value, 0 = null), then the fixed-width bytes, or u32 size + text
// Floating point: -0.0 counts as 0.0 and every NaN as one NaN. Decimals of one scale compare by value.
// Structs and lists cannot be keys (refused at submission).
//
// Hash: inline views fold both halves by a 64x64 multiply; longer ones are XXH3. Versioned in snapshots.
// The high 32 bits choose the key group; tables use other bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "data/row_batch.h"
#include "data/view.h"

namespace drey::data {

inline constexpr std::uint32_t kKeyVersion = 1;

namespace detail {
inline std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
std::uint64_t hash_far(const View& v);
}  // namespace detail

// Of an inline view.
inline std::uint64_t hash_of(const ViewWords& w) {
  return detail::fold(detail::fold(w.low ^ 0x9E3779B97F4A7C15ULL, w.high ^ 0xA0761D6478BD642FULL),
                      0xE7037ED1A0B428DBULL);
}
inline std::uint64_t hash_of(const View& v) { return is_inline(v) ? hash_of(words_of(v)) : detail::hash_far(v); }

// maxParallelism key groups; group = high32(hash) * max >> 32.
inline std::uint32_t key_group_of(std::uint64_t hash, std::uint32_t max_parallelism) {
  return static_cast<std::uint32_t>(((hash >> 32) * max_parallelism) >> 32);
}
// Flink's range rule: the subtask that owns a group.
inline std::uint32_t subtask_of(std::uint32_t group, std::uint32_t parallelism, std::uint32_t max_parallelism) {
  return group * parallelism / max_parallelism;
}
// Groups of a subtask: [first, last].
struct KeyGroupRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  bool contains(std::uint32_t group) const { return group >= first && group <= last; }
};
KeyGroupRange key_groups_of(std::uint32_t subtask, std::uint32_t parallelism, std::uint32_t max_parallelism);

// A key column as the encoder needs it; key_columns() makes them.
struct KeyColumn {
  std::uint32_t index;
  TypeKind kind;
  std::uint32_t width;
};
// REQUIRES: check_key_columns() passed.
std::vector<KeyColumn> key_columns(const Schema& schema, std::span<const std::uint32_t> columns);

// Keys and hashes of the rows of a batch, in row order. Reused from batch to batch; far views point into
// the batch or into `text`. Threading: one owner.
class KeyVector {
 public:
  void encode(const RowBatch& batch, std::span<const KeyColumn> columns);
  // The hashes alone; what keys() is afterwards is not said.
  void hash(const RowBatch& batch, std::span<const KeyColumn> columns);
  std::span<const View> keys() const { return keys_; }
  std::span<const std::uint64_t> hashes() const { return hashes_; }
  drey_keys abi() const { return {keys_.data(), hashes_.data()}; }

 private:
  void encode_one(const RowBatch& batch, const KeyColumn& column);
  void encode_many(const RowBatch& batch, std::span<const KeyColumn> columns);

  std::vector<View> keys_;
  std::vector<std::uint64_t> hashes_;
  std::vector<char> text_;
  std::vector<std::size_t> ends_;
};

// FAILS WITH: kInvalidArgument naming the column that cannot be part of a key.
Status check_key_columns(const Schema& schema, std::span<const std::uint32_t> columns);

}  // namespace drey::data
