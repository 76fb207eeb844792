// Channel: FIFO of batches and control items from one producer subtask to one consumer subtask of the same process.
//
// Bounded in bytes: the producer looks at has_credit() before it takes more input, so that the bound is exceeded by at
// most what one step makes; push never fails and an empty channel takes one batch of any size. Bytes count from push
// until the consumer says finish(). Threading: one producer, one consumer; wakers may run on either's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "control/checkpoint/barrier_aligner.h"
#include "data/row_batch.h"

namespace drey::runtime {

// What travels between batches.
struct Item {
  enum class Kind : std::uint8_t {
    kBatch,
    kWatermark,    // value
    kIdle,         // value: 1 idle, 0 active
    kBarrier,
    kEndOfData,    // no more rows; barriers still come
    kEndOfChannel  // nothing comes any more
  };
  Kind kind = Kind::kBatch;
  data::BatchRef batch;
  std::int64_t value = 0;
  control::Barrier barrier;
};

class Channel {
 public:
  explicit Channel(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void set_consumer(std::function<void()> wake);
  void set_producer(std::function<void()> wake);

  // Producer.
  void push(Item item);
  bool has_credit() const { return bytes_.load(std::memory_order_acquire) < bytes_max_; }
  // Asks to be woken when there is credit again. Returns false, asking nothing, when there is already.
  bool wait_for_credit();
  // Asks to be woken when at most `level` bytes are left. Returns false, asking nothing, when that is so already. The last
  // of these two calls counts.
  bool wait_for_level(std::uint64_t level);

  // Consumer.
  bool pop(Item& item);
  bool is_empty() const { return size_.load(std::memory_order_acquire) == 0; }
  void finish(std::uint64_t bytes);

  std::uint64_t queued_bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::size_t queued_items() const { return size_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kNobodyWaits = -1;
  bool wait(std::uint64_t enough, std::uint64_t level);

  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::size_t> size_{0};
  std::atomic<std::int64_t> wake_level_{kNobodyWaits};  // bytes at which the producer is woken
  std::mutex mutex_;
  std::deque<Item> items_;              // guarded by mutex_
  std::function<void()> wake_consumer_; // guarded by mutex_
  std::function<void()> wake_producer_; // guarded by mutex_
};

}  // namespace drey::runtime
