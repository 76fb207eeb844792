// Registry: operator kinds by name. Explicit; apps hands the full one to the runtime, so that connectors
// are known to nobody below them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "operators/operator.h"

namespace drey::operators {

struct OperatorKind {
  std::string_view name;  // drey_operator_spec.kind
  std::string_view doc;
  // One of the two is set. The context is alive until the instance is gone.
  std::function<Result<std::unique_ptr<Operator>>(OperatorContext&)> make_operator;
  std::function<Result<std::unique_ptr<Source>>(OperatorContext&)> make_source;
};

class Registry {
 public:
  // REQUIRES: no kind of that name yet.
  void add(OperatorKind kind);
  const OperatorKind* find(std::string_view name) const;
  const std::map<std::string, OperatorKind, std::less<>>& kinds() const { return kinds_; }

 private:
  std::map<std::string, OperatorKind, std::less<>> kinds_;
};

// The kinds of this room.
void add_builtin_kinds(Registry& registry);

}  // namespace drey::operators
