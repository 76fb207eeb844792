// Task: one subtask of a vertex: a chain of operators behind a gate (or a source), before outputs.
//
// step() does a bounded amount of work and never blocks; who calls it (a worker's thread, the simulator) does not
// matter. Other threads reach a task only through its mailbox (trigger, complete, abort, cancel) and wakers.
//
// Whatever may block is done on the I/O pool and answered by mail: restoring state, writing it, and the asynchronous
// work of operators (operators::AsyncWork).
//
// Life: CREATED -> INITIALIZING (restore, open) -> RUNNING -> FINISHED, CANCELED or FAILED. When all input has ended,
// operators finish and the task reports the end of its data; it then stays RUNNING, takes part in checkpoints, and
// finishes when one that was taken after the end of all data is complete: sinks commit before FINISHED shows.
// After the barrier of a stop a task holds still: it takes neither input nor time until it is told that the savepoint
// is complete (FINISHED) or aborted (it goes on).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "env/env.h"
#include "graph/job_graph.h"
#include "operators/operator_context.h"
#include "operators/registry.h"
#include "runtime/cell.h"
#include "runtime/gate.h"
#include "runtime/module.h"
#include "runtime/output.h"
#include "runtime/task_times.h"
#include "state/task_state.h"

namespace drey::runtime {

enum class TaskState { kCreated, kInitializing, kRunning, kFinished, kCanceled, kFailed };

// The task writes them.
struct TaskMetrics {
  struct Input {
    Cell bytes, batches;
  };
  Cell records_in, records_out, bytes_out, batches_out;
  std::array<Input, 2> in;  // from this process, from others
  Cell watermark, checkpoint_start_delay_nanos, alignment_nanos;
  Cell initializing_since, initialization_nanos;  // ticks; 0: not begun, not over
  Cell source_idle_since;                         // ticks; 0: it is not idle
  Cell letters_taken;
};

struct OperatorMetrics {
  std::string name;
  bool is_source = false;
  std::uint32_t inputs = 1;
  // Of a source: the operator of its chain that gives rows their event time; null: none does.
  const OperatorMetrics* event_times = nullptr;
  Cell records_in, records_out, bytes_in, bytes_out;
  Cell watermark_in, watermark_out;
  Cell event_time;  // of the last row, from an operator that gives rows theirs
  // What the operator registered, with the kind; guarded by the task's registry lock while it grows.
  std::map<std::string, std::pair<drey_metric_kind, std::unique_ptr<std::int64_t>>> own;
};

struct AccumulatorValue {
  drey_accumulator_kind kind = DREY_LONG_COUNTER;
  std::int64_t whole = 0;
  double real = 0;
};

struct CheckpointNumbers {
  std::int64_t start_delay_nanos = 0;
  std::int64_t alignment_nanos = 0;
  std::uint64_t processed_bytes = 0;
  std::int64_t sync_nanos = 0;
  std::int64_t async_nanos = 0;
};

class Task;

// What a task tells its TaskManager. Any thread.
class TaskListener {
 public:
  virtual ~TaskListener() = default;
  virtual void on_state(Task& task, TaskState state, const Status& why) = 0;
  virtual void on_end_of_data(Task& task) = 0;
  virtual void on_snapshot(Task& task, const control::Barrier& barrier, Result<state::TaskStateHandle> handle,
                           const CheckpointNumbers& numbers) = 0;
};

// An edge that leaves or enters the task, with its channels.
struct TaskOutputEdge {
  std::uint32_t edge = 0;  // number in JobGraph::edges
  std::uint32_t consumer_parallelism = 1;
  std::vector<std::shared_ptr<Channel>> channels;
};
struct TaskInputEdge {
  std::uint32_t edge = 0;
  std::vector<std::shared_ptr<Channel>> channels;
  std::vector<bool> is_remote;  // whose producer is in another process; empty: none
};

struct TaskSpec {
  JobId job;
  std::uint64_t incarnation = 0;
  std::uint32_t vertex_index = 0;  // in the plan
  graph::Vertex vertex;
  std::uint32_t subtask = 0;
  std::uint32_t attempt = 0;
  std::shared_ptr<const graph::JobGraph> graph;  // resolved
  std::shared_ptr<JobCode> code;                 // closures; may be null when no operator has code
  std::vector<TaskInputEdge> inputs;
  std::vector<TaskOutputEdge> outputs;
  bool exactly_once = true;
  bool waits_at_end_of_data = false;  // for a final checkpoint or finish()
  std::vector<state::TaskStateHandle> restore;
  bool restore_own = true;
  std::int64_t restored_checkpoint = -1;
  std::string state_directory;  // where snapshot files go; empty: nothing is stored, as nobody will go on from it
};

struct TaskSurroundings {
  env::Env& env;
  const operators::Registry& registry;
  data::BlockPool& blocks;
  state::PagePool& pages;
  state::Budget& budget;
  TaskListener& listener;
  // Owner of the pools and the budget: a snapshot that is being written, or a restore, may outlive its task.
  std::shared_ptr<void> pools = nullptr;
};

class TaskMeter;

class Task {
 public:
  Task(TaskSpec spec, TaskSurroundings surroundings);
  ~Task();
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // kBlocked: an output lacks credit. kWorking: so much of its own asynchronous work is outstanding that it takes no
  // input.
  enum class Progress { kBusy, kIdle, kBlocked, kWorking, kDone };
  struct Step {
    Progress progress = Progress::kIdle;
    Ticks wake_at{INT64_MAX};  // unless kBusy: no later than this
  };
  // The owner alone. REQUIRES: not kDone before.
  Step step();
  // Before the first step; wakes the owner. Any thread may call it later, also when the task is done.
  void set_waker(std::function<void()> wake);

