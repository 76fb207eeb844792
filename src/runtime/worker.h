// WorkerPool: one worker per core, each with the tasks of its slots; a worker steps its tasks in turn and parks when
// none has work.
//
// Tasks should not block a worker, but user code may: a task whose step has held its worker for kHeldMax is left alone
// with the thread that it holds, and the worker's other tasks go on with another thread. A task that has not held a
// thread for kGoodFor comes back. Bounds: kSpareThreads besides the workers; when all are held, the tasks of a held
// worker wait.
//
// Time of a task is accounted here: busy while it steps, idle while its inputs are empty, back-pressured while an
// output lacks credit, and until it steps again; waiting when it could step and its worker is busy with others.
// Threading: add from any thread. Lifetime: a task is dropped by its worker after its last step; whoever holds it
// besides may keep it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "env/env.h"
#include "env/mutex.h"
#include "runtime/task.h"

namespace drey::runtime {

// What a task is at, as others may see it while it runs.
struct ObservedTask {
  enum class At { kStepping, kReady, kIdle, kBlocked } at = At::kReady;
  JobId job;
  std::uint32_t vertex = 0;  // index in the plan
  std::uint32_t subtask = 0;
  int thread = 0;  // the worker's, as the system numbers it
};

class WorkerPool {
 public:
  static constexpr Millis kHeldMax{25};
  static constexpr Millis kGoodFor{10'000};
  static constexpr std::size_t kSpareThreads = 64;

  WorkerPool(env::Env& env, std::size_t workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t size() const { return workers_.size(); }
  void add(std::shared_ptr<Task> task, std::size_t worker);

  // The task that this thread is stepping, for stack samples; null outside of steps. Async-signal-safe.
  static const Task* current();
  // The tasks of all pools of this process. Any thread.
  static std::vector<ObservedTask> observe();

 private:
  struct Entry;
  struct Queue;
  struct Stepper;

  Stepper* make_stepper();
  Nanos round(Stepper& stepper);
  bool step(Queue& queue, Entry& entry, Ticks& now);
  void take_added(Queue& queue, Stepper& stepper);
  void go_home(Queue& queue, Stepper& stepper);
  Nanos watch();
  void relieve(Queue& queue, std::uint64_t turn);

  env::Env& env_;
  std::vector<std::unique_ptr<Queue>> workers_;
  std::atomic<bool> watch_sleeps_{false};
  std::vector<std::uint64_t> turns_seen_;  // the watch's
  int quiet_looks_ = 0;                    // the watch's
  bool has_warned_ = false;                // the watch's
  env::Mutex mutex_;
  std::vector<std::unique_ptr<Queue>> held_ DREY_GUARDED_BY(mutex_);  // each with one task
  std::vector<Stepper*> spare_ DREY_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Stepper>> steppers_ DREY_GUARDED_BY(mutex_);
  std::unique_ptr<env::Driver> watch_;
};

}  // namespace drey::runtime
