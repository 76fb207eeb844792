// What a process of the cluster tells of itself: environment, logs, threads, profiles. The same for
// the JobManager and for each TaskManager; only paths and Flink's words for failures differ.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "env/env.h"
#include "rest/endpoint.h"
#include "rest/job_views.h"
#include "rest/messages/cluster.h"
#include "rest/messages/profiles.h"
#include "wire/binary/codec.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::Inspection;
using What = Inspection::What;

constexpr std::int64_t kPieceBytes = 4 << 20;

struct TaskManagerPath {
  std::string id;
  static constexpr auto fields() {
    return Fields{field("taskmanagerid", &TaskManagerPath::id, "Id of a TaskManager.")};
  }
};

Status task_manager_unknown(const std::string& id) {
  return fail(Code::kNotFound, fmt::format("Could not find TaskExecutor {}", id));
}

// The id of a process as the gateway has it, "" for the JobManager; nullopt: there is none of that
// name.
using Process = std::optional<std::string>;

// Asks the process and hands on its decoded answer.
template <typename T, typename R>
void inspect(ClusterGateway& cluster, const Process& process, Inspection question, const Reply<R>& reply,
             std::function<Status(const Status&)> phrase, std::function<void(T)> use) {
  if (!process) return reply.refuse(phrase(fail(Code::kNotFound, "No TaskExecutor registered under .")));
  cluster.inspect(*process, std::move(question))
      .then([reply, phrase = std::move(phrase), use = std::move(use)](Result<std::string> bytes) {
        if (!bytes.ok()) return reply.refuse(phrase(bytes.status()));
        auto value = wire::decode<T>(*bytes);
        if (!value.ok()) return reply.refuse(value.status());
        use(std::move(*value));
      });
}

template <typename R>
void list_logs(ClusterGateway& cluster, const Process& id, const Reply<R>& reply) {
  inspect<std::vector<gateway::LogFile>>(
      cluster, id, {.what = What::kLogs}, reply,
      [id](const Status& why) { return why.code() == Code::kNotFound ? task_manager_unknown(id.value_or("")) : why; },
      [reply](std::vector<gateway::LogFile> files) {
        LogList list;
        for (auto& file : files) list.logs.push_back({std::move(file.name), file.size, file.modified});
        reply(list);
      });
}

template <typename R>
void dump_threads(ClusterGateway& cluster, const Process& id, const Reply<R>& reply) {
  inspect<std::vector<gateway::ThreadText>>(
      cluster, id, {.what = What::kThreads}, reply, [](const Status& why) { return why; },
      [reply](std::vector<gateway::ThreadText> threads) {
        ThreadDump dump;
        for (auto& thread : threads) dump.thread_infos.push_back({std::move(thread.name), std::move(thread.text)});
        reply(dump);
      });
}

// --- files of a process, fetched piece by piece into a file of the server ---

class Fetch : public std::enable_shared_from_this<Fetch> {
 public:
  Fetch(ClusterGateway& cluster, std::string id, Inspection question, std::optional<std::int64_t> tail,
        Reply<TextReply> reply, Status missing, ErrorForm form)
      : cluster_(cluster),
        id_(std::move(id)),
        question_(std::move(question)),
        tail_(tail),
        reply_(std::move(reply)),
        missing_(std::move(missing)),
        form_(form) {}

  void start() {
    question_.bytes = kPieceBytes;
    // A negative offset counts from the end.
    question_.offset = -tail_.value_or(0);
    next();
  }

 private:
  void next() {
    cluster_.inspect(id_, question_).then([self = shared_from_this()](Result<std::string> piece) {
      self->take(std::move(piece));
    });
  }

  void take(Result<std::string> piece) {
    if (!piece.ok()) {
      return reply_.refuse(piece.status().code() == Code::kNotFound ? missing_ : piece.status(),
                           piece.status().code() == Code::kNotFound ? form_ : ErrorForm::kHandler);
    }
    if (tail_ == 0) return reply_({});  // of a file that is there
    const auto got = static_cast<std::int64_t>(piece->size());
    if (got < kPieceBytes && spool_ == nullptr) return reply_({std::move(*piece)});
    if (Status written = append(*piece); !written.ok()) return reply_.refuse(written);
    if (got < kPieceBytes) {
      out_.reset();
      auto file = env::posix().files.open(spool_->path());
      if (!file.ok()) return reply_.refuse(file.status());
      // The open file stays readable after its name is gone.
      return reply_({"", std::shared_ptr<env::ReadableFile>(std::move(*file))});
    }
    question_.offset += got;
    // A tail that is whole ends here; the rest of a growing file is the next call's matter.
    if (tail_ && question_.offset >= 0) return finish_tail();
    next();
  }

  void finish_tail() { take(Result<std::string>(std::string())); }

