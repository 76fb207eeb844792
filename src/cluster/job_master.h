// JobMaster: one job's shell: feeds events to the execution graph and the checkpoint coordinator and carries their
// actions out through the JobManager. Threading: the JobManager's loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster_options.h"
#include "cluster/job_events.h"
#include "cluster/job_store.h"
#include "cluster/job_view.h"
#include "cluster/rescale_history.h"
#include "control/checkpoint/coordinator.h"
#include "control/execution/deployments.h"
#include "control/execution/execution_graph.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

// What a JobMaster needs of the JobManager.
class JobMasterHost {
 public:
  virtual ~JobMasterHost() = default;
  virtual void send(const std::string& task_manager, const control::ToTaskManager& message) = 0;
  // The slots the job wants beside those it has; instead of what it wanted before. Answers with on_slots or
  // on_slots_failed, later.
  virtual void request_slots(JobId job, std::int32_t slots) = 0;
  virtual void release_slots(JobId job) = 0;
  virtual Status store(const StoredJob& job) = 0;
  virtual const ClusterOptions& cluster_options() const = 0;
  virtual std::vector<gateway::ConfigEntry> configuration() = 0;  // secrets are masked
  virtual const gateway::ClusterFacts& facts() const = 0;
  virtual void on_ended(JobId job, bool is_stored) = 0;
  virtual void publish(gateway::EventModel event) = 0;  // the time is filled in
  virtual void after(Nanos delay, std::function<void()> function) = 0;
  // As BlockingCalls::run.
  virtual void run_blocking(std::string what, std::function<Status()> work, std::function<void(Status)> done) = 0;
};

// What became of a snapshot that somebody wanted.
struct SnapshotTaken {
  std::int64_t id = 0;
  std::string path;
};
using SnapshotDone = std::function<void(Result<SnapshotTaken>)>;

struct SlotOffer {
  std::string task_manager;
  std::string host;
  std::int32_t data_port = 0;
  std::uint32_t slot = 0;  // on that TaskManager, from 0 for this job
};

class JobMaster : public std::enable_shared_from_this<JobMaster> {
 public:
  // `job` is stored already. FAILS WITH: kInvalidArgument for bad settings.
  static Result<std::shared_ptr<JobMaster>> make(StoredJob job, std::string checkpoint_root, env::Env& env,
                                                 JobMasterHost& host);

  // A new job, or one that is resumed after a restart of the JobManager.
  void start();
  void cancel();
  void suspend();
  // A checkpoint or savepoint now. With kStop or kDrain `done` comes when the job has FINISHED, or goes on after all.
  void take_snapshot(control::SnapshotRequest request, SnapshotDone done);
  // Takes a checkpoint and goes on from it with these parallelisms, one per vertex. `done` when the tasks run again.
  // REQUIRES: each within [1, the vertex's maximum].
  void rescale(std::vector<std::int32_t> parallelism, gateway::RescaleCause cause, SnapshotDone done);
  // It runs as wide as it may: a rescaling that was asked for has nothing to do.
  void on_wide_enough();
  const graph::Plan& plan() const { return graph_.plan(); }
  std::vector<std::int32_t> parallelism() const;
  // What was asked for; 1 to the job's parallelism as long as nobody has.
  gateway::ResourceRequirements requirements() const;
  const config::Values& settings() const { return job_.graph.settings; }
  bool has_requirements() const { return !job_.requirements.empty(); }
  // How wide it would run on so many slots, its own included; nothing: too few.
  std::optional<std::vector<std::int32_t>> parallelism_within(std::int32_t slots) const;
  // Stored; the JobManager then sees to it. REQUIRES: one row per vertex, in the plan's order.
  Status set_requirements(gateway::ResourceRequirements requirements);
  // Whether this checkpoint or savepoint may be needed by the job.
  bool needs(const std::string& path) const;
  bool is_changing() const { return rescaling_ || stopping_ != nullptr || !graph_.all_running(); }

