// Channel: FIFO of batches and control items from one producer subtask to one consumer subtask of the same process.
//
// A ring with one producer and one consumer; neither takes a lock, but to call the other's waker. Bounded twice: bytes
// count from push until the consumer says finish(), items from push until pop(). The producer looks at has_credit()
// before it takes more input, so that a bound is exceeded by at most what one step makes: push never fails (the ring
// grows), and an empty channel takes one batch of any size.
//
// Threading: one producer, one consumer; set_* any thread; wakers run on the other's thread. Lifetime: a waker may be
// called once more after it was replaced.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "control/checkpoint/barrier_aligner.h"
#include "data/row_batch.h"

namespace drey::runtime {

// What travels between batches.
struct Item {
  enum class Kind : std::uint8_t {
    kBatch,
    kWatermark,  // value
    kIdle,       // value: 1 idle, 0 active
    kBarrier,
    kEndOfData,    // no more rows; barriers still come
    kEndOfChannel  // nothing comes any more
  };
  Kind kind = Kind::kBatch;
  data::BatchRef batch;
  std::int64_t value = 0;
  std::shared_ptr<const control::Barrier> barrier;  // kBarrier; of all channels of a task
};

class Channel {
 public:
  // Items at which credit ends (engine.md 1.4).
  static constexpr std::size_t kSlots = 16;

  // Who is told of a change. Shared by the channels of a task, which `number` tells apart: a wide
  // job has a million channels, and nothing in one may cost much.
  using Wake = std::function<void(std::uint32_t number)>;
  using SharedWake = std::shared_ptr<const Wake>;

  explicit Channel(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Called when the channel stops being empty.
  void set_consumer(SharedWake wake, std::uint32_t number = 0);
  // Called when what one of the wait functions asked for is there.
  void set_producer(SharedWake wake, std::uint32_t number = 0);

  // Producer.
  void push(Item item);
  // Overtakes everything in the ring: the lane of barriers that do not wait behind data. Holds one item: returns false,
  // leaving `item` as it is, while the one before has not been taken.
  bool push_ahead(Item& item);
  bool has_credit() const { return queued_bytes() < bytes_max_ && queued_items() < kSlots; }
  // Asks to be woken when there is credit again: when half of both bounds is free. Returns false, asking nothing, when
  // there is credit already.
  bool wait_for_credit();
  // Asks to be woken when at most `level` bytes are left. Returns false, asking nothing, when that is so already. The
  // last of these two calls counts.
  bool wait_for_level(std::uint64_t level);

  // Consumer.
  bool pop(Item& item);
  bool is_empty() const { return popped_.load() == pushed_.load() && ahead_.load() == nullptr; }
  void finish(std::uint64_t bytes);

  // Any thread; what was true at some moment of the call.
  std::uint64_t queued_bytes() const;
  std::size_t queued_items() const;
  std::uint64_t bytes_max() const { return bytes_max_; }

 private:
  // Holds the items [first, next->first). Made by the producer when the one before is full, dropped by the consumer.
  struct Ring {
    Ring(std::uint64_t begin, std::size_t slots) : first(begin), items(slots) {}
    Item& at(std::uint64_t number) { return items[(number - first) & (items.size() - 1)]; }
    const std::uint64_t first;
    std::vector<Item> items;  // a power of two
    std::atomic<Ring*> next{nullptr};
  };
  // Of the first ring: most channels of a wide job never hold more.
  static constexpr std::size_t kFirstSlots = 2;
  static constexpr std::int64_t kNobodyWaits = -1;
  static constexpr std::int64_t kForCredit = -2;  // else: a level of bytes

  struct Waker {
    SharedWake wake;
    std::uint32_t number = 0;
  };
  void call(const Waker& waker);
  void wake_producer_if_due();
  bool is_due(std::int64_t waits) const;

  // Three cache lines in all: what the producer writes,
  alignas(64) std::atomic<std::uint64_t> pushed_{0};
  std::atomic<std::uint64_t> pushed_bytes_{0};
  std::atomic<Item*> ahead_{nullptr};  // owned; taken by the consumer
  Ring* write_ = nullptr;              // producer only
  // Bytes that the producer waits for, or one of the constants above. Taken by whoever wakes it.
  std::atomic<std::int64_t> waits_{kNobodyWaits};
  const std::uint64_t bytes_max_;

  // what the consumer writes,
  alignas(64) std::atomic<std::uint64_t> popped_{0};
  std::atomic<std::uint64_t> finished_bytes_{0};
  std::atomic<Ring*> read_{nullptr};  // the first one is set by the producer, before its first item shows
  Waker wake_consumer_;               // guarded by mutex_

  // and what both do.
  alignas(64) std::mutex mutex_;
  Waker wake_producer_;  // guarded by mutex_
};
static_assert(sizeof(Channel) == 192);

}  // namespace drey::runtime
