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
  // An exchange, not a store: what a late waker wrote before waking must be seen by the owner's
  // next look.
  state_.exchange(kAwake, std::memory_order_acq_rel);
}

}  // namespace drey::env
