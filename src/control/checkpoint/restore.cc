#include "control/checkpoint/restore.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace drey::control {

RestorePlan::RestorePlan(const Checkpoint& checkpoint) {
  for (const SnapshotOperator& o : checkpoint.operators) vertices_of_[o.id].push_back(o.vertex);
  for (const TaskCheckpoint& task : checkpoint.tasks) tasks_of_[task.vertex].push_back(&task);
}

std::vector<std::string> RestorePlan::parts_for(const std::vector<std::string>& operators, std::uint32_t subtask,
                                                std::uint32_t parallelism) const {
  std::set<std::uint32_t> vertices;
  for (const std::string& id : operators) {
    if (const auto had = vertices_of_.find(id); had != vertices_of_.end())
      vertices.insert(had->second.begin(), had->second.end());
  }
  std::vector<std::string> all;
  const std::string* own = nullptr;
  bool needs_all = vertices.size() != 1;
  for (const std::uint32_t vertex : vertices) {
    const auto parts = tasks_of_.find(vertex);
    if (parts == tasks_of_.end()) continue;
    for (const TaskCheckpoint* part : parts->second) {
      needs_all = needs_all || part->ack.has_union;
      all.push_back(part->ack.handle);
      if (part->subtask == subtask) own = &part->ack.handle;
    }
  }
  if (!needs_all && all.size() == parallelism && own != nullptr) return {*own};
  return all;
}

Status fit(graph::JobGraph& graph, const Checkpoint& checkpoint, bool allow_non_restored) {
  std::map<std::string, graph::OperatorNode*> nodes;
  const auto ids = graph::operator_ids_of(graph);
  for (std::uint32_t i = 0; i < graph.operators.size(); ++i) {
    graph.operators[i].number = i;
    nodes[ids[i].to_string()] = &graph.operators[i];
  }
  for (const SnapshotOperator& o : checkpoint.operators) {
    const auto found = nodes.find(o.id);
    if (found == nodes.end()) {
      if (!o.has_state || allow_non_restored) continue;
      return fail(
          Code::kInvalidArgument,
          fmt::format("Failed to rollback to checkpoint/savepoint {}. Cannot map checkpoint/savepoint state for "
                      "operator {} ('{}'{}) to "
                      "the new program, because the operator is not available in the new program. If its state may be "
                      "left out, set "
                      "allowNonRestoredState; if the operator was only moved or renamed, give it the uid it had",
                      checkpoint.path, o.id, o.name,
                      o.uid.empty() ? ", without uid" : fmt::format(", uid '{}'", o.uid)));
    }
    graph::OperatorNode& node = *found->second;
    if (node.max_parallelism != 0 && node.max_parallelism != o.max_parallelism && o.has_state) {
      return fail(Code::kInvalidArgument,
                  fmt::format("Operator '{}' asks for the maximum parallelism {}, but its state in {} was cut for {}, "
                              "which is fixed for life. Leave "
                              "its maximum parallelism out",
                              node.name, node.max_parallelism, checkpoint.path, o.max_parallelism));
    }
    node.max_parallelism = o.max_parallelism;
  }
  return {};
}

}  // namespace drey::control
