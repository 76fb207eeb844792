// What a job's rescalings were: why each began, how wide its vertices were to be, were before and
// became, and how it ended.
//
// Times are epoch milliseconds. The words are Flink's. Threading: values; part of a job's model.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/enums.h"
#include "base/id.h"
#include "gateway/statistic_model.h"
#include "wire/field.h"

namespace drey::gateway {

using RescaleId = Id<struct RescaleTag>;
using RequirementsId = Id<struct RequirementsTag>;

enum class RescaleCause { kInitialSchedule, kUpdateRequirement, kNewResource, kFailover };
constexpr auto enum_table(RescaleCause) {
  return std::array{EnumRow{RescaleCause::kInitialSchedule, "INITIAL_SCHEDULE"},
                    EnumRow{RescaleCause::kUpdateRequirement, "UPDATE_REQUIREMENT"},
                    EnumRow{RescaleCause::kNewResource, "NEW_RESOURCE_AVAILABLE"},
                    EnumRow{RescaleCause::kFailover, "RECOVERABLE_FAILOVER"}};
}

enum class RescaleEnd {
  kOpen,
  kSucceeded,
  kException,
  kRequirementsUpdated,
  kNoChange,
  kJobFinished,
  kJobFailed,
  kJobCanceled
};
constexpr auto enum_table(RescaleEnd) {
  return std::array{EnumRow{RescaleEnd::kOpen, ""},
                    EnumRow{RescaleEnd::kSucceeded, "SUCCEEDED"},
                    EnumRow{RescaleEnd::kException, "EXCEPTION_OCCURRED"},
                    EnumRow{RescaleEnd::kRequirementsUpdated, "RESOURCE_REQUIREMENTS_UPDATED"},
                    EnumRow{RescaleEnd::kNoChange, "NO_RESOURCES_OR_PARALLELISMS_CHANGE"},
                    EnumRow{RescaleEnd::kJobFinished, "JOB_FINISHED"},
                    EnumRow{RescaleEnd::kJobFailed, "JOB_FAILED"},
                    EnumRow{RescaleEnd::kJobCanceled, "JOB_CANCELED"}};
}

// A state of the scheduler during a rescaling.
struct RescaleStage {
  std::string state;  // Executing, Restarting, WaitingForResources, CreatingExecutionGraph
  std::int64_t entered = 0;
  std::int64_t left = 0;  // 0: not yet
  std::string exception;  // what ended the rescaling here; empty: nothing
  static constexpr auto fields() {
    using M = RescaleStage;
    return wire::Fields{wire::field("state", &M::state), wire::field("entered", &M::entered),
                        wire::field("left", &M::left), wire::field("exception", &M::exception)};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleStage>);

struct RescaleVertex {
  VertexId id;
  std::string name;
  std::string slot_sharing_group;
  std::int32_t desired = 0;
  std::int32_t sufficient = 0;
  std::int32_t before = 0;  // 0: the job did not run before
  std::int32_t after = 0;   // 0: it did not come to that
  static constexpr auto fields() {
    using M = RescaleVertex;
    return wire::Fields{wire::field("id", &M::id),
                        wire::field("name", &M::name),
                        wire::field("group", &M::slot_sharing_group),
                        wire::field("desired", &M::desired),
                        wire::field("sufficient", &M::sufficient),
                        wire::field("before", &M::before),
                        wire::field("after", &M::after)};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleVertex>);

struct RescaleModel {
  RescaleId id;
  RequirementsId requirements;  // the same as long as nobody asks for other parallelisms
  std::int64_t attempt = 1;     // among those of the same requirements
  RescaleCause cause = RescaleCause::kInitialSchedule;
  RescaleEnd end = RescaleEnd::kOpen;
  std::int64_t began = 0;
  std::int64_t ended = 0;  // 0: open
  std::vector<RescaleVertex> vertices;
  std::vector<RescaleStage> stages;

  bool is_open() const { return end == RescaleEnd::kOpen; }
  bool is_completed() const { return end == RescaleEnd::kSucceeded; }
  bool is_failed() const { return end == RescaleEnd::kException; }
  bool is_ignored() const { return !is_open() && !is_completed() && !is_failed(); }
  static constexpr auto fields() {
    using M = RescaleModel;
    return wire::Fields{wire::field("id", &M::id),           wire::field("requirements", &M::requirements),
                        wire::field("attempt", &M::attempt), wire::field("cause", &M::cause),
                        wire::field("end", &M::end),         wire::field("began", &M::began),
                        wire::field("ended", &M::ended),     wire::field("vertices", &M::vertices),
                        wire::field("stages", &M::stages)};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleModel>);

struct RescalesModel {
  std::vector<RescaleModel> history;  // newest first; all that are kept
  StatisticModel completed;           // durations of all that ended so, kept or not
  StatisticModel failed;
  StatisticModel ignored;
  StatisticModel all;
  // How the cluster rescales.
  std::int64_t history_max = 0;  // 0: none is kept
  std::int64_t slot_timeout = 0;
  std::int64_t slot_stabilization = 0;
  std::int64_t cooldown = 0;
  static constexpr auto fields() {
    using M = RescalesModel;
    return wire::Fields{wire::field("history", &M::history),
                        wire::field("completed", &M::completed),
                        wire::field("failed", &M::failed),
                        wire::field("ignored", &M::ignored),
                        wire::field("all", &M::all),
                        wire::field("history-max", &M::history_max),
                        wire::field("slot-timeout", &M::slot_timeout),
                        wire::field("slot-stabilization", &M::slot_stabilization),
                        wire::field("cooldown", &M::cooldown)};
  }
};
static_assert(wire::EveryMemberHasARow<RescalesModel>);

}  // namespace drey::gateway
