#include "data/memory.h"

#include <bit>
#include <cstdlib>
#include <new>

#include "base/check.h"

namespace drey::data {

void Block::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) pool_->give_back(this);
}

BlockPool::~BlockPool() {
  DREY_CHECK_EQ(used_bytes(), 0u);
  trim();
}

BlockRef BlockPool::allocate(std::size_t bytes) {
  const std::size_t total = bytes + Block::kHeaderBytes;
  const std::size_t size_class =
      std::max<std::size_t>(kSmallestClass, static_cast<std::size_t>(std::bit_width(total - 1)));
  DREY_CHECK_LT(size_class, kClasses);
  const std::size_t size = std::size_t{1} << size_class;
  used_bytes_.fetch_add(size, std::memory_order_relaxed);
  {
    Shelf& shelf = shelves_[size_class];
    std::lock_guard lock(shelf.mutex);
    if (!shelf.free.empty()) {
      Block* block = shelf.free.back();
      shelf.free.pop_back();
      kept_bytes_.fetch_sub(size, std::memory_order_relaxed);
      block->references_.store(1, std::memory_order_relaxed);
      return BlockRef(block);
    }
  }
  void* memory = std::aligned_alloc(64, size);
  DREY_CHECK(memory != nullptr);
  Block* block = new (memory) Block();
  block->size_class_ = static_cast<std::uint32_t>(size_class);
  block->capacity_ = size - Block::kHeaderBytes;
  block->pool_ = this;
  return BlockRef(block);
}

void BlockPool::give_back(Block* block) {
  const std::size_t size = std::size_t{1} << block->size_class_;
  used_bytes_.fetch_sub(size, std::memory_order_relaxed);
  if (kept_bytes_.fetch_add(size, std::memory_order_relaxed) + size <= kept_bytes_max_) {
    Shelf& shelf = shelves_[block->size_class_];
    std::lock_guard lock(shelf.mutex);
    shelf.free.push_back(block);
    return;
  }
  kept_bytes_.fetch_sub(size, std::memory_order_relaxed);
  std::free(block);
}

void BlockPool::trim() {
  for (std::size_t i = 0; i < kClasses; ++i) {
    Shelf& shelf = shelves_[i];
    std::lock_guard lock(shelf.mutex);
    kept_bytes_.fetch_sub(shelf.free.size() << i, std::memory_order_relaxed);
    for (Block* block : shelf.free) std::free(block);
    shelf.free.clear();
    shelf.free.shrink_to_fit();
  }
}

}  // namespace drey::data
