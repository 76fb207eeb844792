// drey metrics: what is measured, and what it means.
#include <fmt/format.h>

#include <cstdio>

#include "cluster/job_manager.h"
#include "commands.h"
#include "metrics/table.h"
#include "rest/job_metrics.h"
#include "runtime/process_meter.h"
#include "runtime/task_meter.h"

namespace drey::apps {

int metrics(int argc, char** argv) {
  constexpr const char* kUsage =
      "drey metrics --reference   all metrics and what they mean, as a page "
      "(docs/reference/metrics.md)\n"
      "  example: drey metrics --reference | grep numFiredTimers\n";
  const Arguments args = parse_arguments(argc, argv, {}, {"--reference", "--help", "-h=--help"}, false);
  if (!args.has("--reference") || args.unknown || !args.rest.empty()) {
    const bool asked = args.has("--help");
    std::fputs(kUsage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  std::vector<drey::metrics::Documented> rows;
  cluster::JobManager::document(rows);
  runtime::ProcessMeter::document(rows);
  rest::document_job_metrics(rows);
  runtime::TaskMeter::document(rows);
  std::fputs(drey::metrics::reference_page(rows).c_str(), stdout);
  return 0;
}

}  // namespace drey::apps
