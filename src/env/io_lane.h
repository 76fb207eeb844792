// IoLane: jobs of the I/O pool that run one after another, in the order of their posts.
//
// Threading: post from any thread. Lifetime: jobs that were posted run, also when the lane is gone.
#pragma once

#include <functional>
#include <memory>

#include "env/loop.h"

namespace drey::env {

class IoLane {
 public:
  explicit IoLane(IoPool& pool);
  void post(std::function<void()> job);

 private:
  struct Queue;
  std::shared_ptr<Queue> queue_;
};

}  // namespace drey::env
