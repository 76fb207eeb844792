// RescaleHistory: records what a job's rescalings did; at most one is open. Threading: the
// JobManager's loop.
//
// A rescaling that is asked for replaces an open one; another cause (slots that come, a failover)
// goes on with it. The record is a value of the job's: it outlives its end and the JobManager.
// Bounds: `history_max` of the model; the oldest go.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "control/execution/scaling.h"
#include "env/env.h"
#include "gateway/rescale_model.h"
#include "graph/job_graph.h"

namespace drey::cluster {

class RescaleHistory {
 public:
  RescaleHistory(gateway::RescalesModel& model, env::Random& random) : model_(model), random_(random) {}

  // `wanted`: per vertex of the plan.
  void begin(gateway::RescaleCause cause, const graph::Plan& plan, const std::vector<control::Bounds>& wanted,
             bool runs, Instant now);
  bool is_open() const { return !model_.history.empty() && model_.history.front().is_open(); }
  // Somebody works on the open one: only then it succeeds when all tasks run.
  void carry() { carried_ = is_open() ? model_.history.front().id : gateway::RescaleId(); }
  bool is_carried() const { return is_open() && model_.history.front().id == carried_; }
  const gateway::RescaleModel& open() const { return model_.history.front(); }
  // The scheduler is in this state from now on; nothing when none is open.
  void enter(const std::string& state, Instant now);
  // Nothing when none is open. `plan`: what the job runs with now.
  void end(gateway::RescaleEnd how, const graph::Plan& plan, const std::string& exception, Instant now);

 private:
  gateway::RescalesModel& model_;
  env::Random& random_;
  gateway::RescaleId carried_;
};

}  // namespace drey::cluster
