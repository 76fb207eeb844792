// Loop: a single-threaded executor; actors (JobMaster, TaskManager, ...) live on one and need no
// locks.
//
// Threading: post from any thread; the rest on the loop. Order: functions posted by one thread run
// in order. Lifetime: functions that have not run when the loop is destroyed are dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

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
  // True within a function that this loop runs.
  virtual bool is_current() const = 0;
};

// IoPool: blocking jobs (snapshot files, fsync) beside the loops. Threading: post from any thread.
class IoPool {
 public:
  virtual ~IoPool() = default;
  virtual void post(std::function<void()> job) = 0;
};

// Driver: calls a step function over and over: the worker that runs tasks. On a thread of its own,
// or as events of the simulation; the step must not know which. Threading: wake() from any thread;
// steps never overlap. Lifetime: destruction waits for the step that runs; no step is called
// afterwards.
class Driver {
 public:
  virtual ~Driver() = default;
  // The next step comes at once. Not lost when it comes before the step that parks has returned.
  virtual void wake() = 0;
};

struct DriverOptions {
  std::string name;  // as `top -H` shows it
  int core = -1;     // pinned to this core; -1: not pinned
};

// Zero: call again. Positive: parked for so long, or until woken. Negative (kStepsDone): never
// again.
using StepFunction = std::function<Nanos()>;
inline constexpr Nanos kStepsDone{-1};
inline constexpr Nanos kUntilWoken = std::chrono::hours(1);

// Threads: makes what runs concurrently. Rooms use loops and drivers, not threads, so that a seed
// can order them.
class Threads {
 public:
  virtual ~Threads() = default;
  // Destruction (not on the loop itself) waits for the function that runs.
  virtual std::unique_ptr<Loop> make_loop(const std::string& name) = 0;
  virtual std::unique_ptr<Driver> make_driver(const DriverOptions& options, StepFunction step) = 0;
  // Cores this process may use.
  virtual int core_count() const = 0;
};

}  // namespace drey::env
