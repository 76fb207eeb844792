// JobCatalog: the jobs that the JobManager knows: a JobMaster for each that has not ended, an outline for each that
// has, until retention forgets it. The full model of an ended job is in the job store.
//
// Threading: the JobManager's loop. Bounds: jobstore.max-capacity and jobstore.expiration-time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster_events.h"
#include "cluster/cluster_options.h"
#include "cluster/job_master.h"
#include "cluster/job_store.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

class JobCatalog {
 public:
  using Masters = std::map<JobId, std::shared_ptr<JobMaster>>;
  JobCatalog(const ClusterOptions& options, env::Env& env, JobStore& store, ClusterEvents& events)
      : options_(options), env_(env), store_(store), events_(events) {}

  // The newest job.
  void add(std::shared_ptr<JobMaster> master);
  void add_ended(gateway::JobOutlineRef outline);
  // The master's place is taken by an outline, and by the whole model when the store does not have it.
  void on_ended(JobId id, bool is_stored);
  // Forgets the oldest of the ended jobs that are too many or too old.
  void retire(Ticks now);

  bool contains(JobId id) const { return masters_.contains(id) || ended_.contains(id); }
  const Masters& masters() const { return masters_; }
  // Null: there is none.
  std::shared_ptr<JobMaster> master(JobId id) const;
  // Null: there is none, or it has ended.
  std::shared_ptr<JobMaster> running(JobId id) const;
  // Null: it has not ended, or is not known.
  gateway::JobOutlineRef ended(JobId id) const;
  // A job that may be restored from this checkpoint or savepoint.
  std::optional<JobId> job_that_needs(const std::string& snapshot) const;
  // Whether a job that has not ended runs this program.
  bool needs_module(const std::string& module) const;

  // FAILS WITH: kNotFound, what the store fails with.
  Result<gateway::JobModelRef> model(JobId id) const;
  std::vector<gateway::JobOutlineRef> outlines() const;      // newest first
  std::vector<gateway::JobModelRef> running_models() const;  // newest first

 private:
  struct Ended {
    gateway::JobOutlineRef outline;
    gateway::JobModelRef model;  // null: the store has it
  };
  struct Listed {
    JobId id;
    gateway::JobOutlineRef ended;  // null: it is one of masters_
  };
  void remember(gateway::JobOutlineRef outline, gateway::JobModelRef model);

  const ClusterOptions& options_;
  env::Env& env_;
  JobStore& store_;
  ClusterEvents& events_;
  Masters masters_;
  std::map<JobId, Ended> ended_;
  std::multimap<std::int64_t, JobId> ended_by_time_;  // of ended_
  std::deque<Listed> order_;                          // of submission
  Ticks retire_after_{};
};

}  // namespace drey::cluster
