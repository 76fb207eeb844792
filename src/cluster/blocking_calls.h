// BlockingCalls: runs what may block (files, SQLite, symbols of a crash) on the I/O pool, for an actor on a loop.
//
// `work` runs on the pool and must own all that it uses: it may still run when the actor has gone. `done` runs on the
// loop with its result, or with kTimeout at the deadline; a result that comes later is dropped, and so is `done` when
// the BlockingCalls has gone. The work itself cannot be stopped: what it changes may change after the deadline.
// Threading: run() on the loop; destruction on any thread, before the loop's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "base/time.h"
#include "env/loop.h"
#include "env/mutex.h"

namespace drey::cluster {

class BlockingCalls {
 public:
  static constexpr std::chrono::seconds kDeadline{60};

  BlockingCalls(env::IoPool& io, env::Loop& loop);
  ~BlockingCalls();
  BlockingCalls(const BlockingCalls&) = delete;
  BlockingCalls& operator=(const BlockingCalls&) = delete;

  // `what` is named when the deadline passes: "Reading the savepoint /s".
  void run(std::string what, std::function<Status()> work, std::function<void(Status)> done,
           Nanos deadline = kDeadline);
  // As run(); T has no deadline of its own.
  template <typename T>
  void get(std::string what, std::function<Result<T>()> work, std::function<void(Result<T>)> done,
           Nanos deadline = kDeadline) {
    const auto result = std::make_shared<Result<T>>(fail(Code::kInternal, what));
    run(
        std::move(what),
        [result, work = std::move(work)] {
          *result = work();
          return result->ok() ? Status() : result->status();
        },
        [result, done = std::move(done)](Status status) {
          if (status.ok()) return done(std::move(*result));
          done(std::move(status));
        },
        deadline);
  }
  // Nobody waits for it.
  void start(std::function<void()> work) { io_.post(std::move(work)); }

 private:
  struct Door {
    env::Mutex mutex;
    env::Loop* loop DREY_GUARDED_BY(mutex) = nullptr;
  };
  env::IoPool& io_;
  env::Loop& loop_;
  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
};

}  // namespace drey::cluster
