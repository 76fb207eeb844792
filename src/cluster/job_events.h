// JobEvents: tells watchers what happened in a job since the last call. Threading: the JobManager's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/id.h"
#include "control/checkpoint/coordinator.h"
#include "control/execution/execution_graph.h"
#include "gateway/event_model.h"

namespace drey::cluster {

class JobEvents {
 public:
  // `publish` fills the time in.
  JobEvents(JobId job, std::function<void(gateway::EventModel)> publish) : job_(job), publish_(std::move(publish)) {}

  void publish_state(const std::string& name, control::JobState state);
  // Each exception of the history that was not told yet, oldest first.
  void publish_exceptions(const control::ExecutionGraph& graph);
  // Each checkpoint that began or ended.
  void publish_checkpoints(const control::CheckpointCoordinator& coordinator);
  void publish_rescale(const gateway::RescalesModel& rescales);

 private:
  const JobId job_;
  const std::function<void(gateway::EventModel)> publish_;
  std::int64_t last_pending_ = -1;     // id of the checkpoint whose trigger was told
  std::int64_t checkpoints_told_ = 0;  // ended ones
  std::uint64_t last_exception_ = 0;   // number of the last one told
};

}  // namespace drey::cluster
