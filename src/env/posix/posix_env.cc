#include <pthread.h>
#include <sched.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <thread>
#include <vector>

#include "base/check.h"
#include "env/blocking.h"
#include "env/env.h"
#include "env/mutex.h"
#include "env/notifier.h"
#include "env/posix/posix_files.h"
#include "env/posix/posix_loop.h"
#include "env/posix/posix_network.h"
#include "env/posix/posix_process.h"

namespace drey::env {
namespace {

class PosixClock final : public Clock {
 public:
  Instant wall() override {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return {now.tv_sec * 1000LL + now.tv_nsec / 1'000'000};
  }
  Ticks ticks() override { return {monotonic_nanos()}; }
};

class PosixRandom final : public Random {
 public:
  std::uint64_t next() override {
    std::uint64_t value = 0;
    DREY_CHECK_EQ(getrandom(&value, sizeof value, 0), static_cast<ssize_t>(sizeof value));
    return value;
  }
};

// Threads are made as jobs need them, and stay.
class ThreadPool final : public IoPool {
 public:
  explicit ThreadPool(std::size_t threads_max) : threads_max_(threads_max) {}
  ~ThreadPool() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
    }
    condition_.notify_all();
    threads_.clear();
  }
  void post(std::function<void()> job) override {
    MutexLock lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < threads_max_)
      threads_.push_back(start_thread("drey-io", [this] { run(); }));
    condition_.notify_one();
  }

 private:
  void run() {
    while (true) {
      std::function<void()> job;
      {
        MutexLock lock(mutex_);
        ++idle_;
        while (!stopping_ && jobs_.empty()) condition_.wait(mutex_);
        --idle_;
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  const std::size_t threads_max_;
  Mutex mutex_;
  CondVar condition_;
  std::deque<std::function<void()>> jobs_ DREY_GUARDED_BY(mutex_);
  std::size_t idle_ DREY_GUARDED_BY(mutex_) = 0;
  bool stopping_ DREY_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Thread>> threads_;  // guarded by mutex_ until it stops
};

class PosixThread final : public Thread {
 public:
  PosixThread(const std::string& name, std::function<void()> body)
      : thread_([name, body = std::move(body)] {
          pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
          body();
        }) {}
  ~PosixThread() override { thread_.join(); }

 private:
  std::thread thread_;
};

class ThreadDriver final : public Driver {
 public:
  ThreadDriver(const DriverOptions& options, StepFunction step) : step_(std::move(step)) {
    thread_ = start_thread(options.name, [this, core = options.core] {
      if (core >= 0) pin(core);
      const MayNotBlock marked("a worker");
      while (!stopping_.load(std::memory_order_acquire)) {
        const Nanos parked = step_();
        if (parked < Nanos::zero()) return;
        if (parked > Nanos::zero()) notifier_.wait(parked);
      }
    });
  }
  ~ThreadDriver() override {
    stopping_.store(true, std::memory_order_release);
    notifier_.wake();
    thread_.reset();
  }
  void wake() override { notifier_.wake(); }

 private:
  static void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<std::size_t>(core), &cores);
    // Refused when the core is not ours: the driver then runs anywhere.
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
  }
  StepFunction step_;
  Notifier notifier_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Thread> thread_;
};

class PosixThreads final : public Threads {
 public:
  std::unique_ptr<Loop> make_loop(const std::string& name) override { return std::make_unique<PosixLoop>(name); }
  std::unique_ptr<Driver> make_driver(const DriverOptions& options, StepFunction step) override {
    return std::make_unique<ThreadDriver>(options, std::move(step));
  }
  int core_count() const override {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(CPU_COUNT(&cores), 1) : 1;
  }
};

}  // namespace

std::unique_ptr<Thread> start_thread(const std::string& name, std::function<void()> body) {
  return std::make_unique<PosixThread>(name, std::move(body));
}

std::string environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? value : "";
}

Env& posix() {
  // Never destroyed: detached work may use it until the process ends.
  static auto* clock = new PosixClock();
  static auto* random = new PosixRandom();
  static auto* files = new PosixFileSystem();
  static auto* network = new PosixNetwork();
  static auto* processes = new PosixProcesses();
  static auto* io = new ThreadPool(32);
  static auto* threads = new PosixThreads();
  static auto* env = new Env{*clock, *random, *files, *network, *processes, *io, *threads};
  return *env;
}

}  // namespace drey::env
