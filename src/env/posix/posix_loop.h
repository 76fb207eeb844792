// PosixLoop: a Loop on epoll, with its own thread. Sockets and child processes of posix/ hang on
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "env/loop.h"

namespace drey::env {

class PosixLoop final : public Loop {
 public:
  explicit PosixLoop(const std::string& name);
  ~PosixLoop() override;
  PosixLoop(const PosixLoop&) = delete;
  PosixLoop& operator=(const PosixLoop&) = delete;

  void post(std::function<void()> function) override;
  TimerId after(Nanos delay, std::function<void()> function) override;
  void cancel(TimerId timer) override;

  // On the loop: calls back with epoll's events while the descriptor is watched. The callback may
  // unwatch.
  void watch(int descriptor, std::uint32_t events, std::function<void(std::uint32_t)> callback);
  void change(int descriptor, std::uint32_t events);
  void unwatch(int descriptor);
  bool is_current() const override { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void run();
  void wake();
  int run_due_timers();

  int epoll_ = -1;
  int event_ = -1;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
  bool woken_ = false;                         // guarded by mutex_
  // Loop thread only.
  std::map<std::pair<std::int64_t, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, std::int64_t> timer_times_;
  std::unordered_map<int, std::shared_ptr<std::function<void(std::uint32_t)>>> watched_;
  std::atomic<TimerId> next_timer_{1};
  std::thread thread_;
};

std::int64_t monotonic_nanos();

}  // namespace drey::env
