// Options that a job may set for itself, those of all rooms, in one list.
#pragma once

#include <vector>

#include "config/option.h"

namespace drey::control {

// Made once; any thread.
const std::vector<config::OptionGroup>& job_options();

}  // namespace drey::control