  // --- mail, any thread ---
  void trigger_checkpoint(control::Barrier barrier);  // sources only
  // `is_final`: it was taken after the end of all data.
  void checkpoint_complete(std::int64_t checkpoint_id, bool is_final);
  void checkpoint_aborted(std::int64_t checkpoint_id);
  void cancel();
  // All data of the job has ended and no checkpoint is needed.
  void finish();
  // From elsewhere (a lost connection): fails the task.
  void fail_from_outside(Status why);

  const TaskSpec& spec() const { return spec_; }
  const std::string& name() const { return name_; }  // "Source: a -> b (1/2)#0"
  TaskState state() const { return state_.load(std::memory_order_acquire); }
  bool is_source() const { return spec_.inputs.empty(); }

  // --- any thread ---
  const TaskMetrics& metrics() const { return metrics_; }
  // Written by who steps the task.
  TaskTimes& times() { return times_; }
  TaskMeter& meter() { return *meter_; }
  const std::vector<std::unique_ptr<OperatorMetrics>>& operator_metrics() const { return operator_metrics_; }
  // Names and values that operators registered; a name stays where it is for the task's life.
  void read_own_metrics(const std::function<void(const OperatorMetrics& op, const std::string& name, drey_metric_kind,
                                                 std::int64_t)>& visit);
  std::map<std::string, AccumulatorValue> accumulators();
  // Of one input, its channels together.
  std::int64_t input_watermark(std::uint32_t input) const;
  std::int64_t fired_timers() const;
  // Letters that wait, and how long the last ones waited, the oldest first.
  struct Mailbox {
    std::int64_t waiting = 0;
    std::vector<Nanos> waits;
  };
  Mailbox mailbox();

