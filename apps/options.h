// Every option that Drey reads, from the tables of its rooms.
#pragma once

#include <vector>

#include "commands.h"
#include "config/configuration.h"

namespace drey::apps {

std::vector<config::OptionGroup> all_options();

// What file (--config), environment (DREY_PROPERTIES) and command line (-D) say. FAILS WITH:
// kNotFound, kInvalidArgument.
Result<config::Configuration> load_configuration(const Arguments& args);

// drey config: each option with its value and origin, or the reference page.
int config(int argc, char** argv);

}  // namespace drey::apps
