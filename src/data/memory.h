// Block: pooled, reference-counted memory for batches; 64-byte aligned.
//
// BlockPool carves blocks of power-of-two sizes from reserved address space, populated in large steps ahead of demand
// and on huge pages where there are some: the first touch of a fresh small page costs more than most operators do with
// it. A block goes back to the home of the thread that allocated it, last in first out: in steady state each worker
// touches the same warm memory again and again, and no memory wanders to another core to be written there.
//
// Threading: all functions from any thread. Bounds: none of its own (channels bound what is in flight); blocks that are
// free are kept until trim(), above kLargestKept they go back to the system at once.
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
  std::uint16_t size_class_ = 0;
  std::uint16_t home_ = 0;
  std::size_t capacity_ = 0;
  BlockPool* pool_ = nullptr;
  Block* next_ = nullptr;  // while it is free
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
  BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  // REQUIRES: every block has been released.
  ~BlockPool();

  // Never empty: out of memory ends the process.
  BlockRef allocate(std::size_t bytes);
  // Gives all memory back to the system when no block is in use (the last job has gone); otherwise does nothing.
  // Returns whether it did.
  bool trim();

  // Of blocks that are in use, and of all that was taken from the system.
  std::size_t used_bytes() const;
  std::size_t total_bytes() const {
    return populated_.load(std::memory_order_relaxed) + large_.load(std::memory_order_relaxed);
  }

 private:
  friend class Block;
  static constexpr std::size_t kSmallestClass = 10;  // 1 KiB
  static constexpr std::size_t kLargestKept = 22;    // 4 MiB
  static constexpr std::size_t kClasses = 40;
  static constexpr std::size_t kHomes = 16;

  // Free blocks of one thread (of several, when there are more than kHomes).
  struct alignas(64) Home {
    std::mutex mutex;
    std::array<Block*, kLargestKept + 1> free{};        // by size class; guarded by mutex
    std::atomic<std::size_t> used{0};                   // bytes
    alignas(64) std::atomic<Block*> returned{nullptr};  // by other threads
  };
  static std::size_t my_home();
  static Block* pop(Home& home, std::size_t size_class);
  void* carve(std::size_t bytes);
  void give_back(Block* block);

  std::array<Home, kHomes> homes_;
  std::mutex space_mutex_;
  struct Space {
    char* mapped;               // reserved address space,
    char* begin;                // from its first huge page on
    std::size_t carved = 0;     // bytes that became blocks
    std::size_t populated = 0;  // bytes that have memory
  };
  std::vector<Space> spaces_;  // guarded by space_mutex_; blocks come from the last one
  std::atomic<std::size_t> populated_{0};
  std::atomic<std::size_t> large_{0};  // bytes of blocks above kLargestKept
};

}  // namespace drey::data
