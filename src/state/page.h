// Page: up to 64 KiB of rows of one size (more for one large row), the unit of copy-on-write and of checkpoints.
//
// The first pages of a table are small and each new one is as large as all before it together, up to 64 KiB: a table of
// a few rows costs little, and there may be very many of them (state/slices.h).
// A page is shared with a snapshot that is being written by its reference count: whoever wants to write and finds
// more than one reference copies the page first. PagePool reserves address space in large steps, advises huge
// pages, and recycles. Threading: a page's bytes belong to the task; references and the pool to any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace drey::state {

inline constexpr std::uint32_t kPageBytes = 64u << 10;
inline constexpr std::uint32_t kPageBytesMin = 256;
// Sizes of pages: a power of two up to kPageBytes, else a multiple of it.
constexpr bool is_page_size(std::uint64_t bytes) {
  if (bytes > kPageBytes) return bytes % kPageBytes == 0 && bytes <= UINT32_MAX;
  return bytes >= kPageBytesMin && (bytes & (bytes - 1)) == 0;
}

// An array of zeroes; a large one lies on huge pages, for one that is read at random would cost a TLB miss a read.
class HugeArray {
 public:
  explicit HugeArray(std::size_t size);
  HugeArray(HugeArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HugeArray& operator=(HugeArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~HugeArray();
  std::size_t size() const { return size_; }
  std::uint64_t* data() { return data_; }
  const std::uint64_t* data() const { return data_; }
  std::uint64_t operator[](std::size_t i) const { return data_[i]; }

 private:
  std::uint64_t* data_;
  std::size_t size_;
};

class PagePool;

struct Page {
  std::atomic<std::uint32_t> references{1};
  std::uint32_t bytes = kPageBytes;  // see is_page_size()
  char* memory = nullptr;
  PagePool* pool = nullptr;

  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release();
  bool is_shared() const { return references.load(std::memory_order_acquire) > 1; }
};

class PagePool {
 public:
  PagePool() = default;
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // Contents are undefined, but zeroes in pages larger than kPageBytes. REQUIRES: is_page_size(bytes). Never null: out
  // of memory ends the process; budgets are kept above (TaskState).
  Page* allocate(std::uint32_t bytes = kPageBytes);
  // Gives all memory back when no page is in use; otherwise does nothing. Returns whether it did.
  bool trim();
  std::uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // Of that and of pages that are kept for later.
  std::uint64_t total_bytes() const { return total_bytes_.load(std::memory_order_relaxed); }

 private:
  friend struct Page;
  void give_back(Page* page);
  char* take(std::size_t number);
  void grow();

  std::mutex mutex_;
  static constexpr std::size_t kSizes = 9;  // 256 bytes to kPageBytes
  static std::size_t size_number(std::uint32_t bytes);
  std::array<std::vector<char*>, kSizes> free_;
  std::size_t pages_out_ = 0;  // of up to kPageBytes, in use
  std::vector<std::pair<char*, std::size_t>> chunks_;
  std::atomic<std::uint64_t> used_bytes_{0};
  std::atomic<std::uint64_t> total_bytes_{0};
};

}  // namespace drey::state
