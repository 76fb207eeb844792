// JobManager: dispatcher and resource manager: accepts jobs, owns one JobMaster each, knows the TaskManagers and their
// slots, and is the ClusterGateway. An actor on one loop.
//
// Threading: gateway calls from any thread; everything else on the loop. At start jobs of the store that had not ended
// are resumed from their last checkpoint.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/cluster_options.h"
#include "cluster/jars.h"
#include "cluster/job_master.h"
#include "cluster/job_store.h"
#include "cluster/operation_runner.h"
#include "cluster/operations.h"
#include "cluster/questions.h"
#include "control/slots/slot_pool.h"
#include "env/env.h"
#include "env/mutex.h"
#include "gateway/cluster_gateway.h"
#include "metrics/table.h"
#include "operators/registry.h"
#include "runtime/crash.h"

namespace drey::cluster {

// Runs a program's main and hands back its graph. The production one is a child process (program_runner.h).
class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  struct Request {
    std::string module;
    std::string entry;
    std::vector<std::string> arguments;
    std::map<std::string, std::string> configuration;
  };
  // `done` runs on the JobManager's loop. FAILS WITH: kInvalidArgument / kUserCode with the program's own message.
  virtual void plan(env::Loop& loop, Request request, std::function<void(Result<graph::JobGraph>)> done) = 0;
};

struct JobManagerOptions {
  std::string host = "127.0.0.1";
  ClusterOptions cluster;
  config::Values configuration;  // the options that are set, by their names of today; jobs inherit theirs from it
  gateway::ClusterFacts facts;
  std::string checkpoint_directory;  // of jobs for which none is configured
  // What is known of the end of a TaskManager's process; an empty summary when nothing is.
  std::function<runtime::CrashReport(const std::string& id)> crash_report;
  // Answers questions about this process; unset: none is answered.
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
  std::uint16_t rpc_port() const { return listener_->port(); }
  env::Loop& loop() { return *loop_; }
  // A graph that is there already (the simulation, POST /jobs). The graph need not be resolved.
  void submit(graph::JobGraph graph, std::string module, std::optional<JobId> id, std::string restore_path,
              std::function<void(Result<JobId>)> done);
  // Jobs are suspended (they resume at the next start), then `done` runs on the loop.
  void shut_down(std::function<void()> done);
  std::int64_t refused() const { return refused_; }

  gateway::Future<std::string> inspect(std::string task_manager, gateway::Inspection question) override;
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
  std::uint64_t changes() const override { return changes_.load(); }
  void watch(std::function<void(const gateway::EventModel&)> watcher) override;
  gateway::Future<gateway::Metrics> metrics() override;
  // Its rows.
  static void document(std::vector<metrics::Documented>& out);
  std::vector<gateway::ConfigEntry> configuration() override;
  const gateway::ClusterFacts& facts() const override { return options_.facts; }

 private:
  struct TaskManagerEntry {
    gateway::TaskManagerModel model;
    env::ConnectionRef connection;
    Ticks last_heard{};
  };
  // JobMasterHost
  void send(const std::string& task_manager, const control::ToTaskManager& message) override;
  void request_slots(JobId job, std::int32_t slots) override;
  void release_slots(JobId job) override;
  Status store(const StoredJob& job) override;
  const ClusterOptions& cluster_options() const override { return options_.cluster; }
  void on_ended(JobId job, bool is_stored) override;
  void publish(gateway::EventModel event) override;
  void after(Nanos delay, std::function<void()> function) override;
  void beside(std::function<void()> work, std::function<void()> done) override;
  // OperationRunner::Host
  std::shared_ptr<JobMaster> running(JobId id) const override;
  std::optional<JobId> job_that_needs(const std::string& snapshot) const override;
  std::string savepoint_directory(JobId job) const override;
  std::int32_t slots_within_reach(JobId job) const override { return slots_.within_reach(job); }

  // At the begin of what may change an answer, on the loop: nobody reads between this and the change.
  void changed() override { ++changes_; }
  void on_connection(const env::ConnectionRef& connection);
  void on_frame(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id, std::string_view frame);
  void on_register(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
                   const control::Register& message);
  void on_lost(const std::string& id, const std::string& why);
  void match_slots();
  void tick();
  // `kept`: the model when the store does not have it.
  void remember(gateway::JobOutlineRef ended, gateway::JobModelRef kept);
  // Ended jobs that are too old or too many are forgotten, the oldest first.
  void retire(Ticks now);
  // Questions and clients that are late, and deletions that are old.
  void expire(Ticks now);
  void start_master(StoredJob job, std::function<void(Result<JobId>)> done);
  // Both lead to a new job: the graph is fitted to what it starts from, resolved, stored, started.
  void start_new(StoredJob job, const gateway::RunRequest& request, std::function<void(Result<JobId>)> done);
  // Jobs with bounds run as wide as slots allow: looks whether that has changed.
  void adapt();
  Result<graph::JobGraph> resolved(graph::JobGraph graph, const std::map<std::string, std::string>& extra,
                                   std::int32_t parallelism);
  void plan(const gateway::RunRequest& request,
            std::function<void(Result<std::pair<graph::JobGraph, Jars::Program>>)> done);
  // FAILS WITH: kNotFound, what the store fails with.
  Result<gateway::JobModelRef> find_model(JobId id);
  // Whether a job that has not ended runs the program of this jar.
  bool is_running(const std::string& jar) const;

  const JobManagerOptions options_;
  env::Env& env_;
  const operators::Registry& kinds_;
  std::unique_ptr<JobStore> store_;
  std::unique_ptr<Jars> jars_;
  std::unique_ptr<ProgramRunner> runner_;
  Operations operations_;
  OperationRunner operation_runner_;
  std::map<JobId, std::shared_ptr<JobMaster>> masters_;
  struct Ended {
    gateway::JobOutlineRef outline;
    gateway::JobModelRef model;  // null: it is read from the store when somebody asks
  };
  std::map<JobId, Ended> ended_;
  std::multimap<std::int64_t, JobId> ended_by_time_;  // of ended_
  Ticks retire_after_{};
  std::function<void(const gateway::EventModel&)> watcher_;
  Ticks watch_tick_after_{};
  struct Listed {
    JobId id;
    gateway::JobOutlineRef ended;  // null: it is one of masters_
  };
  std::deque<Listed> order_;  // of submission
  std::map<std::string, TaskManagerEntry> task_managers_;
  control::SlotPool slots_;              // of task_managers_
  std::map<std::string, int> planning_;  // jars whose programs are being planned, how often
  std::set<env::ConnectionRef> unregistered_;
  Questions questions_;
  std::map<JobId, std::int64_t> clients_;  // until when a job's client lives, epoch ms
  std::map<TriggerId, Ticks> dataset_deletions_;
  std::atomic<std::int64_t> refused_{0};
  std::atomic<std::uint64_t> changes_{1};
  bool stopping_ = false;
  Ticks adapt_after_{};
  // For work beside the loop that takes longer than the JobManager lives.
  struct WayBack {
    env::Mutex mutex;
    env::Loop* loop DREY_GUARDED_BY(mutex) = nullptr;
  };
  const std::shared_ptr<WayBack> way_back_ = std::make_shared<WayBack>();
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Loop> loop_;
};

}  // namespace drey::cluster
