#include "state/page.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "data/map_memory.h"

namespace drey::state {
namespace {

using data::kHugePage;
using data::map_memory;

constexpr std::size_t kChunkBytesMin = 2u << 20;
constexpr std::size_t kChunkBytesMax = 64u << 20;

}  // namespace

HugeArray::HugeArray(std::size_t size) : size_(size) {
  const std::size_t bytes = size * sizeof(std::uint64_t);
  if (bytes >= kHugePage) {
    data_ = reinterpret_cast<std::uint64_t*>(map_memory(bytes));
  } else {
    data_ = static_cast<std::uint64_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    DREY_CHECK(data_ != nullptr);
    std::memset(data_, 0, bytes);
  }
}

HugeArray::~HugeArray() {
  if (size_ * sizeof(std::uint64_t) >= kHugePage) {
    munmap(data_, size_ * sizeof(std::uint64_t));
  } else {
    std::free(data_);
  }
}

void Page::release() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) pool->give_back(this);
}

PagePool::~PagePool() {
  DREY_CHECK_EQ(used_bytes(), 0u);
  trim();
}

void PagePool::grow() {
  // Doubles with what is there, so that small jobs stay small and large ones grow in few, populated steps.
  std::size_t total = 0;
  for (const auto& chunk : chunks_) total += chunk.second;
  const std::size_t bytes = std::clamp(total, kChunkBytesMin, kChunkBytesMax);
  char* memory = map_memory(bytes);
  if (bytes > kChunkBytesMin) madvise(memory, bytes, MADV_POPULATE_WRITE);
  chunks_.emplace_back(memory, bytes);
  total_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  for (std::size_t at = bytes; at > 0; at -= kPageBytes) free_.back().push_back(memory + at - kPageBytes);
}

std::size_t PagePool::size_number(std::uint32_t bytes) {
  return static_cast<std::size_t>(std::countr_zero(bytes) - std::countr_zero(kPageBytesMin));
}

// Small pages are halves of larger ones; they stay small until trim().
char* PagePool::take(std::size_t number) {
  std::vector<char*>& free = free_[number];
  if (free.empty() && number + 1 == kSizes) grow();
  if (free.empty()) {
    char* const whole = take(number + 1);
    free.push_back(whole + (kPageBytesMin << number));
    return whole;
  }
  char* const memory = free.back();
  free.pop_back();
  return memory;
}

Page* PagePool::allocate(std::uint32_t bytes) {
  DREY_CHECK(is_page_size(bytes));
  auto* page = new Page();
  page->bytes = bytes;
  page->pool = this;
  used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes <= kPageBytes) {
    std::lock_guard lock(mutex_);
    page->memory = take(size_number(bytes));
    pages_out_ += 1;
  } else {
    page->memory = map_memory(bytes);
    total_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  return page;
}

void PagePool::give_back(Page* page) {
  if (page->bytes <= kPageBytes) {
    std::lock_guard lock(mutex_);
    free_[size_number(page->bytes)].push_back(page->memory);
    pages_out_ -= 1;
  } else {
    munmap(page->memory, page->bytes);
    total_bytes_.fetch_sub(page->bytes, std::memory_order_relaxed);
  }
  used_bytes_.fetch_sub(page->bytes, std::memory_order_relaxed);
  delete page;
}

bool PagePool::trim() {
  std::lock_guard lock(mutex_);
  if (pages_out_ != 0) return false;
  std::size_t total = 0;
  for (const auto& chunk : chunks_) {
    munmap(chunk.first, chunk.second);
    total += chunk.second;
  }
  chunks_.clear();
  for (auto& free : free_) free.clear();
  total_bytes_.fetch_sub(total, std::memory_order_relaxed);
  return true;
}

}  // namespace drey::state
