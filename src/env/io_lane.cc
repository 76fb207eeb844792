#include "env/io_lane.h"

#include <deque>
#include <utility>

#include "env/mutex.h"

namespace drey::env {

struct IoLane::Queue : std::enable_shared_from_this<Queue> {
  explicit Queue(IoPool& its_pool) : pool(its_pool) {}

  // Each job is one of the pool's: a long queue does not keep others from the thread.
  void run_next() {
    pool.post([self = shared_from_this()] {
      std::function<void()> job;
      {
        MutexLock lock(self->mutex);
        job = std::move(self->jobs.front());
        self->jobs.pop_front();
      }
      job();
      job = nullptr;
      {
        MutexLock lock(self->mutex);
        self->is_running = !self->jobs.empty();
        if (!self->is_running) return;
      }
      self->run_next();
    });
  }

  IoPool& pool;
  Mutex mutex;
  std::deque<std::function<void()>> jobs DREY_GUARDED_BY(mutex);
  bool is_running DREY_GUARDED_BY(mutex) = false;
};

IoLane::IoLane(IoPool& pool) : queue_(std::make_shared<Queue>(pool)) {}

void IoLane::post(std::function<void()> job) {
  {
    MutexLock lock(queue_->mutex);
    queue_->jobs.push_back(std::move(job));
    if (queue_->is_running) return;
    queue_->is_running = true;
  }
  queue_->run_next();
}

}  // namespace drey::env
