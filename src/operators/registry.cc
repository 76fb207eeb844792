#include "operators/registry.h"

#include "base/check.h"
#include "operators/builtin.h"

namespace drey::operators {

void Registry::add(OperatorKind kind) {
  DREY_CHECK((kind.make_operator != nullptr) != (kind.make_source != nullptr));
  const auto [at, added] = kinds_.emplace(std::string(kind.name), std::move(kind));
  DREY_CHECK(added);
}

const OperatorKind* Registry::find(std::string_view name) const {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

void add_builtin_kinds(Registry& registry) {
  registry.add(discard_kind());
  registry.add(generator_kind());
  registry.add(print_kind());
  registry.add(user_kind());
  registry.add(watermarks_kind());
  registry.add(window_kind());
}

}  // namespace drey::operators
