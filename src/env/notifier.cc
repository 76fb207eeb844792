#include "env/notifier.h"

#include <algorithm>
#include <chrono>

namespace drey::env {

void Notifier::wait(Nanos timeout) {
  std::unique_lock lock(mutex_);
  int expected = kAwake;
  if (state_.compare_exchange_strong(expected, kWaiting, std::memory_order_acq_rel)) {
    const Nanos bounded = std::min<Nanos>(timeout, std::chrono::hours(1));
    condition_.wait_for(lock, bounded, [&] { return state_.load(std::memory_order_acquire) == kTold; });
  }
  state_.store(kAwake, std::memory_order_release);
}

}  // namespace drey::env
