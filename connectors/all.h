// All connectors, by kind; apps hands them to the runtime's registry.
#pragma once

#include "operators/registry.h"

namespace drey::connectors {

void add_connector_kinds(operators::Registry& registry);
// These and those of operators/: what a cluster has.
operators::Registry all_kinds();

}  // namespace drey::connectors
