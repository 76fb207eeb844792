// Scheduler: runs everything of a simulated world on one thread, in an order and at times that
// follow from the seed.
//
// A lane is something that runs one thing at a time: a loop, a driver, a thread of the pool. What
// was posted to a lane runs in order; among lanes that are ready the seed chooses. Time moves by a
// drawn cost with every event, and jumps to the next timer when nothing is ready. Threading: one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
#include "env/loop.h"

namespace drey::sim {

// What the lanes of one process share.
struct NodeState {
  std::string name;
  std::string host;
  bool is_alive = true;
  bool is_paused = false;
  bool is_dying = false;              // killed from within an event: ends when the event returns
  double starved = 0;                 // chance that a turn of its lanes passes
  std::int64_t operations_left = -1;  // file operations until it dies; -1: any number

  // What this process does still reaches the outside.
  bool acts() const { return is_alive && !is_dying; }
};

class Scheduler;

class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(Scheduler& scheduler, std::shared_ptr<NodeState> node, std::uint64_t id);

  void post(std::function<void()> function);
  env::TimerId after(Nanos delay, std::function<void()> function);
  void cancel(env::TimerId timer);
  bool is_current() const;
  // Makes this lane a driver's.
  void set_step(env::StepFunction step);
  void wake();
  // What it posts to other lanes from now on takes so long to get there.
  void set_post_delay(Nanos delay) { post_delay_ = delay; }
  // Drops all it has; nothing of it runs again.
  void end();
  bool has_ended() const { return has_ended_; }
  const NodeState& node() const { return *node_; }

 private:
  friend class Scheduler;
  bool has_due_timer() const;
  bool is_ready() const;
  void run_one();

  Scheduler& scheduler_;
  std::shared_ptr<NodeState> node_;
  std::uint64_t id_;
  std::deque<std::function<void()>> posted_;
  std::map<std::pair<std::int64_t, env::TimerId>, std::function<void()>> timers_;
  std::map<env::TimerId, std::int64_t> timer_times_;
  env::StepFunction step_;
  std::int64_t step_at_ = 0;  // of the next step
  bool was_woken_ = false;    // while a step ran
  Nanos post_delay_{0};
  bool has_ended_ = false;
  std::ptrdiff_t ready_index_ = -1;
};

class Scheduler {
 public:
  struct Options {
    std::uint64_t seed = 0;
    Nanos event_cost_max = std::chrono::microseconds(20);
  };
  explicit Scheduler(Options options);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Ticks now() const { return {now_}; }
  // Time that an operation takes its caller.
  void spend(Nanos time) { now_ += time.count(); }
  // Outside of all lanes. Order: by time, then as they were asked for.
  void at(Ticks when, std::function<void()> event);
  std::shared_ptr<Lane> make_lane(std::shared_ptr<NodeState> node);
  // Looks again which lanes of a node may run; after is_paused or is_alive has changed.
  void refresh(const NodeState& node);

  // Forgets everything, before the end of the world.
  void clear();

  // One event. False when nothing will ever happen again.
  bool step();

  Prng& prng() { return prng_; }
  // A hash of all that has happened: equal for equal seeds, or something is not deterministic.
  std::uint64_t trace() const { return trace_; }
  void note(std::uint64_t value) { trace_ = mix64(trace_ ^ value); }
  std::uint64_t events() const { return events_; }
  // Set to print every event's lane to standard error.
  void set_on_event(std::function<void(const NodeState&, std::uint64_t lane)> hook) { on_event_ = std::move(hook); }

 private:
  friend class Lane;
  struct Later {
    std::int64_t at;
    std::uint64_t sequence;
    std::function<void()> event;  // empty: a look at the lane
    std::weak_ptr<Lane> lane;
  };
  struct Sooner {
    bool operator()(const Later& a, const Later& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };
  void refresh(Lane& lane);
  void look_at(Lane& lane, std::int64_t when);

  Options options_;
  Prng prng_;
  std::int64_t now_ = 1'000'000'000;
  std::uint64_t trace_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t next_lane_ = 1;
  env::TimerId next_timer_ = 1;
  std::vector<Later> later_;  // a heap
  std::vector<std::shared_ptr<Lane>> lanes_;
  std::vector<Lane*> ready_;
  Lane* current_ = nullptr;
  std::function<void(const NodeState&, std::uint64_t)> on_event_;
};

}  // namespace drey::sim
