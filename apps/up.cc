// drey up: the JobManager with the REST API, and TaskManagers as children.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <semaphore>

#include <fmt/format.h>

#include "cluster/child_program_runner.h"
#include "cluster/job_manager.h"
#include "commands.h"
#include "config/configuration.h"
#include "env/env.h"
#include "env/log.h"
#include "net/http.h"
#include "rest/router.h"
#include "runtime/crash.h"

namespace drey::apps {
namespace {

constexpr const char* kUsage =
    "drey up [--dir DIR] [--config FILE] [-Dkey=value ...] [--daemon]\n"
    "  --dir DIR      where the cluster keeps jobs, jars, logs and checkpoints (default: ~/.local/state/drey)\n"
    "  --config FILE  config.yaml with Flink's option names\n"
    "  -Dkey=value    e.g. -Drest.port=0 (any free port), -Dtaskmanager.numberOfTaskSlots=4\n"
    "  --daemon       in the background; drey down ends it\n"
    "  example: drey up --dir /tmp/cluster -Drest.port=0\n";

constexpr int kFormat = 1;
constexpr Millis kRespawnDelay{50};

std::binary_semaphore g_stop{0};
void on_signal(int) { g_stop.release(); }

// Held while the cluster lives; names the process that holds it.
class DirectoryLock {
 public:
  ~DirectoryLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Status acquire(const std::string& path) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) return fail(Code::kIo, "Cannot open " + path);
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      char text[32] = {};
      [[maybe_unused]] const auto got = ::pread(descriptor_, text, sizeof text - 1, 0);
      return fail(Code::kUnavailable, fmt::format("The directory {} is in use by the drey with pid {}: end it with `drey down --dir {}`, or choose "
                                                  "another --dir",
                                                  env::directory_of(path), std::atoi(text), env::directory_of(path)));
    }
    const std::string text = fmt::format("{}\n", getpid());
    [[maybe_unused]] const int cut = ftruncate(descriptor_, 0);
    [[maybe_unused]] const auto put = ::pwrite(descriptor_, text.data(), text.size(), 0);
    return {};
  }

 private:
  int descriptor_ = -1;
};

// Starts TaskManagers and starts them again when they die.
class Supervisor {
 public:
  Supervisor(env::Env& env, env::Loop& loop, std::vector<std::string> arguments, std::string secret, std::string log_directory)
      : env_(env), loop_(loop), arguments_(std::move(arguments)), secret_(std::move(secret)), logs_(std::move(log_directory)) {}

  void start(int number) {
    loop_.post([this, number] { spawn(number); });
  }
  // On the loop.
  void stop() {
    stopping_ = true;
    for (const auto& [number, pid] : pids_) env_.processes.signal(pid, SIGTERM);
  }
  void kill_rest() {
    for (const auto& [number, pid] : pids_) env_.processes.signal(pid, SIGKILL);
  }
  std::size_t alive() const { return pids_.size(); }

 private:
  void spawn(int number) {
    if (stopping_) return;
    const std::string id = fmt::format("taskmanager-{}-{}", number, ++starts_);
    env::SpawnOptions options;
    options.arguments = arguments_;
    options.arguments.insert(options.arguments.end(), {"--id", id, "--log", fmt::format("{}/taskmanager-{}.log", logs_, number),
                                                         "--crash", fmt::format("{}/{}.crash", logs_, id)});
    options.environment["DREY_SECRET"] = secret_;
    options.stdout_path = fmt::format("{}/taskmanager-{}.out", logs_, number);
    options.stderr_path = "&1";
    auto pid = env_.processes.spawn(loop_, options, [this, number, id](env::ExitStatus exit) {
      pids_.erase(number);
      if (stopping_) return;
      env::log_warn("up", "{} ended (code {}, signal {}); starting another one", id, exit.code, exit.signal);
      loop_.after(kRespawnDelay, [this, number] { spawn(number); });
    });
    if (!pid.ok()) {
      env::log_error("up", "{}", pid.status().to_string());
      loop_.after(std::chrono::seconds(1), [this, number] { spawn(number); });
      return;
    }
    pids_[number] = *pid;
  }

  env::Env& env_;
  env::Loop& loop_;
  const std::vector<std::string> arguments_;
  const std::string secret_;
  const std::string logs_;
  std::map<int, std::int64_t> pids_;
  int starts_ = 0;
  bool stopping_ = false;
};

