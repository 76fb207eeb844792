#include "runtime/task_manager.h"

#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <semaphore>

#include <fmt/format.h>

#include "cluster/child_program_runner.h"
#include "commands.h"
#include "connectors/all.h"
#include "env/env.h"
#include "env/log.h"
#include "options.h"
#include "runtime/crash.h"
#include "runtime/inspector.h"
#include "runtime/process_meter.h"
#include "runtime/task_manager_config.h"
#include "wire/binary/codec.h"

namespace drey::apps {
namespace {

std::binary_semaphore g_stop{0};
void on_signal(int) { g_stop.release(); }

// Of "HOST:PORT"; nothing when it is none.
std::optional<std::uint16_t> port_of(std::string_view target) {
  const auto colon = target.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::uint16_t port = 0;
  const char* const end = target.data() + target.size();
  const auto [at, error] = std::from_chars(target.data() + colon + 1, end, port);
  return error == std::errc() && at == end && port != 0 ? std::optional(port) : std::nullopt;
}

}  // namespace

int task_manager(int argc, char** argv) {
  Arguments args = parse_arguments(
      argc, argv, {"--id", "--job-manager", "--slots", "--host", "--config", "--log", "--crash"}, {"--help"}, false);
  if (args.has("--help") || args.unknown || !args.rest.empty()) {
    const bool asked = args.has("--help");
    std::fputs(
        "drey taskmanager --id ID --job-manager HOST:PORT [--slots N] [--config FILE] [-Dkey=value ...] [--host HOST] "
        "[--log FILE]\n"
        "  --slots N: short for -Dtaskmanager.numberOfTaskSlots=N; drey config lists the options of TaskManagers\n"
        "  --host HOST: where other TaskManagers reach this one (default: localhost)\n"
        "  the cluster's secret is read from the environment variable DREY_SECRET\n"
        "  example: DREY_SECRET=... drey taskmanager --id tm-1 --job-manager 127.0.0.1:6123 --slots 2\n",
        asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  if (args.has("--slots")) args.properties["taskmanager.numberOfTaskSlots"] = args.get("--slots");
  const auto refuse = [](std::string_view why) {
    fmt::print(stderr, "drey taskmanager: {}\n", why);
    return 2;
  };
  const auto configuration = load_configuration(args);
  if (!configuration.ok()) return refuse(configuration.status().to_string());
  const auto read = configuration->read<runtime::TaskManagerConfig>();
  if (!read.ok()) return refuse(read.status().to_string());
  const std::string target = args.get("--job-manager");
  const auto port = port_of(target);
  if (!port) return refuse(fmt::format("--job-manager must be HOST:PORT: value={}", target));
  env::open_log({args.get("--log"), false, env::LogLevel::kInfo});
  if (args.has("--crash")) static_cast<void>(runtime::install_crash_handler(args.get("--crash")));
  runtime::TaskManagerOptions options;
  options.physical_memory = runtime::physical_memory();
  const auto here = read->on_machine(env::posix().threads.core_count(), options.physical_memory);
  options.id = args.get("--id", "taskmanager-1");
  options.job_manager_host = target.substr(0, target.rfind(':'));
  options.job_manager_port = *port;
  options.secret = env::environment_variable("DREY_SECRET");
  options.slots = *here.slots;
  options.managed_bytes = here.managed_memory->count;
  options.host = args.get("--host", options.host);
  options.data_port = here.data_port;
  options.cancellation_timeout = here.cancellation_timeout;
  // What user code prints is to be seen when it is printed, not some kilobytes later.
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  runtime::InspectorOptions inspector_options;
  if (const std::string log = args.get("--log"); !log.empty()) {
    const std::string name = env::base_name_of(log);
    const std::string stem = name.substr(0, name.rfind('.'));
    inspector_options.log_directory = env::directory_of(log);
    inspector_options.log_prefix = stem + ".";
    inspector_options.log_name = name;
    inspector_options.stdout_name = stem + ".out";
    inspector_options.profile_directory = inspector_options.log_directory + "/profiles";
  }
  inspector_options.profile_prefix = options.id;
  runtime::ProcessMeter meter(env::posix());
  options.process_metrics = [&meter](const auto& pools) { return meter.read(pools); };
  runtime::Inspector inspector(inspector_options, env::posix());
  options.inspect = [&inspector](const std::string& inspection, std::function<void(Result<std::string>)> done) {
    auto asked = wire::decode<gateway::Inspection>(inspection);
    if (!asked.ok()) return done(asked.status());
    inspector.answer(std::move(*asked), std::move(done));
  };
  const operators::Registry registry = connectors::all_kinds();
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
