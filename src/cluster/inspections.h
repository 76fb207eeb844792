// Inspections: those of TaskManagers (logs, stacks, profiles) that wait for their answers.
//
// Threading: the JobManager's loop. Bounds: each ends within 30 s, with an answer or a failure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "control/messages.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

class Inspections {
 public:
  // Returns the message for the TaskManager; its answer goes to `promise`.
  control::InspectionRequest begin(const std::string& task_manager, const gateway::Inspection& inspection,
                                   gateway::Promise<std::string> promise, Ticks now);
  // Ignored unless this TaskManager was asked.
  void on_answer(const std::string& task_manager, control::InspectionAnswer answer);
  // Fails those past their deadline and those whose TaskManager has gone.
  void expire(Ticks now, const std::function<bool(const std::string& task_manager)>& is_there);

 private:
  struct Pending {
    std::string task_manager;
    Ticks deadline{};
    gateway::Promise<std::string> promise;
  };
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t next_id_ = 1;
};

}  // namespace drey::cluster
