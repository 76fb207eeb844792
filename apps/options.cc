#include "options.h"

#include <fmt/format.h>

#include <cstdio>

#include "cluster/cluster_options.h"
#include "control/job_options.h"
#include "env/env.h"
#include "rest/rest_options.h"
#include "runtime/task_manager_config.h"

namespace drey::apps {

std::vector<config::OptionGroup> all_options() {
  std::vector<config::OptionGroup> all = control::job_options();
  all.insert(all.begin(), config::describe<cluster::ClusterOptions>());
  all.insert(all.end(), {config::describe<rest::RestOptions>(), config::describe<rest::RestSecurityOptions>(),
                         config::describe<runtime::TaskManagerConfig>()});
  return all;
}

std::vector<std::string> without_effect_on_jobs(const config::Values& values) {
  config::Configuration given;
  given.values = config::with_current_names(values, all_options());
  for (const auto& [key, value] : given.values) given.origins[key] = "command line";
  std::vector<std::string> lines = config::unknown_keys(given, all_options());
  for (const config::OptionGroup& group : all_options()) {
    for (const config::OptionText& option : group.options) {
      if (!option.is_per_job && given.values.contains(option.key))
        lines.push_back(fmt::format("option {} has no effect: it is the cluster's, not a job's", option.key));
    }
  }
  return lines;
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
  return config::load(sources, all_options());
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
