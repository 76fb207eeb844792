#include "options.h"

#include <fmt/format.h>

#include <cstdio>

#include "cluster/cluster_options.h"
#include "control/checkpoint/coordinator.h"
#include "control/execution/restart_strategy.h"
#include "env/env.h"
#include "graph/pipeline_options.h"
#include "rest/rest_options.h"
#include "runtime/task_manager_config.h"

namespace drey::apps {

std::vector<config::OptionGroup> all_options() {
  return {
      config::describe<cluster::ClusterOptions>(),    config::describe<control::CheckpointOptions>(),
      config::describe<control::RestartOptions>(),    config::describe<graph::PipelineOptions>(),
      config::describe<rest::RestOptions>(),          config::describe<rest::RestSecurityOptions>(),
      config::describe<runtime::TaskManagerConfig>(),
  };
}

Result<config::Configuration> load_configuration(const Arguments& args) {
  config::Sources sources;
  sources.file_name = args.get("--config");
  if (!sources.file_name.empty()) {
    DREY_TRY_ASSIGN(sources.file, env::posix().files.read_all(sources.file_name));
  }
  sources.environment = env::environment_variable("DREY_PROPERTIES");
  sources.command_line = args.properties;
  if (args.has("--web-ui")) sources.command_line["drey.web-ui"] = args.get("--web-ui");
  return config::load(sources);
}

int config(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--config"}, {"--reference", "--help", "-h=--help"}, false);
  if (args.has("--help") || args.unknown || !args.rest.empty()) {
    const bool asked = args.has("--help");
    fmt::print(asked ? stdout : stderr,
               "drey config [--config FILE] [-Dkey=value ...]   each option, its value and where "
               "that comes from\n"
               "drey config --reference                         all options as a page "
               "(docs/reference/configuration.md)\n"
               "  example: drey config -Drest.port=0 | grep rest.\n");
    return asked ? 0 : 2;
  }
  if (args.has("--reference")) {
    std::fputs(config::reference(all_options()).c_str(), stdout);
    return 0;
  }
  const auto configuration = load_configuration(args);
  if (!configuration.ok()) {
    fmt::print(stderr, "drey config: {}\n", configuration.status().to_string());
    return 2;
  }
  std::fputs(config::list(*configuration, all_options()).c_str(), stdout);
  for (const std::string& warning : config::unknown_keys(*configuration, all_options()))
    fmt::print(stderr, "drey config: {}\n", warning);
  return 0;
}

}  // namespace drey::apps
