// EventModel: something that happened in the cluster, told as it happens.
//
// Threading: values; told on the cluster's thread.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/id.h"
#include "gateway/model.h"

namespace drey::gateway {

struct JobStateEvent {
  std::string name;   // of the job
  std::string state;  // that it is in now
};
struct TaskManagerEvent {
  std::string id;
  bool is_lost = false;  // else it has registered
  std::string reason;    // why it is lost
};
// A second has passed: whoever shows metrics looks at them.
struct TickEvent {};

struct EventModel {
  JobId job;              // zero: of the cluster
  std::int64_t time = 0;  // epoch ms
  std::variant<JobStateEvent, CheckpointModel, ExceptionModel, RescaleModel, TaskManagerEvent, TickEvent> what;
};

}  // namespace drey::gateway
