// drey up and drey jobmanager: the JobManager with the REST API; up also keeps TaskManagers as
// children.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <mutex>
#include <semaphore>
#include <shared_mutex>

#include "background.h"
#include "cluster/child_program_runner.h"
#include "cluster/job_manager.h"
#include "cluster/snapshot_files.h"
#include "commands.h"
#include "connectors/all.h"
#include "directory.h"
#include "env/env.h"
#include "env/log.h"
#include "graph/pipeline_options.h"
#include "net/http.h"
#include "options.h"
#include "rest/gatekeeper.h"
#include "rest/rest_options.h"
#include "rest/router.h"
#include "rest_client.h"
#include "runtime/crash.h"
#include "runtime/inspector.h"
#include "runtime/process_meter.h"
#include "runtime/task_manager_config.h"

namespace drey::apps {
namespace {

constexpr const char* kUsage =
    "drey up [--dir DIR] [--config FILE] [-Dkey=value ...] [--web-ui PATH] [--daemon]\n"
    "  --dir DIR      where the cluster keeps jobs, jars, logs and checkpoints (default: "
    "~/.local/state/drey)\n"
    "  --config FILE  config.yaml with Flink's option names\n"
    "  -Dkey=value    e.g. -Drest.port=0 (any free port), -Dtaskmanager.numberOfTaskSlots=4; drey "
    "config lists all\n"
    "  --web-ui PATH  serve Flink's dashboard from a flink-dist or flink-runtime-web jar, or from "
    "a "
    "folder with its files\n"
    "  --insecure     listen on an address that is not loopback without any login\n"
    "  --daemon       in the background; drey down ends it\n"
    "  example: drey up --dir /tmp/cluster -Drest.port=0\n"
    "drey jobmanager, with the same options, starts no TaskManagers: they join with\n"
    "  DREY_SECRET=$(cat DIR/secret) drey taskmanager --id ID --job-manager HOST:PORT --slots N\n";

constexpr Millis kRespawnDelay{50};

std::binary_semaphore g_stop{0};
void on_signal(int) { g_stop.release(); }

// Starts TaskManagers and starts them again when they die.
class Supervisor {
 public:
  // TaskManager n gets the n-th port from `data_port` on; 0: any free one.
  Supervisor(env::Env& env, env::Loop& loop, std::vector<std::string> arguments, std::string secret,
             std::string log_directory, std::uint16_t data_port)
      : env_(env),
        loop_(loop),
        arguments_(std::move(arguments)),
        secret_(std::move(secret)),
        logs_(std::move(log_directory)),
        data_port_(data_port) {}

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
    options.arguments.insert(options.arguments.end(),
                             {"--id", id, "--log", fmt::format("{}/taskmanager-{}.log", logs_, number), "--crash",
                              fmt::format("{}/{}.crash", logs_, id)});
    if (data_port_ != 0)
      options.arguments.push_back(fmt::format("-Dtaskmanager.data.port={}", data_port_ + number - 1));
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
  const std::uint16_t data_port_;
  std::map<int, std::int64_t> pids_;
  int starts_ = 0;
  bool stopping_ = false;
};

// FAILS WITH: kInvalidArgument naming the option whose directory is not local.
Status check_directory(const std::string& text, std::string_view key) {
  if (text.empty() || cluster::local_directory(text).ok()) return {};
  return fail(
      Code::kInvalidArgument,
      fmt::format("Option {} must be an absolute path like /data/drey or file:///data/drey: value={}", key, text));
}

// What the command line, the environment and the file come to.
struct Settings {
  config::Configuration configuration;
  cluster::ClusterOptions cluster;
  rest::RestOptions rest;
  rest::RestSecurityOptions security;
  runtime::TaskManagerConfig task_managers;
  std::string bind;
};

Result<Settings> settings_of(const Arguments& args, bool starts_task_managers) {
  Settings s;
  DREY_TRY_ASSIGN(s.configuration, load_configuration(args));
  DREY_TRY_ASSIGN(s.cluster, s.configuration.read<cluster::ClusterOptions>());
  DREY_TRY_ASSIGN(s.rest, s.configuration.read<rest::RestOptions>());
  DREY_TRY_ASSIGN(s.security, s.configuration.read<rest::RestSecurityOptions>());
  DREY_TRY_ASSIGN(s.task_managers, s.configuration.read<runtime::TaskManagerConfig>());
  // What jobs inherit is refused here, not at each submission.
  DREY_TRY_ASSIGN(const auto checkpoints, s.configuration.read<control::CheckpointOptions>());
  DREY_TRY(check_directory(checkpoints.directory, "execution.checkpointing.dir"));
  DREY_TRY(check_directory(checkpoints.savepoint_directory, "execution.checkpointing.savepoint-dir"));
  DREY_TRY(s.configuration.read<control::RestartOptions>().status());
  DREY_TRY(s.configuration.read<graph::PipelineOptions>().status());
  s.bind = s.rest.bind_address.value_or(s.rest.address);
  if (s.bind != "127.0.0.1" && s.bind != "localhost" && s.bind != "::1") {
    if (!s.security.has_logins() && !args.has("--insecure")) {
      return fail(Code::kInvalidArgument,
                  fmt::format("rest.bind-address={} is not loopback, and everyone there could run "
                              "code: set drey.rest.auth.htpasswd-file or "
                              "drey.rest.auth.token-file, or say --insecure",
                              s.bind));
    }
    s.rest.allowed_hosts.push_back(s.bind);
  }
  if (s.security.ssl) {
    for (const auto& [key, file] : {std::pair{"drey.rest.ssl.certificate", s.security.certificate},
                                    std::pair{"drey.rest.ssl.key", s.security.key}}) {
      if (file.empty())
        return fail(Code::kInvalidArgument, fmt::format("security.ssl.rest.enabled needs {}: a PEM file", key));
    }
  }
  if (s.cluster.secret.empty()) {
    env::Random& random = env::posix().random;
    s.cluster.secret = JobId::from_halves(random.next(), random.next()).to_string();
  }
  if (!starts_task_managers) s.task_managers.count = 0;
  if (s.task_managers.data_port + s.task_managers.count > 65'536) {
    return fail(Code::kInvalidArgument,
                fmt::format("taskmanager.data.port={}: {} TaskManagers need as many ports from there on",
                            s.task_managers.data_port, s.task_managers.count));
  }
  return s;
}

// The dashboard's files: those of a folder, or those below web/ in a jar.
Result<std::optional<rest::StaticFiles>> web_ui_of(const rest::RestOptions& options, const std::string& dir,
                                                   env::FileSystem& files) {
  if (!options.web_ui) return std::optional<rest::StaticFiles>();
  std::string folder = *options.web_ui;
  DREY_TRY_ASSIGN(const env::FileStat stat, files.stat(folder));
  if (!stat.is_directory) {
    folder = dir + "/cache/web-ui";
    DREY_TRY(cluster::unpack_folder(files, *options.web_ui, "web/", folder));
  }
  DREY_TRY_ASSIGN(auto made, rest::StaticFiles::make(folder, files));
  return std::optional(std::move(made));
}

// The router behind the server: requests that come before it are told to come again.
class Front {
 public:
  void handle(net::HttpRequest request, net::Responder respond) {
    {
      std::shared_lock guard(mutex_);
      if (router_ != nullptr) return router_->handle(std::move(request), std::move(respond));
    }
    net::HttpResponse starting;
    starting.status = 503;
    starting.headers.emplace_back("content-type", "application/json; charset=UTF-8");
    starting.body =
        "{\"errors\":[\"Service temporarily unavailable due to an ongoing leader election. Please "
        "refresh.\"]}";
    respond(std::move(starting));
  }
  bool keeps_files(const net::HttpRequest& head) {
    std::shared_lock guard(mutex_);
    return router_ != nullptr && router_->keeps_files(head);
  }
  void set(std::unique_ptr<rest::Router> router) {
    std::lock_guard guard(mutex_);
    router_ = std::move(router);
  }

