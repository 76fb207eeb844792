// Deployments: which deployment runs each subtask of a job, and the messages that start one. Pure.
//
// A deployment has an incarnation, larger than every one before; messages of tasks that carry another incarnation than
// their subtask's are stale. Regions that restart on their own have incarnations of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/checkpoint/coordinator.h"
#include "control/execution/execution_graph.h"
#include "control/messages.h"

namespace drey::control {

struct Deployment {
  // All that the messages have in common: job, incarnation, graph, plan, code, where state is. The rest is filled in.
  Deploy common;
  std::vector<std::uint32_t> regions;  // sorted
  const Checkpoint* checkpoint = nullptr;
  std::function<std::uint32_t(std::uint32_t vertex, std::uint32_t subtask)> slot_of;  // on its TaskManager
};

class Deployments {
 public:
  // Subtasks that were not there before have no deployment yet.
  void resize(const ExecutionGraph& graph);
  // Notes the incarnation of every subtask of the regions. Returns the message for each TaskManager, by its id.
  // REQUIRES: the current attempts of the regions have places.
  std::map<std::string, Deploy> deploy(const ExecutionGraph& graph, const Deployment& deployment);
  bool is_current(const TaskAddress& task) const;
  // 0: never deployed.
  std::uint64_t incarnation_of(std::uint32_t vertex, std::uint32_t subtask) const;
  // The checkpoint that a deployment with tasks was restored from.
  std::optional<std::int64_t> restored_from(std::uint64_t incarnation) const;
  // Each TaskManager with tasks and the incarnations that it has of this job.
  std::set<std::pair<std::string, std::uint64_t>> targets(const ExecutionGraph& graph) const;

 private:
  std::vector<std::vector<std::uint64_t>> incarnations_;  // [vertex][subtask]; 0: none
  std::map<std::uint64_t, std::int64_t> restored_from_;   // checkpoint by incarnation
};

// Subtask i of every vertex of a slot sharing group runs in the group's slot i; groups come one after another, by name.
// Returns [vertex][subtask] -> slot.
std::vector<std::vector<std::size_t>> slots_of_subtasks(const graph::Plan& plan);

}  // namespace drey::control
