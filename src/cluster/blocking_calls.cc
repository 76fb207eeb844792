#include "cluster/blocking_calls.h"

#include <fmt/format.h>

namespace drey::cluster {

BlockingCalls::BlockingCalls(env::IoPool& io, env::Loop& loop) : io_(io), loop_(loop) {
  const env::MutexLock lock(door_->mutex);
  door_->loop = &loop;
}

BlockingCalls::~BlockingCalls() {
  const env::MutexLock lock(door_->mutex);
  door_->loop = nullptr;
}

void BlockingCalls::run(std::string what, std::function<Status()> work, std::function<void(Status)> done,
                        Nanos deadline) {
  // On the loop only.
  struct Call {
    std::function<void(Status)> done;  // empty: it has run
    env::TimerId timer = 0;
  };
  const auto call = std::make_shared<Call>();
  call->done = std::move(done);
  call->timer = loop_.after(deadline, [call, what = std::move(what), deadline] {
    if (!call->done) return;
    const auto late = std::exchange(call->done, nullptr);
    late(fail(Code::kTimeout, fmt::format("{} takes longer than {} ms", what, deadline.count() / 1'000'000)));
  });
  io_.post([call, door = door_, work = std::move(work)]() mutable {
    Status status = work();
    work = nullptr;
    const env::MutexLock lock(door->mutex);
    if (door->loop == nullptr) return;
    door->loop->post([call, loop = door->loop, status = std::move(status)]() mutable {
      if (!call->done) return;
      loop->cancel(call->timer);
      const auto in_time = std::exchange(call->done, nullptr);
      in_time(std::move(status));
    });
  });
}

}  // namespace drey::cluster
