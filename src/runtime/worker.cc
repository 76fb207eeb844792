#include "runtime/worker.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::runtime {
namespace {

thread_local std::atomic<const Task*> t_current{nullptr};

}  // namespace

const Task* WorkerPool::current() { return t_current.load(std::memory_order_relaxed); }

class WorkerPool::Worker {
 public:
  Worker(env::Env& env, std::size_t number, int core) : env_(env) {
    driver_ = env.threads.make_driver({fmt::format("drey-worker-{}", number), core}, [this] { return step(); });
  }

  void add(std::shared_ptr<Task> task) {
    auto entry = std::make_shared<Entry>();
    entry->task = std::move(task);
    entry->ready = std::make_shared<std::atomic<bool>>(true);
    entry->task->set_waker([this, ready = entry->ready] {
      if (!ready->exchange(true, std::memory_order_acq_rel)) driver_->wake();
    });
    {
      std::lock_guard lock(mutex_);
      added_.push_back(std::move(entry));
    }
    has_added_ = true;
    driver_->wake();
  }

 private:
  struct Entry {
    std::shared_ptr<Task> task;
    std::shared_ptr<std::atomic<bool>> ready;
    Task::Progress last = Task::Progress::kIdle;
    Ticks since{};   // of the state `last`
    Ticks wake_at{INT64_MAX};
  };

  // One round over all tasks that may have work.
  Nanos step() {
    if (has_added_.exchange(false)) {
      std::lock_guard lock(mutex_);
      for (auto& entry : added_) {
        entry->since = env_.clock.ticks();
        entries_.push_back(std::move(entry));
      }
      added_.clear();
    }
    Ticks now = env_.clock.ticks();
    bool busy = false;
    Ticks next{INT64_MAX};
    // Consumers were added after producers: from the back, so that what is there drains first.
    for (std::size_t i = entries_.size(); i-- > 0;) {
      Entry& entry = *entries_[i];
      if (!entry.ready->load(std::memory_order_acquire) && entry.wake_at > now) {
        next = std::min(next, entry.wake_at);
        continue;
      }
      // Ready is cleared before the step: a wake during it leads to another one.
      entry.ready->store(false, std::memory_order_release);
      account(entry, now);
      t_current.store(entry.task.get(), std::memory_order_relaxed);
      const Task::Step result = entry.task->step();
      t_current.store(nullptr, std::memory_order_relaxed);
      entry.last = Task::Progress::kBusy;
      now = env_.clock.ticks();
      account(entry, now);
      entry.last = result.progress;
      entry.wake_at = result.progress == Task::Progress::kIdle ? result.wake_at : Ticks{INT64_MAX};
      if (result.progress == Task::Progress::kBusy) {
        entry.ready->store(true, std::memory_order_release);
        busy = true;
      } else if (result.progress == Task::Progress::kDone) {
        entry.task->set_waker(nullptr);
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        busy = busy || entry.ready->load(std::memory_order_acquire);
        next = std::min(next, entry.wake_at);
      }
    }
    if (busy || has_added_) return Nanos(0);
    if (next.nanos == INT64_MAX) return env::kUntilWoken;
    return std::max<Nanos>(next - env_.clock.ticks(), Nanos(1));
  }

  static void account(Entry& entry, Ticks now) {
    const std::int64_t nanos = (now - entry.since).count();
    entry.since = now;
    auto& metrics = const_cast<TaskMetrics&>(entry.task->metrics());
    switch (entry.last) {
      case Task::Progress::kBusy:
      case Task::Progress::kDone: metrics.busy_nanos.add(nanos); break;
      case Task::Progress::kIdle: metrics.idle_nanos.add(nanos); break;
      case Task::Progress::kBlocked: metrics.backpressured_nanos.add(nanos); break;
    }
  }

  env::Env& env_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> added_;  // guarded by mutex_
  std::atomic<bool> has_added_{false};
  std::vector<std::shared_ptr<Entry>> entries_;  // worker only
  std::unique_ptr<env::Driver> driver_;          // last: its end stops the steps
};

WorkerPool::WorkerPool(env::Env& env, std::size_t workers) {
  for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) {
    workers_.push_back(std::make_unique<Worker>(env, i, -1));
  }
}

WorkerPool::~WorkerPool() = default;

void WorkerPool::add(std::shared_ptr<Task> task, std::size_t worker) {
  workers_[worker % workers_.size()]->add(std::move(task));
}

}  // namespace drey::runtime
