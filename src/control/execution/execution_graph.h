// ExecutionGraph: the life of a job as a pure state machine: events in, actions out. No clock, no I/O.
//
// Each subtask has a set of attempts: the current one and those before. Subtasks that exchange rows make a region: when
// an attempt fails, those of its region are cancelled, and the restart strategy decides whether new ones start; the
// others go on, and the job is RESTARTING until every region has started again. Events about attempts that are not
// current are ignored. redeploy() is a restart of all that no failure caused: with other parallelisms, or to take back
// what tasks did. Legal moves of the job are those of kJobMoves; another one is a broken invariant.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "control/execution/restart_strategy.h"
#include "control/execution/states.h"
#include "control/messages.h"
#include "graph/job_graph.h"

namespace drey::control {

inline constexpr std::size_t kJobStates = 11;
inline constexpr std::size_t kAttemptStates = 10;

struct Attempt {
  std::uint32_t number = 0;
  AttemptState state = AttemptState::kCreated;
  std::array<std::int64_t, kAttemptStates> entered{};  // ms per state, 0: never
  std::string task_manager;                            // id; empty: not assigned
  std::string host;
  std::int32_t data_port = 0;
  FailureReport failure;
};

struct Execution {
  std::vector<Attempt> attempts;  // the last one is current
  bool data_ended = false;
  Attempt& current() { return attempts.back(); }
  const Attempt& current() const { return attempts.back(); }
};

// An entry of the job's exception history.
struct ExceptionEntry {
  std::uint64_t number = 0;  // grows from entry to entry
  FailureReport failure;
  std::int64_t time = 0;
  std::string task_name;  // empty: not of one task
  std::string endpoint;
  std::string task_manager;
  std::vector<ExceptionEntry> concurrent;
  static constexpr auto fields() {
    using M = ExceptionEntry;
    return Fields{
        field("number", &M::number),        field("failure", &M::failure),   field("time", &M::time),
        field("task-name", &M::task_name),  field("endpoint", &M::endpoint), field("task-manager", &M::task_manager),
        field("concurrent", &M::concurrent)};
  }
};
static_assert(wire::EveryMemberHasARow<ExceptionEntry>);

// --- actions ---
struct RequestSlots {};  // for subtasks that have none; answer with on_slots
struct ReleaseSlots {};  // of all
struct DeployTasks {
  std::vector<std::uint32_t> regions;
};  // their current attempts have places now
struct CancelAttempt {
  std::uint32_t vertex, subtask, attempt;
  std::string task_manager;
};
struct RestartAfter {
  Millis delay;
  std::uint64_t number;
};  // answer with on_restart_timer
struct JobStateMoved {
  JobState state;
};
struct AllDataEnded {};  // every task waits for the final checkpoint
using Action =
    std::variant<RequestSlots, ReleaseSlots, DeployTasks, CancelAttempt, RestartAfter, JobStateMoved, AllDataEnded>;
using Actions = std::vector<Action>;

struct ExecutionOptions {
  // [vertex][subtask] -> region, for a plan; asked again when parallelisms change. None: all are one region
  // (jobmanager.execution.failover-strategy: full).
  std::function<std::vector<std::vector<std::uint32_t>>(const graph::Plan&)> regions = {};
  // Regions with attempts that have finished start again with one that failed: a checkpoint needs all.
  bool restarts_finished = true;
};

class ExecutionGraph {
 public:
  ExecutionGraph(graph::Plan plan, std::unique_ptr<RestartStrategy> strategy, Instant now,
                 ExecutionOptions options = {});

  struct Place {
    std::string task_manager;
    std::string host;
    std::int32_t data_port = 0;
  };

