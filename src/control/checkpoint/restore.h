// What of a checkpoint or savepoint goes where, when a job starts from it. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/checkpoint/coordinator.h"
#include "graph/job_graph.h"

namespace drey::control {

// RestorePlan: which parts of a checkpoint each subtask starts from. Lifetime: the checkpoint's.
class RestorePlan {
 public:
  explicit RestorePlan(const Checkpoint& checkpoint);
  // The handles that a subtask of a vertex with these operators is restored from: those of the vertices that had the
  // operators, whatever the chains were then; its own alone where nothing has changed.
  std::vector<std::string> parts_for(const std::vector<std::string>& operators, std::uint32_t subtask,
                                     std::uint32_t parallelism) const;

 private:
  std::map<std::string, std::vector<std::uint32_t>, std::less<>> vertices_of_;  // by operator
  std::map<std::uint32_t, std::vector<const TaskCheckpoint*>> tasks_of_;        // by vertex
};

// Makes a graph that is not resolved yet fit the snapshot: operators get the maximum parallelism that their state was
// cut for. FAILS WITH: kInvalidArgument, naming the operator, when state fits no operator of the graph (unless allowed)
// or an operator insists on another maximum parallelism.
Status fit(graph::JobGraph& graph, const Checkpoint& checkpoint, bool allow_non_restored);

}  // namespace drey::control
