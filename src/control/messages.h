// What the JobManager and the TaskManagers tell each other. Encoded by wire/binary; one frame a message.
//
// Every message about a job carries its incarnation (raised at each start, restart and recovery): who receives an old
// one drops and counts it. Both sides are of one version, which registration checks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/id.h"
#include "control/checkpoint/barrier_aligner.h"
#include "control/execution/states.h"
#include "graph/job_graph.h"
#include "metrics/metrics.h"
#include "wire/field.h"

namespace drey::control {

using wire::field;
using wire::Fields;

inline constexpr std::uint32_t kProtocolVersion = 3;

// In a time that depends on the lengths alone, which are no secret.
inline bool is_same_secret(std::string_view a, std::string_view b) {
  unsigned different = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    different |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  }
  return different == 0;
}

struct FailureReport {
  std::int32_t code = 0;  // drey::Code; 0: none
  std::string message;
  std::string origin;
  std::string stack;
  static constexpr auto fields() {
    using M = FailureReport;
    return Fields{field("code", &M::code), field("message", &M::message), field("origin", &M::origin),
                  field("stack", &M::stack)};
  }
};
static_assert(wire::EveryMemberHasARow<FailureReport>);

// Names a running attempt.
struct TaskAddress {
  JobId job;
  std::uint64_t incarnation = 0;
  std::uint32_t vertex = 0;  // index in the plan
  std::uint32_t subtask = 0;
  std::uint32_t attempt = 0;
  friend auto operator<=>(const TaskAddress&, const TaskAddress&) = default;
  static constexpr auto fields() {
    using M = TaskAddress;
    return Fields{field("job", &M::job), field("incarnation", &M::incarnation), field("vertex", &M::vertex),
                  field("subtask", &M::subtask), field("attempt", &M::attempt)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskAddress>);

// --- TaskManager -> JobManager -------------------------------------------------------------------

struct Register {
  std::uint32_t version = kProtocolVersion;
  std::string secret;
  std::string id;
  std::string host;
  std::int32_t data_port = 0;
  std::int32_t slots = 0;
  std::int64_t pid = 0;
  std::int64_t cores = 0;
  std::int64_t physical_memory = 0;
  std::int64_t managed_memory = 0;
  static constexpr auto fields() {
    using M = Register;
    return Fields{field("version", &M::version),
                  field("secret", &M::secret),
                  field("id", &M::id),
                  field("host", &M::host),
                  field("data-port", &M::data_port),
                  field("slots", &M::slots),
                  field("pid", &M::pid),
                  field("cores", &M::cores),
                  field("physical-memory", &M::physical_memory),
                  field("managed-memory", &M::managed_memory)};
  }
};
static_assert(wire::EveryMemberHasARow<Register>);

struct TaskStateChanged {
  TaskAddress task;
  AttemptState state = AttemptState::kCreated;
  FailureReport failure;
  static constexpr auto fields() {
    using M = TaskStateChanged;
    return Fields{field("task", &M::task), field("state", &M::state), field("failure", &M::failure)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskStateChanged>);

struct EndOfData {
  TaskAddress task;
  static constexpr auto fields() { return Fields{field("task", &EndOfData::task)}; }
};
static_assert(wire::EveryMemberHasARow<EndOfData>);

struct SnapshotAck {
  TaskAddress task;
  std::int64_t checkpoint_id = 0;
  bool ok = false;
  FailureReport failure;
  std::string handle;  // state::TaskStateHandle, encoded: control need not know it
  std::vector<std::pair<std::string, std::uint64_t>> files;  // of the handle
  std::vector<std::string> stateful;                         // ids of the operators that have state in it
  bool has_union = false;                                    // a list that every subtask must see whole
  std::uint64_t written_bytes = 0;
  std::uint64_t state_bytes = 0;
  std::int64_t start_delay_ms = 0;
  std::int64_t alignment_ms = 0;
  std::uint64_t processed_bytes = 0;
  std::int64_t sync_ms = 0;
  std::int64_t async_ms = 0;
  static constexpr auto fields() {
    using M = SnapshotAck;
    return Fields{field("task", &M::task),
                  field("checkpoint-id", &M::checkpoint_id),
                  field("ok", &M::ok),
                  field("failure", &M::failure),
                  field("handle", &M::handle),
                  field("files", &M::files),
                  field("stateful", &M::stateful),
                  field("has-union", &M::has_union),
                  field("written-bytes", &M::written_bytes),
                  field("state-bytes", &M::state_bytes),
                  field("start-delay-ms", &M::start_delay_ms),
                  field("alignment-ms", &M::alignment_ms),
                  field("processed-bytes", &M::processed_bytes),
                  field("sync-ms", &M::sync_ms),
                  field("async-ms", &M::async_ms)};
  }
};
static_assert(wire::EveryMemberHasARow<SnapshotAck>);

struct AccumulatorReport {
  std::string name;
  std::int32_t kind = 0;  // drey_accumulator_kind
  std::int64_t whole = 0;
  double real = 0;
  static constexpr auto fields() {
    using M = AccumulatorReport;
    return Fields{field("name", &M::name), field("kind", &M::kind), field("whole", &M::whole), field("real", &M::real)};
  }
};
static_assert(wire::EveryMemberHasARow<AccumulatorReport>);

// What was measured of an attempt.
struct TaskReport {
  TaskAddress task;
  metrics::Names names;              // empty: those of the attempt's last report on this connection
  std::vector<std::int64_t> values;  // metrics::raw_of, in their order
  metrics::TaskTotals totals;
  std::vector<AccumulatorReport> accumulators;
  static constexpr auto fields() {
    using M = TaskReport;
    return Fields{field("task", &M::task), field("names", &M::names), field("values", &M::values),
                  field("totals", &M::totals), field("accumulators", &M::accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskReport>);

struct Heartbeat {
  std::vector<TaskReport> tasks;
  metrics::Names names;  // of the TaskManager; empty: it says nothing of itself
  std::vector<std::int64_t> values;
  static constexpr auto fields() {
    using M = Heartbeat;
    return Fields{field("tasks", &M::tasks), field("names", &M::names), field("values", &M::values)};
  }
};
static_assert(wire::EveryMemberHasARow<Heartbeat>);

// The answer to an InspectionRequest.
struct InspectionAnswer {
  std::uint64_t id = 0;
  std::int32_t code = 0;  // drey::Code
  std::string text;       // the answer, or why there is none
  static constexpr auto fields() {
    using M = InspectionAnswer;
    return Fields{field("id", &M::id), field("code", &M::code), field("text", &M::text)};
  }
};
static_assert(wire::EveryMemberHasARow<InspectionAnswer>);

using ToJobManager = std::variant<Register, TaskStateChanged, EndOfData, SnapshotAck, Heartbeat, InspectionAnswer>;

// --- JobManager -> TaskManager -------------------------------------------------------------------

struct RegisterAnswer {
  bool accepted = false;
  std::string why;
  std::int64_t heartbeat_ms = 1000;
  std::int64_t heartbeat_timeout_ms = 50'000;  // without a word for so long each side takes the other for lost
  static constexpr auto fields() {
    using M = RegisterAnswer;
    return Fields{field("accepted", &M::accepted), field("why", &M::why), field("heartbeat-ms", &M::heartbeat_ms),
                  field("heartbeat-timeout-ms", &M::heartbeat_timeout_ms)};
  }
};
static_assert(wire::EveryMemberHasARow<RegisterAnswer>);

struct TaskDeployment {
  std::uint32_t vertex = 0;
  std::uint32_t subtask = 0;
  std::uint32_t attempt = 0;
  std::uint32_t slot = 0;
  std::vector<std::string> restore;  // encoded state::TaskStateHandles
  static constexpr auto fields() {
    using M = TaskDeployment;
    return Fields{field("vertex", &M::vertex), field("subtask", &M::subtask), field("attempt", &M::attempt),
                  field("slot", &M::slot), field("restore", &M::restore)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskDeployment>);

// Where each subtask of a deployment runs: [vertex][subtask] -> index into `hosts`, kNotHere when it is no part of it
// (one of another region, with which no rows are exchanged).
struct Placement {
  static constexpr std::uint32_t kNotHere = UINT32_MAX;
  std::vector<std::pair<std::string, std::int32_t>> hosts;  // host, data port
  std::vector<std::vector<std::uint32_t>> task_managers;
  static constexpr auto fields() {
    return Fields{field("hosts", &Placement::hosts), field("task-managers", &Placement::task_managers)};
  }
};
static_assert(wire::EveryMemberHasARow<Placement>);

// All tasks of a job that this TaskManager runs.
struct Deploy {
  JobId job;
  std::uint64_t incarnation = 0;
  graph::JobGraph graph;  // resolved
  graph::Plan plan;
  std::string module;  // path of the shared object; empty: no user code
  std::uint64_t digest = 0;
  std::vector<TaskDeployment> tasks;
  Placement placement;
  std::uint32_t me = 0;  // index into placement.hosts
  bool exactly_once = true;
  bool restore_own = true;
  std::int64_t restored_checkpoint = -1;
  std::string state_directory;
  static constexpr auto fields() {
    using M = Deploy;
    return Fields{field("job", &M::job),
                  field("incarnation", &M::incarnation),
                  field("graph", &M::graph),
                  field("plan", &M::plan),
                  field("module", &M::module),
                  field("digest", &M::digest),
                  field("tasks", &M::tasks),
                  field("placement", &M::placement),
                  field("me", &M::me),
                  field("exactly-once", &M::exactly_once),
                  field("restore-own", &M::restore_own),
                  field("restored-checkpoint", &M::restored_checkpoint),
                  field("state-directory", &M::state_directory)};
  }
};
static_assert(wire::EveryMemberHasARow<Deploy>);

struct CancelTask {
  TaskAddress task;
  static constexpr auto fields() { return Fields{field("task", &CancelTask::task)}; }
};
static_assert(wire::EveryMemberHasARow<CancelTask>);

struct CheckpointCommand {
  // kFinish: all data of the job has ended and no checkpoint is needed.
  enum class What { kTrigger, kComplete, kAborted, kFinish } what = What::kTrigger;
  JobId job;
  std::uint64_t incarnation = 0;
  Barrier barrier;        // kTrigger: whole; else its id
  bool is_final = false;  // with kComplete: whoever has no more data finishes
  static constexpr auto fields() {
    using M = CheckpointCommand;
    return Fields{field("what", &M::what), field("job", &M::job), field("incarnation", &M::incarnation),
                  field("barrier", &M::barrier), field("is-final", &M::is_final)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointCommand>);

// The JobManager has got a heartbeat.
struct HeartbeatAnswer {
  std::int64_t time = 0;  // ms, the JobManager's clock
  static constexpr auto fields() { return Fields{field("time", &HeartbeatAnswer::time)}; }
};
static_assert(wire::EveryMemberHasARow<HeartbeatAnswer>);

// Logs, stacks or a profile of the TaskManager's process are wanted.
struct InspectionRequest {
  std::uint64_t id = 0;
  std::string inspection;  // gateway::Inspection, encoded: control need not know it
  static constexpr auto fields() {
    return Fields{field("id", &InspectionRequest::id), field("inspection", &InspectionRequest::inspection)};
  }
};
static_assert(wire::EveryMemberHasARow<InspectionRequest>);

using ToTaskManager =
    std::variant<RegisterAnswer, Deploy, CancelTask, CheckpointCommand, HeartbeatAnswer, InspectionRequest>;

}  // namespace drey::control
