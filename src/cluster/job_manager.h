// JobManager: composes the parts that make a cluster (Dispatcher, ResourceManager, JobCatalog, one JobMaster a job) on
// one loop and is the ClusterGateway.
//
// Threading: gateway calls from any thread; everything else on the loop. At start jobs of the store that had not ended
// are resumed from their last checkpoint.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/blocking_calls.h"
#include "cluster/cluster_events.h"
#include "cluster/cluster_options.h"
#include "cluster/dispatcher.h"
#include "cluster/jars.h"
#include "cluster/job_catalog.h"
#include "cluster/job_master.h"
#include "cluster/job_store.h"
#include "cluster/operation_runner.h"
#include "cluster/operations.h"
#include "cluster/program_runner.h"
#include "cluster/programs.h"
#include "cluster/resource_manager.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"
#include "metrics/table.h"
#include "operators/registry.h"

namespace drey::cluster {

struct JobManagerOptions {
  std::string host = "127.0.0.1";
  ClusterOptions cluster;
  config::Values configuration;  // the options that are set, by their names of today; jobs inherit theirs from it
  gateway::ClusterFacts facts;
  std::string checkpoint_directory;  // of jobs for which none is configured
  ResourceManager::CrashReports crash_report;
  // Inspects this process; unset: it cannot be inspected.
  std::function<void(gateway::Inspection, std::function<void(Result<std::string>)>)> inspect;
  // What the system measures of this process; unset: nothing.
  std::function<gateway::Metrics()> process_metrics;
  // What DELETE /cluster does. Any thread.
  std::function<void()> end_cluster;
};

class JobManager final : public gateway::ClusterGateway, private JobMasterHost, private OperationRunner::Host {
 public:
  // `kinds`, by which graphs are checked, outlives it.
  JobManager(JobManagerOptions options, env::Env& env, const operators::Registry& kinds,
             std::unique_ptr<JobStore> store, std::unique_ptr<Jars> jars, std::unique_ptr<ProgramRunner> runner);
  ~JobManager() override;

  // Listens and resumes jobs. FAILS WITH: what listen and the store fail with.
  Status start();
  std::uint16_t rpc_port() const { return resources_.port(); }
  env::Loop& loop() { return loop_; }
  // A graph that is there already (the simulation). The graph need not be resolved.
  void submit(graph::JobGraph graph, std::string module, std::optional<JobId> id, std::string restore_path,
              std::function<void(Result<JobId>)> done);
  // Jobs are suspended (they resume at the next start), then `done` runs on the loop.
  void shut_down(std::function<void()> done);
  std::int64_t refused() const { return resources_.refused(); }

  gateway::Future<std::string> inspect(std::string task_manager, gateway::Inspection inspection) override;
  gateway::Future<JobId> submit(gateway::SubmitRequest request) override;
  void heartbeat(JobId id, std::int64_t expires) override;
  gateway::Future<TriggerId> delete_dataset(std::string id) override;
  gateway::Future<bool> dataset_deletion(TriggerId trigger) override;
  void end_cluster() override;
  gateway::Future<std::vector<gateway::JobOutlineRef>> jobs() override;
  gateway::Future<std::vector<gateway::JobModelRef>> running_jobs() override;
  gateway::Future<gateway::JobModelRef> job(JobId id) override;
  gateway::Future<bool> cancel(JobId id) override;
  gateway::Future<TriggerId> trigger(gateway::OperationRequest request) override;
  gateway::Future<gateway::OperationModel> operation(gateway::OperationKind kind, JobId job, TriggerId id) override;
  gateway::Future<gateway::ResourceRequirements> resource_requirements(JobId id) override;
  gateway::Future<bool> set_resource_requirements(JobId id, gateway::ResourceRequirements requirements) override;
  gateway::Future<JobId> run_jar(gateway::RunRequest request) override;
  gateway::Future<gateway::JobModelRef> plan_jar(gateway::RunRequest request) override;
  gateway::Future<std::vector<gateway::JarModel>> jars() override;
  gateway::Future<std::string> add_jar(std::string path, std::string name) override;
  gateway::Future<bool> delete_jar(std::string id) override;
  gateway::Future<std::vector<gateway::TaskManagerModel>> task_managers() override;
  std::uint64_t changes() const override { return events_.changes(); }
  void watch(std::function<void(const gateway::EventModel&)> watcher) override;
  gateway::Future<gateway::Metrics> metrics() override;
  // Its rows.
  static void document(std::vector<metrics::Documented>& out);
  std::vector<gateway::ConfigEntry> configuration() override;
  const gateway::ClusterFacts& facts() const override { return options_.facts; }

 private:
  // JobMasterHost
  void send(const std::string& task_manager, const control::ToTaskManager& message) override;
  void request_slots(JobId job, std::int32_t slots) override;
  void release_slots(JobId job) override;
  Status store(const StoredJob& job) override;
  const ClusterOptions& cluster_options() const override { return options_.cluster; }
  void on_ended(JobId job, bool is_stored) override;
  void publish(gateway::EventModel event) override;
  void after(Nanos delay, std::function<void()> function) override;
  void run_blocking(std::string what, std::function<Status()> work, std::function<void(Status)> done) override;
  // OperationRunner::Host
  std::shared_ptr<JobMaster> running(JobId id) const override { return jobs_.running(id); }
  std::optional<JobId> job_that_needs(const std::string& snapshot) const override {
    return jobs_.job_that_needs(snapshot);
  }
  std::string savepoint_directory(JobId job) const override;
  std::int32_t slots_within_reach(JobId job) const override { return resources_.slots().within_reach(job); }
  void changed() override { events_.changed(); }

  // Answers on the loop.
  template <typename T>
  gateway::Future<T> answer(std::function<Result<T>()> question);
  void tick();

  // First: its end is the end of all that runs on it.
  std::unique_ptr<env::Loop> owned_loop_;
  env::Loop& loop_;
  const JobManagerOptions options_;
  env::Env& env_;
  const std::unique_ptr<JobStore> store_;
  BlockingCalls blocking_;
  ClusterEvents events_;
  JobCatalog jobs_;
  Programs programs_;
  ResourceManager resources_;
  Dispatcher dispatcher_;
  Operations operations_;
  OperationRunner operation_runner_;
  std::map<TriggerId, Ticks> dataset_deletions_;
  Ticks watch_tick_after_{};
  bool stopping_ = false;
};

}  // namespace drey::cluster
