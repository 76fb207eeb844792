#include "state/page.h"

#include <sys/mman.h>

#include <algorithm>
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
  for (std::size_t at = bytes; at > 0; at -= kPageBytes) free_.push_back(memory + at - kPageBytes);
}

Page* PagePool::allocate(std::uint32_t bytes) {
  DREY_CHECK_EQ(bytes % kPageBytes, 0u);
  auto* page = new Page();
  page->bytes = bytes;
  page->pool = this;
  used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes == kPageBytes) {
    std::lock_guard lock(mutex_);
    if (free_.empty()) grow();
    page->memory = free_.back();
    free_.pop_back();
  } else {
    page->memory = map_memory(bytes);
    total_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  return page;
}

void PagePool::give_back(Page* page) {
  if (page->bytes == kPageBytes) {
    std::lock_guard lock(mutex_);
    free_.push_back(page->memory);
  } else {
    munmap(page->memory, page->bytes);
    total_bytes_.fetch_sub(page->bytes, std::memory_order_relaxed);
  }
  used_bytes_.fetch_sub(page->bytes, std::memory_order_relaxed);
  delete page;
}

bool PagePool::trim() {
  std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& chunk : chunks_) total += chunk.second;
  if (free_.size() * kPageBytes != total) return false;
  for (const auto& chunk : chunks_) munmap(chunk.first, chunk.second);
  chunks_.clear();
  free_.clear();
  total_bytes_.fetch_sub(total, std::memory_order_relaxed);
  return true;
}

}  // namespace drey::state
