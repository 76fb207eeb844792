#include "sim/env/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace drey::sim {

Lane::Lane(Scheduler& scheduler, std::shared_ptr<NodeState> node, std::uint64_t id)
    : scheduler_(scheduler), node_(std::move(node)), id_(id) {}

void Lane::post(std::function<void()> function) {
  if (has_ended_ || !node_->is_alive) return;
  if (const Lane* from = scheduler_.current_; from != nullptr && from != this && from->post_delay_ > Nanos(0)) {
    after(from->post_delay_, std::move(function));
    return;
  }
  posted_.push_back(std::move(function));
  scheduler_.refresh(*this);
}

env::TimerId Lane::after(Nanos delay, std::function<void()> function) {
  const env::TimerId id = scheduler_.next_timer_++;
  if (has_ended_ || !node_->is_alive) return id;
  const std::int64_t at = scheduler_.now_ + std::max<std::int64_t>(delay.count(), 0);
  timer_times_[id] = at;
  timers_.emplace(std::pair(at, id), std::move(function));
  scheduler_.look_at(*this, at);
  return id;
}

void Lane::cancel(env::TimerId timer) {
  const auto found = timer_times_.find(timer);
  if (found == timer_times_.end()) return;
  const auto node = timers_.extract({found->second, timer});
  timer_times_.erase(found);
  scheduler_.refresh(*this);
}

bool Lane::is_current() const { return scheduler_.current_ == this; }

void Lane::set_step(env::StepFunction step) {
  step_ = std::move(step);
  step_at_ = scheduler_.now_;
  scheduler_.refresh(*this);
}

void Lane::wake() {
  if (has_ended_ || !node_->is_alive) return;
  was_woken_ = true;
  step_at_ = std::min(step_at_, scheduler_.now_);
  scheduler_.refresh(*this);
}

void Lane::end() {
  has_ended_ = true;
  scheduler_.refresh(*this);
  // What they capture may call back into this lane while it goes.
  const auto posted = std::exchange(posted_, {});
  const auto timers = std::exchange(timers_, {});
  timer_times_.clear();
  if (!is_current()) step_ = nullptr;
}

bool Lane::has_due_timer() const { return !timers_.empty() && timers_.begin()->first.first <= scheduler_.now_; }

bool Lane::is_ready() const {
  if (has_ended_ || !node_->is_alive || node_->is_paused || node_->is_dying) return false;
  return !posted_.empty() || (step_ && step_at_ <= scheduler_.now_) || has_due_timer();
}

void Lane::run_one() {
  if (step_) {
    was_woken_ = false;
    const Nanos parked = step_();
    if (has_ended_) {
      step_ = nullptr;
    } else if (parked < Nanos::zero()) {
      step_ = nullptr;
    } else {
      step_at_ = was_woken_ ? scheduler_.now_ : scheduler_.now_ + parked.count();
      if (step_at_ > scheduler_.now_) scheduler_.look_at(*this, step_at_);
    }
    return;
  }
  const bool has_timer = has_due_timer();
  if (has_timer && (posted_.empty() || scheduler_.prng_.chance(0.5))) {
    auto timer = timers_.extract(timers_.begin());
    timer_times_.erase(timer.key().second);
    timer.mapped()();
    return;
  }
  const auto function = std::move(posted_.front());
  posted_.pop_front();
  function();
}

Scheduler::Scheduler(Options options) : options_(options), prng_(mix64(options.seed)) {}

void Scheduler::at(Ticks when, std::function<void()> event) {
  later_.push_back({std::max(when.nanos, now_), next_sequence_++, std::move(event), {}});
  std::push_heap(later_.begin(), later_.end(), Sooner());
}

void Scheduler::look_at(Lane& lane, std::int64_t when) {
  if (when <= now_) {
    refresh(lane);
    return;
  }
  later_.push_back({when, next_sequence_++, nullptr, lane.weak_from_this()});
  std::push_heap(later_.begin(), later_.end(), Sooner());
}

std::shared_ptr<Lane> Scheduler::make_lane(std::shared_ptr<NodeState> node) {
  lanes_.push_back(std::make_shared<Lane>(*this, std::move(node), next_lane_++));
  return lanes_.back();
}

void Scheduler::refresh(const NodeState& node) {
  for (const auto& lane : lanes_) {
    if (lane->node_.get() == &node) refresh(*lane);
  }
}

void Scheduler::refresh(Lane& lane) {
  const bool is_ready = lane.is_ready();
  if (is_ready == (lane.ready_index_ >= 0)) return;
  if (is_ready) {
    lane.ready_index_ = static_cast<std::ptrdiff_t>(ready_.size());
    ready_.push_back(&lane);
    return;
  }
  Lane* last = ready_.back();
  ready_[static_cast<std::size_t>(lane.ready_index_)] = last;
  last->ready_index_ = lane.ready_index_;
  ready_.pop_back();
  lane.ready_index_ = -1;
}

void Scheduler::clear() {
  while (!later_.empty() || !lanes_.empty()) {
    // What goes may call back and add more.
    const auto later = std::exchange(later_, {});
    const auto lanes = std::exchange(lanes_, {});
    for (const auto& lane : lanes) lane->end();
  }
}

bool Scheduler::step() {
  DREY_CHECK(current_ == nullptr);
  while (true) {
    if (!later_.empty() && (later_.front().at <= now_ || ready_.empty())) {
      std::pop_heap(later_.begin(), later_.end(), Sooner());
      Later next = std::move(later_.back());
      later_.pop_back();
      if (next.event) {
        now_ = std::max(now_, next.at);
        ++events_;
        note(static_cast<std::uint64_t>(now_));
        next.event();
        return true;
      }
      const auto lane = next.lane.lock();
      if (lane == nullptr || lane->has_ended_) continue;  // time does not move for the dead
      now_ = std::max(now_, next.at);
      refresh(*lane);
      continue;
    }
    if (ready_.empty()) return false;
    Lane* lane = ready_[prng_.below(ready_.size())];
    now_ += 1 + static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(options_.event_cost_max.count())));
    if (lane->node_->starved > 0 && prng_.chance(lane->node_->starved)) continue;
    ++events_;
    note(lane->id_ ^ (static_cast<std::uint64_t>(now_) << 8));
    if (on_event_) on_event_(*lane->node_, lane->id_);
    const auto keep = lane->shared_from_this();
    current_ = lane;
    lane->run_one();
    current_ = nullptr;
    refresh(*lane);
    if (events_ % 4096 == 0) std::erase_if(lanes_, [](const auto& l) { return l->has_ended_ && l.use_count() == 1; });
    return true;
  }
}

}  // namespace drey::sim
