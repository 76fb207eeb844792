// Operations: what was triggered over REST and is asked for later: savepoints, checkpoints, disposals, rescalings. In
// the job store, so that a result outlives the JobManager; one that was under way when it died has failed.
//
// Threading: the JobManager's loop. Bounds: of the results that are done the oldest go first.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "cluster/job_store.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

class Operations {
 public:
  explicit Operations(JobStore& store) : store_(store) {}

  // From the store; those under way are ended as failed. FAILS WITH: as the store.
  Status load(Instant now);
  // False: the id is known and nothing is to be started, whatever is asked for now.
  Result<bool> begin(gateway::OperationModel operation);
  void end(const gateway::OperationModel& outcome, Instant now);
  const gateway::OperationModel* find(gateway::OperationKind kind, JobId job, TriggerId id) const;

 private:
  static std::string key_of(gateway::OperationKind kind, JobId job, TriggerId id);
  void remember_done(const std::string& key);

  JobStore& store_;
  std::map<std::string, gateway::OperationModel> operations_;
  std::deque<std::string> done_;  // oldest first
};

}  // namespace drey::cluster
