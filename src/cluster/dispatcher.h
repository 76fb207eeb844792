// Dispatcher: takes jobs in: plans programs, prepares graphs (fits them to what they start from, resolves them), stores
// and starts them, and cancels those whose client does not come again.
//
// Reading savepoints and resolving graphs happens on the I/O pool. Threading: the JobManager's loop, but submit() and
// the futures: any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/blocking_calls.h"
#include "cluster/cluster_events.h"
#include "cluster/job_catalog.h"
#include "cluster/job_store.h"
#include "cluster/programs.h"
#include "config/option.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"
#include "operators/registry.h"

namespace drey::cluster {

class Dispatcher {
 public:
  using Started = std::function<void(Result<JobId>)>;
  // `checkpoint_directory`: of jobs for which none is configured. `configuration`: the options that are set; jobs
  // inherit theirs from it. `kinds`: graphs are checked by them.
  Dispatcher(const std::string& checkpoint_directory, const config::Values& configuration,
             const operators::Registry& kinds, env::Env& env, env::Loop& loop, BlockingCalls& blocking, JobStore& store,
             JobCatalog& jobs, Programs& programs, ClusterEvents& events, JobMasterHost& host)
      : checkpoint_directory_(checkpoint_directory),
        configuration_(configuration),
        kinds_(kinds),
        env_(env),
        loop_(loop),
        blocking_(blocking),
        store_(store),
        jobs_(jobs),
        programs_(programs),
        events_(events),
        host_(host) {}

  gateway::Future<JobId> run_jar(gateway::RunRequest request);
  gateway::Future<gateway::JobModelRef> plan_jar(gateway::RunRequest request);
  gateway::Future<JobId> submit(gateway::SubmitRequest request);
  // A graph with its code in `module`; it need not be resolved. `request`: id, savepoint, parallelism, configuration.
  void start(graph::JobGraph graph, std::string module, const gateway::RunRequest& request, Started done);
  // A job of the store that had not ended.
  void resume(StoredJob job);
  // FAILS WITH: kNotFound, kConflict when it has ended otherwise.
  Status cancel(JobId id);
  // Cancels the job unless its client comes again until then (epoch ms).
  void on_client_heartbeat(JobId id, std::int64_t expires);
  void cancel_abandoned_jobs();

 private:
  // A job that is ready to be stored and started.
  struct Prepared {
    StoredJob job;
    std::string claimed;  // the path of the snapshot that becomes the job's own; empty: none
  };
  // Values only: runs on the I/O pool.
  struct Preparation {
    graph::JobGraph graph;
    std::string module;
    gateway::RunRequest request;
    config::Values configuration;
    const operators::Registry* kinds = nullptr;
    env::FileSystem* files = nullptr;
  };
  static Result<Prepared> prepare(Preparation from);
  static Result<graph::JobGraph> resolved(graph::JobGraph graph, const std::map<std::string, std::string>& extra,
                                          const config::Values& configuration, const operators::Registry& kinds,
                                          std::int32_t parallelism);
  void start_with_jar(graph::JobGraph graph, gateway::Promise<JobId> promise);
  void start_prepared(Prepared prepared, const Started& done);
  Status start_master(StoredJob job);

  const std::string& checkpoint_directory_;
  const config::Values& configuration_;
  const operators::Registry& kinds_;
  env::Env& env_;
  env::Loop& loop_;
  BlockingCalls& blocking_;
  JobStore& store_;
  JobCatalog& jobs_;
  Programs& programs_;
  ClusterEvents& events_;
  JobMasterHost& host_;
  std::set<JobId> starting_;               // ids that are taken and not in the catalog yet
  std::map<JobId, std::int64_t> clients_;  // until when a job's client lives, epoch ms
};

}  // namespace drey::cluster