  Status append(const std::string& piece) {
    if (spool_ == nullptr) {
      const std::string directory = cluster_.facts().spool_directory;
      const auto random = JobId::from_halves(env::posix().random.next(), env::posix().random.next());
      spool_ = std::make_shared<net::SpooledFile>(env::posix().files,
                                                  fmt::format("{}/.log-{}", directory, random.to_string()));
      DREY_TRY_ASSIGN(out_, env::posix().files.create(spool_->path()));
    }
    return out_->append(piece);
  }

  ClusterGateway& cluster_;
  const std::string id_;
  Inspection question_;
  const std::optional<std::int64_t> tail_;  // absent: all
  const Reply<TextReply> reply_;
  const Status missing_;
  const ErrorForm form_;
  std::shared_ptr<net::SpooledFile> spool_;
  std::unique_ptr<env::WritableFile> out_;
};

struct TailQuery {
  std::optional<Index> tail;
  static constexpr auto fields() {
    return Fields{field("tail", &TailQuery::tail, "Only the last bytes, as many as this says.").in(kUnlisted)};
  }
};

std::optional<std::int64_t> tail_of(const TailQuery& query) {
  return query.tail ? std::optional(query.tail->value) : std::nullopt;
}

struct LogName {
  std::string name;
  static constexpr auto fields() { return Fields{field("filename", &LogName::name, "Name of a log file.")}; }
};
struct TaskManagerLogName {
  std::string id;
  std::string name;
  static constexpr auto fields() {
    using M = TaskManagerLogName;
    return Fields{field("taskmanagerid", &M::id, "Id of a TaskManager."),
                  field("filename", &M::name, "Name of a log file.")};
  }
};

// --- the two kinds of process: how a path names one, and how Flink says that a file is missing ---

struct OfJobManager {
  using Path = None;
  using FilePath = LogName;
  static Process id(const None&) { return ""; }
  static void fetch(ClusterGateway& cluster, const None&, Inspection file, std::optional<std::int64_t> tail,
                    const Reply<TextReply>& reply) {
    std::make_shared<Fetch>(cluster, "", std::move(file), tail, reply,
                            fail(Code::kNotFound, "This file does not exist in JobManager log dir."),
                            ErrorForm::kDownload)
        ->start();
  }
  static void fetch(ClusterGateway& cluster, const LogName&, Inspection file, std::optional<std::int64_t> tail,
                    const Reply<TextReply>& reply) {
    fetch(cluster, None{}, std::move(file), tail, reply);
  }
};

struct OfTaskManager {
  using Path = TaskManagerPath;
  using FilePath = TaskManagerLogName;
  static Process id(const TaskManagerPath& path) { return path.id.empty() ? std::nullopt : Process(path.id); }
  template <typename P>
  static void fetch(ClusterGateway& cluster, const P& path, Inspection file, std::optional<std::int64_t> tail,
                    const Reply<TextReply>& reply) {
    cluster.task_managers().then([&cluster, id = path.id, file = std::move(file), tail,
                                  reply](Result<std::vector<gateway::TaskManagerModel>> all) {
      const bool known = all.ok() && std::any_of(all->begin(), all->end(), [&](const auto& tm) { return tm.id == id; });
      if (!known) {
        return reply.refuse(
            fail(Code::kNotFound,
                 fmt::format("Failed to transfer file from TaskExecutor {} because it was unknown.", id)),
            ErrorForm::kNotFoundClass);
      }
      std::make_shared<Fetch>(cluster, id, file, tail, reply,
                              fail(Code::kNotFound, fmt::format("Failed to transfer file from TaskExecutor {}.", id)),
                              ErrorForm::kHandler)
          ->start();
    });
  }
};

// --- operations ---

struct GetEnvironment {
  static constexpr Route kRoute{"GET", "/jobmanager/environment", 200, "What the JobManager runs on."};
  static constexpr Access kAccess = Access::kView;
  using Response = EnvironmentInfo;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply(environment_of(cluster));
  }
};

// What a kind of process has of each of these is a route.
template <typename Of, const Route& R>
struct ListLogs {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::Path;
  using Response = LogList;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    list_logs(cluster, Of::id(call.path), reply);
  }
};
constexpr Route kJobManagerLogs{"GET", "/jobmanager/logs", 200, "Log files of the JobManager."};
constexpr Route kTaskManagerLogs{"GET", "/taskmanagers/:taskmanagerid/logs", 200, "Log files of a TaskManager."};

enum class Stream : std::uint8_t { kLog, kStdout };

