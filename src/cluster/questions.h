// Questions: what is asked of TaskManagers (logs, stacks, profiles) and waits for their answers.
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

class Questions {
 public:
  // What is to be sent; the answer goes to `promise`.
  control::Ask ask(const std::string& task_manager, const gateway::Inspection& question,
                   gateway::Promise<std::string> promise, Ticks now);
  // Ignored unless it was this TaskManager that was asked.
  void on_told(const std::string& task_manager, control::Told told);
  // Ends those that are late and those whose TaskManager has gone.
  void expire(Ticks now, const std::function<bool(const std::string& task_manager)>& is_there);

 private:
  struct Question {
    std::string task_manager;
    Ticks deadline{};
    gateway::Promise<std::string> promise;
  };
  std::map<std::uint64_t, Question> questions_;
  std::uint64_t next_ = 1;
};

}  // namespace drey::cluster
