// Messages of a job's rescalings: 2.3's calls, which its dashboard asks and no page documents. Rows
// in the order of the wire.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "gateway/rescale_model.h"
#include "rest/messages/checkpoints.h"
#include "rest/messages/task_managers.h"
#include "rest/shape.h"

namespace drey::rest {

inline constexpr std::array kRescaleStates{EnumText{"COMPLETED"}, EnumText{"FAILED"}, EnumText{"IGNORED"}};

struct VertexRescale {
  VertexId vertex;
  std::string vertex_name;
  VertexId slot_sharing_group;
  std::string slot_sharing_group_name;
  std::int64_t desired_parallelism = 0;
  std::int64_t sufficient_parallelism = 0;
  std::optional<std::int64_t> pre_rescale_parallelism;
  std::optional<std::int64_t> post_rescale_parallelism;
  static constexpr auto fields() {
    using M = VertexRescale;
    return Fields{field("jobVertexId", &M::vertex),
                  field("jobVertexName", &M::vertex_name),
                  field("slotSharingGroupId", &M::slot_sharing_group),
                  field("slotSharingGroupName", &M::slot_sharing_group_name),
                  field("desiredParallelism", &M::desired_parallelism),
                  field("sufficientParallelism", &M::sufficient_parallelism),
                  field("preRescaleParallelism", &M::pre_rescale_parallelism).nullable(),
                  field("postRescaleParallelism", &M::post_rescale_parallelism).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<VertexRescale>);

struct SlotsRescale {
  VertexId slot_sharing_group;
  std::string slot_sharing_group_name;
  ResourceProfile request_resource_profile;
  std::int64_t desired_slots = 0;
  std::int64_t minimal_required_slots = 0;
  std::optional<std::int64_t> pre_rescale_slots;
  std::optional<std::int64_t> post_rescale_slots;
  ResourceProfile acquired_resource_profile;
  static constexpr auto fields() {
    using M = SlotsRescale;
    return Fields{field("slotSharingGroupId", &M::slot_sharing_group),
                  field("slotSharingGroupName", &M::slot_sharing_group_name),
                  field("requestResourceProfile", &M::request_resource_profile),
                  field("desiredSlots", &M::desired_slots),
                  field("minimalRequiredSlots", &M::minimal_required_slots),
                  field("preRescaleSlots", &M::pre_rescale_slots).nullable(),
                  field("postRescaleSlots", &M::post_rescale_slots).nullable(),
                  field("acquiredResourceProfile", &M::acquired_resource_profile)};
  }
};
static_assert(wire::EveryMemberHasARow<SlotsRescale>);

struct SchedulerState {
  std::string state;
  std::int64_t entered = 0;
  std::optional<std::int64_t> left;
  std::optional<std::int64_t> duration;
  std::optional<std::string> exception;
  static constexpr auto fields() {
    using M = SchedulerState;
    return Fields{field("state", &M::state), field("enterTimestampInMillis", &M::entered),
                  field("leaveTimestampInMillis", &M::left).nullable(),
                  field("durationInMillis", &M::duration).nullable(),
                  field("stringifiedException", &M::exception).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<SchedulerState>);

// In lists without vertices, slots and states.
struct RescaleDetails {
  gateway::RescaleId rescale_uuid;
  gateway::RequirementsId resource_requirements_uuid;
  std::int64_t rescale_attempt_id = 0;
  Map<VertexRescale> vertices;
  Map<SlotsRescale> slots;
  std::vector<SchedulerState> scheduler_states;
  std::int64_t start_timestamp = 0;
  std::optional<std::int64_t> end_timestamp;
  std::optional<OneOf<kRescaleStates>> terminal_state;
  std::string trigger_cause;
  std::optional<std::string> terminated_reason;
  static constexpr auto fields() {
    using M = RescaleDetails;
    return Fields{field("rescaleUuid", &M::rescale_uuid),
                  field("resourceRequirementsUuid", &M::resource_requirements_uuid),
                  field("rescaleAttemptId", &M::rescale_attempt_id),
                  field("vertices", &M::vertices),
                  field("slots", &M::slots),
                  field("schedulerStates", &M::scheduler_states),
                  field("startTimestampInMillis", &M::start_timestamp),
                  field("endTimestampInMillis", &M::end_timestamp).nullable(),
                  field("terminalState", &M::terminal_state).nullable(),
                  field("triggerCause", &M::trigger_cause),
                  field("terminatedReason", &M::terminated_reason).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleDetails>);

struct RescaleCounts {
  std::int64_t ignored = 0;
  std::int64_t in_progress = 0;
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  static constexpr auto fields() {
    using M = RescaleCounts;
    return Fields{field("ignored", &M::ignored), field("inProgress", &M::in_progress),
                  field("completed", &M::completed), field("failed", &M::failed)};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleCounts>);

struct LatestRescales {
  std::optional<RescaleDetails> completed;
  std::optional<RescaleDetails> failed;
  std::optional<RescaleDetails> ignored;
  static constexpr auto fields() {
    using M = LatestRescales;
    return Fields{field("completed", &M::completed).nullable(), field("failed", &M::failed).nullable(),
                  field("ignored", &M::ignored).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<LatestRescales>);

struct RescalesOverview {
  RescaleCounts counts;
  LatestRescales latest;
  static constexpr auto fields() {
    using M = RescalesOverview;
    return Fields{field("rescalesCounts", &M::counts), field("latest", &M::latest)};
  }
};
static_assert(wire::EveryMemberHasARow<RescalesOverview>);

struct RescalesSummary {
  RescaleCounts counts;
  StatsSummary all;
  StatsSummary completed;
  StatsSummary ignored;
  StatsSummary failed;
  static constexpr auto fields() {
    using M = RescalesSummary;
    return Fields{field("rescalesCounts", &M::counts), field("rescalesDurationStatsInMillis", &M::all),
                  field("completedRescalesDurationStatsInMillis", &M::completed),
                  field("ignoredRescalesDurationStatsInMillis", &M::ignored),
                  field("failedRescalesDurationStatsInMillis", &M::failed)};
  }
};
static_assert(wire::EveryMemberHasARow<RescalesSummary>);

struct RescalesConfig {
  std::int64_t rescale_history_max = 0;
  std::optional<std::string> scheduler_execution_mode;
  std::int64_t submission_resource_wait_timeout = 0;
  std::int64_t submission_resource_stabilization_timeout = 0;
  std::int64_t slot_idle_timeout = 0;
  std::int64_t executing_cooldown_timeout = 0;
  std::int64_t executing_resource_stabilization_timeout = 0;
  std::int64_t maximum_delay_for_triggering_rescale = 0;
  std::int64_t rescale_on_failed_checkpoint_count = 0;
  static constexpr auto fields() {
    using M = RescalesConfig;
    return Fields{
        field("rescaleHistoryMax", &M::rescale_history_max),
        field("schedulerExecutionMode", &M::scheduler_execution_mode).nullable(),
        field("submissionResourceWaitTimeoutInMillis", &M::submission_resource_wait_timeout),
        field("submissionResourceStabilizationTimeoutInMillis", &M::submission_resource_stabilization_timeout),
        field("slotIdleTimeoutInMillis", &M::slot_idle_timeout, "0: slots that are not needed are given back at once."),
        field("executingCooldownTimeoutInMillis", &M::executing_cooldown_timeout),
        field("executingResourceStabilizationTimeoutInMillis", &M::executing_resource_stabilization_timeout,
              "0: slots that come are used at once."),
        field("maximumDelayForTriggeringRescaleInMillis", &M::maximum_delay_for_triggering_rescale,
              "0: a rescaling triggers its own checkpoint."),
        field("rescaleOnFailedCheckpointCount", &M::rescale_on_failed_checkpoint_count,
              "0: a rescaling whose checkpoint fails is given up.")};
  }
};
static_assert(wire::EveryMemberHasARow<RescalesConfig>);

}  // namespace drey::rest
