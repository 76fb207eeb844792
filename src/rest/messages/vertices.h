// Messages about vertices, subtasks and attempts. Rows in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/messages/jobs.h"
#include "rest/shape.h"

namespace drey::rest {

struct AggregatedTaskDetails {
  Map<Map<std::int64_t>> metrics;
  Map<Map<std::int64_t>> status_duration;
  static constexpr std::string_view kUrn = "runtime:rest:messages:AggregatedTaskDetailsInfo";
  static constexpr auto fields() {
    using M = AggregatedTaskDetails;
    return Fields{field("metrics", &M::metrics).in(kV2), field("status-duration", &M::status_duration).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<AggregatedTaskDetails>);

struct SubtaskAttempt {
  std::int64_t subtask = 0;
  OneOf<kTaskStates> status;
  std::int64_t attempt = 0;
  std::string host;
  std::string endpoint;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  std::int64_t duration = 0;
  IoMetrics metrics;
  std::string taskmanager_id;
  Map<std::int64_t> status_duration;
  std::optional<std::vector<SubtaskAttempt>> other_concurrent_attempts;
  std::int64_t start_time_twin = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:SubtaskExecutionAttemptDetailsInfo";
  static constexpr auto fields() {
    using M = SubtaskAttempt;
    return Fields{field("subtask", &M::subtask),
                  field("status", &M::status),
                  field("attempt", &M::attempt),
                  field("host", &M::host).in(kV1),
                  field("endpoint", &M::endpoint).in(kV2),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("metrics", &M::metrics),
                  field("taskmanager-id", &M::taskmanager_id),
                  field("status-duration", &M::status_duration).in(kV2),
                  field("other-concurrent-attempts", &M::other_concurrent_attempts).in(kV2),
                  field("start_time", &M::start_time_twin)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskAttempt>);

struct JobVertexDetails {
  VertexId id;
  std::string name;
  std::int64_t parallelism = 0;
  std::int64_t max_parallelism = 0;
  std::int64_t now = 0;
  std::vector<SubtaskAttempt> subtasks;
  AggregatedTaskDetails aggregated;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexDetailsInfo";
  static constexpr auto fields() {
    using M = JobVertexDetails;
    return Fields{field("id", &M::id),
                  field("name", &M::name),
                  field("parallelism", &M::parallelism),
                  field("maxParallelism", &M::max_parallelism).in(kV2),
                  field("now", &M::now),
                  field("subtasks", &M::subtasks),
                  field("aggregated", &M::aggregated).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<JobVertexDetails>);

struct UserAccumulator {
  std::string name;
  std::string type;
  std::string value;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:UserAccumulator";
  static constexpr auto fields() {
    using M = UserAccumulator;
    return Fields{field("name", &M::name), field("type", &M::type), field("value", &M::value)};
  }
};
static_assert(wire::EveryMemberHasARow<UserAccumulator>);

struct VertexAccumulators {
  std::string id;
  std::vector<UserAccumulator> user_accumulators;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexAccumulatorsInfo";
  static constexpr auto fields() {
    using M = VertexAccumulators;
    return Fields{field("id", &M::id), field("user-accumulators", &M::user_accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexAccumulators>);

struct SubtaskAccumulators {
  std::int64_t subtask = 0;
  std::int64_t attempt = 0;
  std::string host;
  std::string endpoint;
  std::vector<UserAccumulator> user_accumulators;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:job:SubtasksAllAccumulatorsInfo:SubtaskAccumulatorsInfo";
  static constexpr auto fields() {
    using M = SubtaskAccumulators;
    return Fields{field("subtask", &M::subtask), field("attempt", &M::attempt), field("host", &M::host).in(kV1),
                  field("endpoint", &M::endpoint).in(kV2), field("user-accumulators", &M::user_accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskAccumulators>);

struct AllSubtaskAccumulators {
  VertexId id;
  std::int64_t parallelism = 0;
  std::vector<SubtaskAccumulators> subtasks;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:SubtasksAllAccumulatorsInfo";
  static constexpr auto fields() {
    using M = AllSubtaskAccumulators;
    return Fields{field("id", &M::id), field("parallelism", &M::parallelism), field("subtasks", &M::subtasks)};
  }
};
static_assert(wire::EveryMemberHasARow<AllSubtaskAccumulators>);

struct AttemptAccumulators {
  std::int64_t subtask = 0;
  std::int64_t attempt = 0;
  std::string id;
  std::vector<UserAccumulator> user_accumulators;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:SubtaskExecutionAttemptAccumulatorsInfo";
  static constexpr auto fields() {
    using M = AttemptAccumulators;
    return Fields{field("subtask", &M::subtask), field("attempt", &M::attempt), field("id", &M::id),
                  field("user-accumulators", &M::user_accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<AttemptAccumulators>);

struct SubtaskTime {
  std::int64_t subtask = 0;
  std::string host;
  std::string endpoint;
  std::int64_t duration = 0;
  Map<std::int64_t> timestamps;
  static constexpr std::string_view kUrn = "runtime:rest:messages:SubtasksTimesInfo:SubtaskTimeInfo";
  static constexpr auto fields() {
    using M = SubtaskTime;
    return Fields{field("subtask", &M::subtask), field("host", &M::host).in(kV1),
                  field("endpoint", &M::endpoint).in(kV2), field("duration", &M::duration),
                  field("timestamps", &M::timestamps)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskTime>);

struct SubtaskTimes {
  std::string id;
  std::string name;
  std::int64_t now = 0;
  std::vector<SubtaskTime> subtasks;
  static constexpr std::string_view kUrn = "runtime:rest:messages:SubtasksTimesInfo";
  static constexpr auto fields() {
    using M = SubtaskTimes;
    return Fields{field("id", &M::id), field("name", &M::name), field("now", &M::now), field("subtasks", &M::subtasks)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskTimes>);

struct VertexTaskManager {
  std::string host;
  std::string endpoint;
  OneOf<kTaskStates> status;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  std::int64_t duration = 0;
  IoMetrics metrics;
  Map<std::int64_t> status_counts;
  std::string taskmanager_id;
  AggregatedTaskDetails aggregated;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexTaskManagersInfo:TaskManagersInfo";
  static constexpr auto fields() {
    using M = VertexTaskManager;
    return Fields{field("host", &M::host).in(kV1),
                  field("endpoint", &M::endpoint).in(kV2),
                  field("status", &M::status),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("metrics", &M::metrics),
                  field("status-counts", &M::status_counts),
                  field("taskmanager-id", &M::taskmanager_id),
                  field("aggregated", &M::aggregated).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexTaskManager>);

struct VertexTaskManagers {
  VertexId id;
  std::string name;
  std::int64_t now = 0;
  std::vector<VertexTaskManager> taskmanagers;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexTaskManagersInfo";
  static constexpr auto fields() {
    using M = VertexTaskManagers;
    return Fields{field("id", &M::id), field("name", &M::name), field("now", &M::now),
                  field("taskmanagers", &M::taskmanagers)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexTaskManagers>);

struct SubtaskBackPressure {
  std::int64_t subtask = 0;
  OneOf<kPressureLevels> backpressure_level;
  double ratio = 0;
  double idle_ratio = 0;
  double busy_ratio = 0;
  OneOf<kPressureLevels> backpressure_level_twin;
  std::optional<std::int64_t> attempt_number;
  std::optional<std::vector<SubtaskBackPressure>> other_concurrent_attempts;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexBackPressureInfo:SubtaskBackPressureInfo";
  static constexpr auto fields() {
    using M = SubtaskBackPressure;
    return Fields{field("subtask", &M::subtask),
                  field("backpressureLevel", &M::backpressure_level).in(kV2),
                  field("ratio", &M::ratio),
                  field("idleRatio", &M::idle_ratio).in(kV2),
                  field("busyRatio", &M::busy_ratio).in(kV2),
                  field("backpressure-level", &M::backpressure_level_twin),
                  field("attempt-number", &M::attempt_number).in(kV2),
                  field("other-concurrent-attempts", &M::other_concurrent_attempts).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskBackPressure>);

struct VertexBackPressure {
  OneOf<kPressureStates> status;
  std::optional<OneOf<kPressureLevels>> backpressure_level;
  std::optional<std::int64_t> end_timestamp;
  std::optional<std::vector<SubtaskBackPressure>> subtasks;
  std::optional<OneOf<kPressureLevels>> backpressure_level_twin;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobVertexBackPressureInfo";
  static constexpr auto fields() {
    using M = VertexBackPressure;
    return Fields{field("status", &M::status), field("backpressureLevel", &M::backpressure_level).in(kV2),
                  field("end-timestamp", &M::end_timestamp), field("subtasks", &M::subtasks),
                  field("backpressure-level", &M::backpressure_level_twin)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexBackPressure>);

struct FlameNode {
  std::string name;
  std::int64_t value = 0;
  std::vector<FlameNode> children;
  static constexpr std::string_view kUrn = "runtime:webmonitor:threadinfo:VertexFlameGraph:Node";
  static constexpr auto fields() {
    using M = FlameNode;
    return Fields{field("name", &M::name).in(kV2), field("value", &M::value).in(kV2),
                  field("children", &M::children).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<FlameNode>);

struct VertexFlameGraph {
  std::int64_t end_timestamp = 0;  // -1: the vertex has ended, -3: no samples yet
  std::optional<FlameNode> data;
  static constexpr std::string_view kUrn = "runtime:webmonitor:threadinfo:VertexFlameGraph";
  static constexpr auto fields() {
    using M = VertexFlameGraph;
    return Fields{field("endTimestamp", &M::end_timestamp).in(kV2), field("data", &M::data).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexFlameGraph>);

}  // namespace drey::rest