std::uint64_t physical_memory() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
}

int failed(const Status& status) {
  fmt::print(stderr, "drey up: {}\n", status.to_string());
  return 2;
}

Status prepare_directory(env::FileSystem& files, const std::string& dir) {
  DREY_TRY(files.make_directories(dir, 0700));
  if (auto format = files.read_all(dir + "/format"); format.ok()) {
    if (std::atoi(format->c_str()) > kFormat) {
      return fail(Code::kIncompatible, fmt::format("The directory {} was written by a newer drey (format {}, this one knows {}): use that version",
                                                   dir, std::atoi(format->c_str()), kFormat));
    }
  } else {
    DREY_TRY(files.write_atomic(dir + "/format", fmt::format("{}\n", kFormat)));
  }
  for (const char* name : {"/jars", "/cache", "/log", "/checkpoints", "/tmp"}) DREY_TRY(files.make_directories(dir + name, 0700));
  // What a crash left behind.
  std::size_t orphans = 0;
  for (const std::string& name : files.list(dir + "/tmp").value_or({})) {
    orphans += files.remove(dir + "/tmp/" + name).ok() ? 1 : 0;
  }
  if (orphans > 0) env::log_info("up", "Removed {} files that a crash had left", orphans);
  return {};
}

}  // namespace

int up(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--dir", "--config"}, {"--daemon", "--help"}, false);
  if (args.has("--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (args.unknown || !args.rest.empty()) {
    fmt::print(stderr, "drey up: unknown option {}\n{}", args.unknown ? *args.unknown : args.rest[0], kUsage);
    return 2;
  }
  env::Env& env = env::posix();
  const std::string dir = args.get("--dir", default_directory());
  if (dir.empty() || dir[0] != '/') return failed(fail(Code::kInvalidArgument, fmt::format("--dir must be an absolute path: {}", dir)));
  auto loaded = config::load(env.files, args.get("--config"), args.properties);
  if (!loaded.ok()) return failed(loaded.status());
  config::Configuration& configuration = *loaded;
  for (const std::string& warning : configuration.warnings) fmt::print(stderr, "drey up: {}\n", warning);

  DirectoryLock lock;
  if (Status made = env.files.make_directories(dir, 0700); !made.ok()) return failed(made);
  if (Status locked = lock.acquire(dir + "/lock"); !locked.ok()) return failed(locked);
  if (Status prepared = prepare_directory(env.files, dir); !prepared.ok()) return failed(prepared);
  env::open_log({dir + "/log/jobmanager.log", false, env::LogLevel::kInfo});

  auto slots = configuration.whole("taskmanager.numberOfTaskSlots", env.threads.core_count());
  auto default_parallelism = configuration.whole("parallelism.default", 1);
  auto port = configuration.whole("rest.port", 8081);
  auto rpc_port = configuration.whole("jobmanager.rpc.port", 0);
  auto count = configuration.whole("drey.taskmanagers", 1);
  auto managed = configuration.bytes("taskmanager.memory.managed.size", physical_memory() * 2 / 5);
  auto heartbeat = configuration.duration("heartbeat.interval", Millis(1000));
  auto heartbeat_timeout = configuration.duration("heartbeat.timeout", Millis(50'000));
  auto slot_timeout = configuration.duration("slot.request.timeout", Millis(300'000));
  auto program_timeout = configuration.duration("drey.program.timeout", Millis(60'000));
  for (const Status& status : {slots.status(), default_parallelism.status(), port.status(), rpc_port.status(), count.status(), managed.status(),
                               heartbeat.status(), heartbeat_timeout.status(), slot_timeout.status(), program_timeout.status()}) {
    if (!status.ok()) return failed(status);
  }
  if (*slots < 1 || *port < 0 || *port > 65535) {
    return failed(fail(Code::kInvalidArgument, fmt::format("taskmanager.numberOfTaskSlots={} must be positive, rest.port={} within 0..65535", *slots, *port)));
  }
  const std::string bind = configuration.get("rest.bind-address", configuration.get("rest.address", "127.0.0.1"));
  if (bind != "127.0.0.1" && bind != "localhost" && bind != "::1") {
    return failed(fail(Code::kInvalidArgument, fmt::format("rest.bind-address={} is not loopback: this version has no login and listens on loopback only", bind)));
  }

  if (args.has("--daemon")) {
    if (daemon(1, 0) != 0) return failed(fail(Code::kIo, "Cannot go to the background"));
    // The lock names this process now.
    static_cast<void>(env.files.write_atomic(dir + "/pid", fmt::format("{}\n", getpid())));
  } else {
    static_cast<void>(env.files.write_atomic(dir + "/pid", fmt::format("{}\n", getpid())));
  }
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  std::signal(SIGPIPE, SIG_IGN);

  auto store = cluster::open_sqlite_store(dir + "/jobs.db");
  if (!store.ok()) return failed(store.status());
  cluster::JobManagerOptions options;
  options.rpc_port = static_cast<std::uint16_t>(*rpc_port);
  options.secret = JobId::from_halves(env.random.next(), env.random.next()).to_string();
  options.checkpoint_root = configuration.get("execution.checkpointing.dir", dir + "/checkpoints");
  if (options.checkpoint_root.starts_with("file:")) options.checkpoint_root = options.checkpoint_root.substr(options.checkpoint_root.find_first_of('/'));
  while (options.checkpoint_root.starts_with("//")) options.checkpoint_root = options.checkpoint_root.substr(1);
  options.configuration = configuration.values;
  options.configuration["taskmanager.numberOfTaskSlots"] = fmt::format("{}", *slots);
  options.heartbeat_interval = *heartbeat;
  options.heartbeat_timeout = *heartbeat_timeout;
  options.slot_timeout = *slot_timeout;
  options.default_parallelism = static_cast<std::int32_t>(*default_parallelism);
  options.crash_report = [dir](const std::string& id) {
    // Ids of TaskManagers that this process did not start are theirs to choose: only a plain name becomes a path.
    if (id.find('/') != std::string::npos) return std::pair<std::string, std::string>();
    const runtime::CrashReport report = runtime::take_crash_report(fmt::format("{}/log/{}.crash", dir, id));
    return std::pair(report.summary, report.stack);
  };
  cluster::ProgramLimits limits;
  limits.deadline = *program_timeout;
  // `rest.port` is taken before anything starts; 0 says which.
  std::unique_ptr<cluster::JobManager> manager;
  std::unique_ptr<rest::Router> router;
  std::mutex router_mutex;
  net::HttpServerOptions http;
  http.host = bind;
  http.port = static_cast<std::uint16_t>(*port);
  auto server = net::start_http_server(http, [&](net::HttpRequest request, net::Responder respond) {
    {
      std::lock_guard guard(router_mutex);
      if (router != nullptr) return router->handle(std::move(request), std::move(respond));
    }
    net::HttpResponse starting;
    starting.status = 503;
    starting.headers.emplace_back("content-type", "application/json; charset=UTF-8");
    starting.body = "{\"errors\":[\"Service temporarily unavailable due to an ongoing leader election. Please refresh.\"]}";
    respond(std::move(starting));
  });
  if (!server.ok()) return failed(server.status());
  const std::string url = fmt::format("http://{}:{}", bind == "127.0.0.1" ? "localhost" : bind, (*server)->port());
  options.configuration["rest.port"] = fmt::format("{}", (*server)->port());
  options.configuration["drey.rest.address"] = url;
  manager = std::make_unique<cluster::JobManager>(options, env, std::move(*store), std::make_unique<cluster::Jars>(dir + "/jars", dir + "/cache", env),
                                                  cluster::make_child_runner(env, dir + "/tmp", limits));
  if (Status started = manager->start(); !started.ok()) return failed(started);
  rest::RouterOptions router_options;
  router_options.upload_directory = dir + "/tmp";
  router_options.allow_origin = configuration.get("web.access-control-allow-origin", "*");
  if (const std::string hosts = configuration.get("rest.allowed-hosts", ""); !hosts.empty()) {
    std::size_t at = 0;
    while (at <= hosts.size()) {
      const auto end = std::min(hosts.find_first_of(",;", at), hosts.size());
      router_options.allowed_hosts.push_back(hosts.substr(at, end - at));
      at = end + 1;
    }
  }
  {
    std::lock_guard guard(router_mutex);
    router = std::make_unique<rest::Router>(rest::all_endpoints(), *manager, env.files, router_options);
  }
  auto loop = env.threads.make_loop("supervisor");
  Supervisor supervisor(env, *loop,
                        {env.processes.executable_path(), "taskmanager", "--job-manager", fmt::format("127.0.0.1:{}", manager->rpc_port()), "--slots",
                         fmt::format("{}", *slots), "--managed-bytes", fmt::format("{}", *managed)},
                        options.secret, dir + "/log");
  for (int i = 1; i <= *count; ++i) supervisor.start(i);
  static_cast<void>(env.files.write_atomic(dir + "/rest.address", url + "\n"));
  fmt::print("Drey is up: {}\n  directory  {}\n  log        {}/log/jobmanager.log\n  stop       Ctrl-C, or drey down --dir {}\n", url, dir, dir, dir);
  std::fflush(stdout);
  env::log_info("up", "REST on {}, RPC port {}", url, manager->rpc_port());

  g_stop.acquire();
  fmt::print("Stopping; jobs resume at the next drey up with this directory.\n");
  std::fflush(stdout);
  std::binary_semaphore suspended{0};
  manager->shut_down([&] { suspended.release(); });
  static_cast<void>(suspended.try_acquire_for(std::chrono::seconds(5)));
  loop->post([&] { supervisor.stop(); });
  for (int i = 0; i < 50; ++i) {
    std::binary_semaphore checked{0};
    std::size_t alive = 0;
    loop->after(std::chrono::milliseconds(i == 0 ? 1 : 100), [&] {
      alive = supervisor.alive();
      if (i == 49) supervisor.kill_rest();
      checked.release();
    });
    checked.acquire();
    if (alive == 0) break;
  }
  server->reset();
  {
    std::lock_guard guard(router_mutex);
    router.reset();
  }
  loop.reset();
  manager.reset();
  static_cast<void>(env.files.remove(dir + "/rest.address"));
  static_cast<void>(env.files.remove(dir + "/pid"));
  env::close_log();
  return 0;
}

int status(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--dir"}, {"--json", "--help"}, false);
  env::Env& env = env::posix();
  const std::string dir = args.get("--dir", default_directory());
  if (args.has("--help") || args.unknown) {
    std::fputs("drey status [--dir DIR] [--json]\n", args.unknown ? stderr : stdout);
    return args.unknown ? 2 : 0;
  }
  auto address = env.files.read_all(dir + "/rest.address");
  if (!address.ok()) {
    fmt::print(stderr, "No cluster is up in {}: start one with drey up --dir {}\n", dir, dir);
    return 3;
  }
  const std::string url = address->substr(0, address->find('\n'));
  const auto colon = url.rfind(':');
  auto overview = net::http_call("127.0.0.1", static_cast<std::uint16_t>(std::atoi(url.c_str() + colon + 1)), "GET", "/overview", "", {}, Millis(5000));
  if (!overview.ok()) {
    fmt::print(stderr, "The cluster of {} does not answer: {}\n", dir, overview.status().to_string());
    return 3;
  }
  if (args.has("--json")) {
    fmt::print("{{\"url\":\"{}\",\"overview\":{}}}\n", url, overview->body);
  } else {
    fmt::print("{}\n  {}\n", url, overview->body);
  }
  return 0;
}

int down(int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--dir"}, {"--help"}, false);
  env::Env& env = env::posix();
  const std::string dir = args.get("--dir", default_directory());
  if (args.has("--help") || args.unknown) {
    std::fputs("drey down [--dir DIR]\n", args.unknown ? stderr : stdout);
    return args.unknown ? 2 : 0;
  }
  auto text = env.files.read_all(dir + "/pid");
  const std::int64_t pid = text.ok() ? std::atoll(text->c_str()) : 0;
  if (!env.processes.is_alive(pid)) {
    fmt::print(stderr, "No cluster is up in {}\n", dir);
    return 3;
  }
  env.processes.signal(pid, SIGTERM);
  for (int i = 0; i < 200; ++i) {
    if (!env.processes.is_alive(pid)) return 0;
    usleep(50'000);
  }
  fmt::print(stderr, "The cluster with pid {} does not end; see {}/log/jobmanager.log\n", pid, dir);
  return 1;
}

}  // namespace drey::apps
