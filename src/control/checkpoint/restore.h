// What of a checkpoint or savepoint goes where, when a job starts from it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/checkpoint/coordinator.h"
#include "graph/job_graph.h"

namespace drey::control {

// The handles that subtask `subtask` of a vertex of these operators is restored from: those of the vertices that had
// the operators, whatever the chains were then; its own alone where nothing has changed.
std::vector<std::string> parts_for(const Checkpoint& checkpoint, const std::vector<std::string>& operators,
                                   std::uint32_t subtask, std::uint32_t parallelism);

// Makes a graph that is not resolved yet fit the snapshot: operators get the maximum parallelism that their state was
// cut for. FAILS WITH: kInvalidArgument, naming the operator, when state fits no operator of the graph (unless allowed)
// or an operator insists on another maximum parallelism.
Status fit(graph::JobGraph& graph, const Checkpoint& checkpoint, bool allow_non_restored);

}  // namespace drey::control
