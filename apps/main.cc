// drey: a stream processor that serves Flink's REST API. One program, one command a process.
#include <cstdio>
#include <cstring>
#include <string>

#include "commands.h"
#include "options.h"
#include "rest_client.h"

namespace {

constexpr const char* kUsage =
    "drey COMMAND [options]\n"
    "  up           start a cluster on this machine (REST API on 127.0.0.1:8081)\n"
    "  status       say what the cluster of a directory does\n"
    "  down         end it; its jobs resume at the next up\n"
    "  run          run a job:          drey run -d -p 2 flights.jar --input flights.csv\n"
    "  list         jobs:               drey list\n"
    "  info         a job's plan:       drey info flights.jar --input flights.csv\n"
    "  cancel       cancel a job:       drey cancel JOBID\n"
    "  stop         end it resumably:   drey stop -p /data/savepoints JOBID\n"
    "  savepoint    take one:           drey savepoint JOBID /data/savepoints\n"
    "  checkpoint   take one now:       drey checkpoint JOBID\n"
    "  rescale      change parallelism: drey rescale JOBID 4\n"
    "  jars         uploaded jars:      drey jars\n"
    "  exceptions   a job's failures:   drey exceptions JOBID\n"
    "  config       every option, its value and where that comes from\n"
    "  metrics      what is measured, and what it means (--reference)\n"
    "  operators    what graphs are made of: kinds of operators and their options (--reference)\n"
    "  openapi      the REST API for machines: OpenAPI 3, or a client in TypeScript\n"
    "  jobmanager   the JobManager alone; taskmanager  one TaskManager that joins it\n"
    "  --version\n"
    "drey COMMAND --help says more.\n";

}  // namespace

int main(int argc, char** argv) {
  using namespace drey::apps;
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "up") return up(argc - 2, argv + 2);
  if (command == "jobmanager") return job_manager(argc - 2, argv + 2);
  if (command == "config") return config(argc - 2, argv + 2);
  if (command == "metrics") return metrics(argc - 2, argv + 2);
  if (command == "operators") return operators(argc - 2, argv + 2);
  if (command == "openapi") return openapi(argc - 2, argv + 2);
  if (command == "status") return status(argc - 2, argv + 2);
  if (command == "down") return down(argc - 2, argv + 2);
  if (command == "taskmanager") return task_manager(argc - 2, argv + 2);
  if (command == "program") return program(argc - 2, argv + 2);
  for (const char* name : {"run", "list", "info", "jars", "exceptions"}) {
    if (command == name) return client(command, argc - 2, argv + 2);
  }
  for (const char* name : {"cancel", "stop", "savepoint", "checkpoint", "rescale"}) {
    if (command == name) return lifecycle(command, argc - 2, argv + 2);
  }
  if (command == "--version" || command == "-v") {
    std::printf("drey %s\n", kVersion);
    return 0;
  }
  const bool asked = command == "--help" || command == "-h" || command == "help";
  if (!asked && !command.empty()) std::fprintf(stderr, "drey: unknown command '%s'\n", printable(command).c_str());
  std::fputs(kUsage, asked ? stdout : stderr);
  return asked ? 0 : 2;
}