template <typename Of, Stream S, const Route& R>
struct GetStream {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::Path;
  using Query = TailQuery;
  using Response = TextReply;
  static void handle(const Call<Path, TailQuery>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    Of::fetch(cluster, call.path, {.what = What::kLog, .name = S == Stream::kLog ? "log" : "stdout"},
              tail_of(call.query), reply);
  }
};
constexpr Route kJobManagerLog{"GET", "/jobmanager/log", 200, "The JobManager's log."};
constexpr Route kJobManagerStdout{"GET", "/jobmanager/stdout", 200, "What the JobManager printed."};
constexpr Route kTaskManagerLog{"GET", "/taskmanagers/:taskmanagerid/log", 200, "A TaskManager's log."};
constexpr Route kTaskManagerStdout{"GET", "/taskmanagers/:taskmanagerid/stdout", 200,
                                   "What the code of jobs printed on a TaskManager."};

template <typename Of, const Route& R>
struct GetLogFile {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::FilePath;
  using Query = TailQuery;
  using Response = TextReply;
  static void handle(const Call<Path, TailQuery>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    Of::fetch(cluster, call.path, {.what = What::kLog, .name = std::string(env::base_name_of(call.path.name))},
              tail_of(call.query), reply);
  }
};
constexpr Route kJobManagerLogFile{"GET", "/jobmanager/logs/:filename", 200, "A log file by name."};
constexpr Route kTaskManagerLogFile{"GET", "/taskmanagers/:taskmanagerid/logs/:filename", 200,
                                    "A TaskManager's log file by name."};

template <typename Of, const Route& R>
struct DumpThreads {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::Path;
  using Response = ThreadDump;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    dump_threads(cluster, Of::id(call.path), reply);
  }
};
constexpr Route kJobManagerThreads{"GET", "/jobmanager/thread-dump", 200,
                                   "The JobManager's threads with their stacks."};
constexpr Route kTaskManagerThreads{"GET", "/taskmanagers/:taskmanagerid/thread-dump", 200,
                                    "A TaskManager's threads with their stacks."};

// --- profiles ---

ProfilingInfo profiling_of(const gateway::ProfileModel& p) {
  ProfilingInfo out;
  out.status = p.status;
  out.mode = out.profiling_mode = p.mode;
  out.trigger_time = p.triggered;
  if (p.finished > 0) out.finished_time = p.finished;
  out.duration = p.seconds;
  if (!p.message.empty()) out.message = p.message;
  if (!p.output.empty()) out.output_file = p.output;
  return out;
}

void start_profile(ClusterGateway& cluster, const Process& id, const ProfilingRequest& request,
                   const Reply<ProfilingInfo>& reply) {
  if (request.duration <= 0 || request.duration > 300) {
    return reply.refuse(fail(Code::kInvalidArgument, "`duration` must be set between (0s, 300s]."));
  }
  if (request.mode == "ALLOC" || request.mode == "LOCK") {
    return reply.refuse(
        fail(Code::kInvalidArgument, fmt::format("The mode {} needs a JVM; CPU, ITIMER and WALL sample the "
                                                 "stacks of this native process",
                                                 request.mode.text)));
  }
  inspect<gateway::ProfileModel>(
      cluster, id, {.what = What::kProfile, .name = request.mode.text, .bytes = request.duration}, reply,
      [](const Status& why) { return why; }, [reply](gateway::ProfileModel profile) { reply(profiling_of(profile)); });
}

void list_profiles(ClusterGateway& cluster, const Process& id, const Reply<ProfilingList>& reply) {
  inspect<std::vector<gateway::ProfileModel>>(
      cluster, id, {.what = What::kProfiles}, reply,
      [id](const Status& why) { return why.code() == Code::kNotFound ? task_manager_unknown(id.value_or("")) : why; },
      [reply](std::vector<gateway::ProfileModel> profiles) {
        ProfilingList list;
        for (const auto& profile : profiles) list.profiling_list.push_back(profiling_of(profile));
        reply(list);
      });
}

template <typename Of, const Route& R>
struct StartProfile {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kOperate;
  using Path = typename Of::Path;
  using Request = ProfilingRequest;
  using Response = ProfilingInfo;
  static void handle(const Call<Path, None, ProfilingRequest>& call, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    start_profile(cluster, Of::id(call.path), call.body, reply);
  }
};
constexpr Route kProfileJobManager{"POST", "/jobmanager/profiler", 200, "Profiles the JobManager."};
constexpr Route kProfileTaskManager{"POST", "/taskmanagers/:taskmanagerid/profiler", 200, "Profiles a TaskManager."};

template <typename Of, const Route& R>
struct ListProfiles {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::Path;
  using Response = ProfilingList;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    list_profiles(cluster, Of::id(call.path), reply);
  }
};
constexpr Route kJobManagerProfiles{"GET", "/jobmanager/profiler", 200, "The JobManager's profiles."};
constexpr Route kTaskManagerProfiles{"GET", "/taskmanagers/:taskmanagerid/profiler", 200, "A TaskManager's profiles."};

