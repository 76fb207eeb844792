// Messages of checkpoint statistics. Rows in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/messages/enum_texts.h"
#include "rest/shape.h"

namespace drey::rest {

struct CheckpointCounts {
  std::int64_t restored = 0;
  std::int64_t total = 0;
  std::int64_t in_progress = 0;
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointingStatistics:Counts";
  static constexpr auto fields() {
    using M = CheckpointCounts;
    return Fields{field("restored", &M::restored), field("total", &M::total), field("in_progress", &M::in_progress),
                  field("completed", &M::completed), field("failed", &M::failed)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointCounts>);

struct StatsSummary {
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::int64_t avg = 0;
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double p999 = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:StatsSummaryDto";
  static constexpr std::string_view kUrnV1 = "runtime:rest:messages:checkpoints:MinMaxAvgStatistics";
  static constexpr auto fields() {
    using M = StatsSummary;
    return Fields{field("min", &M::min),         field("max", &M::max),          field("avg", &M::avg),
                  field("p50", &M::p50).in(kV2), field("p90", &M::p90).in(kV2),  field("p95", &M::p95).in(kV2),
                  field("p99", &M::p99).in(kV2), field("p999", &M::p999).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<StatsSummary>);

struct CheckpointSummary {
  StatsSummary checkpointed_size;
  StatsSummary state_size;
  StatsSummary end_to_end_duration;
  StatsSummary alignment_buffered;
  StatsSummary processed_data;
  StatsSummary persisted_data;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointingStatistics:Summary";
  static constexpr auto fields() {
    using M = CheckpointSummary;
    return Fields{
        field("checkpointed_size", &M::checkpointed_size).in(kV2), field("state_size", &M::state_size),
        field("end_to_end_duration", &M::end_to_end_duration),     field("alignment_buffered", &M::alignment_buffered),
        field("processed_data", &M::processed_data).in(kV2),       field("persisted_data", &M::persisted_data).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointSummary>);

struct TaskCheckpoint {
  std::int64_t id = 0;
  OneOf<kCheckpointStates> status;
  std::int64_t latest_ack_timestamp = 0;
  std::int64_t checkpointed_size = 0;
  std::int64_t state_size = 0;
  std::int64_t end_to_end_duration = 0;
  std::int64_t alignment_buffered = 0;
  std::int64_t processed_data = 0;
  std::int64_t persisted_data = 0;
  std::int64_t num_subtasks = 0;
  std::int64_t num_acknowledged_subtasks = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:TaskCheckpointStatistics";
  static constexpr auto fields() {
    using M = TaskCheckpoint;
    return Fields{field("id", &M::id),
                  field("status", &M::status),
                  field("latest_ack_timestamp", &M::latest_ack_timestamp),
                  field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("alignment_buffered", &M::alignment_buffered),
                  field("processed_data", &M::processed_data).in(kV2),
                  field("persisted_data", &M::persisted_data).in(kV2),
                  field("num_subtasks", &M::num_subtasks),
                  field("num_acknowledged_subtasks", &M::num_acknowledged_subtasks)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskCheckpoint>);

struct Checkpoint {
  std::string class_name;
  std::int64_t id = 0;
  OneOf<kCheckpointStates> status;
  bool is_savepoint = false;
  std::optional<std::string> savepoint_format;
  std::int64_t trigger_timestamp = 0;
  std::int64_t latest_ack_timestamp = 0;
  std::int64_t checkpointed_size = 0;
  std::int64_t state_size = 0;
  std::int64_t end_to_end_duration = 0;
  std::int64_t alignment_buffered = 0;
  std::int64_t processed_data = 0;
  std::int64_t persisted_data = 0;
  std::int64_t num_subtasks = 0;
  std::int64_t num_acknowledged_subtasks = 0;
  OneOf<kCheckpointTypes> checkpoint_type;
  Map<TaskCheckpoint> tasks;
  std::optional<std::int64_t> failure_timestamp;
  std::optional<std::string> failure_message;
  std::optional<std::string> external_path;
  std::optional<bool> discarded;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointStatistics";
  static constexpr auto fields() {
    using M = Checkpoint;
    return Fields{field("className", &M::class_name).in(kUnlisted),
                  field("id", &M::id),
                  field("status", &M::status),
                  field("is_savepoint", &M::is_savepoint),
                  field("savepointFormat", &M::savepoint_format).in(kV2).nullable(),
                  field("trigger_timestamp", &M::trigger_timestamp),
                  field("latest_ack_timestamp", &M::latest_ack_timestamp),
                  field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("alignment_buffered", &M::alignment_buffered),
                  field("processed_data", &M::processed_data).in(kV2),
                  field("persisted_data", &M::persisted_data).in(kV2),
                  field("num_subtasks", &M::num_subtasks),
                  field("num_acknowledged_subtasks", &M::num_acknowledged_subtasks),
                  field("checkpoint_type", &M::checkpoint_type).in(kV2),
                  field("tasks", &M::tasks),
                  field("failure_timestamp", &M::failure_timestamp).in(kUnlisted),
                  field("failure_message", &M::failure_message).in(kUnlisted),
                  field("external_path", &M::external_path).in(kUnlisted),
                  field("discarded", &M::discarded).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<Checkpoint>);

struct CompletedCheckpoint {
  std::string class_name;
  std::int64_t id = 0;
  OneOf<kCheckpointStates> status;
  bool is_savepoint = false;
  std::optional<std::string> savepoint_format;
  std::int64_t trigger_timestamp = 0;
  std::int64_t latest_ack_timestamp = 0;
  std::int64_t checkpointed_size = 0;
  std::int64_t state_size = 0;
  std::int64_t end_to_end_duration = 0;
  std::int64_t alignment_buffered = 0;
  std::int64_t processed_data = 0;
  std::int64_t persisted_data = 0;
  std::int64_t num_subtasks = 0;
  std::int64_t num_acknowledged_subtasks = 0;
  OneOf<kCheckpointTypes> checkpoint_type;
  Map<TaskCheckpoint> tasks;
  std::string external_path;
  bool discarded = false;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:CheckpointStatistics:CompletedCheckpointStatistics";
  static constexpr auto fields() {
    using M = CompletedCheckpoint;
    return Fields{field("className", &M::class_name).in(kUnlisted),
                  field("id", &M::id),
                  field("status", &M::status),
                  field("is_savepoint", &M::is_savepoint),
                  field("savepointFormat", &M::savepoint_format).in(kV2).nullable(),
                  field("trigger_timestamp", &M::trigger_timestamp),
                  field("latest_ack_timestamp", &M::latest_ack_timestamp),
                  field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("alignment_buffered", &M::alignment_buffered),
                  field("processed_data", &M::processed_data).in(kV2),
                  field("persisted_data", &M::persisted_data).in(kV2),
                  field("num_subtasks", &M::num_subtasks),
                  field("num_acknowledged_subtasks", &M::num_acknowledged_subtasks),
                  field("checkpoint_type", &M::checkpoint_type).in(kV2),
                  field("tasks", &M::tasks),
                  field("external_path", &M::external_path),
                  field("discarded", &M::discarded)};
  }
};
static_assert(wire::EveryMemberHasARow<CompletedCheckpoint>);

struct FailedCheckpoint {
  std::string class_name;
  std::int64_t id = 0;
  OneOf<kCheckpointStates> status;
  bool is_savepoint = false;
  std::optional<std::string> savepoint_format;
  std::int64_t trigger_timestamp = 0;
  std::int64_t latest_ack_timestamp = 0;
  std::int64_t checkpointed_size = 0;
  std::int64_t state_size = 0;
  std::int64_t end_to_end_duration = 0;
  std::int64_t alignment_buffered = 0;
  std::int64_t processed_data = 0;
  std::int64_t persisted_data = 0;
  std::int64_t num_subtasks = 0;
  std::int64_t num_acknowledged_subtasks = 0;
  OneOf<kCheckpointTypes> checkpoint_type;
  Map<TaskCheckpoint> tasks;
  std::int64_t failure_timestamp = 0;
  std::string failure_message;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:CheckpointStatistics:FailedCheckpointStatistics";
  static constexpr auto fields() {
    using M = FailedCheckpoint;
    return Fields{field("className", &M::class_name).in(kUnlisted),
                  field("id", &M::id),
                  field("status", &M::status),
                  field("is_savepoint", &M::is_savepoint),
                  field("savepointFormat", &M::savepoint_format).in(kV2).nullable(),
                  field("trigger_timestamp", &M::trigger_timestamp),
                  field("latest_ack_timestamp", &M::latest_ack_timestamp),
                  field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("alignment_buffered", &M::alignment_buffered),
                  field("processed_data", &M::processed_data).in(kV2),
                  field("persisted_data", &M::persisted_data).in(kV2),
                  field("num_subtasks", &M::num_subtasks),
                  field("num_acknowledged_subtasks", &M::num_acknowledged_subtasks),
                  field("checkpoint_type", &M::checkpoint_type).in(kV2),
                  field("tasks", &M::tasks),
                  field("failure_timestamp", &M::failure_timestamp),
                  field("failure_message", &M::failure_message)};
  }
};
static_assert(wire::EveryMemberHasARow<FailedCheckpoint>);

struct RestoredCheckpoint {
  std::int64_t id = 0;
  std::int64_t restore_timestamp = 0;
  bool is_savepoint = false;
  std::string external_path;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:CheckpointingStatistics:RestoredCheckpointStatistics";
  static constexpr auto fields() {
    using M = RestoredCheckpoint;
    return Fields{field("id", &M::id), field("restore_timestamp", &M::restore_timestamp),
                  field("is_savepoint", &M::is_savepoint), field("external_path", &M::external_path)};
  }
};
static_assert(wire::EveryMemberHasARow<RestoredCheckpoint>);

struct LatestCheckpoints {
  std::optional<CompletedCheckpoint> completed;
  std::optional<CompletedCheckpoint> savepoint;
  std::optional<FailedCheckpoint> failed;
  std::optional<RestoredCheckpoint> restored;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:CheckpointingStatistics:LatestCheckpoints";
  static constexpr auto fields() {
    using M = LatestCheckpoints;
    return Fields{field("completed", &M::completed).nullable(), field("savepoint", &M::savepoint).nullable(),
                  field("failed", &M::failed).nullable(), field("restored", &M::restored).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<LatestCheckpoints>);

struct CheckpointStatistics {
  CheckpointCounts counts;
  CheckpointSummary summary;
  LatestCheckpoints latest;
  std::vector<Checkpoint> history;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointingStatistics";
  static constexpr auto fields() {
    using M = CheckpointStatistics;
    return Fields{field("counts", &M::counts), field("summary", &M::summary), field("latest", &M::latest),
                  field("history", &M::history)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointStatistics>);

struct ExternalizedCheckpoints {
  bool enabled = false;
  bool delete_on_cancellation = false;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:CheckpointConfigInfo:ExternalizedCheckpointInfo";
  static constexpr auto fields() {
    using M = ExternalizedCheckpoints;
    return Fields{field("enabled", &M::enabled), field("delete_on_cancellation", &M::delete_on_cancellation)};
  }
};
static_assert(wire::EveryMemberHasARow<ExternalizedCheckpoints>);

struct CheckpointConfig {
  std::string mode;
  std::int64_t interval = 0;
  std::int64_t timeout = 0;
  std::int64_t min_pause = 0;
  std::int64_t max_concurrent = 0;
  ExternalizedCheckpoints externalization;
  std::string state_backend;
  std::string checkpoint_storage;
  bool unaligned_checkpoints = false;
  std::int64_t tolerable_failed_checkpoints = 0;
  std::int64_t aligned_checkpoint_timeout = 0;
  bool checkpoints_after_tasks_finish = false;
  bool state_changelog_enabled = false;
  std::int64_t changelog_periodic_materialization_interval = 0;
  std::string changelog_storage;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:CheckpointConfigInfo";
  static constexpr auto fields() {
    using M = CheckpointConfig;
    return Fields{
        field("mode", &M::mode),
        field("interval", &M::interval),
        field("timeout", &M::timeout),
        field("min_pause", &M::min_pause),
        field("max_concurrent", &M::max_concurrent),
        field("externalization", &M::externalization),
        field("state_backend", &M::state_backend),
        field("checkpoint_storage", &M::checkpoint_storage).in(kV2),
        field("unaligned_checkpoints", &M::unaligned_checkpoints).in(kV2),
        field("tolerable_failed_checkpoints", &M::tolerable_failed_checkpoints).in(kV2),
        field("aligned_checkpoint_timeout", &M::aligned_checkpoint_timeout).in(kV2),
        field("checkpoints_after_tasks_finish", &M::checkpoints_after_tasks_finish).in(kV2),
        field("state_changelog_enabled", &M::state_changelog_enabled).in(kV2),
        field("changelog_periodic_materialization_interval", &M::changelog_periodic_materialization_interval).in(kV2),
        field("changelog_storage", &M::changelog_storage).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointConfig>);

struct CheckpointDurationSummary {
  StatsSummary sync;
  StatsSummary async;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:TaskCheckpointStatisticsWithSubtaskDetails:"
      "CheckpointDuration";
  static constexpr auto fields() {
    using M = CheckpointDurationSummary;
    return Fields{field("sync", &M::sync), field("async", &M::async)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointDurationSummary>);

struct CheckpointAlignmentSummary {
  StatsSummary buffered;
  StatsSummary processed;
  StatsSummary persisted;
  StatsSummary duration;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:TaskCheckpointStatisticsWithSubtaskDetails:"
      "CheckpointAlignment";
  static constexpr auto fields() {
    using M = CheckpointAlignmentSummary;
    return Fields{field("buffered", &M::buffered), field("processed", &M::processed).in(kV2),
                  field("persisted", &M::persisted).in(kV2), field("duration", &M::duration)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointAlignmentSummary>);

struct SubtaskCheckpointSummary {
  StatsSummary checkpointed_size;
  StatsSummary state_size;
  StatsSummary end_to_end_duration;
  CheckpointDurationSummary checkpoint_duration;
  CheckpointAlignmentSummary alignment;
  StatsSummary start_delay;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:TaskCheckpointStatisticsWithSubtaskDetails:Summary";
  static constexpr auto fields() {
    using M = SubtaskCheckpointSummary;
    return Fields{field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("checkpoint_duration", &M::checkpoint_duration),
                  field("alignment", &M::alignment),
                  field("start_delay", &M::start_delay)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskCheckpointSummary>);

struct SubtaskCheckpointDuration {
  std::int64_t sync = 0;
  std::int64_t async = 0;
  static constexpr auto fields() {
    using M = SubtaskCheckpointDuration;
    return Fields{field("sync", &M::sync).in(kUnlisted), field("async", &M::async).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskCheckpointDuration>);

struct SubtaskCheckpointAlignment {
  std::int64_t buffered = 0;
  std::int64_t processed = 0;
  std::int64_t persisted = 0;
  std::int64_t duration = 0;
  static constexpr auto fields() {
    using M = SubtaskCheckpointAlignment;
    return Fields{field("buffered", &M::buffered).in(kUnlisted), field("processed", &M::processed).in(kUnlisted),
                  field("persisted", &M::persisted).in(kUnlisted), field("duration", &M::duration).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskCheckpointAlignment>);

struct SubtaskCheckpoint {
  std::string class_name;
  std::int64_t index = 0;
  std::optional<std::int64_t> ack_timestamp;
  std::optional<std::int64_t> end_to_end_duration;
  std::optional<std::int64_t> checkpointed_size;
  std::optional<std::int64_t> state_size;
  std::optional<SubtaskCheckpointDuration> checkpoint;
  std::optional<SubtaskCheckpointAlignment> alignment;
  std::optional<std::int64_t> start_delay;
  std::optional<bool> unaligned_checkpoint;
  std::optional<bool> aborted;
  std::string status;
  static constexpr std::string_view kUrn = "runtime:rest:messages:checkpoints:SubtaskCheckpointStatistics";
  static constexpr auto fields() {
    using M = SubtaskCheckpoint;
    return Fields{field("className", &M::class_name).in(kUnlisted),
                  field("index", &M::index),
                  field("ack_timestamp", &M::ack_timestamp).in(kUnlisted),
                  field("end_to_end_duration", &M::end_to_end_duration).in(kUnlisted),
                  field("checkpointed_size", &M::checkpointed_size).in(kUnlisted),
                  field("state_size", &M::state_size).in(kUnlisted),
                  field("checkpoint", &M::checkpoint).in(kUnlisted),
                  field("alignment", &M::alignment).in(kUnlisted),
                  field("start_delay", &M::start_delay).in(kUnlisted),
                  field("unaligned_checkpoint", &M::unaligned_checkpoint).in(kUnlisted),
                  field("aborted", &M::aborted).in(kUnlisted),
                  field("status", &M::status)};
  }
};
static_assert(wire::EveryMemberHasARow<SubtaskCheckpoint>);

struct TaskCheckpointDetails {
  std::int64_t id = 0;
  OneOf<kCheckpointStates> status;
  std::int64_t latest_ack_timestamp = 0;
  std::int64_t checkpointed_size = 0;
  std::int64_t state_size = 0;
  std::int64_t end_to_end_duration = 0;
  std::int64_t alignment_buffered = 0;
  std::int64_t processed_data = 0;
  std::int64_t persisted_data = 0;
  std::int64_t num_subtasks = 0;
  std::int64_t num_acknowledged_subtasks = 0;
  SubtaskCheckpointSummary summary;
  std::vector<SubtaskCheckpoint> subtasks;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:checkpoints:TaskCheckpointStatisticsWithSubtaskDetails";
  static constexpr auto fields() {
    using M = TaskCheckpointDetails;
    return Fields{field("id", &M::id),
                  field("status", &M::status),
                  field("latest_ack_timestamp", &M::latest_ack_timestamp),
                  field("checkpointed_size", &M::checkpointed_size).in(kV2),
                  field("state_size", &M::state_size),
                  field("end_to_end_duration", &M::end_to_end_duration),
                  field("alignment_buffered", &M::alignment_buffered),
                  field("processed_data", &M::processed_data).in(kV2),
                  field("persisted_data", &M::persisted_data).in(kV2),
                  field("num_subtasks", &M::num_subtasks),
                  field("num_acknowledged_subtasks", &M::num_acknowledged_subtasks),
                  field("summary", &M::summary),
                  field("subtasks", &M::subtasks)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskCheckpointDetails>);

}  // namespace drey::rest
