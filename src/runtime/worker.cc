#include "runtime/worker.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace drey::runtime {
namespace {

thread_local std::atomic<const Task*> t_current{nullptr};

// Of a task that has not ended: one writer, its worker.
struct Observed {
  ObservedTask task;  // but for `at` and `thread`
  std::atomic<ObservedTask::At> at{ObservedTask::At::kReady};
  std::atomic<int> thread{0};
};
struct Observatory {
  std::mutex mutex;
  std::vector<std::weak_ptr<Observed>> tasks;  // guarded by mutex
};
Observatory& observatory() {
  static auto* instance = new Observatory();
  return *instance;
}
std::shared_ptr<Observed> observed(const Task& task) {
  auto made = std::make_shared<Observed>();
  made->task.job = task.spec().job;
  made->task.vertex = task.spec().vertex_index;
  made->task.subtask = task.spec().subtask;
  Observatory& all = observatory();
  std::lock_guard lock(all.mutex);
  std::erase_if(all.tasks, [](const auto& weak) { return weak.expired(); });
  all.tasks.push_back(made);
  return made;
}

}  // namespace

std::vector<ObservedTask> WorkerPool::observe() {
  std::vector<ObservedTask> out;
  Observatory& all = observatory();
  std::lock_guard lock(all.mutex);
  for (const auto& weak : all.tasks) {
    const auto seen = weak.lock();
    if (seen == nullptr) continue;
    out.push_back(seen->task);
    out.back().at = seen->at.load(std::memory_order_relaxed);
    out.back().thread = seen->thread.load(std::memory_order_relaxed);
  }
  return out;
}

const Task* WorkerPool::current() { return t_current.load(std::memory_order_relaxed); }

class WorkerPool::Worker {
 public:
  Worker(env::Env& env, std::size_t number, int core) : env_(env) {
    driver_ = env.threads.make_driver({fmt::format("drey-worker-{}", number), core}, [this] { return step(); });
  }

  void add(std::shared_ptr<Task> task) {
    auto entry = std::make_shared<Entry>();
    entry->task = std::move(task);
    entry->observed = observed(*entry->task);
    entry->ready = std::make_shared<Ready>();
    entry->task->set_waker([this, ready = entry->ready] {
      if (ready->is_set.exchange(true, std::memory_order_acq_rel)) return;
      ready->since.store(env_.clock.ticks().nanos, std::memory_order_relaxed);
      driver_->wake();
    });
    {
      std::lock_guard lock(mutex_);
      added_.push_back(std::move(entry));
    }
    has_added_ = true;
    driver_->wake();
  }

 private:
  // That a task has been woken, and when. Shared with its waker.
  struct Ready {
    std::atomic<bool> is_set{true};
    std::atomic<std::int64_t> since{INT64_MIN};
  };
  struct Entry {
    std::shared_ptr<Task> task;
    std::shared_ptr<Ready> ready;
    bool is_runnable = true;  // since its last step
    Ticks since{};            // when that was
    std::shared_ptr<Observed> observed;
    Ticks wake_at{INT64_MAX};
  };

  // One round over all tasks that may have work.
  Nanos step() {
    if (has_added_.exchange(false)) {
      std::lock_guard lock(mutex_);
      for (auto& entry : added_) {
        entry->since = env_.clock.ticks();
        entry->task->times().enter(TaskTimes::State::kBusy, entry->since);
        entry->observed->thread.store(::gettid(), std::memory_order_relaxed);
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
      if (!entry.ready->is_set.load(std::memory_order_acquire) && entry.wake_at > now) {
        next = std::min(next, entry.wake_at);
        continue;
      }
      account_wait(entry, now);
      // Ready is cleared before the step: a wake during it leads to another one. An exchange, so that the step sees
      // what was there before the wake that it takes.
      entry.ready->is_set.exchange(false, std::memory_order_acq_rel);
      entry.observed->at.store(ObservedTask::At::kStepping, std::memory_order_relaxed);
      t_current.store(entry.task.get(), std::memory_order_relaxed);
      const Task::Step result = entry.task->step();
      t_current.store(nullptr, std::memory_order_relaxed);
      entry.observed->at.store(at_after(result.progress), std::memory_order_relaxed);
      now = env_.clock.ticks();
      entry.since = now;
      entry.is_runnable = result.progress == Task::Progress::kBusy;
      entry.wake_at = result.progress == Task::Progress::kIdle ? result.wake_at : Ticks{INT64_MAX};
      if (result.progress == Task::Progress::kDone) {
        entry.task->times().stop(now);
      } else if (!entry.is_runnable) {
        entry.task->times().enter(
            result.progress == Task::Progress::kBlocked ? TaskTimes::State::kBackPressured : TaskTimes::State::kIdle,
            now);
      }
      if (result.progress == Task::Progress::kBusy) {
        entry.ready->is_set.store(true, std::memory_order_release);
        busy = true;
      } else if (result.progress == Task::Progress::kDone) {
        entry.task->set_waker(nullptr);
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        busy = busy || entry.ready->is_set.load(std::memory_order_acquire);
        next = std::min(next, entry.wake_at);
      }
    }
    if (busy || has_added_) return Nanos(0);
    if (next.nanos == INT64_MAX) return env::kUntilWoken;
    return std::max<Nanos>(next - env_.clock.ticks(), Nanos(1));
  }

  static ObservedTask::At at_after(Task::Progress progress) {
    return progress == Task::Progress::kIdle      ? ObservedTask::At::kIdle
           : progress == Task::Progress::kBlocked ? ObservedTask::At::kBlocked
                                                  : ObservedTask::At::kReady;
  }

  // Before a step: the time since the last one. From when the task could have stepped it counts as busy.
  static void account_wait(Entry& entry, Ticks now) {
    Ticks runnable = entry.since;
    if (!entry.is_runnable) {
      runnable = std::min(now, entry.wake_at);
      // A waker stores the time after it has set the flag: an older one than the last step is none.
      const Ticks woken{entry.ready->since.load(std::memory_order_relaxed)};
      if (entry.ready->is_set.load(std::memory_order_acquire) && woken >= entry.since)
        runnable = std::min(runnable, woken);
      entry.task->times().enter(TaskTimes::State::kBusy, runnable);
    }
    entry.task->times().add_delay(now - runnable);
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
