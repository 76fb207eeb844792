// A program's graph, made in this process: what POST /jobs takes (drey run --plan-here).
#pragma once

#include <string>

#include "base/status.h"
#include "commands.h"

namespace drey::apps {

// Runs the main of the jar that args.rest[0] names. The encoded graph. FAILS WITH: what opening the
// jar fails with, kUserCode.
Result<std::string> plan_here(const Arguments& args);

}  // namespace drey::apps
