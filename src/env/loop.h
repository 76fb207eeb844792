// Loop: a single-threaded executor; actors (JobMaster, TaskManager, ...) live on one and need no locks.
//
// Threading: post from any thread; the rest on the loop. Order: functions posted by one thread run in order.
// Lifetime: functions that have not run when the loop is destroyed are dropped.
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.h"

namespace drey::env {

using TimerId = std::uint64_t;

class Loop {
 public:
  virtual ~Loop() = default;
  virtual void post(std::function<void()> function) = 0;
  virtual TimerId after(Nanos delay, std::function<void()> function) = 0;
  // Nothing happens when the timer has fired already.
  virtual void cancel(TimerId timer) = 0;
};

// IoPool: blocking jobs (snapshot files, fsync) beside the loops. Threading: post from any thread.
class IoPool {
 public:
  virtual ~IoPool() = default;
  virtual void post(std::function<void()> job) = 0;
};

}  // namespace drey::env
