#include "control/job_options.h"

#include "control/checkpoint/coordinator.h"
#include "control/execution/restart_strategy.h"
#include "graph/pipeline_options.h"

namespace drey::control {

const std::vector<config::OptionGroup>& job_options() {
  static const std::vector<config::OptionGroup> all{config::describe<CheckpointOptions>(),
                                                    config::describe<RestartOptions>(),
                                                    config::describe<graph::PipelineOptions>()};
  return all;
}

}  // namespace drey::control
