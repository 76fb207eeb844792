#include "runtime/worker.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "env/log.h"

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

ObservedTask::At at_after(Task::Progress progress) {
  return progress == Task::Progress::kIdle      ? ObservedTask::At::kIdle
         : progress == Task::Progress::kBlocked ? ObservedTask::At::kBlocked
                                                : ObservedTask::At::kReady;
}

TaskTimes::State state_after(Task::Progress progress) {
  return progress == Task::Progress::kBusy      ? TaskTimes::State::kWaiting
         : progress == Task::Progress::kBlocked ? TaskTimes::State::kBackPressured
         : progress == Task::Progress::kWorking ? TaskTimes::State::kBusy
                                                : TaskTimes::State::kIdle;
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

// A thread that steps the tasks of one queue at a time.
struct WorkerPool::Stepper {
  std::atomic<Queue*> queue{nullptr};  // null: spare
  env::Mutex mutex;
  std::unique_ptr<env::Driver> driver DREY_GUARDED_BY(mutex);  // null: the pool ends

  void wake() {
    env::MutexLock lock(mutex);
    if (driver != nullptr) driver->wake();
  }
  // Waits for its step.
  void stop() {
    std::unique_ptr<env::Driver> ending;
    {
      env::MutexLock lock(mutex);
      ending = std::move(driver);
    }
  }
};

struct WorkerPool::Entry {
  // That a task has been woken, when, and whom to wake. Shared with its waker.
  struct Ready {
    std::atomic<bool> is_set{true};
    std::atomic<std::int64_t> since{INT64_MIN};
    std::atomic<Stepper*> stepper{nullptr};
  };
  std::shared_ptr<Task> task;
  std::shared_ptr<Observed> observed;
  std::shared_ptr<Ready> ready = std::make_shared<Ready>();
  Task::Progress last = Task::Progress::kBusy;  // what the last step came to
  Ticks since{};                                // when that was
  Ticks wake_at{INT64_MAX};
  const Stepper* stepped_by = nullptr;
};

// The tasks of a worker, or the one that holds a thread.
struct WorkerPool::Queue {
  Queue* home = nullptr;  // of a task that holds a thread: its worker; null: this is a worker
  std::atomic<Stepper*> stepper{nullptr};
  Ticks last_held{};                            // stepper only
  std::vector<std::shared_ptr<Entry>> entries;  // stepper only; the watch when it has taken the turn
  std::atomic<std::size_t> size{0};             // of entries
  // Odd while a step is under way. Whoever moves it on from an odd number has the queue: the stepper when the step is
  // over, or the watch, which then leaves the stepper with the task alone.
  std::atomic<std::uint64_t> turn{0};
  std::atomic<std::int64_t> step_began{0};
  std::atomic<Entry*> stepping{nullptr};

  env::Mutex mutex;
  std::vector<std::shared_ptr<Entry>> added DREY_GUARDED_BY(mutex);
  std::atomic<bool> has_added{false};

  void add(std::shared_ptr<Entry> entry) {
    {
      env::MutexLock lock(mutex);
      added.push_back(std::move(entry));
    }
    has_added.store(true);
    stepper.load()->wake();
  }
};

WorkerPool::WorkerPool(env::Env& env, std::size_t workers) : env_(env) {
  env::MutexLock lock(mutex_);
  for (std::size_t i = 0; i < std::max<std::size_t>(workers, 1); ++i) {
    workers_.push_back(std::make_unique<Queue>());
    Stepper* stepper = make_stepper();
    workers_.back()->stepper = stepper;
    stepper->queue = workers_.back().get();
  }
  turns_seen_.resize(workers_.size());
  watch_ = env.threads.make_driver({"drey-watch", -1}, [this] { return watch(); });
}

WorkerPool::~WorkerPool() {
  watch_.reset();
  std::vector<Stepper*> steppers;
  {
    env::MutexLock lock(mutex_);
    for (const auto& stepper : steppers_) steppers.push_back(stepper.get());
  }
  for (Stepper* stepper : steppers) stepper->stop();
  // Tasks that have not ended may outlive the pool, and be told things.
  const auto leave = [](Queue& queue) {
    env::MutexLock lock(queue.mutex);
    for (const auto& entry : queue.entries) entry->task->set_waker(nullptr);
    for (const auto& entry : queue.added) entry->task->set_waker(nullptr);
  };
  env::MutexLock lock(mutex_);
  for (const auto& queue : workers_) leave(*queue);
  for (const auto& queue : held_) leave(*queue);
}

// REQUIRES: mutex_.
WorkerPool::Stepper* WorkerPool::make_stepper() {
  auto stepper = std::make_unique<Stepper>();
  Stepper* raw = stepper.get();
  const std::string name = fmt::format("drey-worker-{}", steppers_.size());
  steppers_.push_back(std::move(stepper));
  auto driver = env_.threads.make_driver({name, -1}, [this, raw] { return round(*raw); });
  env::MutexLock lock(raw->mutex);
  raw->driver = std::move(driver);
  return raw;
}

void WorkerPool::add(std::shared_ptr<Task> task, std::size_t worker) {
  Queue& queue = *workers_[worker % workers_.size()];
  auto entry = std::make_shared<Entry>();
  entry->task = std::move(task);
  entry->observed = observed(*entry->task);
  entry->ready->stepper = queue.stepper.load();
  entry->task->set_waker([ready = entry->ready, clock = &env_.clock] {
    if (ready->is_set.exchange(true)) return;
    ready->since.store(clock->ticks().nanos, std::memory_order_relaxed);
    // After the flag: a stepper that takes the task over looks at the flag after it has put itself here.
    ready->stepper.load()->wake();
  });
  queue.add(std::move(entry));
}

void WorkerPool::take_added(Queue& queue, Stepper& stepper) {
  if (!queue.has_added.exchange(false)) return;
  const Ticks now = env_.clock.ticks();
  env::MutexLock lock(queue.mutex);
  for (auto& entry : queue.added) {
    entry->ready->stepper.store(&stepper);
    entry->ready->is_set.store(true);
    entry->since = now;
    entry->last = Task::Progress::kBusy;
    entry->task->times().enter(TaskTimes::State::kWaiting, now);
    queue.entries.push_back(std::move(entry));
  }
  queue.added.clear();
  queue.size.store(queue.entries.size());
}

// One round over all tasks of the stepper's queue that may have work.
Nanos WorkerPool::round(Stepper& stepper) {
  Queue* mine = stepper.queue.load();
  if (mine == nullptr) return env::kUntilWoken;
  Queue& queue = *mine;
  take_added(queue, stepper);
  Ticks now = env_.clock.ticks();
  bool busy = false;
  Ticks next{INT64_MAX};
  // Consumers were added after producers: from the back, so that what is there drains first.
  for (std::size_t i = queue.entries.size(); i-- > 0;) {
    const std::shared_ptr<Entry> entry = queue.entries[i];
    if (entry->last == Task::Progress::kDone) {
      queue.entries.erase(queue.entries.begin() + static_cast<std::ptrdiff_t>(i));
      queue.size.store(queue.entries.size());
      continue;
    }
    if (!entry->ready->is_set.load() && entry->wake_at > now) {
      next = std::min(next, entry->wake_at);
      continue;
    }
    if (entry->stepped_by != &stepper) {
      entry->stepped_by = &stepper;
      entry->observed->thread.store(::gettid(), std::memory_order_relaxed);
    }
    if (!step(queue, *entry, now)) return Nanos(0);  // the queue is another stepper's now
    if (entry->last == Task::Progress::kDone) {
      ++i;  // again: it goes
      continue;
    }
    busy = busy || entry->ready->is_set.load();
    next = std::min(next, entry->wake_at);
  }
  if (queue.home != nullptr && (queue.entries.empty() || now - queue.last_held >= kGoodFor)) {
    go_home(queue, stepper);
    return Nanos(0);
  }
  if (busy || queue.has_added.load()) return Nanos(0);
  if (next.nanos == INT64_MAX) return env::kUntilWoken;
  return std::max<Nanos>(next - env_.clock.ticks(), Nanos(1));
}

// False: the watch has taken the queue meanwhile; the task and this thread are alone in a queue of their own.
bool WorkerPool::step(Queue& queue, Entry& entry, Ticks& now) {
  Task& task = *entry.task;
  // When it could have stepped: a waker stores the time after it has set the flag, an older one than the last step is
  // none.
  if (entry.last == Task::Progress::kIdle) {
    Ticks runnable = std::min(now, entry.wake_at);
    const Ticks woken{entry.ready->since.load(std::memory_order_relaxed)};
    if (entry.ready->is_set.load() && woken >= entry.since) runnable = std::min(runnable, woken);
    task.times().enter(TaskTimes::State::kWaiting, runnable);
  }
  task.times().enter(TaskTimes::State::kBusy, now);
  // Ready is cleared before the step: a wake during it leads to another one. An exchange, so that the step sees what
  // was there before the wake that it takes.
  entry.ready->is_set.exchange(false);
  entry.observed->at.store(ObservedTask::At::kStepping, std::memory_order_relaxed);
  const std::uint64_t turn = queue.turn.load(std::memory_order_relaxed) + 1;
  queue.step_began.store(now.nanos, std::memory_order_relaxed);
  queue.stepping.store(&entry, std::memory_order_relaxed);
  queue.turn.store(turn);
  // After the turn shows: a watch that goes to sleep looks at the turns once more.
  if (watch_sleeps_.load() && watch_sleeps_.exchange(false)) watch_->wake();
  t_current.store(&task, std::memory_order_relaxed);
  const Task::Step result = task.step();
  t_current.store(nullptr, std::memory_order_relaxed);
  const Ticks began = now;
  now = env_.clock.ticks();
  entry.observed->at.store(at_after(result.progress), std::memory_order_relaxed);
  entry.since = now;
  entry.last = result.progress;
  entry.wake_at = result.progress == Task::Progress::kBusy ? Ticks{INT64_MAX} : result.wake_at;
  if (result.progress == Task::Progress::kDone) {
    task.times().stop(now);
    task.set_waker(nullptr);
  } else {
    task.times().enter(state_after(result.progress), now);
    if (result.progress == Task::Progress::kBusy) entry.ready->is_set.store(true);
  }
  std::uint64_t expected = turn;
  if (queue.turn.compare_exchange_strong(expected, turn + 1, std::memory_order_acq_rel)) {
    if (now - began >= kHeldMax) queue.last_held = now;
    return true;
  }
  env::MutexLock lock(mutex_);  // the watch has finished the exchange
  return false;
}

// The stepper's task has ended, or behaves: its thread becomes a spare one.
void WorkerPool::go_home(Queue& queue, Stepper& stepper) {
  for (auto& entry : queue.entries) queue.home->add(std::move(entry));
  env::MutexLock lock(mutex_);
  stepper.queue = nullptr;
  spare_.push_back(&stepper);
  std::erase_if(held_, [&](const auto& held) { return held.get() == &queue; });
}

Nanos WorkerPool::watch() {
  constexpr Nanos kLook = std::chrono::milliseconds(10);
  constexpr int kQuietLooks = 100;
  const Ticks now = env_.clock.ticks();
  bool is_quiet = true;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Queue& queue = *workers_[i];
    const std::uint64_t turn = queue.turn.load(std::memory_order_acquire);
    const bool has_moved = turn != std::exchange(turns_seen_[i], turn);
    is_quiet = is_quiet && !has_moved && turn % 2 == 0;
    if (turn % 2 == 0 || now.nanos - queue.step_began.load(std::memory_order_relaxed) < Nanos(kHeldMax).count())
      continue;
    if (queue.size.load() > 1 || queue.has_added.load()) relieve(queue, turn);
  }
  quiet_looks_ = is_quiet ? quiet_looks_ + 1 : 0;
  if (quiet_looks_ < kQuietLooks) return kLook;
  quiet_looks_ = 0;
  watch_sleeps_.store(true);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->turn.load() == turns_seen_[i]) continue;
    watch_sleeps_.store(false);
    return kLook;
  }
  return env::kUntilWoken;
}

