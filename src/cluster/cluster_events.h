// ClusterEvents: counts what may change an answer and tells the watcher what happens. Threading: the JobManager's loop;
// changes() on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "env/clock.h"
#include "gateway/event_model.h"

namespace drey::cluster {

class ClusterEvents {
 public:
  explicit ClusterEvents(env::Clock& clock) : clock_(clock) {}
  // Before the change: nothing else runs on the loop between the two.
  void changed() { ++changes_; }
  std::uint64_t changes() const { return changes_.load(); }
  void watch(std::function<void(const gateway::EventModel&)> watcher) { watcher_ = std::move(watcher); }
  // Fills the time in.
  void publish(gateway::EventModel event) {
    if (!std::holds_alternative<gateway::TickEvent>(event.what)) changed();
    if (!watcher_) return;
    event.time = clock_.wall().millis;
    watcher_(event);
  }

 private:
  env::Clock& clock_;
  std::atomic<std::uint64_t> changes_{1};
  std::function<void(const gateway::EventModel&)> watcher_;
};

}  // namespace drey::cluster
