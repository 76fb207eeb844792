// Messages of savepoints, stops, triggered checkpoints, disposals and resource requirements. Rows in the order of the
// wire.
#pragma once

#include <optional>
#include <string>

#include "rest/messages/async.h"

namespace drey::rest {

inline constexpr std::array kSavepointFormats{EnumText{"CANONICAL"}, EnumText{"NATIVE"}};
inline constexpr std::array kCheckpointChoices{EnumText{"CONFIGURED"}, EnumText{"FULL"}, EnumText{"INCREMENTAL"}};

struct SavepointTrigger {
  std::optional<bool> cancel_job;
  std::optional<OneOf<kSavepointFormats>> format;
  std::string target;
  std::optional<TriggerId> trigger;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:savepoints:SavepointTriggerRequestBody";
  static constexpr auto fields() {
    using M = SavepointTrigger;
    return Fields{field("cancel-job", &M::cancel_job, "Cancel the job once the savepoint is complete."),
                  field("formatType", &M::format, "CANONICAL (the default) or NATIVE.").in(kV2),
                  field("target-directory", &M::target,
                        "Where the savepoint's directory is made; the configured place when left out."),
                  field("triggerId", &M::trigger, "Chosen by the caller: one that is known starts nothing.").in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<SavepointTrigger>);

struct StopTrigger {
  std::optional<bool> drain;
  std::optional<OneOf<kSavepointFormats>> format;
  std::string target;
  std::optional<TriggerId> trigger;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:savepoints:stop:StopWithSavepointRequestBody";
  static constexpr auto fields() {
    using M = StopTrigger;
    return Fields{
        field("drain", &M::drain, "End as if all input had ended: windows fire. Not for a job that is to be resumed."),
        field("formatType", &M::format, "CANONICAL (the default) or NATIVE.").in(kV2),
        field("targetDirectory", &M::target,
              "Where the savepoint's directory is made; the configured place when left out."),
        field("triggerId", &M::trigger, "Chosen by the caller: one that is known starts nothing.").in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<StopTrigger>);

struct CheckpointTrigger {
  std::optional<OneOf<kCheckpointChoices>> type;
  std::optional<TriggerId> trigger;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointTriggerRequestBody";
  static constexpr auto fields() {
    using M = CheckpointTrigger;
    return Fields{field("checkpointType", &M::type, "CONFIGURED (the default), FULL or INCREMENTAL."),
                  field("triggerId", &M::trigger, "Chosen by the caller: one that is known starts nothing.")};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointTrigger>);

struct DisposalTrigger {
  std::optional<std::string> path;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:savepoints:SavepointDisposalRequest";
  static constexpr auto fields() {
    return Fields{field("savepoint-path", &DisposalTrigger::path, "Directory of the savepoint.")};
  }
};
static_assert(wire::EveryMemberHasARow<DisposalTrigger>);

// What came of an operation: one of the two, or neither while Flink has nothing to say.
struct SavepointInfo {
  std::optional<FailureCause> failure_cause;
  std::optional<std::string> location;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:savepoints:SavepointInfo";
  static constexpr auto fields() {
    return Fields{field("failure-cause", &SavepointInfo::failure_cause), field("location", &SavepointInfo::location)};
  }
};
static_assert(wire::EveryMemberHasARow<SavepointInfo>);

struct CheckpointInfo {
  std::optional<std::int64_t> checkpoint_id;
  std::optional<FailureCause> failure_cause;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointInfo";
  static constexpr auto fields() {
    return Fields{field("checkpointId", &CheckpointInfo::checkpoint_id),
                  field("failureCause", &CheckpointInfo::failure_cause)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointInfo>);

struct VertexParallelism {
  std::int64_t lower = 0;
  std::int64_t upper = 0;
  static constexpr std::string_view kUrn = "runtime:jobgraph:JobVertexResourceRequirements:Parallelism";
  static constexpr auto fields() {
    return Fields{field("lowerBound", &VertexParallelism::lower, "At least so wide; -1: 1."),
                  field("upperBound", &VertexParallelism::upper, "At most so wide; -1: the vertex's maximum.")};
  }
};
static_assert(wire::EveryMemberHasARow<VertexParallelism>);

struct VertexRequirements {
  VertexParallelism parallelism;
  static constexpr std::string_view kUrn = "runtime:jobgraph:JobVertexResourceRequirements";
  static constexpr auto fields() { return Fields{field("parallelism", &VertexRequirements::parallelism)}; }
};
static_assert(wire::EveryMemberHasARow<VertexRequirements>);

}  // namespace drey::rest
