#include "data/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>

#include "base/check.h"
#include "data/map_memory.h"
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace drey::data {

char* map_memory(std::size_t bytes, bool usable) {
  const std::size_t size = (bytes + 4095) / 4096 * 4096;
  void* raw = mmap(nullptr, size + kHugePage, usable ? PROT_READ | PROT_WRITE : PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  DREY_CHECK(raw != MAP_FAILED);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(raw) % kHugePage) % kHugePage;
  char* const memory = static_cast<char*>(raw) + before;
  if (before > 0) munmap(raw, before);
  munmap(memory + size, kHugePage - before);
  madvise(memory, size, MADV_HUGEPAGE);
  return memory;
}

namespace {

// Address space costs nothing until it is populated; a pool that needs more reserves as much again.
constexpr std::size_t kSpaceBytes = std::size_t{4} << 30;
// Steps double with what is there: small jobs stay small, large ones grow in few steps.
constexpr std::size_t kStepBytesMin = kHugePage;
constexpr std::size_t kStepBytesMax = 32u << 20;

// Who reads text of a batch that has gone is found under AddressSanitizer although the memory is not given back.
void forbid(Block& block) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(block.data(), block.capacity());
#else
  static_cast<void>(block);
#endif
}
void allow(Block& block) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(block.data(), block.capacity());
#else
  static_cast<void>(block);
#endif
}

}  // namespace

void Block::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) pool_->give_back(this);
}

BlockPool::BlockPool() = default;

BlockPool::~BlockPool() {
  DREY_CHECK_EQ(used_bytes(), 0u);
  trim();
}

std::size_t BlockPool::used_bytes() const {
  std::size_t used = 0;
  for (const Home& home : homes_) used += home.used.load(std::memory_order_relaxed);
  return used;
}

std::size_t BlockPool::my_home() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kHomes;
  return mine;
}

// REQUIRES: the home's mutex.
Block* BlockPool::pop(Home& home, std::size_t size_class) {
  Block*& shelf = home.free[size_class];
  if (shelf == nullptr && home.returned.load(std::memory_order_relaxed) != nullptr) {
    for (Block* block = home.returned.exchange(nullptr, std::memory_order_acquire); block != nullptr;) {
      Block* next = block->next_;
      block->next_ = home.free[block->size_class_];
      home.free[block->size_class_] = block;
      block = next;
    }
  }
  Block* block = shelf;
  if (block != nullptr) shelf = block->next_;
  return block;
}

BlockRef BlockPool::allocate(std::size_t bytes) {
  const std::size_t total = bytes + Block::kHeaderBytes;
  const std::size_t size_class =
      std::max<std::size_t>(kSmallestClass, static_cast<std::size_t>(std::bit_width(total - 1)));
  DREY_CHECK_LT(size_class, kClasses);
  const std::size_t size = std::size_t{1} << size_class;
  const std::size_t number = my_home();
  Home& home = homes_[number];
  home.used.fetch_add(size, std::memory_order_relaxed);
  if (size_class <= kLargestKept) {
    std::lock_guard lock(home.mutex);
    if (Block* block = pop(home, size_class); block != nullptr) {
      allow(*block);
      block->references_.store(1, std::memory_order_relaxed);
      return BlockRef(block);
    }
  }
  void* memory = carve(size);
  Block* block = new (memory) Block();
  block->size_class_ = static_cast<std::uint16_t>(size_class);
  block->home_ = static_cast<std::uint16_t>(number);
  block->capacity_ = size - Block::kHeaderBytes;
  block->pool_ = this;
  return BlockRef(block);
}

void* BlockPool::carve(std::size_t bytes) {
  if (bytes > std::size_t{1} << kLargestKept) {
    large_.fetch_add(bytes, std::memory_order_relaxed);
    return map_memory(bytes);
  }
  std::lock_guard lock(space_mutex_);
  if (spaces_.empty() || spaces_.back().carved + bytes > kSpaceBytes) {
    char* const mapped = map_memory(kSpaceBytes, false);
    spaces_.push_back({mapped, mapped});
  }
  Space& space = spaces_.back();
  char* const block = space.begin + space.carved;
  space.carved += bytes;
  if (space.carved > space.populated) {
    const std::size_t step = std::clamp(populated_.load(std::memory_order_relaxed), kStepBytesMin, kStepBytesMax);
    const std::size_t wanted = std::max(space.carved - space.populated, step);
    const std::size_t more = std::min((wanted + kHugePage - 1) / kHugePage * kHugePage, kSpaceBytes - space.populated);
    DREY_CHECK_EQ(mprotect(space.begin + space.populated, more, PROT_READ | PROT_WRITE), 0);
    // Refused by an older kernel: pages then come at their first touch.
    madvise(space.begin + space.populated, more, MADV_POPULATE_WRITE);
    space.populated += more;
    populated_.fetch_add(more, std::memory_order_relaxed);
  }
  return block;
}

void BlockPool::give_back(Block* block) {
  const std::size_t size = std::size_t{1} << block->size_class_;
  Home& home = homes_[block->home_];
  if (block->size_class_ > kLargestKept) {
    munmap(block, size);
    large_.fetch_sub(size, std::memory_order_relaxed);
    home.used.fetch_sub(size, std::memory_order_relaxed);
    return;
  }
  forbid(*block);
  if (block->home_ == my_home()) {
    std::lock_guard lock(home.mutex);
    block->next_ = home.free[block->size_class_];
    home.free[block->size_class_] = block;
  } else {
    block->next_ = home.returned.load(std::memory_order_relaxed);
    while (!home.returned.compare_exchange_weak(block->next_, block, std::memory_order_release,
                                                std::memory_order_relaxed)) {
    }
  }
  // Last: trim() must not take the memory away under the hand of this function.
  home.used.fetch_sub(size, std::memory_order_release);
}

bool BlockPool::trim() {
  // All at once, so that nobody allocates between the look and the deed.
  std::array<std::unique_lock<std::mutex>, kHomes> locks;
  for (std::size_t i = 0; i < kHomes; ++i) locks[i] = std::unique_lock(homes_[i].mutex);
  std::lock_guard lock(space_mutex_);
  for (const Home& home : homes_) {
    if (home.used.load(std::memory_order_acquire) != 0) return false;
  }
  for (Home& home : homes_) {
    home.free.fill(nullptr);
    home.returned.store(nullptr, std::memory_order_relaxed);
  }
  for (const Space& space : spaces_) {
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(space.begin, space.populated);
#endif
    munmap(space.mapped, kSpaceBytes);
  }
  spaces_.clear();
  populated_.store(0, std::memory_order_relaxed);
  return true;
}

}  // namespace drey::data
