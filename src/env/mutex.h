// Mutex, MutexLock, CondVar: the standard ones with Clang's thread-safety annotations, which
// libstdc++'s lack.
//
//   Mutex mutex_;
//   int count_ DREY_GUARDED_BY(mutex_) = 0;
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/time.h"

#ifdef __clang__
#define DREY_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define DREY_THREAD_ATTRIBUTE(x)
#endif
#define DREY_GUARDED_BY(mutex) DREY_THREAD_ATTRIBUTE(guarded_by(mutex))
#define DREY_REQUIRES(mutex) DREY_THREAD_ATTRIBUTE(requires_capability(mutex))

namespace drey::env {

class DREY_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() DREY_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() DREY_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class DREY_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) DREY_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() DREY_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Spurious wake-ups happen: wait in a loop over the condition.
class CondVar {
 public:
  void wait(Mutex& mutex) DREY_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when the time is over.
  bool wait_for(Mutex& mutex, Nanos timeout) DREY_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const bool woken = condition_.wait_for(lock, timeout) == std::cv_status::no_timeout;
    lock.release();
    return woken;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace drey::env
