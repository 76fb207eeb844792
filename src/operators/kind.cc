#include "operators/kind.h"

#include <fmt/format.h>

#include "operators/operator_context.h"

namespace drey::operators {

const graph::OperatorNode& node_of(const OperatorContext& context) { return context.node(); }

Status named(Status status, const graph::OperatorNode& node) {
  if (status.ok()) return status;
  return fail(status.code(), fmt::format("Operator '{}' ({}): {}", node.name, node.kind, status.message()));
}

}  // namespace drey::operators