template <typename Of, const Route& R>
struct GetProfile {
  static constexpr Route kRoute = R;
  static constexpr Access kAccess = Access::kView;
  using Path = typename Of::FilePath;
  using Response = TextReply;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    Of::fetch(cluster, call.path, {.what = What::kProfileFile, .name = std::string(env::base_name_of(call.path.name))},
              std::nullopt, reply);
  }
};
constexpr Route kJobManagerProfile{"GET", "/jobmanager/profiler/:filename", 200, "The output of a profile."};
constexpr Route kTaskManagerProfile{"GET", "/taskmanagers/:taskmanagerid/profiler/:filename", 200,
                                    "The output of a TaskManager's profile."};

// --- the same for a job, whose processes may have ended ---

// What it ran with: an ended job remembers that. As in Flink, of others, unknown ones too, what the
// cluster has now is shown.
void with_cluster_of(JobId id, ClusterGateway& cluster, std::function<void(const gateway::JobModel*)> use) {
  cluster.job(id).then([use = std::move(use)](Result<gateway::JobModelRef> job) {
    use(job.ok() && !(*job)->cluster_configuration.empty() ? job->get() : nullptr);
  });
}

struct GetJobManagerConfigOfJob {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/jobmanager/config", 200, "The configuration a job ran with."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = std::vector<ConfigurationEntry>;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_cluster_of(call.path.jobid, cluster, [&cluster, reply](const gateway::JobModel* own) {
      if (own == nullptr) return reply(configuration_of(cluster));
      Response list;
      for (const auto& [key, value] : own->cluster_configuration) list.push_back({key, value});
      reply(list);
    });
  }
};
struct GetEnvironmentOfJob {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/jobmanager/environment", 200, "What a job's JobManager ran on."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = EnvironmentInfo;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_cluster_of(call.path.jobid, cluster, [&cluster, reply](const gateway::JobModel* own) {
      EnvironmentInfo out = environment_of(cluster);
      if (own == nullptr) return reply(out);
      out.jvm.options.clear();
      for (const auto& [key, value] : own->cluster_configuration)
        out.jvm.options.push_back(fmt::format("-D{}={}", key, value));
      out.jvm.version = own->cluster_version;
      reply(out);
    });
  }
};
// Where logs are shown depends on no job, so Flink does not look at the id.
struct UncheckedJob {
  std::string job;
  static constexpr auto fields() {
    return Fields{field("jobid", &UncheckedJob::job, "Id of a job; anything will do.")};
  }
};

struct GetJobManagerLogUrl {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/jobmanager/log-url", 200,
                                "Where the logs of a job's JobManager are shown."};
  static constexpr Access kAccess = Access::kView;
  using Path = UncheckedJob;
  using Response = LogUrl;
  static void handle(const Call<UncheckedJob>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply({fmt::format("{}/#/job-manager/logs", cluster.facts().rest_address)});
  }
};
struct GetTaskManagerLogUrl {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/taskmanagers/:taskmanagerid/log-url", 200,
                                "Where the logs of a job's TaskManager are shown."};
  static constexpr Access kAccess = Access::kView;
  struct Path {
    std::string job;
    std::string id;
    static constexpr auto fields() {
      return Fields{field("jobid", &Path::job, "Id of a job; anything will do."),
                    field("taskmanagerid", &Path::id, "Id of a TaskManager.")};
    }
  };
  using Response = LogUrl;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply({fmt::format("{}/#/task-manager/{}/logs", cluster.facts().rest_address, call.path.id)});
  }
};

}  // namespace

std::vector<Endpoint> log_endpoints() {
  using J = OfJobManager;
  using T = OfTaskManager;
  constexpr Stream kLog = Stream::kLog;
  constexpr Stream kStdout = Stream::kStdout;
  return endpoint_list<
      GetEnvironment, ListLogs<J, kJobManagerLogs>, GetStream<J, kLog, kJobManagerLog>,
      GetStream<J, kStdout, kJobManagerStdout>, GetLogFile<J, kJobManagerLogFile>, ListLogs<T, kTaskManagerLogs>,
      GetStream<T, kLog, kTaskManagerLog>, GetStream<T, kStdout, kTaskManagerStdout>,
      GetLogFile<T, kTaskManagerLogFile>, DumpThreads<J, kJobManagerThreads>, DumpThreads<T, kTaskManagerThreads>,
      StartProfile<J, kProfileJobManager>, ListProfiles<J, kJobManagerProfiles>, GetProfile<J, kJobManagerProfile>,
      StartProfile<T, kProfileTaskManager>, ListProfiles<T, kTaskManagerProfiles>, GetProfile<T, kTaskManagerProfile>,
      GetJobManagerConfigOfJob, GetEnvironmentOfJob, GetJobManagerLogUrl, GetTaskManagerLogUrl>();
}

}  // namespace drey::rest
