// How wide a job runs, given bounds per vertex and slots. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/job_graph.h"

namespace drey::control {

struct Bounds {
  std::int32_t lower = 1;
  std::int32_t upper = 1;
};

// Slots that a job needs: the widest vertex of each slot sharing group.
std::int32_t slots_for(const graph::Plan& plan, const std::vector<std::int32_t>& parallelism);

// The largest parallelism of each vertex that fits into so many slots; all vertices shrink to one width before one goes
// below it. Nothing when even the lower bounds do not fit. REQUIRES: bounds per vertex, 1 <= lower <= upper.
std::optional<std::vector<std::int32_t>> parallelism_within(const graph::Plan& plan, const std::vector<Bounds>& bounds,
                                                            std::int32_t slots);

// What is wrong with bounds that somebody asks for: each vertex once, Flink's texts, a line each; empty: nothing.
struct WantedBounds {
  VertexId vertex;
  std::int64_t lower = -1;  // -1: 1
  std::int64_t upper = -1;  // -1: the vertex's maximum
};
std::string objections_to(const graph::Plan& plan, const std::vector<WantedBounds>& wanted);

}  // namespace drey::control
