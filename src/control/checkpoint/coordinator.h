// CheckpointCoordinator: when to trigger, complete, abort and retire checkpoints. Pure: owns no timer, does no I/O.
//
// One checkpoint at a time. It is complete when every task has acknowledged it and its metadata is durable (on_stored):
// then it is told. Storing takes as long as the disk does: until then nothing may start from "the last complete
// checkpoint" (is_storing), for sinks would be told of one that their tasks did not start from. The checkpoint's
// timeout ends the storing, too. Files belong to the retained checkpoints that name them: one is deleted when no
// retained and no pending checkpoint does. Ids only grow, over restarts of the JobManager, too.
//
// Whoever wants a snapshot now (a checkpoint, a savepoint, the savepoint of a stop) makes a request; requests wait in a
// queue and each ends with one SnapshotRequestEnded. A savepoint belongs to the user: it is never deleted here, nothing
// is restored from it after a failure, and tasks are not told (a sink that committed for it would commit again from the
// checkpoint before). The one of a stop is the exception: tasks end after it, so it is told and restored from.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "config/option.h"
#include "control/messages.h"

namespace drey::control {

enum class CheckpointMode { kExactlyOnce, kAtLeastOnce };
constexpr auto enum_table(CheckpointMode) {
  return std::array{EnumRow{CheckpointMode::kExactlyOnce, "EXACTLY_ONCE"},
                    EnumRow{CheckpointMode::kAtLeastOnce, "AT_LEAST_ONCE"}};
}
enum class CheckpointRetention { kDelete, kRetain, kNone };
constexpr auto enum_table(CheckpointRetention) {
  return std::array{EnumRow{CheckpointRetention::kDelete, "DELETE_ON_CANCELLATION"},
                    EnumRow{CheckpointRetention::kRetain, "RETAIN_ON_CANCELLATION"},
                    EnumRow{CheckpointRetention::kNone, "NO_EXTERNALIZED_CHECKPOINTS"}};
}

struct CheckpointOptions {
  Millis interval{0};
  Millis min_pause{0};
  Millis timeout{600'000};
  std::int64_t tolerable_failures = 0;
  std::size_t retained = 1;
  CheckpointMode mode = CheckpointMode::kExactlyOnce;
  CheckpointRetention retention = CheckpointRetention::kNone;
  std::string directory;
  std::string savepoint_directory;

  bool exactly_once() const { return mode == CheckpointMode::kExactlyOnce; }
  bool keep_on_cancellation() const { return retention == CheckpointRetention::kRetain; }
  static constexpr std::string_view kTitle = "Checkpoints";
  static constexpr auto options() {
    using M = CheckpointOptions;
    using config::option;
    return config::Options{
        option("execution.checkpointing.interval", &M::interval,
               "Time between two checkpoints; 0: none but the last one of bounded jobs.")
            .per_job(),
        option("execution.checkpointing.min-pause", &M::min_pause,
               "Least time between the end of a checkpoint and the next.")
            .per_job(),
        option("execution.checkpointing.timeout", &M::timeout, "A checkpoint that takes longer is aborted.")
            .per_job()
            .at_least(1),
        option("execution.checkpointing.tolerable-failed-checkpoints", &M::tolerable_failures,
               "Checkpoints that may fail one after another before the job does.")
            .per_job()
            .at_least(0),
        option("execution.checkpointing.num-retained", &M::retained, "Complete checkpoints that are kept.")
            .per_job()
            .between(1, 10'000)
            .renamed_from("state.checkpoints.num-retained"),
        option("execution.checkpointing.mode", &M::mode, "Whether each row counts once in state, or at least once.")
            .per_job(),
        option("execution.checkpointing.externalized-checkpoint-retention", &M::retention,
               "Whether checkpoints stay when the job is cancelled; those of failed jobs always stay.")
            .per_job(),
        option("execution.checkpointing.dir", &M::directory, "Where checkpoints are written; a directory per job.")
            .per_job()
            .renamed_from("state.checkpoints.dir")
            .defaults_to("checkpoints in the cluster's directory"),
        option("execution.checkpointing.savepoint-dir", &M::savepoint_directory,
               "Where savepoints go when the request does not say; a directory per savepoint.")
            .per_job()
            .renamed_from("state.savepoints.dir")
            .defaults_to("none: each request must say"),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<CheckpointOptions>);

// One task's part of a checkpoint.
struct TaskCheckpoint {
  std::uint32_t vertex = 0;
  std::uint32_t subtask = 0;
  bool acknowledged = false;
  std::int64_t ack_time = 0;
  SnapshotAck ack;
  static constexpr auto fields() {
    using M = TaskCheckpoint;
    return Fields{field("vertex", &M::vertex), field("subtask", &M::subtask), field("acknowledged", &M::acknowledged),
                  field("ack-time", &M::ack_time), field("ack", &M::ack)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskCheckpoint>);

enum class CheckpointStatus { kInProgress, kCompleted, kFailed };
constexpr auto enum_table(CheckpointStatus) {
  return std::array{EnumRow{CheckpointStatus::kInProgress, "IN_PROGRESS"},
                    EnumRow{CheckpointStatus::kCompleted, "COMPLETED"}, EnumRow{CheckpointStatus::kFailed, "FAILED"}};
}

// An operator as a checkpoint knew it: what its state is matched by.
struct SnapshotOperator {
  std::string id;   // OperatorId
  std::string uid;  // empty: none was given
  std::string name;
  std::uint32_t vertex = 0;
  std::int32_t parallelism = 0;
  std::int32_t max_parallelism = 0;
  std::string key;  // schema of its key; empty: not keyed
  bool has_state = false;
  static constexpr auto fields() {
    using M = SnapshotOperator;
    return Fields{field("id", &M::id),
                  field("uid", &M::uid),
                  field("name", &M::name),
                  field("vertex", &M::vertex),
                  field("parallelism", &M::parallelism),
                  field("max-parallelism", &M::max_parallelism),
                  field("key", &M::key),
                  field("has-state", &M::has_state)};
  }
};
static_assert(wire::EveryMemberHasARow<SnapshotOperator>);

struct Checkpoint {
  std::int64_t id = 0;
  CheckpointStatus status = CheckpointStatus::kInProgress;
  std::int64_t trigger_time = 0;
  std::int64_t latest_ack_time = -1;
  std::int64_t failure_time = 0;
  std::string failure_message;
  std::string path;  // directory with its metadata
  bool discarded = false;
  bool is_final = false;  // after the end of all data
  SnapshotForm form = SnapshotForm::kIncremental;
  AfterSnapshot after = AfterSnapshot::kGoOn;
  bool keep = false;  // somebody else's: never deleted, and later checkpoints do not refer to its files
  std::vector<SnapshotOperator> operators;
  std::vector<TaskCheckpoint> tasks;
  std::uint64_t written_bytes() const;
  std::uint64_t state_bytes() const;
  std::uint64_t processed_bytes() const;
  std::size_t acknowledged() const;
  static constexpr auto fields() {
    using M = Checkpoint;
    return Fields{field("id", &M::id),
                  field("status", &M::status),
                  field("trigger-time", &M::trigger_time),
                  field("latest-ack-time", &M::latest_ack_time),
                  field("failure-time", &M::failure_time),
                  field("failure-message", &M::failure_message),
                  field("path", &M::path),
                  field("discarded", &M::discarded),
                  field("is-final", &M::is_final),
                  field("form", &M::form),
                  field("after", &M::after),
                  field("keep", &M::keep),
                  field("operators", &M::operators),
                  field("tasks", &M::tasks)};
  }
};
static_assert(wire::EveryMemberHasARow<Checkpoint>);

// Somebody wants a snapshot now.
struct SnapshotRequest {
  std::uint64_t ticket = 0;  // comes back in SnapshotRequestEnded; 0: nobody waits
  SnapshotForm form = SnapshotForm::kIncremental;
  AfterSnapshot after = AfterSnapshot::kGoOn;
  std::string directory;  // of a savepoint: does not exist yet
};

// --- decisions ---
struct TriggerCheckpoint {
  Barrier barrier;
};
struct StoreCheckpoint {
  Checkpoint checkpoint;
};  // write its metadata, then on_stored
struct TellComplete {
  std::int64_t id;
  bool is_final;
};
struct TellAborted {
  std::int64_t id;
};
struct DeleteFiles {
  std::vector<std::string> files;
  std::vector<std::string> directories;
};
struct FailJob {
  std::string why;
};
// What the tasks have done for this snapshot cannot be taken back: they must start again from the last one complete.
struct RollBack {
  std::string why;
};
struct SnapshotRequestEnded {
  std::uint64_t ticket;
  bool ok;
  std::int64_t id;
  std::string path;
  std::string why;
};
using CheckpointDecision = std::variant<TriggerCheckpoint, StoreCheckpoint, TellComplete, TellAborted, DeleteFiles,
                                        FailJob, RollBack, SnapshotRequestEnded>;
using CheckpointDecisions = std::vector<CheckpointDecision>;

class CheckpointCoordinator {
 public:
  // tasks[vertex] = parallelism.
  CheckpointCoordinator(CheckpointOptions options, std::vector<std::uint32_t> tasks, std::int64_t next_id);

  // Another parallelism; counts from the next checkpoint on.
  void set_tasks(std::vector<std::uint32_t> tasks) { tasks_ = std::move(tasks); }
  // Tasks run (again): periodic checkpoints may start, the first one an interval from now.
  void on_running(Instant now);
  // Tasks do not run any more. What is being stored stays pending.
  CheckpointDecisions on_stopped(std::string_view why, Instant now);
  CheckpointDecisions on_time(Instant now);
  // When on_time should be called next; far away when there is nothing to wait for.
  Instant next_time() const;
  CheckpointDecisions trigger_now(Instant now, bool is_final);
  // Bounded: of too many requests the last ones fail at once.
  CheckpointDecisions request(SnapshotRequest request, Instant now);
  CheckpointDecisions on_ack(const SnapshotAck& ack, Instant now);
  // The one that is being stored as its metadata will have it: with its path and operators.
  void set_pending(const Checkpoint& stored) {
    if (pending_ && pending_->id == stored.id) pending_ = stored;
  }
  // Every task has acknowledged the pending one; on_stored is to come.
  bool is_storing() const { return storing_; }
  bool is_storing(std::int64_t id) const { return storing_ && pending_->id == id; }
  // Ignored when the checkpoint was given up meanwhile: what has been written of it is nobody's.
  CheckpointDecisions on_stored(std::int64_t id, bool ok, std::string_view why, Instant now);
  // The job has ended for good: nothing is pending any more, not even what is being stored.
  CheckpointDecisions on_ended(std::string_view why, Instant now);

  // Completed checkpoints that were read back from the store, oldest first.
  void restore(std::vector<Checkpoint> completed);
  // Newest first; what a restart tries in turn.
  const std::deque<Checkpoint>& completed() const { return completed_; }
  // It cannot be read: never again restored from.
  void forget(std::int64_t id);
  CheckpointDecisions discard_all();

  const CheckpointOptions& options() const { return options_; }
  const std::optional<Checkpoint>& pending() const { return pending_; }
  const std::deque<Checkpoint>& history() const { return history_; }  // newest first, ended ones, bounded
  std::int64_t completed_count() const { return completed_count_; }
  std::int64_t failed_count() const { return failed_count_; }
  std::int64_t restored_count() const { return restored_count_; }
  void count_restored() { ++restored_count_; }
  std::int64_t next_id() const { return next_id_; }

 private:
  void start(Instant now, CheckpointDecisions& out);
  void end_request(bool ok, std::int64_t id, std::string path, std::string_view why, CheckpointDecisions& out);
  void abort(std::string_view why, bool counts, Instant now, CheckpointDecisions& out);
  void remember(Checkpoint checkpoint);
  // Files that retained checkpoints and the pending one name.
  std::set<std::string> needed_files() const;
  void delete_unreferenced(const Checkpoint& gone, CheckpointDecisions& out);

  const CheckpointOptions options_;
  std::vector<std::uint32_t> tasks_;
  std::int64_t next_id_;
  bool running_ = false;
  bool final_wanted_ = false;
  Instant next_trigger_{INT64_MAX};
  std::optional<Checkpoint> pending_;
  bool storing_ = false;                  // pending_ is complete, its metadata on the way
  std::deque<SnapshotRequest> requests_;  // the first one is pending_'s when is_request_pending_
  bool is_request_pending_ = false;
  std::deque<Checkpoint> completed_;  // newest first
  std::deque<Checkpoint> history_;
  std::int64_t completed_count_ = 0;
  std::int64_t failed_count_ = 0;
  std::int64_t restored_count_ = 0;
  std::int64_t failures_in_a_row_ = 0;
};

}  // namespace drey::control
