// OperationRunner: carries out what was triggered over REST: savepoints, stops, checkpoints, disposals, rescalings.
// What comes of each is kept in Operations.
//
// Threading: the JobManager's loop; what may block runs beside it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cluster/job_master.h"
#include "cluster/operations.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

// As Flink says that there is no job, or that it has ended.
Status no_flink_job(JobId id);

class OperationRunner {
 public:
  // What it needs of the JobManager.
  class Host {
   public:
    virtual ~Host() = default;
    // Null: there is none, or it has ended.
    virtual std::shared_ptr<JobMaster> running(JobId job) const = 0;
    // A job that may go back to this checkpoint or savepoint.
    virtual std::optional<JobId> job_that_needs(const std::string& snapshot) const = 0;
    // Those that are free and the job's own.
    virtual std::int32_t slots_within_reach(JobId job) const = 0;
    // Where savepoints of the job go by its options, of jobs that do not run by the cluster's; empty: not set.
    virtual std::string savepoint_directory(JobId job) const = 0;
    // As BlockingCalls::run.
    virtual void run_blocking(std::string what, std::function<Status()> work, std::function<void(Status)> done) = 0;
    // At the begin of what may change an answer.
    virtual void changed() = 0;
  };
  OperationRunner(Operations& operations, env::Env& env, Host& host)
      : operations_(operations), env_(env), host_(host) {}

  // Starts it unless its id is known. What comes of it is in Operations, also that there is no such job. FAILS WITH:
  // what the store fails with.
  Result<TriggerId> trigger(gateway::OperationRequest request);

 private:
  void begin(gateway::OperationModel operation, const gateway::SavepointRequest& request);
  void begin(gateway::OperationModel operation, const gateway::CheckpointRequest& request);
  void begin(gateway::OperationModel operation, const gateway::DisposalRequest& request);
  void begin(gateway::OperationModel operation, const gateway::RescaleRequest& request);
  void end(gateway::OperationModel operation, const Status& status, std::string failure_class);

  Operations& operations_;
  env::Env& env_;
  Host& host_;
};

}  // namespace drey::cluster
