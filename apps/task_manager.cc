#include "runtime/task_manager.h"

#include <csignal>
#include <cstdio>
#include <semaphore>

#include <fmt/format.h>

#include "commands.h"
#include "connectors/all.h"
#include "cluster/child_program_runner.h"
#include "env/env.h"
#include "env/log.h"
#include "runtime/crash.h"
#include "runtime/inspector.h"
#include "runtime/process_metrics.h"
#include "wire/binary/codec.h"

namespace drey::apps {
namespace {

std::binary_semaphore g_stop{0};
void on_signal(int) { g_stop.release(); }

}  // namespace

int task_manager(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--id", "--job-manager", "--slots", "--managed-bytes", "--cancellation-timeout-ms", "--host", "--data-port", "--log", "--crash"}, {"--help"}, false);
  if (args.has("--help") || args.unknown) {
    std::fputs("drey taskmanager --id ID --job-manager HOST:PORT --slots N [--managed-bytes B] [--host HOST] [--data-port P] [--log FILE]\n"
               "  --host HOST, --data-port P: where other TaskManagers reach this one (default: localhost, any free port)\n"
               "  the cluster's secret is read from the environment variable DREY_SECRET\n"
               "  example: DREY_SECRET=... drey taskmanager --id tm-1 --job-manager 127.0.0.1:6123 --slots 2\n",
               args.unknown ? stderr : stdout);
    return args.unknown ? 2 : 0;
  }
  env::open_log({args.get("--log"), false, env::LogLevel::kInfo});
  if (args.has("--crash")) static_cast<void>(runtime::install_crash_handler(args.get("--crash")));
  runtime::TaskManagerOptions options;
  options.id = args.get("--id", "taskmanager-1");
  const std::string target = args.get("--job-manager");
  const auto colon = target.rfind(':');
  if (colon == std::string::npos) {
    std::fputs("drey taskmanager: --job-manager HOST:PORT is needed\n", stderr);
    return 2;
  }
  options.job_manager_host = target.substr(0, colon);
  options.job_manager_port = static_cast<std::uint16_t>(std::atoi(target.c_str() + colon + 1));
  options.secret = env::environment_variable("DREY_SECRET");
  options.slots = std::atoi(args.get("--slots", "1").c_str());
  options.managed_bytes = static_cast<std::uint64_t>(std::atoll(args.get("--managed-bytes", "1073741824").c_str()));
  options.host = args.get("--host", options.host);
  options.data_port = static_cast<std::uint16_t>(std::atoi(args.get("--data-port", "0").c_str()));
  options.cancellation_timeout = Millis(std::atoll(args.get("--cancellation-timeout-ms", "180000").c_str()));
  // What user code prints is to be seen when it is printed, not some kilobytes later.
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  runtime::InspectorOptions inspection;
  if (const std::string log = args.get("--log"); !log.empty()) {
    const std::string name = env::base_name_of(log);
    const std::string stem = name.substr(0, name.rfind('.'));
    inspection.log_directory = env::directory_of(log);
    inspection.log_prefix = stem + ".";
    inspection.log_name = name;
    inspection.stdout_name = stem + ".out";
    inspection.profile_directory = inspection.log_directory + "/profiles";
  }
  inspection.profile_prefix = options.id;
  options.physical_memory = runtime::physical_memory();
  options.process_metrics = runtime::process_metrics;
  runtime::Inspector inspector(inspection, env::posix());
  options.inspect = [&inspector](const std::string& question, std::function<void(Result<std::string>)> done) {
    auto asked = wire::decode<gateway::Inspection>(question);
    if (!asked.ok()) return done(asked.status());
    inspector.answer(std::move(*asked), std::move(done));
  };
  operators::Registry registry;
  operators::add_builtin_kinds(registry);
  connectors::add_connector_kinds(registry);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  {
    runtime::TaskManager manager(options, env::posix(), registry);
    const Status started = manager.start([](const std::string& why) {
      std::fprintf(stderr, "drey taskmanager: %s\n", why.c_str());
      std::fflush(nullptr);
      std::_Exit(1);  // not in order: user code that does not let go holds a worker
    });
    if (!started.ok()) {
      std::fprintf(stderr, "drey taskmanager: %s\n", started.to_string().c_str());
      return 1;
    }
    g_stop.acquire();
    inspector.stop();  // its answers go to the manager
    env::log_info("taskmanager", "Ending");
  }
  // User code may have left threads behind that static destructors would surprise.
  std::fflush(nullptr);
  std::_Exit(0);
}

int program(int argc, char** argv) {
  if (argc != 2) return 2;
  const int code = cluster::run_program(argv[0], argv[1]);
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace drey::apps
