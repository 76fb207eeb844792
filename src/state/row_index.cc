#include "state/row_index.h"

#include <algorithm>

#include "base/check.h"

namespace drey::state {

// One to two thirds full.
std::size_t RowIndex::capacity_for(std::uint64_t rows) {
  return std::bit_ceil(std::max<std::uint64_t>(kBucket, rows + rows / 2));
}

void RowIndex::insert(std::uint64_t hash, Address row) {
  for (std::uint64_t b = hash & mask_;; b = (b + 1) & mask_) {
    std::uint64_t* entries = entries_.data() + b * kBucket;
    const std::uint32_t there = free_ones(entries) | equal(entries, 0, kErased);
    if (there == 0) continue;
    std::uint64_t& entry = entries[std::countr_zero(there)];
    if (entry != kErased) ++used_;
    entry = tag_of(hash) << 48 | row;
    return;
  }
}

std::uint64_t* RowIndex::entry_of(std::uint64_t hash, Address row) {
  const std::uint64_t wanted = tag_of(hash) << 48 | row;
  for (std::uint64_t b = hash & mask_;; b = (b + 1) & mask_) {
    std::uint64_t* entries = entries_.data() + b * kBucket;
    if (const std::uint32_t hit = equal(entries, 0, wanted); hit != 0) return &entries[std::countr_zero(hit)];
    DREY_CHECK(free_ones(entries) == 0);
  }
}

void RowIndex::erase(std::uint64_t hash, Address row) {
  std::uint64_t* entry = entry_of(hash, row);
  // Lookups end at a bucket with a free entry: where there is one already, one more does no harm.
  const std::uint64_t* entries =
      entries_.data() + static_cast<std::size_t>(entry - entries_.data()) / kBucket * kBucket;
  if (free_ones(entries) != 0) {
    *entry = 0;
    --used_;
  } else {
    *entry = kErased;
  }
}

}  // namespace drey::state