// The step under way holds its thread for too long: another one takes the queue, but for that task.
void WorkerPool::relieve(Queue& queue, std::uint64_t turn) {
  env::MutexLock lock(mutex_);
  if (spare_.empty() && steppers_.size() >= workers_.size() + kSpareThreads) {
    if (!std::exchange(has_warned_, true)) {
      env::log_warn("worker", "User code holds {} threads; the tasks of a worker that is held now wait for it",
                    steppers_.size());
    }
    return;
  }
  if (!queue.turn.compare_exchange_strong(turn, turn + 1, std::memory_order_acq_rel)) return;  // it is over after all
  Stepper* held = queue.stepper.load();
  Entry* stepping = queue.stepping.load(std::memory_order_relaxed);
  const auto at = std::find_if(queue.entries.begin(), queue.entries.end(),
                               [&](const auto& entry) { return entry.get() == stepping; });
  auto alone = std::make_unique<Queue>();
  alone->home = &queue;
  alone->stepper = held;
  alone->last_held = env_.clock.ticks();
  alone->entries.push_back(std::move(*at));
  alone->size = 1;
  queue.entries.erase(at);
  queue.size.store(queue.entries.size());
  held->queue = alone.get();
  held_.push_back(std::move(alone));
  Stepper* next = nullptr;
  if (spare_.empty()) {
    next = make_stepper();
  } else {
    next = spare_.back();
    spare_.pop_back();
  }
  queue.stepper = next;
  for (const auto& entry : queue.entries) entry->ready->stepper.store(next);
  next->queue = &queue;
  next->wake();
}

}  // namespace drey::runtime
