#include "env/posix/posix_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "env/env.h"

namespace drey::env {

std::int64_t monotonic_nanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

PosixLoop::PosixLoop(const std::string& name) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  DREY_CHECK(epoll_ >= 0 && event_ >= 0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = event_;
  DREY_CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event), 0);
  thread_ = std::thread([this, name] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    run();
  });
}

PosixLoop::~PosixLoop() {
  DREY_CHECK(!is_current());
  stopping_ = true;
  wake();
  thread_.join();
  ::close(event_);
  ::close(epoll_);
}

void PosixLoop::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
}

void PosixLoop::post(std::function<void()> function) {
  bool tell = false;
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
    tell = !woken_;
    woken_ = true;
  }
  if (tell) wake();
}

TimerId PosixLoop::after(Nanos delay, std::function<void()> function) {
  const TimerId id = next_timer_++;
  const std::int64_t at = monotonic_nanos() + std::max<std::int64_t>(delay.count(), 0);
  auto add = [this, id, at, function = std::move(function)]() mutable {
    timer_times_[id] = at;
    timers_.emplace(std::pair(at, id), std::move(function));
  };
  if (is_current()) {
    add();
  } else {
    post(std::move(add));
  }
  return id;
}

void PosixLoop::cancel(TimerId timer) {
  auto remove = [this, timer] {
    const auto found = timer_times_.find(timer);
    if (found == timer_times_.end()) return;
    timers_.erase({found->second, timer});
    timer_times_.erase(found);
  };
  if (is_current()) {
    remove();
  } else {
    post(remove);
  }
}

void PosixLoop::watch(int descriptor, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
  watched_[descriptor] = std::make_shared<std::function<void(std::uint32_t)>>(std::move(callback));
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  DREY_CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event), 0);
}

void PosixLoop::change(int descriptor, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  DREY_CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event), 0);
}

void PosixLoop::unwatch(int descriptor) {
  if (watched_.erase(descriptor) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

int PosixLoop::run_due_timers() {
  while (!timers_.empty()) {
    const std::int64_t left = timers_.begin()->first.first - monotonic_nanos();
    if (left > 0) return static_cast<int>(std::min<std::int64_t>((left + 999'999) / 1'000'000, 60'000));
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    node.mapped()();
  }
  return 60'000;
}

void PosixLoop::run() {
  std::vector<std::function<void()>> batch;
  epoll_event events[64];
  while (!stopping_) {
    {
      std::lock_guard lock(mutex_);
      batch.swap(posted_);
      woken_ = false;
    }
    for (auto& function : batch) function();
    batch.clear();
    int timeout = run_due_timers();
    {
      std::lock_guard lock(mutex_);
      if (!posted_.empty()) timeout = 0;
    }
    const int count = epoll_wait(epoll_, events, 64, timeout);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == event_) {
        std::uint64_t value = 0;
        [[maybe_unused]] const auto got = ::read(event_, &value, sizeof value);
        continue;
      }
      const auto found = watched_.find(events[i].data.fd);
      if (found == watched_.end()) continue;
      const auto callback = found->second;  // stays alive when it unwatches itself
      (*callback)(events[i].events);
    }
  }
}

}  // namespace drey::env
