// RowIndex: from hashes to the addresses of rows. Never stored; a table builds it anew.
//
// Open addressing over buckets of eight entries, one cache line each: a lookup compares the tags of a whole bucket at
// once and goes on to the next one only where the bucket is full. An entry is tag << 48 | address, 0: free, 1: erased.
// Hash bits: the lowest choose the bucket, 32 to 46 are the tag; the highest, which choose the key group, are equal
// within a table more often than not. The index keeps no hashes: to grow it, whoever owns the rows inserts them again.
// Threading: one task.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "state/page.h"

namespace drey::state {

using Address = std::uint64_t;  // page << 16 | offset of the row in it; 48 bits; 0: none
inline constexpr Address kNoRow = 0;

class RowIndex {
 public:
  // Room for `rows` and some more; empty.
  explicit RowIndex(std::uint64_t rows = 0) : entries_(capacity_for(rows)), mask_(entries_.size() / kBucket - 1) {}

  bool has_room() const { return used_ * 4 < entries_.size() * 3; }
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(bucket(hash & mask_)); }

  // The first row whose tag is that of the hash: nearly always the one looked for, but its key decides. Or kNoRow.
  Address likely(std::uint64_t hash) const {
    return find(hash, [](Address) { return true; });
  }
  // The row that is_it(address) accepts, or kNoRow.
  template <typename IsIt>
  Address find(std::uint64_t hash, IsIt&& is_it) const {
    const std::uint64_t tag = tag_of(hash);
    for (std::uint64_t b = hash & mask_;; b = (b + 1) & mask_) {
      const std::uint64_t* entries = bucket(b);
      for (std::uint32_t hits = with_tag(entries, tag); hits != 0; hits &= hits - 1) {
        const Address row = entries[std::countr_zero(hits)] & kAddressMask;
        if (is_it(row)) return row;
      }
      if (free_ones(entries) != 0) return kNoRow;
    }
  }
  // REQUIRES: has_room(), and the row is not there.
  void insert(std::uint64_t hash, Address row);
  // REQUIRES: `from` is there under this hash.
  void replace(std::uint64_t hash, Address from, Address to) { *entry_of(hash, from) = tag_of(hash) << 48 | to; }
  void erase(std::uint64_t hash, Address row);

  // Calls visit(address) for every row, in the order of buckets.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i] > kErased) visit(entries_[i] & kAddressMask);
    }
  }

 private:
  static constexpr std::size_t kBucket = 8;
  static constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << 48) - 1;
  static constexpr std::uint64_t kErased = 1;

  static std::size_t capacity_for(std::uint64_t rows);
  // Never 0, which free and erased entries have.
  static std::uint64_t tag_of(std::uint64_t hash) { return (hash >> 32 & 0x7fff) | 0x8000; }
  const std::uint64_t* bucket(std::uint64_t b) const { return entries_.data() + b * kBucket; }
  std::uint64_t* entry_of(std::uint64_t hash, Address row);

  // One bit for each entry of a bucket.
#if defined(__AVX2__)
  static std::uint32_t equal(const std::uint64_t* entries, int shift, std::uint64_t value) {
    const __m256i wanted = _mm256_set1_epi64x(static_cast<long long>(value));
    const auto half = [&](const std::uint64_t* four) {
      const __m256i all = _mm256_load_si256(reinterpret_cast<const __m256i*>(four));
      const __m256i same = _mm256_cmpeq_epi64(_mm256_srli_epi64(all, shift), wanted);
      return static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(same)));
    };
    return half(entries) | half(entries + 4) << 4;
  }
#else
  static std::uint32_t equal(const std::uint64_t* entries, int shift, std::uint64_t value) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kBucket; ++i) bits |= static_cast<std::uint32_t>(entries[i] >> shift == value) << i;
    return bits;
  }
#endif
  static std::uint32_t with_tag(const std::uint64_t* entries, std::uint64_t tag) { return equal(entries, 48, tag); }
  static std::uint32_t free_ones(const std::uint64_t* entries) { return equal(entries, 0, 0); }

  HugeArray entries_;
  std::uint64_t mask_;
  std::size_t used_ = 0;  // entries that are not free
};

}  // namespace drey::state
