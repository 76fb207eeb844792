#include "runtime/channel.h"

namespace drey::runtime {

void Channel::set_consumer(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_consumer_ = std::move(wake);
}

void Channel::set_producer(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_producer_ = std::move(wake);
}

void Channel::push(Item item) {
  if (item.batch) bytes_.fetch_add(item.batch->bytes(), std::memory_order_acq_rel);
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    if (size_.fetch_add(1, std::memory_order_acq_rel) == 0) wake = wake_consumer_;
  }
  if (wake) wake();
}

bool Channel::wait(std::uint64_t enough, std::uint64_t level) {
  wake_level_.store(static_cast<std::int64_t>(level), std::memory_order_seq_cst);
  if (bytes_.load(std::memory_order_seq_cst) > enough) return true;
  wake_level_.store(kNobodyWaits, std::memory_order_relaxed);
  return false;
}

// Half empty before the producer is woken: fewer wake-ups, and it finds room for a while.
bool Channel::wait_for_credit() { return wait(bytes_max_ - 1, bytes_max_ / 2); }

bool Channel::wait_for_level(std::uint64_t level) { return wait(level, level); }

bool Channel::pop(Item& item) {
  if (is_empty()) return false;
  std::lock_guard lock(mutex_);
  item = std::move(items_.front());
  items_.pop_front();
  size_.fetch_sub(1, std::memory_order_acq_rel);
  return true;
}

void Channel::finish(std::uint64_t bytes) {
  const std::uint64_t left = bytes_.fetch_sub(bytes, std::memory_order_seq_cst) - bytes;
  const std::int64_t level = wake_level_.load(std::memory_order_seq_cst);
  if (level == kNobodyWaits || left > static_cast<std::uint64_t>(level)) return;
  if (wake_level_.exchange(kNobodyWaits, std::memory_order_seq_cst) == kNobodyWaits) return;
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    wake = wake_producer_;
  }
  if (wake) wake();
}

}  // namespace drey::runtime