  Actions start(Instant now);
  // places[vertex][subtask].
  Actions on_slots(const std::vector<std::vector<Place>>& places, Instant now);
  Actions on_slots_failed(const Status& why, Instant now);
  Actions on_task_state(std::uint32_t vertex, std::uint32_t subtask, std::uint32_t attempt, AttemptState state,
                        const FailureReport& failure, Instant now);
  Actions on_end_of_data(std::uint32_t vertex, std::uint32_t subtask, std::uint32_t attempt);
  // Its attempts fail at once; nothing more comes from them.
  Actions on_task_manager_lost(const std::string& task_manager, const FailureReport& why, Instant now);
  Actions on_restart_timer(std::uint64_t number, Instant now);
  Actions cancel(Instant now);
  // `parallelism`: per vertex; empty: as it is. Does nothing unless the job is RUNNING.
  Actions redeploy(std::vector<std::int32_t> parallelism, Instant now);
  // While some regions restart: the others with them, so that all start from one checkpoint.
  Actions restart_rest(Instant now);
  // As redeploy, while the job waits for slots: it gives back those it has and asks again, for another number. What
  // runs is redeployed.
  Actions resize(const std::vector<std::int32_t>& parallelism, Instant now);
  // A failure of the job as a whole (a checkpoint too many failed, the plan cannot be carried out).
  Actions fail_job(const FailureReport& why, bool may_restart, Instant now);
  // The JobManager goes: the job will be resumed by another one.
  Actions suspend(Instant now);
  // Something worth telling that failed nothing (a checkpoint that could not be restored).
  void add_exception(ExceptionEntry entry);

  JobState state() const { return state_; }
  const std::array<std::int64_t, kJobStates>& entered() const { return entered_; }
  const graph::Plan& plan() const { return plan_; }
  const std::vector<std::vector<Execution>>& executions() const { return executions_; }
  const std::deque<ExceptionEntry>& exceptions() const { return exceptions_; }
  const FailureReport& failure() const { return failure_; }  // why it FAILED
  std::int64_t restarts() const { return restarts_; }
  bool all_running() const;
  std::string task_name(std::uint32_t vertex, std::uint32_t subtask) const;
  std::uint32_t region_of(std::uint32_t vertex, std::uint32_t subtask) const { return regions_[vertex][subtask]; }

 private:
  using Regions = std::set<std::uint32_t>;
  // Calls with vertex, subtask and execution.
  template <typename Visit>
  void each(Visit visit);
  void move(JobState state, Instant now, Actions& out);
  void set(Attempt& attempt, AttemptState state, Instant now);
  void cancel(const Regions& regions, Instant now, Actions& out);
  Regions all_regions() const;
  Regions finished_regions();
  bool all_terminal() const;
  void find_regions();
  void restart(Regions regions, std::vector<std::int32_t> parallelism, Instant now, Actions& out);
  void set_parallelism(const std::vector<std::int32_t>& parallelism, Actions& out);
  void settle(Instant now, Actions& out);
  void on_failure(ExceptionEntry entry, Regions regions, bool may_restart, Instant now, Actions& out);

  graph::Plan plan_;
  std::unique_ptr<RestartStrategy> strategy_;
  JobState state_ = JobState::kInitializing;
  std::array<std::int64_t, kJobStates> entered_{};
  std::vector<std::vector<Execution>> executions_;
  std::deque<ExceptionEntry> exceptions_;  // newest first, bounded
  FailureReport failure_;
  std::int64_t restarts_ = 0;
  std::vector<std::vector<std::uint32_t>> regions_;  // [vertex][subtask]
  // Restarts under way; one of a failure has the number of its entry.
  struct Restart {
    Regions regions;
    Millis delay{0};
    bool is_failure = true;
    std::vector<std::int32_t> parallelism;  // of the attempts that start next; empty: as it is
    bool has_timer = false;                 // the attempts have ended, the delay runs
  };
  std::map<std::uint64_t, Restart> restarting_;
  std::uint64_t next_exception_ = 1;  // of exceptions and restarts
  bool is_partial_ = false;           // something failed since all ran
  bool has_slots_ = false;
  ExecutionOptions options_;
};

}  // namespace drey::control
