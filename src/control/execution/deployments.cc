#include "control/execution/deployments.h"

#include <algorithm>

#include "control/checkpoint/restore.h"

namespace drey::control {

void Deployments::resize(const ExecutionGraph& graph) {
  incarnations_.resize(graph.executions().size());
  for (std::size_t v = 0; v < incarnations_.size(); ++v) incarnations_[v].resize(graph.executions()[v].size());
}

std::map<std::string, Deploy> Deployments::deploy(const ExecutionGraph& graph, const Deployment& deployment) {
  const std::uint64_t incarnation = deployment.common.incarnation;
  // Of incarnations that still have tasks.
  std::set<std::uint64_t> used;
  for (const auto& vertex : incarnations_) used.insert(vertex.begin(), vertex.end());
  std::erase_if(restored_from_, [&](const auto& entry) { return !used.contains(entry.first); });
  if (deployment.checkpoint != nullptr) restored_from_[incarnation] = deployment.checkpoint->id;
  std::optional<RestorePlan> restore;
  if (deployment.checkpoint != nullptr) restore.emplace(*deployment.checkpoint);

  Placement placement;
  std::map<std::string, std::uint32_t> host_of;
  std::map<std::string, std::vector<TaskDeployment>> tasks;
  for (std::uint32_t v = 0; v < graph.executions().size(); ++v) {
    const graph::Vertex& vertex = graph.plan().vertices[v];
    std::vector<std::string> operators;
    if (restore) {
      for (const std::uint32_t number : vertex.operators)
        operators.push_back(graph::operator_id_of(deployment.common.graph, number).to_string());
    }
    placement.task_managers.emplace_back();
    for (std::uint32_t s = 0; s < graph.executions()[v].size(); ++s) {
      if (!std::binary_search(deployment.regions.begin(), deployment.regions.end(), graph.region_of(v, s))) {
        placement.task_managers.back().push_back(Placement::kNotHere);
        continue;
      }
      incarnations_[v][s] = incarnation;
      const Attempt& attempt = graph.executions()[v][s].current();
      const auto [at, added] =
          host_of.emplace(attempt.task_manager, static_cast<std::uint32_t>(placement.hosts.size()));
      if (added) placement.hosts.emplace_back(attempt.host, attempt.data_port);
      placement.task_managers.back().push_back(at->second);
      TaskDeployment task;
      task.vertex = v;
      task.subtask = s;
      task.attempt = attempt.number;
      task.slot = deployment.slot_of(v, s);
      if (restore) task.restore = restore->parts_for(operators, s, static_cast<std::uint32_t>(vertex.parallelism));
      tasks[attempt.task_manager].push_back(std::move(task));
    }
  }
  std::map<std::string, Deploy> messages;
  for (auto& [task_manager, its] : tasks) {
    Deploy& message = messages[task_manager] = deployment.common;
    message.tasks = std::move(its);
    message.placement = placement;
    message.me = host_of[task_manager];
  }
  return messages;
}

bool Deployments::is_current(const TaskAddress& task) const {
  return task.vertex < incarnations_.size() && task.subtask < incarnations_[task.vertex].size() &&
         task.incarnation == incarnations_[task.vertex][task.subtask];
}

std::uint64_t Deployments::incarnation_of(std::uint32_t vertex, std::uint32_t subtask) const {
  return vertex < incarnations_.size() && subtask < incarnations_[vertex].size() ? incarnations_[vertex][subtask] : 0;
}

std::optional<std::int64_t> Deployments::restored_from(std::uint64_t incarnation) const {
  const auto found = restored_from_.find(incarnation);
  return found == restored_from_.end() ? std::nullopt : std::optional(found->second);
}

std::set<std::pair<std::string, std::uint64_t>> Deployments::targets(const ExecutionGraph& graph) const {
  std::set<std::pair<std::string, std::uint64_t>> all;
  for (std::uint32_t v = 0; v < incarnations_.size(); ++v) {
    for (std::uint32_t s = 0; s < incarnations_[v].size(); ++s) {
      const std::string& task_manager = graph.executions()[v][s].current().task_manager;
      if (!task_manager.empty() && incarnations_[v][s] != 0) all.emplace(task_manager, incarnations_[v][s]);
    }
  }
  return all;
}

std::vector<std::vector<std::size_t>> slots_of_subtasks(const graph::Plan& plan) {
  std::map<std::string, std::int32_t> widest;
  for (const graph::Vertex& vertex : plan.vertices)
    widest[vertex.slot_sharing_group] = std::max(widest[vertex.slot_sharing_group], vertex.parallelism);
  std::map<std::string, std::size_t> first;
  std::size_t next = 0;
  for (const auto& [group, width] : widest) {
    first[group] = next;
    next += static_cast<std::size_t>(width);
  }
  std::vector<std::vector<std::size_t>> slots;
  for (const graph::Vertex& vertex : plan.vertices) {
    slots.emplace_back();
    for (std::int32_t s = 0; s < vertex.parallelism; ++s)
      slots.back().push_back(first[vertex.slot_sharing_group] + static_cast<std::size_t>(s));
  }
  return slots;
}

}  // namespace drey::control
