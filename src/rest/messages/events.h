// What event streams tell. Each event is one message; the name of the event says which.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/id.h"
#include "rest/messages/checkpoints.h"
#include "rest/messages/jobs.h"
#include "rest/messages/rescales.h"
#include "rest/shape.h"

namespace drey::rest {

// event: job-state
struct JobStateChanged {
  JobId jid;
  std::string name;
  OneOf<kJobStates> state;
  std::int64_t timestamp = 0;
  static constexpr auto fields() {
    using M = JobStateChanged;
    return Fields{field("jid", &M::jid), field("name", &M::name), field("state", &M::state),
                  field("timestamp", &M::timestamp)};
  }
};
static_assert(wire::EveryMemberHasARow<JobStateChanged>);

// event: checkpoint; when it is triggered and when it ends.
struct CheckpointChanged {
  JobId jid;
  std::int64_t timestamp = 0;
  Checkpoint checkpoint;
  static constexpr auto fields() {
    using M = CheckpointChanged;
    return Fields{field("jid", &M::jid), field("timestamp", &M::timestamp), field("checkpoint", &M::checkpoint)};
  }
};
static_assert(wire::EveryMemberHasARow<CheckpointChanged>);

// event: exception
struct ExceptionOccurred {
  JobId jid;
  std::int64_t timestamp = 0;
  RootException exception;
  static constexpr auto fields() {
    using M = ExceptionOccurred;
    return Fields{field("jid", &M::jid), field("timestamp", &M::timestamp), field("exception", &M::exception)};
  }
};
static_assert(wire::EveryMemberHasARow<ExceptionOccurred>);

// event: rescale; when it begins and when it ends.
struct RescaleChanged {
  JobId jid;
  std::int64_t timestamp = 0;
  RescaleDetails rescale;
  static constexpr auto fields() {
    using M = RescaleChanged;
    return Fields{field("jid", &M::jid), field("timestamp", &M::timestamp), field("rescale", &M::rescale)};
  }
};
static_assert(wire::EveryMemberHasARow<RescaleChanged>);

// event: taskmanager
struct TaskManagerChanged {
  std::string id;
  std::string state;  // REGISTERED, LOST
  std::optional<std::string> reason;
  std::int64_t timestamp = 0;
  static constexpr auto fields() {
    using M = TaskManagerChanged;
    return Fields{field("id", &M::id), field("state", &M::state), field("reason", &M::reason),
                  field("timestamp", &M::timestamp)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskManagerChanged>);

// event: metrics; each second, of a job that has not ended. Has no id: it is never told twice.
struct MetricsTick {
  JobId jid;
  std::int64_t timestamp = 0;
  std::int64_t records_in = 0;  // all sums are over the current attempts
  std::int64_t records_out = 0;
  std::int64_t bytes_in = 0;
  std::int64_t bytes_out = 0;
  std::int64_t busy = 0;                  // of the busiest subtask
  std::int64_t back_pressured = 0;        // of the one that waits longest
  std::optional<std::int64_t> watermark;  // the lowest one
  std::int64_t completed_checkpoints = 0;
  static constexpr auto fields() {
    using M = MetricsTick;
    return Fields{field("jid", &M::jid),
                  field("timestamp", &M::timestamp),
                  field("numRecordsIn", &M::records_in),
                  field("numRecordsOut", &M::records_out),
                  field("numBytesIn", &M::bytes_in),
                  field("numBytesOut", &M::bytes_out),
                  field("busyTimeMsPerSecond", &M::busy),
                  field("backPressuredTimeMsPerSecond", &M::back_pressured),
                  field("currentInputWatermark", &M::watermark),
                  field("numberOfCompletedCheckpoints", &M::completed_checkpoints)};
  }
};
static_assert(wire::EveryMemberHasARow<MetricsTick>);

// event: missed (the stream does not go on where the last one ended), lagged and end (it is over).
struct StreamNote {
  std::string reason;
  static constexpr auto fields() { return Fields{field("reason", &StreamNote::reason)}; }
};
static_assert(wire::EveryMemberHasARow<StreamNote>);

}  // namespace drey::rest
