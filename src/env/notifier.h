// Notifier: one thread waits, others wake it. A wake before the wait is not lost.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "base/time.h"

namespace drey::env {

class Notifier {
 public:
  // Any thread. Costs a load when the waiter is awake and was already told.
  void wake() {
    if (state_.exchange(kTold, std::memory_order_acq_rel) != kWaiting) return;
    std::lock_guard lock(mutex_);
    condition_.notify_one();
  }
  // The owner. Returns when woken (also before) or after the timeout.
  void wait(Nanos timeout);

 private:
  enum : int { kAwake, kTold, kWaiting };
  std::atomic<int> state_{kAwake};
  std::mutex mutex_;
  std::condition_variable condition_;
};

}  // namespace drey::env
