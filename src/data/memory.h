// Block: pooled, reference-counted memory for batches; 64-byte aligned.
//
// BlockPool recycles blocks by power-of-two size class, last in first out, so that a pipeline in steady
// state touches the same warm memory again and again. Threading: all functions from any thread.
// Bounds: the pool keeps at most `kept_bytes_max` of free memory; above that blocks go back to the system.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace drey::data {

class BlockPool;

// Header of a block; the memory follows it.
class Block {
 public:
  char* data() { return reinterpret_cast<char*>(this) + kHeaderBytes; }
  const char* data() const { return reinterpret_cast<const char*>(this) + kHeaderBytes; }
  std::size_t capacity() const { return capacity_; }
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();

  static constexpr std::size_t kHeaderBytes = 64;

 private:
  friend class BlockPool;
  std::atomic<std::uint32_t> references_{1};
  std::uint32_t size_class_ = 0;
  std::size_t capacity_ = 0;
  BlockPool* pool_ = nullptr;
};
static_assert(sizeof(Block) <= Block::kHeaderBytes);

// Shared ownership of a Block.
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* block) : block_(block) {}  // takes the reference
  BlockRef(const BlockRef& other) : block_(other.block_) {
    if (block_ != nullptr) block_->retain();
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr) block_->release();
  }
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

class BlockPool {
 public:
  explicit BlockPool(std::size_t kept_bytes_max = 256u << 20) : kept_bytes_max_(kept_bytes_max) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  // REQUIRES: every block has been released.
  ~BlockPool();

  BlockRef allocate(std::size_t bytes);
  // Gives free memory back to the system (after the last job has gone).
  void trim();

  std::size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  std::size_t kept_bytes() const { return kept_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class Block;
  static constexpr std::size_t kClasses = 40;
  static constexpr std::size_t kSmallestClass = 10;  // 1 KiB
  void give_back(Block* block);

  const std::size_t kept_bytes_max_;
  std::atomic<std::size_t> used_bytes_{0};
  std::atomic<std::size_t> kept_bytes_{0};
  struct alignas(64) Shelf {
    std::mutex mutex;
    std::vector<Block*> free;
  };
  std::array<Shelf, kClasses> shelves_;
};

}  // namespace drey::data
