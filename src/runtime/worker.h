// WorkerPool: one worker per core, each with the tasks of its slots; a worker steps its tasks in turn and parks when
// none has work. Tasks never block a worker.
//
// Time of a task is accounted here: busy while it steps (and while it waits for its turn), idle while its inputs are
// empty, back-pressured while an output lacks credit. Threading: add from any thread. Lifetime: a task is dropped by
// its worker after its last step; whoever holds it besides may keep it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "env/env.h"
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
  class Worker;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace drey::runtime
