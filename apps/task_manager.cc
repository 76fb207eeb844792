#include "runtime/task_manager.h"

#include <charconv>
#include <csignal>
#include <cstdio>
#include <limits>
#include <optional>
#include <semaphore>

#include <fmt/format.h>

#include "cluster/child_program_runner.h"
#include "commands.h"
#include "connectors/all.h"
#include "env/env.h"
#include "env/log.h"
#include "runtime/crash.h"
#include "runtime/inspector.h"
#include "runtime/process_meter.h"
#include "wire/binary/codec.h"

namespace drey::apps {
namespace {

std::binary_semaphore g_stop{0};
void on_signal(int) { g_stop.release(); }

// Nullopt, and said on stderr: `what` is no whole number within [least, most].
std::optional<std::int64_t> number_of(const char* what, const std::string& text, std::int64_t least,
                                      std::int64_t most) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && number >= least && number <= most) return number;
  fmt::print(stderr, "drey taskmanager: {} is '{}', not a whole number from {} to {}\n", what, text, least, most);
  return std::nullopt;
}

}  // namespace

int task_manager(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv,
                                         {"--id", "--job-manager", "--slots", "--managed-bytes",
                                          "--cancellation-timeout-ms", "--host", "--data-port", "--log", "--crash"},
                                         {"--help"}, false);
  if (args.has("--help") || args.unknown) {
    std::fputs(
        "drey taskmanager --id ID --job-manager HOST:PORT --slots N [--managed-bytes B] [--host HOST] [--data-port P] "
        "[--log FILE]\n"
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
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto port = number_of("the port in --job-manager", target.substr(colon + 1), 1, 65'535);
  const auto slots = number_of("--slots", args.get("--slots", "1"), 1, 100'000);
  const auto managed = number_of("--managed-bytes", args.get("--managed-bytes", "1073741824"), 1, kMost);
  const auto data_port = number_of("--data-port", args.get("--data-port", "0"), 0, 65'535);
  const auto cancellation =
      number_of("--cancellation-timeout-ms", args.get("--cancellation-timeout-ms", "180000"), 0, kMost);
  if (!port || !slots || !managed || !data_port || !cancellation) return 2;
  options.job_manager_port = static_cast<std::uint16_t>(*port);
  options.secret = env::environment_variable("DREY_SECRET");
  options.slots = static_cast<std::int32_t>(*slots);
  options.managed_bytes = static_cast<std::uint64_t>(*managed);
  options.host = args.get("--host", options.host);
  options.data_port = static_cast<std::uint16_t>(*data_port);
  options.cancellation_timeout = Millis(*cancellation);
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
  runtime::ProcessMeter meter(env::posix());
  options.process_metrics = [&meter](const auto& pools) { return meter.read(pools); };
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
