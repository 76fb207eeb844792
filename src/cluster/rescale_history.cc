#include "cluster/rescale_history.h"

#include <algorithm>

namespace drey::cluster {

using gateway::RescaleCause;
using gateway::RescaleEnd;
using gateway::RescaleModel;

void RescaleHistory::begin(RescaleCause cause, const graph::Plan& plan, const std::vector<control::Bounds>& wanted,
                           bool runs, Instant now) {
  if (model_.history_max == 0) return;
  if (is_open()) {
    if (cause != RescaleCause::kUpdateRequirement) return;
    end(RescaleEnd::kRequirementsUpdated, plan, "", now);
  }
  RescaleModel next;
  next.id = random_.id<struct gateway::RescaleTag>();
  next.cause = cause;
  next.began = now.millis;
  if (cause == RescaleCause::kUpdateRequirement || model_.history.empty()) {
    next.requirements = random_.id<struct gateway::RequirementsTag>();
  } else {
    next.requirements = model_.history.front().requirements;
    next.attempt = model_.history.front().attempt + 1;
  }
  for (std::size_t v = 0; v < plan.vertices.size(); ++v) {
    const graph::Vertex& vertex = plan.vertices[v];
    next.vertices.push_back({vertex.id, vertex.name, vertex.slot_sharing_group, wanted[v].upper, wanted[v].lower,
                             runs ? vertex.parallelism : 0, 0});
  }
  model_.history.insert(model_.history.begin(), std::move(next));
  while (model_.history.size() > static_cast<std::size_t>(model_.history_max)) model_.history.pop_back();
}

void RescaleHistory::enter(const std::string& state, Instant now) {
  if (!is_open()) return;
  auto& stages = model_.history.front().stages;
  if (!stages.empty() && stages.back().state == state) return;
  if (!stages.empty()) stages.back().left = now.millis;
  stages.push_back({state, now.millis, 0, ""});
}

void RescaleHistory::end(RescaleEnd how, const graph::Plan& plan, const std::string& exception, Instant now) {
  if (!is_open()) return;
  RescaleModel& rescale = model_.history.front();
  rescale.end = how;
  rescale.ended = std::max(now.millis, rescale.began);
  if (!rescale.stages.empty()) {
    rescale.stages.back().left = rescale.ended;
    rescale.stages.back().exception = exception;
  }
  for (std::size_t v = 0; rescale.is_completed() && v < rescale.vertices.size(); ++v)
    rescale.vertices[v].after = plan.vertices[v].parallelism;
  const std::int64_t took = rescale.ended - rescale.began;
  model_.all.add(took);
  (rescale.is_completed() ? model_.completed : rescale.is_failed() ? model_.failed : model_.ignored).add(took);
}

}  // namespace drey::cluster