 private:
  std::shared_mutex mutex_;
  std::unique_ptr<rest::Router> router_;
};

// Ends the TaskManagers: asked first, killed after five seconds.
void end_children(Supervisor& supervisor, env::Loop& loop) {
  loop.post([&] { supervisor.stop(); });
  for (int i = 0; i < 50; ++i) {
    std::binary_semaphore checked{0};
    std::size_t alive = 0;
    loop.after(std::chrono::milliseconds(i == 0 ? 1 : 100), [&] {
      alive = supervisor.alive();
      if (i == 49) supervisor.kill_rest();
      checked.release();
    });
    checked.acquire();
    if (alive == 0) break;
  }
}

// From the settings to the end of the cluster. `on_ready` runs once it is up.
Status serve(Settings s, ClusterDirectory& directory, bool starts_task_managers,
             const std::function<void()>& on_ready) {
  env::Env& env = env::posix();
  const std::string& dir = directory.path();
  for (const auto& [key, value] : s.configuration.values) {
    env::log_info("up", "Option {} = {} ({})", key, config::is_secret(key) ? "******" : value,
                  s.configuration.origins.at(key));
  }
  if (directory.orphans() > 0) env::log_info("up", "Removed {} files that a crash had left", directory.orphans());
  DREY_TRY_ASSIGN(auto store, cluster::open_sqlite_store(dir + "/jobs.db"));
  DREY_TRY(env.files.write_atomic(dir + "/secret", s.cluster.secret));
  // What the JobManager prints goes to the terminal, or into this file in the background: it is there for who asks.
  DREY_TRY(env.files.create(directory.log("jobmanager.out"), true).status());
  std::shared_ptr<rest::Gatekeeper> gatekeeper;
  if (s.security.has_logins()) {
    gatekeeper = std::make_shared<rest::Gatekeeper>(
        rest::GatekeeperOptions{s.security.htpasswd_file, s.security.token_file, s.security.roles}, env);
    DREY_TRY(gatekeeper->load());
  }
  DREY_TRY_ASSIGN(auto web_ui, web_ui_of(s.rest, dir, env.files));
  // The port is taken before anything starts; 0 says which.
  Front front;
  net::HttpServerOptions http;
  http.host = s.bind;
  http.port = s.rest.port;
  http.body_bytes_max = s.rest.max_content_length.count;
  http.upload_bytes_max = s.rest.max_upload.count;
  http.connections_max = s.rest.max_connections;
  http.files = &env.files;
  http.spool_directory = dir + "/tmp";
  http.quota = std::make_shared<net::SpoolQuota>();
  http.quota->bytes_max = s.rest.upload_quota.count;
  http.quota->option = "drey.rest.upload-quota";
  http.quota->stored = [&files = env.files, jars = dir + "/jars"] {
    std::uint64_t bytes = 0;
    for (const std::string& name : files.list(jars).value_or({})) {
      const auto stat = files.stat(jars + "/" + name);
      bytes += stat.ok() ? stat->size : 0;
    }
    return bytes;
  };
  http.keeps_files = [&front](const net::HttpRequest& head) { return front.keeps_files(head); };
  if (s.security.ssl) http.tls = net::TlsFiles{s.security.certificate, s.security.key, s.security.client_authority};
  DREY_TRY_ASSIGN(auto server, net::start_http_server(http, [&front](net::HttpRequest request, net::Responder respond) {
                    front.handle(std::move(request), std::move(respond));
                  }));
  const std::string url = fmt::format("{}://{}:{}", s.security.ssl ? "https" : "http",
                                      s.bind == "127.0.0.1" ? "localhost"
                                      : s.bind == "::1"     ? "[::1]"
                                                            : s.bind,
                                      server->port());

  cluster::JobManagerOptions options;
  options.cluster = s.cluster;
  options.configuration = s.configuration.values;
  const auto here = s.task_managers.on_machine(env.threads.core_count(), runtime::physical_memory());
  options.configuration["taskmanager.numberOfTaskSlots"] = fmt::format("{}", *here.slots);
  options.configuration["rest.port"] = fmt::format("{}", server->port());
  options.checkpoint_directory = dir + "/checkpoints";
  options.facts = {url, dir + "/tmp", fmt::format("Drey {} (GCC {})", kVersion, __VERSION__)};
  runtime::InspectorOptions inspector_options;
  inspector_options.log_directory = dir + "/log";
  inspector_options.log_name = "jobmanager.log";
  inspector_options.stdout_name = "jobmanager.out";
  inspector_options.profile_directory = inspector_options.log_directory + "/profiles";
  inspector_options.profile_prefix = "JobManager";
  inspector_options.samples_tasks = false;
  runtime::Inspector inspector(inspector_options, env);
  options.inspect = [&inspector](gateway::Inspection inspection, std::function<void(Result<std::string>)> done) {
    inspector.answer(std::move(inspection), std::move(done));
  };
  runtime::ProcessMeter meter(env);
  options.process_metrics = [&meter] { return meter.read(std::nullopt); };
  options.end_cluster = [] { g_stop.release(); };
  options.crash_report = [&directory](const std::string& id) {
    // Ids of TaskManagers that this process did not start are theirs to choose: only a plain name
    // becomes a path.
    return id.find('/') == std::string::npos ? runtime::take_crash_report(directory.log(id + ".crash"))
                                             : runtime::CrashReport();
  };
  cluster::ProgramLimits limits;
  limits.deadline = s.cluster.program_timeout;
  limits.memory_bytes = s.cluster.program_memory.count;
  const operators::Registry kinds = connectors::all_kinds();
  cluster::JobManager manager(options, env, kinds, std::move(store),
                              std::make_unique<cluster::Jars>(dir + "/jars", dir + "/cache", env),
                              cluster::make_child_runner(env, dir + "/tmp", limits));
  DREY_TRY(manager.start());
  rest::RouterOptions router_options;
  router_options.compat = s.rest.compat;
  router_options.access_log = s.rest.access_log;
  router_options.gatekeeper = std::move(gatekeeper);
  router_options.allow_origin = s.rest.allow_origin;
  router_options.allowed_hosts = s.rest.allowed_hosts;
  router_options.web_ui = std::move(web_ui);
  router_options.events.readers_max = static_cast<std::size_t>(s.rest.event_streams_max);
  front.set(std::make_unique<rest::Router>(rest::all_endpoints(), manager, router_options));

  const std::string rpc = fmt::format("127.0.0.1:{}", manager.rpc_port());
  auto loop = env.threads.make_loop("supervisor");
  std::vector<std::string> arguments{env.processes.executable_path(), "taskmanager", "--job-manager", rpc};
  for (const config::OptionText& option : config::describe<runtime::TaskManagerConfig>().options) {
    const auto given = s.configuration.values.find(option.key);
    if (given != s.configuration.values.end()) arguments.push_back(fmt::format("-D{}={}", option.key, given->second));
  }
  Supervisor supervisor(env, *loop, std::move(arguments), s.cluster.secret, dir + "/log", s.task_managers.data_port);
  for (int i = 1; i <= s.task_managers.count; ++i) supervisor.start(i);
  DREY_TRY(env.files.write_atomic(dir + "/rest.address", url + "\n"));
  fmt::print("Drey is up: {}\n  directory  {}\n  log        {}\n", url, dir, directory.log("jobmanager.log"));
  if (directory.orphans() > 0) fmt::print("  removed    {} files that a crash had left\n", directory.orphans());
  if (!starts_task_managers)
    fmt::print(
        "  join       DREY_SECRET=$(cat {}/secret) drey taskmanager --id ID --job-manager {} "
        "--slots N\n",
        dir, rpc);
  fmt::print("  stop       Ctrl-C, or drey down --dir {}\n", dir);
  env::log_info("up", "REST on {}, RPC port {}", url, manager.rpc_port());
  std::fflush(stdout);
  on_ready();

  g_stop.acquire();
  fmt::print("Stopping; jobs resume at the next drey up with this directory.\n");
  std::fflush(stdout);
  std::binary_semaphore suspended{0};
  manager.shut_down([&] { suspended.release(); });
  static_cast<void>(suspended.try_acquire_for(std::chrono::seconds(5)));
  end_children(supervisor, *loop);
  server.reset();
  inspector.stop();
  front.set(nullptr);
  loop.reset();
  static_cast<void>(env.files.remove(dir + "/rest.address"));
  return {};
}

int start(const std::string& command, int argc, char** argv) {
  const Arguments args = parse_arguments(argc, argv, {"--dir", "--config", "--web-ui"},
                                         {"--daemon", "--insecure", "--help", "-h=--help"}, false);
  if (args.has("--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (args.unknown || !args.rest.empty()) {
    fmt::print(stderr, "drey {}: unknown option {}\n{}", command, args.unknown ? *args.unknown : args.rest[0], kUsage);
    return 2;
  }
  const auto run = [&](const std::function<void(const std::string& output)>& on_ready) {
    const bool starts_task_managers = command == "up";
    ClusterDirectory directory(args.get("--dir", default_directory()));
    auto settings = settings_of(args, starts_task_managers);
    Status status = settings.status();
    if (status.ok()) status = directory.open(env::posix().files);
    if (status.ok()) {
      for (const std::string& warning : config::unknown_keys(settings->configuration, all_options()))
        fmt::print(stderr, "drey {}: {}\n", command, warning);
      env::open_log({directory.log("jobmanager.log"), false, env::LogLevel::kInfo});
      std::signal(SIGTERM, on_signal);
      std::signal(SIGINT, on_signal);
      std::signal(SIGPIPE, SIG_IGN);
      status = serve(std::move(*settings), directory, starts_task_managers,
                     [&] { on_ready(directory.log("jobmanager.out")); });
      env::close_log();
    }
    if (status.ok()) return 0;
    fmt::print(stderr, "drey {}: {}\n", command, status.to_string());
    return 2;
  };
  if (args.has("--daemon")) return run_in_background(run);
  return run([](const std::string&) {});
}

}  // namespace

int up(int argc, char** argv) { return start("up", argc, argv); }
int job_manager(int argc, char** argv) { return start("jobmanager", argc, argv); }

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
  auto call = call_to(url);
  if (!call.ok()) return failed(call.status());
  call->target = "/overview";
  call->timeout = Millis(5000);
  const auto overview = net::http_call(*call);
  if (!overview.ok()) {
    fmt::print(stderr, "The cluster of {} does not answer: {}\n", dir, overview.status().to_string());
    return 3;
  }
  if (overview->status != 200) {
    return failed(fail(overview->status == 401 ? Code::kUnauthorized : Code::kIo,
                       fmt::format("{} answered {}: {}", url, overview->status, printable(overview->body))));
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
  const std::int64_t pid = holder_of(dir);
  if (pid == 0) {
    fmt::print(stderr, "No cluster is up in {}\n", dir);
    return 3;
  }
  env.processes.signal(pid, SIGTERM);
  for (int i = 0; i < 200; ++i) {
    if (holder_of(dir) != pid) return 0;
    usleep(50'000);
  }
  fmt::print(stderr, "The cluster with pid {} does not end; see {}/log/jobmanager.log\n", pid, dir);
  return 1;
}

}  // namespace drey::apps
