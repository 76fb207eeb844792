#include "runtime/channel.h"

#include <algorithm>
#include <utility>

namespace drey::runtime {

// Two questions are asked against the other side's stores: "is it asleep, so that I must wake it?" and "is there
// anything left, or may I sleep?". Each side stores what it did before it loads what the other did, all sequentially
// consistent: of two that do so at the same time at least one sees the other.

Channel::~Channel() {
  delete ahead_.load();
  for (Ring* ring = read_.load(); ring != nullptr;) delete std::exchange(ring, ring->next.load());
}

void Channel::set_consumer(SharedWake wake, std::uint32_t number) {
  std::lock_guard lock(mutex_);
  wake_consumer_ = {std::move(wake), number};
}

void Channel::set_producer(SharedWake wake, std::uint32_t number) {
  std::lock_guard lock(mutex_);
  wake_producer_ = {std::move(wake), number};
}

void Channel::call(const Waker& waker) {
  Waker kept;
  {
    std::lock_guard lock(mutex_);
    kept = waker;
  }
  if (kept.wake != nullptr) (*kept.wake)(kept.number);
}

void Channel::push(Item item) {
  if (item.batch) {
    // Before the item shows: the consumer never finishes more than was pushed.
    pushed_bytes_.store(pushed_bytes_.load(std::memory_order_relaxed) + item.batch->bytes(), std::memory_order_release);
  }
  const std::uint64_t number = pushed_.load(std::memory_order_relaxed);
  if (write_ == nullptr) {
    write_ = new Ring(number, kFirstSlots);
    read_.store(write_, std::memory_order_release);
  } else if (number - std::max(write_->first, popped_.load(std::memory_order_acquire)) == write_->items.size()) {
    // The old ring is left to the consumer.
    auto* larger = new Ring(number, write_->items.size() * 2);
    write_->next.store(larger, std::memory_order_release);
    write_ = larger;
  }
  write_->at(number) = std::move(item);
  pushed_.store(number + 1);
  if (popped_.load() == number) call(wake_consumer_);
}

bool Channel::push_ahead(Item& item) {
  if (ahead_.load() != nullptr) return false;
  if (item.batch) {
    pushed_bytes_.store(pushed_bytes_.load(std::memory_order_relaxed) + item.batch->bytes(), std::memory_order_release);
  }
  ahead_.store(new Item(std::move(item)));
  call(wake_consumer_);
  return true;
}

bool Channel::is_due(std::int64_t waits) const {
  if (waits == kForCredit) return queued_bytes() <= bytes_max_ / 2 && queued_items() <= kSlots / 2;
  return queued_bytes() <= static_cast<std::uint64_t>(waits);
}

bool Channel::wait_for_credit() {
  waits_.store(kForCredit);
  if (!has_credit()) return true;
  waits_.store(kNobodyWaits);
  return false;
}

bool Channel::wait_for_level(std::uint64_t level) {
  waits_.store(static_cast<std::int64_t>(level));
  if (queued_bytes() > level) return true;
  waits_.store(kNobodyWaits);
  return false;
}

bool Channel::pop(Item& item) {
  if (ahead_.load(std::memory_order_acquire) != nullptr) {
    const std::unique_ptr<Item> first(ahead_.exchange(nullptr));
    item = std::move(*first);
    return true;
  }
  const std::uint64_t number = popped_.load(std::memory_order_relaxed);
  if (number == pushed_.load()) return false;
  Ring* ring = read_.load(std::memory_order_acquire);
  if (Ring* next = ring->next.load(std::memory_order_acquire); next != nullptr && number == next->first) {
    read_.store(next, std::memory_order_release);
    delete ring;
    ring = next;
  }
  item = std::move(ring->at(number));
  popped_.store(number + 1);
  wake_producer_if_due();
  return true;
}

void Channel::finish(std::uint64_t bytes) {
  finished_bytes_.store(finished_bytes_.load(std::memory_order_relaxed) + bytes);
  wake_producer_if_due();
}

void Channel::wake_producer_if_due() {
  std::int64_t waits = waits_.load();
  if (waits == kNobodyWaits || !is_due(waits)) return;
  if (waits_.compare_exchange_strong(waits, kNobodyWaits)) call(wake_producer_);
}

std::uint64_t Channel::queued_bytes() const {
  // What is finished was pushed before: in this order the difference is never negative.
  const std::uint64_t finished = finished_bytes_.load();
  return pushed_bytes_.load() - finished;
}

std::size_t Channel::queued_items() const {
  const std::uint64_t popped = popped_.load();
  return static_cast<std::size_t>(pushed_.load() - popped);
}

}  // namespace drey::runtime