 private:
  class Runner;
  struct Link;
  struct Mail {
    enum class Kind { kTrigger, kComplete, kAborted, kCancel, kFinish, kFail, kRestored, kWork } kind;
    control::Barrier barrier = {};
    Status why = {};
    bool is_final = false;
    std::uint32_t position = 0;  // kWork: of the operator in the chain
    std::uint64_t number = 0;    // kWork
    Ticks posted{};
  };
  // A snapshot that waits for work which began before its barrier.
  struct HeldSnapshot {
    control::Barrier barrier;
    CheckpointNumbers numbers;
    std::unique_ptr<state::SnapshotJob> job;
    Ticks since{};
  };

  Status start_initializing();
  Status build_chain();
  Status start_running();
  Status drain_mail(bool* did);
  Status take_letter(Mail& letter);
  Status process_one(bool* did);
  Status process_event(const Gate::Event& event);
  bool is_firing() const;
  Status on_watermark(std::int64_t watermark);
  Status poll_source(bool* did);
  Status fire_wakes(bool* did);
  Status start_checkpoint(const control::Barrier& barrier, const control::Alignment& alignment);
  void write(HeldSnapshot snapshot);
  void write_free_snapshots();
  bool is_held(std::int64_t checkpoint_id) const;
  Status go_on_ending();
  Status drain();
  Status look_at_work();
  bool has_work() const;
  bool is_at_bound() const;
  bool takes_input() const;
  Ticks next_look() const;
  Ticks wake_of_timers() const;
  void post(Mail letter);
  void end(TaskState state, Status why);
  void enter(TaskState state, const Status& why = {});
  bool outputs_have_credit() const;
  std::int64_t next_wake() const;

  const TaskSpec spec_;
  TaskSurroundings around_;
  const std::string name_;
  std::atomic<TaskState> state_{TaskState::kCreated};

  // Task thread.
  std::vector<std::unique_ptr<Runner>> chain_;  // head first
  std::unique_ptr<Gate> gate_;
  std::deque<Gate::Event> held_;  // came while the head fired, and wait until it has
  std::vector<std::unique_ptr<Output>> outputs_;
  std::shared_ptr<state::TaskState> task_state_;            // shared with its restore, which may outlive the task
  std::shared_ptr<std::atomic<bool>> restore_is_unwanted_;  // null: nothing is being restored
  Ticks restore_deadline_{};
  std::vector<HeldSnapshot> held_snapshots_;
  std::int64_t watermark_ = kMinWatermark;
  bool source_done_ = false;
  operators::Splits splits_;
  std::optional<std::size_t> ending_;                      // all input has ended: the operator that finishes next
  std::optional<control::Barrier> checkpoint_after_data_;  // of a stop, which drains first
  bool data_ended_ = false;
  bool finishes_ = false;                  // when no work is outstanding
  std::int64_t last_checkpoint_ = -1;      // newest barrier taken part in
  std::int64_t stops_after_ = -1;          // holds still until this one is complete or aborted; -1: does not
  std::int64_t ended_before_ = INT64_MAX;  // first checkpoint taken after the end of data
  std::uint32_t ended_inputs_ = 0;         // bit per input

  TaskMetrics metrics_;
  TaskTimes times_;
  std::vector<std::unique_ptr<OperatorMetrics>> operator_metrics_;
  std::mutex registry_mutex_;  // own metrics and accumulators: names
  std::map<std::string, AccumulatorValue> accumulators_;
  std::unique_ptr<TaskMeter> meter_;

  // Mailbox.
  std::mutex mail_mutex_;
  std::vector<Mail> mail_;  // guarded by mail_mutex_
  static constexpr std::size_t kWaitsKept = 60;
  std::deque<Nanos> waits_;  // guarded by mail_mutex_
  std::atomic<bool> has_mail_{false};
  std::mutex waker_mutex_;
  std::function<void()> waker_;  // guarded by waker_mutex_
  // Shared with closures that may outlive the task (wakers of channels and sources, work on the pool).
  std::shared_ptr<Link> link_;
  std::atomic<bool> woken_{false};
};

std::string_view to_text(TaskState state);

}  // namespace drey::runtime
