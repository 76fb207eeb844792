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

// A line for each value that will have no effect on a job: keys that no option has, with the nearest one, and options
// of the cluster.
std::vector<std::string> without_effect_on_jobs(const config::Values& values);

// drey config: each option with its value and origin, or the reference page.
int config(int argc, char** argv);

}  // namespace drey::apps
