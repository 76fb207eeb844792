#include "cluster/job_events.h"

#include <algorithm>

#include "cluster/job_view.h"

namespace drey::cluster {

void JobEvents::publish_state(const std::string& name, control::JobState state) {
  publish_({job_, 0, gateway::JobStateEvent{name, std::string(to_text(state))}});
}

void JobEvents::publish_exceptions(const control::ExecutionGraph& graph) {
  const auto& all = graph.exceptions();  // newest first
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    if (entry->number <= last_exception_) continue;
    last_exception_ = entry->number;
    publish_({job_, 0, exception_model(*entry)});
  }
}

void JobEvents::publish_checkpoints(const control::CheckpointCoordinator& coordinator) {
  const std::int64_t ended = coordinator.completed_count() + coordinator.failed_count();
  const auto& history = coordinator.history();  // newest first
  const auto fresh = std::min<std::int64_t>(ended - std::exchange(checkpoints_told_, ended),
                                            static_cast<std::int64_t>(history.size()));
  for (std::int64_t i = fresh; i > 0; --i)
    publish_({job_, 0, checkpoint_model(history[static_cast<std::size_t>(i - 1)])});
  const auto& pending = coordinator.pending();
  if (!pending || pending->id == last_pending_) return;
  last_pending_ = pending->id;
  publish_({job_, 0, checkpoint_model(*pending)});
}

void JobEvents::publish_rescale(const gateway::RescalesModel& rescales) {
  if (!rescales.history.empty()) publish_({job_, 0, rescales.history.front()});
}

}  // namespace drey::cluster