  void on_slots(const std::vector<SlotOffer>& slots);
  void on_slots_failed(const Status& why);
  // Instead of on_slots: asks for slots again, for these widths.
  void take_fewer_slots(std::vector<std::int32_t> widths);
  void on_task_manager_lost(const std::string& id, const control::FailureReport& why);
  void on_message(const control::TaskStateChanged& message);
  void on_message(const control::EndOfData& message);
  void on_message(const control::SnapshotAck& message);
  void on_report(const control::TaskReport& report);

  JobId id() const { return job_.id; }
  const std::string& module() const { return job_.module; }
  bool is_ended() const { return control::is_globally_terminal(graph_.state()); }
  control::JobState state() const { return graph_.state(); }
  std::int32_t slots_needed() const;
  gateway::JobModelRef model() const;

 private:
  JobMaster(StoredJob job, std::string checkpoint_root, env::Env& env, JobMasterHost& host,
            control::ExecutionGraph graph, control::CheckpointCoordinator coordinator, std::string restart_text);
  Instant now() { return env_.clock.wall(); }
  void carry_out(control::Actions actions);
  void carry_out(control::CheckpointDecisions decisions);
  void request_slots();
  void place();
  void deploy(const std::vector<std::uint32_t>& regions);
  // Whether the checkpoint was taken with the parallelisms of now.
  bool has_widths_of(std::int64_t checkpoint) const;
  // A task cannot read what it is to start from: the restart takes the checkpoint before.
  void pass_over(std::int64_t checkpoint, const control::FailureReport& failure);
  // What a crash left in the job's own directory: files that no complete checkpoint names.
  void remove_orphans();
  void remove_trees(std::vector<std::string> paths);  // beside the loop
  Result<std::optional<control::Checkpoint>> checkpoint_to_restore();
  void command(control::CheckpointCommand::What what, const control::Barrier& barrier, bool is_final = false);
  std::vector<control::SnapshotOperator> operators_of(const control::Checkpoint& checkpoint) const;
  // Writes its metadata beside the loop. While that takes, nothing is deployed: what is to run next starts from it.
  void store_checkpoint(control::Checkpoint checkpoint);
  // `bytes`: the size of its metadata.
  void on_metadata_written(const control::Checkpoint& checkpoint, const Result<std::int64_t>& bytes);
  void schedule_checkpoint_timer();
  // Whether they outlive the job, which has ended.
  bool keeps_checkpoints() const;
  void end();
  std::string checkpoint_directory() const { return checkpoint_root_ + "/" + job_.id.to_string(); }
  void on_request_ended(const control::SnapshotRequestEnded& ended);
  void on_all_run();
  void end_rescale(Status status);
  void end_rescale_record(gateway::RescaleEnd how, const std::string& exception = "");
  std::vector<control::Bounds> wanted_bounds() const;
  void end_stop();

  StoredJob job_;
  const std::string checkpoint_root_;
  env::Env& env_;
  JobMasterHost& host_;
  control::ExecutionGraph graph_;
  control::CheckpointCoordinator coordinator_;
  const std::string restart_text_;
  std::vector<SlotOffer> slots_;                   // kept over restarts; without a TaskManager: lost, or not there yet
  std::vector<std::vector<std::size_t>> slot_of_;  // [vertex][subtask] -> index into slots_
  control::Deployments deployments_;
  JobView view_;
  JobEvents events_;
  bool tasks_run_ = false;
  bool waits_for_storing_ = false;  // all slots are there
  std::uint64_t next_ticket_ = 1;
  std::map<std::uint64_t, SnapshotDone> waiting_;  // by ticket
  // A stop whose savepoint is complete, until the job has ended or goes on.
  struct Stopping {
    SnapshotTaken savepoint;
    SnapshotDone done;
  };
  std::unique_ptr<Stopping> stopping_;
  bool rescaling_ = false;
  std::vector<std::int32_t> rescales_to_;
  SnapshotDone rescaled_;
  RescaleHistory rescales_;
  bool ended_ = false;
  std::int64_t timer_at_ = INT64_MAX;
};

}  // namespace drey::cluster
