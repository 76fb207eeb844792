// Messages of operations that are triggered and then asked for.
#pragma once

#include <optional>
#include <string>

#include "base/id.h"
#include "rest/messages/enum_texts.h"
#include "rest/shape.h"

namespace drey::rest {

struct QueueStatus {
  OneOf<kQueueStates> id;
  static constexpr std::string_view kUrn = "runtime:rest:messages:queue:QueueStatus";
  static constexpr auto fields() { return Fields{field("id", &QueueStatus::id)}; }
};
static_assert(wire::EveryMemberHasARow<QueueStatus>);

struct TriggerAnswer {
  TriggerId request_id;
  static constexpr std::string_view kUrn = "runtime:rest:handler:async:TriggerResponse";
  static constexpr auto fields() { return Fields{field("request-id", &TriggerAnswer::request_id)}; }
};
static_assert(wire::EveryMemberHasARow<TriggerAnswer>);

// A failure as Flink tells it. Its Java clients read only the last row.
struct FailureCause {
  std::string class_name;
  std::string stack_trace;
  std::string serialized_throwable;
  static constexpr auto fields() {
    using M = FailureCause;
    return Fields{field("class", &M::class_name), field("stack-trace", &M::stack_trace),
                  field("serialized-throwable", &M::serialized_throwable)};
  }
};
static_assert(wire::EveryMemberHasARow<FailureCause>);

template <typename Info>
struct AsyncResult {
  QueueStatus status;
  std::optional<Info> operation;  // null while in progress
  static constexpr std::string_view kUrn = "runtime:rest:handler:async:AsynchronousOperationResult";
  static constexpr auto fields() {
    using M = AsyncResult;
    return Fields{field("status", &M::status), field("operation", &M::operation).nullable()};
  }
};

struct AsyncInfo {
  std::optional<FailureCause> failure_cause;
  static constexpr std::string_view kUrn = "runtime:rest:handler:async:AsynchronousOperationInfo";
  static constexpr auto fields() { return Fields{field("failure-cause", &AsyncInfo::failure_cause)}; }
};
static_assert(wire::EveryMemberHasARow<AsyncInfo>);

}  // namespace drey::rest
