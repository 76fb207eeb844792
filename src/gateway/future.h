// Future and Promise: a result that comes later, taken by one callback. Any thread may fulfil; the callback runs there,
// or at once in then() when the result is there already. A Promise that is dropped unfulfilled fails with kUnavailable.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/status.h"

namespace drey::gateway {

template <typename T>
class Future {
 public:
  struct Shared {
    std::mutex mutex;
    std::optional<Result<T>> result;
    std::function<void(Result<T>)> callback;
  };
  explicit Future(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  Future(Result<T> ready) : shared_(std::make_shared<Shared>()) { shared_->result = std::move(ready); }  // NOLINT

  void then(std::function<void(Result<T>)> callback) {
    std::unique_lock lock(shared_->mutex);
    if (!shared_->result) {
      shared_->callback = std::move(callback);
      return;
    }
    Result<T> result = std::move(*shared_->result);
    lock.unlock();
    callback(std::move(result));
  }

 private:
  std::shared_ptr<Shared> shared_;
};

template <typename T>
class Promise {
 public:
  Promise() : guard_(std::make_shared<Guard>()) {}
  Future<T> future() const { return Future<T>(guard_->shared); }
  // Once; later calls do nothing.
  void set(Result<T> result) const { guard_->set(std::move(result)); }

 private:
  struct Guard {
    std::shared_ptr<typename Future<T>::Shared> shared = std::make_shared<typename Future<T>::Shared>();
    void set(Result<T> result) {
      std::unique_lock lock(shared->mutex);
      if (done) return;
      done = true;
      if (!shared->callback) {
        shared->result = std::move(result);
        return;
      }
      auto callback = std::move(shared->callback);
      lock.unlock();
      callback(std::move(result));
    }
    ~Guard() {
      set(fail(Code::kUnavailable,
               "Service temporarily unavailable due to an ongoing leader election. Please refresh."));
    }
    bool done = false;
  };
  std::shared_ptr<Guard> guard_;
};

}  // namespace drey::gateway
