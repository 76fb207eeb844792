#include "control/execution/scaling.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>

namespace drey::control {

std::int32_t slots_for(const graph::Plan& plan, const std::vector<std::int32_t>& parallelism) {
  std::map<std::string, std::int32_t> widest;
  for (std::size_t v = 0; v < plan.vertices.size(); ++v) {
    auto& slots = widest[plan.vertices[v].slot_sharing_group];
    slots = std::max(slots, parallelism[v]);
  }
  std::int32_t sum = 0;
  for (const auto& [group, slots] : widest) sum += slots;
  return sum;
}

std::optional<std::vector<std::int32_t>> parallelism_within(const graph::Plan& plan, const std::vector<Bounds>& bounds,
                                                            std::int32_t slots) {
  std::int32_t most = 1;
  for (const Bounds& b : bounds) most = std::max(most, b.upper);
  for (std::int32_t width = most; width >= 1; --width) {
    std::vector<std::int32_t> parallelism;
    for (const Bounds& b : bounds) parallelism.push_back(std::min(b.upper, std::max(b.lower, width)));
    if (slots_for(plan, parallelism) <= slots) return parallelism;
  }
  return std::nullopt;
}

std::string objections_to(const graph::Plan& plan, const std::vector<WantedBounds>& wanted) {
  std::vector<std::string> lines;
  std::set<VertexId> named;
  for (const WantedBounds& w : wanted) {
    const std::string id = w.vertex.to_string();
    const auto vertex = std::find_if(plan.vertices.begin(), plan.vertices.end(),
                                     [&](const graph::Vertex& v) { return v.id == w.vertex; });
    if (vertex == plan.vertices.end()) {
      lines.push_back(fmt::format("Job vertex [{}] was not found in the JobGraph.", id));
      continue;
    }
    named.insert(w.vertex);
    const std::int64_t lower = w.lower == -1 ? 1 : w.lower;
    const std::int64_t upper = w.upper == -1 ? vertex->max_parallelism : w.upper;
    if (lower < 1 || upper < 1) {
      lines.push_back(fmt::format(
          "Both, the requested lower bound [{}] and upper bound [{}] for job vertex [{}] must be greater than zero.",
          lower, upper, id));
      continue;
    }
    if (lower > upper) {
      lines.push_back(fmt::format(
          "The requested lower bound [{}] for job vertex [{}] is higher than the upper bound [{}].", lower, id, upper));
    }
    if (upper > vertex->max_parallelism) {
      lines.push_back(
          fmt::format("The newly requested parallelism {} for the job vertex {} exceeds its maximum parallelism {}.",
                      upper, id, vertex->max_parallelism));
    }
  }
  for (const graph::Vertex& vertex : plan.vertices) {
    if (!named.contains(vertex.id)) {
      lines.push_back(fmt::format("The request is incomplete, missing job vertex [{}] resource requirements.",
                                  vertex.id.to_string()));
    }
  }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace drey::control
