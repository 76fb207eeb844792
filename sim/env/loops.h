// SimLoop, SimDriver, SimIoPool, SimThreads: env's executors as lanes of the scheduler.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/blocking.h"
#include "env/loop.h"
#include "sim/env/scheduler.h"

namespace drey::sim {

class SimLoop final : public env::Loop {
 public:
  explicit SimLoop(std::shared_ptr<Lane> lane) : lane_(std::move(lane)) {}
  ~SimLoop() override { lane_->end(); }
  SimLoop(const SimLoop&) = delete;
  SimLoop& operator=(const SimLoop&) = delete;
  void post(std::function<void()> function) override { lane_->post(std::move(function)); }
  env::TimerId after(Nanos delay, std::function<void()> function) override {
    return lane_->after(delay, std::move(function));
  }
  void cancel(env::TimerId timer) override { lane_->cancel(timer); }
  bool is_current() const override { return lane_->is_current(); }
  const std::shared_ptr<Lane>& lane() const { return lane_; }

 private:
  std::shared_ptr<Lane> lane_;
};

class SimDriver final : public env::Driver {
 public:
  SimDriver(std::shared_ptr<Lane> lane, env::StepFunction step) : lane_(std::move(lane)) {
    lane_->set_step([step = std::move(step)] {
      const env::MayNotBlock marked("a worker");
      return step();
    });
  }
  ~SimDriver() override { lane_->end(); }
  SimDriver(const SimDriver&) = delete;
  SimDriver& operator=(const SimDriver&) = delete;
  void wake() override { lane_->wake(); }

 private:
  std::shared_ptr<Lane> lane_;
};

// Two threads' worth of lanes; every job waits a drawn while. On a slow disk a long one, and then as long again until
// the process learns that the job is done: what happens to it meanwhile finds the file there or not.
class SimIoPool final : public env::IoPool {
 public:
  SimIoPool(Scheduler& scheduler, const std::shared_ptr<NodeState>& node) : scheduler_(scheduler) {
    for (int i = 0; i < 2; ++i) lanes_.push_back(scheduler.make_lane(node));
  }
  void post(std::function<void()> job) override {
    const auto& lane = lanes_[scheduler_.prng().below(lanes_.size())];
    const Nanos answer = draw(answer_max_);
    lane->after(draw(delay_max_), [lane, answer, job = std::move(job)] {
      lane->set_post_delay(answer);
      job();
      lane->set_post_delay(Nanos(0));
    });
  }
  // Zero: as fast as the others.
  void set_slow(Nanos longest) {
    delay_max_ = std::max(longest, kDelayMax);
    answer_max_ = longest;
  }
  void end() {
    for (const auto& lane : lanes_) lane->end();
  }

 private:
  static constexpr Nanos kDelayMax = std::chrono::microseconds(500);
  Nanos draw(Nanos most) {
    if (most == Nanos(0)) return most;
    return Nanos(static_cast<std::int64_t>(scheduler_.prng().below(static_cast<std::uint64_t>(most.count()))));
  }
  Nanos delay_max_ = kDelayMax;
  Nanos answer_max_{0};
  Scheduler& scheduler_;
  std::vector<std::shared_ptr<Lane>> lanes_;
};

class SimThreads final : public env::Threads {
 public:
  SimThreads(Scheduler& scheduler, std::shared_ptr<NodeState> node) : scheduler_(scheduler), node_(std::move(node)) {}
  std::unique_ptr<env::Loop> make_loop(const std::string&) override {
    return std::make_unique<SimLoop>(scheduler_.make_lane(node_));
  }
  std::unique_ptr<env::Driver> make_driver(const env::DriverOptions&, env::StepFunction step) override {
    return std::make_unique<SimDriver>(scheduler_.make_lane(node_), std::move(step));
  }
  int core_count() const override { return 2; }

 private:
  Scheduler& scheduler_;
  std::shared_ptr<NodeState> node_;
};

}  // namespace drey::sim
