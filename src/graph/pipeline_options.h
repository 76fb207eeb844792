// PipelineOptions: what a job says of itself as a whole.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "config/option.h"

namespace drey::graph {

struct PipelineOptions {
  std::string name;
  std::int32_t parallelism = 1;
  std::int32_t max_parallelism = 0;
  bool chaining = true;
  bool has_buffer_timeout = true;
  Millis buffer_timeout{100};

  static constexpr std::string_view kTitle = "Jobs";
  static constexpr auto options() {
    using M = PipelineOptions;
    using config::option;
    return config::Options{
        option("pipeline.name", &M::name, "The job's name.").per_job().defaults_to("the name in the program"),
        option("parallelism.default", &M::parallelism, "Parallelism of operators that do not say.")
            .per_job()
            .between(1, 32'768),
        option("pipeline.max-parallelism", &M::max_parallelism,
               "Key groups, the bound of all later rescaling; 0: by the parallelism.")
            .per_job()
            .between(0, 32'768),
        option("pipeline.operator-chaining.enabled", &M::chaining,
               "Whether operators that can pass rows by a call do so.")
            .per_job(),
        option("execution.buffer-timeout.enabled", &M::has_buffer_timeout,
               "Whether rows are sent before a batch is full; if not, they may wait for ever.")
            .per_job(),
        option("execution.buffer-timeout.interval", &M::buffer_timeout,
               "How long a row may wait for its batch to fill while its task is busy; an idle task "
               "sends at once. 0: every batch is sent as it is.")
            .per_job(),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<PipelineOptions>);

}  // namespace drey::graph
