// What the cluster knows of a job, a TaskManager and itself, as values: raw facts from which REST derives every view.
//
// A job's model is also its record in the job store after its end. Times are epoch milliseconds, durations
// milliseconds, sizes bytes. Threading: values; a model handed out is never changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.h"
#include "gateway/rescale_model.h"
#include "gateway/statistic_model.h"
#include "graph/job_graph.h"
#include "metrics/metrics.h"
#include "wire/field.h"

namespace drey::gateway {

using metrics::Metrics;
using wire::field;
using wire::Fields;

// Whether a job or a task in this state stays in it.
inline bool is_terminal(std::string_view state) {
  return state == "FINISHED" || state == "CANCELED" || state == "FAILED";
}

struct ExceptionModel {
  std::string name;  // of the class
  std::string stacktrace;
  std::int64_t time = 0;
  std::string task_name;  // empty: not of one task
  std::string endpoint;
  std::string task_manager;
  std::vector<ExceptionModel> concurrent;
  std::vector<std::pair<std::string, std::string>> labels;
  static constexpr auto fields() {
    using M = ExceptionModel;
    return Fields{field("name", &M::name),
                  field("stacktrace", &M::stacktrace),
                  field("time", &M::time),
                  field("task-name", &M::task_name),
                  field("endpoint", &M::endpoint),
                  field("task-manager", &M::task_manager),
                  field("concurrent", &M::concurrent),
                  field("labels", &M::labels)};
  }
};
static_assert(wire::EveryMemberHasARow<ExceptionModel>);

struct AccumulatorModel {
  std::string name;
  std::string type;  // LongCounter, DoubleCounter, ...
  std::string value;
  static constexpr auto fields() {
    using M = AccumulatorModel;
    return Fields{field("name", &M::name), field("type", &M::type), field("value", &M::value)};
  }
};
static_assert(wire::EveryMemberHasARow<AccumulatorModel>);

struct AttemptModel {
  std::uint32_t number = 0;
  std::string state;                                          // CREATED, ...
  std::vector<std::pair<std::string, std::int64_t>> entered;  // state, ms
  std::string task_manager;                                   // empty: not assigned
  std::string host;
  std::int32_t data_port = 0;
  Metrics metrics;
  bool is_measured = false;  // totals have come
  metrics::TaskTotals totals;
  std::vector<AccumulatorModel> accumulators;
  // When the attempt entered that state; 0: never.
  std::int64_t time_of(std::string_view which) const {
    for (const auto& [name, at] : entered) {
      if (name == which) return at;
    }
    return 0;
  }
  static constexpr auto fields() {
    using M = AttemptModel;
    return Fields{field("number", &M::number),   field("state", &M::state),
                  field("entered", &M::entered), field("task-manager", &M::task_manager),
                  field("host", &M::host),       field("data-port", &M::data_port),
                  field("metrics", &M::metrics), field("is-measured", &M::is_measured),
                  field("totals", &M::totals),   field("accumulators", &M::accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<AttemptModel>);

struct VertexModel {
  graph::Vertex vertex;
  std::vector<std::vector<AttemptModel>> subtasks;  // attempts, the current one last
  static constexpr auto fields() {
    return Fields{field("vertex", &VertexModel::vertex), field("subtasks", &VertexModel::subtasks)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexModel>);

struct EdgeModel {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::string ship_strategy;
  static constexpr auto fields() {
    using M = EdgeModel;
    return Fields{field("from", &M::from), field("to", &M::to), field("ship-strategy", &M::ship_strategy)};
  }
};
static_assert(wire::EveryMemberHasARow<EdgeModel>);

struct TaskCheckpointModel {
  std::uint32_t vertex = 0;
  std::uint32_t subtask = 0;
  bool acknowledged = false;
  std::int64_t ack_time = 0;
  std::int64_t written_bytes = 0;
  std::int64_t state_bytes = 0;
  std::int64_t start_delay = 0;
  std::int64_t alignment = 0;
  std::int64_t processed_bytes = 0;
  std::int64_t sync = 0;
  std::int64_t async = 0;
  static constexpr auto fields() {
    using M = TaskCheckpointModel;
    return Fields{field("vertex", &M::vertex),
                  field("subtask", &M::subtask),
                  field("acknowledged", &M::acknowledged),
                  field("ack-time", &M::ack_time),
                  field("written-bytes", &M::written_bytes),
                  field("state-bytes", &M::state_bytes),
                  field("start-delay", &M::start_delay),
                  field("alignment", &M::alignment),
                  field("processed-bytes", &M::processed_bytes),
                  field("sync", &M::sync),
                  field("async", &M::async)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskCheckpointModel>);

struct CheckpointModel {
  std::int64_t id = 0;
  std::string status;               // IN_PROGRESS, COMPLETED, FAILED
  std::string type = "CHECKPOINT";  // or SAVEPOINT, SYNC_SAVEPOINT
  std::string savepoint_format;     // CANONICAL, NATIVE; empty: none
  std::int64_t trigger_time = 0;
  std::int64_t latest_ack_time = -1;
  std::int64_t failure_time = 0;
  std::string failure_message;
  std::string path;
  bool discarded = false;
  std::vector<TaskCheckpointModel> tasks;
  static constexpr auto fields() {
    using M = CheckpointModel;
    return Fields{field("id", &M::id),
                  field("status", &M::status),
                  field("type", &M::type),
                  field("savepoint-format", &M::savepoint_format),
                  field("trigger-time", &M::trigger_time),
                  field("latest-ack-time", &M::latest_ack_time),
                  field("failure-time", &M::failure_time),
                  field("failure-message", &M::failure_message),
                  field("path", &M::path),
                  field("discarded", &M::discarded),
                  field("tasks", &M::tasks)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointModel>);

struct CheckpointsModel {
  bool exactly_once = true;
  std::int64_t interval = 0;  // 0: not periodic
  std::int64_t timeout = 600'000;
  std::int64_t min_pause = 0;
  std::int64_t tolerable_failures = 0;
  bool keep_on_cancellation = false;
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  std::int64_t restored = 0;
  // Of all complete ones, savepoints included.
  StatisticModel written_bytes;
  StatisticModel state_bytes;
  StatisticModel duration;
  StatisticModel processed_bytes;
  std::vector<CheckpointModel> history;  // newest first, the pending one in front
  std::int64_t restored_id = -1;
  std::int64_t restored_time = 0;
  std::string restored_path;
  bool restored_savepoint = false;
  std::int64_t metadata_bytes = -1;  // of the last complete one's metadata; -1: none, or not known
  static constexpr auto fields() {
    using M = CheckpointsModel;
    return Fields{field("exactly-once", &M::exactly_once),
                  field("interval", &M::interval),
                  field("timeout", &M::timeout),
                  field("min-pause", &M::min_pause),
                  field("tolerable-failures", &M::tolerable_failures),
                  field("keep-on-cancellation", &M::keep_on_cancellation),
                  field("completed", &M::completed),
                  field("failed", &M::failed),
                  field("restored", &M::restored),
                  field("written-bytes", &M::written_bytes),
                  field("state-bytes", &M::state_bytes),
                  field("duration", &M::duration),
                  field("processed-bytes", &M::processed_bytes),
                  field("history", &M::history),
                  field("restored-id", &M::restored_id),
                  field("restored-time", &M::restored_time),
                  field("restored-path", &M::restored_path),
                  field("restored-savepoint", &M::restored_savepoint),
                  field("metadata-bytes", &M::metadata_bytes)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointsModel>);

struct JobModel {
  JobId id;
  std::string name;
  std::string state;                                          // INITIALIZING, ...
  std::vector<std::pair<std::string, std::int64_t>> entered;  // state, ms
  std::vector<VertexModel> vertices;                          // sources first
  std::vector<EdgeModel> edges;
  std::map<std::string, std::string> settings;
  std::map<std::string, std::string> arguments;  // user-config as shown
  std::string restart_strategy;
  std::int32_t parallelism = 1;
  std::vector<ExceptionModel> exceptions;  // newest first
  ExceptionModel failure;                  // of a FAILED job
  CheckpointsModel checkpoints;
  std::int64_t restarts = 0;
  RescalesModel rescales;
  // Of an ended job: what its JobManager ran with; secrets are masked.
  std::map<std::string, std::string> cluster_configuration;
  std::string cluster_version;
  std::int64_t time_of(std::string_view which) const {
    for (const auto& [name_of_state, at] : entered) {
      if (name_of_state == which) return at;
    }
    return 0;
  }
  bool is_terminal() const { return gateway::is_terminal(state); }
  static constexpr auto fields() {
    using M = JobModel;
    return Fields{field("id", &M::id),
                  field("name", &M::name),
                  field("state", &M::state),
                  field("entered", &M::entered),
                  field("vertices", &M::vertices),
                  field("edges", &M::edges),
                  field("settings", &M::settings),
                  field("arguments", &M::arguments),
                  field("restart-strategy", &M::restart_strategy),
                  field("parallelism", &M::parallelism),
                  field("exceptions", &M::exceptions),
                  field("failure", &M::failure),
                  field("checkpoints", &M::checkpoints),
                  field("restarts", &M::restarts),
                  field("rescales", &M::rescales),
                  field("cluster-configuration", &M::cluster_configuration),
                  field("cluster-version", &M::cluster_version)};
  }
};
static_assert(wire::EveryMemberHasARow<JobModel>);
using JobModelRef = std::shared_ptr<const JobModel>;

struct TaskManagerModel {
  std::string id;
  std::string host;
  std::int32_t data_port = 0;
  std::int64_t last_heartbeat = 0;
  std::int32_t slots = 0;
  std::int32_t free_slots = 0;
  std::int64_t cores = 0;
  std::int64_t physical_memory = 0;
  std::int64_t managed_memory = 0;
  std::int64_t pid = 0;
  std::vector<JobId> allocated;  // per used slot
  Metrics metrics;
};

// What was triggered and is asked for later. Savepoints and stops are of one kind: they share their ids.
enum class OperationKind { kSavepoint, kCheckpoint, kDisposal, kRescaling };

struct OperationModel {
  OperationKind kind = OperationKind::kSavepoint;
  JobId job;  // zero for a disposal
  TriggerId id;
  std::int64_t started = 0;
  bool done = false;
  std::int64_t ended = 0;
  std::string failure_class;  // empty: it succeeded
  std::string failure;
  std::string location;  // of a savepoint, as a URI
  std::int64_t checkpoint = 0;
  static constexpr auto fields() {
    using M = OperationModel;
    return Fields{field("kind", &M::kind),
                  field("job", &M::job),
                  field("id", &M::id),
                  field("started", &M::started),
                  field("done", &M::done),
                  field("ended", &M::ended),
                  field("failure-class", &M::failure_class),
                  field("failure", &M::failure),
                  field("location", &M::location),
                  field("checkpoint", &M::checkpoint)};
  }
};
static_assert(wire::EveryMemberHasARow<OperationModel>);

// Between what parallelisms a vertex may run.
struct ParallelismBounds {
  std::int32_t lower = 1;
  std::int32_t upper = 1;
  static constexpr auto fields() {
    return Fields{field("lower", &ParallelismBounds::lower), field("upper", &ParallelismBounds::upper)};
  }
};
static_assert(wire::EveryMemberHasARow<ParallelismBounds>);
using ResourceRequirements = std::vector<std::pair<VertexId, ParallelismBounds>>;

struct JarModel {
  std::string id;
  std::string name;
  std::int64_t uploaded = 0;
  std::vector<std::string> entries;
};

}  // namespace drey::gateway
