// Registry: operator kinds by name. Explicit; apps hands the full one to the JobManager, which checks graphs by it, and
// to the TaskManagers, which make operators by it, so that connectors are known to nobody below them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "operators/kind.h"

namespace drey::operators {

class Registry {
 public:
  // REQUIRES: no kind of that name yet; a factory that fits its role.
  void add(OperatorKind kind);
  const OperatorKind* find(std::string_view name) const;
  const std::map<std::string, OperatorKind, std::less<>>& kinds() const { return kinds_; }

  // Checks each operator against its kind and notes the kind's traits in the node; outputs that the program left to the
  // kind are filled in. What edges name is left to graph::resolve(), which comes next.
  // FAILS WITH: kInvalidArgument naming the operator: kind unknown (the nearest one is named), option unknown or ill,
  // outputs that do not fit the role or the kind, code or key that is missing, an input that the kind does not have,
  // retractions that it does not take.
  Status check(graph::JobGraph& graph) const;
  // Only notes the traits: for a graph that was checked before it was stored.
  void note_traits(graph::JobGraph& graph) const;

  // docs/reference/operators.md.
  std::string reference() const;

 private:
  std::map<std::string, OperatorKind, std::less<>> kinds_;
};

// The kinds of this room.
void add_builtin_kinds(Registry& registry);

}  // namespace drey::operators
