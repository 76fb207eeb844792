#include "rest/messages/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "env/env.h"
#include "rest/client_endpoints.h"
#include "rest/ended_rows.h"
#include "rest/job_views.h"
#include "rest/tag.h"
#include "rest/url.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::JobModel;
using gateway::JobOutline;

JobDetailsVertex vertex_of(const JobModel& job, const gateway::VertexModel& vertex, std::int64_t now) {
  std::vector<const gateway::AttemptModel*> attempts;
  std::vector<std::string> states;
  std::int64_t start = -1;
  std::int64_t finish = 0;
  bool all_ended = true;
  for (const auto& subtask : vertex.subtasks) {
    const auto& attempt = subtask.back();
    attempts.push_back(&attempt);
    states.push_back(attempt.state);
    const std::int64_t began = attempt_start(attempt);
    if (began >= 0) start = start < 0 ? began : std::min(start, began);
    const std::int64_t ended = attempt_end(attempt);
    all_ended = all_ended && ended >= 0;
    finish = std::max(finish, ended);
  }
  JobDetailsVertex out;
  out.id = vertex.vertex.id;
  out.slot_sharing_group_id = slot_sharing_group_id(job, vertex.vertex.slot_sharing_group);
  out.name = vertex.vertex.name;
  out.max_parallelism = vertex.vertex.max_parallelism;
  out.parallelism = vertex.vertex.parallelism;
  out.status = vertex_state(vertex);
  out.start_time = start;
  out.end_time = all_ended ? finish : -1;
  out.duration = start < 0 ? -1 : (all_ended ? finish : now) - start;
  out.tasks = state_counts(states);
  out.metrics = io_metrics(attempts);
  return out;
}

// The command line of 1.12 refuses an answer with a task state it does not know, as a key too; that
// of 1.11 also one with this job state.
void phrase_for(Dialect dialect, const JobModel& job, JobDetails& details) {
  const auto fold = [](Map<std::int64_t>& counts) {
    std::int64_t initializing = 0;
    std::erase_if(counts, [&](const auto& c) {
      if (c.first == "INITIALIZING") initializing = c.second;
      return c.first == "INITIALIZING";
    });
    for (auto& [state, count] : counts) count += state == "RUNNING" ? initializing : 0;
  };
  for (JobDetailsVertex& vertex : details.vertices) fold(vertex.tasks);
  fold(details.status_counts);
  if (dialect != Dialect::k111) return;
  // Its jobs begin when they are CREATED.
  if (const std::int64_t created = job.time_of("CREATED"); created > 0) {
    details.duration -= created - details.start_time;
    details.start_time = created;
  }
  std::erase_if(details.timestamps, [](const auto& t) { return t.first == "INITIALIZING"; });
  for (auto& [state, at] : details.timestamps) {
    if (state == "CREATED") at = details.start_time;
  }
}

JobDetails details_of(const JobModel& job, Dialect dialect) {
  JobDetails out;
  out.now = now_ms();
  out.jid = out.application_id = job.id;
  out.name = job.name;
  out.state = job.state;
  out.job_type = "STREAMING";
  out.scheduler_type = "Adaptive";
  out.start_time = job_start(job);
  out.end_time = job_end(job);
  out.duration = (out.end_time >= 0 ? out.end_time : out.now) - out.start_time;
  out.max_parallelism = -1;
  for (const EnumText& state : kJobStates) out.timestamps.emplace_back(state.text, job.time_of(state.text));
  std::vector<std::string> states;
  for (const auto& vertex : job.vertices) {
    out.vertices.push_back(vertex_of(job, vertex, out.now));
    states.push_back(out.vertices.back().status.text);
  }
  out.status_counts = state_counts(states);
  out.plan = plan_of(job, dialect);
  if (dialect != Dialect::kFull) phrase_for(dialect, job, out);
  return out;
}

// The message is the stack trace's first line without the class.
FailureCause failure_cause_of(const gateway::ExceptionModel& failure) {
  std::string message = failure.stacktrace.substr(0, failure.stacktrace.find('\n'));
  if (message.starts_with(failure.name + ": ")) message.erase(0, failure.name.size() + 2);
  return failure_cause(failure.name, std::move(message), failure.stacktrace);
}

JobExecutionResult result_of(const JobModel& job) {
  if (!job.is_terminal()) return {{"IN_PROGRESS"}, std::nullopt};
  ExecutionResult result;
  result.id = result.application_id = job.id;
  result.name = job.name;
  result.application_status = job.state == "FINISHED" ? "SUCCEEDED" : job.state == "FAILED" ? "FAILED" : "CANCELED";
  result.start_time = job_start(job);
  result.end_time = job_end(job);
  result.net_runtime = result.end_time - result.start_time;
  if (job.state == "FAILED") result.failure_cause = failure_cause_of(job.failure);
  return {{"COMPLETED"}, std::move(result)};
}

template <typename Entry>
Entry exception_entry(const gateway::ExceptionModel& e) {
  Entry entry;
  entry.exception_name = e.name;
  entry.stacktrace = e.stacktrace;
  entry.timestamp = e.time;
  entry.failure_labels = e.labels;
  if (!e.task_name.empty()) {
    entry.task_name = e.task_name;
    entry.endpoint = e.endpoint;
    entry.task_manager_id = e.task_manager;
  }
  return entry;
}

// `labels`: key:value texts that an entry must all have.
JobExceptions exceptions_of(const JobModel& job, std::int64_t most, const std::vector<std::string>& labels) {
  JobExceptions out;
  const auto matches = [&](const gateway::ExceptionModel& e) {
    return std::all_of(labels.begin(), labels.end(), [&](const std::string& wanted) {
      return std::any_of(e.labels.begin(), e.labels.end(),
                         [&](const auto& l) { return l.first + ":" + l.second == wanted; });
    });
  };
  out.truncated = out.exception_history.truncated =
      std::count_if(job.exceptions.begin(), job.exceptions.end(), matches) > most;
  // The old keys beside the new ones: the form of 1.13 to 1.20, which clients of all ages read.
  if (!job.exceptions.empty()) {
    out.root_exception = job.exceptions[0].stacktrace;
    out.timestamp = job.exceptions[0].time;
  }
  for (const auto& e : job.exceptions) {
    if (matches(e) && static_cast<std::int64_t>(out.exception_history.entries.size()) < most) {
      out.exception_history.entries.push_back(exception_of(e));
    }
    if (!e.task_name.empty() && job.is_terminal())
      out.all_exceptions.push_back({e.stacktrace, e.task_name, e.endpoint, e.time});
  }
  return out;
}

JobConfig config_of(const JobModel& job, Dialect dialect) {
  const bool declared = job.settings.contains("restart-strategy.type");
  JobConfig out{job.id, job.name, {}};
  if (dialect != Dialect::kFull) out.execution_config.execution_mode = "PIPELINED";
  out.execution_config.restart_strategy = declared ? job.restart_strategy : "Cluster level default restart strategy";
  out.execution_config.job_parallelism = job.parallelism;
  for (const auto& [key, value] : job.arguments) out.execution_config.user_config.emplace_back(key, value);
  return out;
}

// Sums (or extremes) over the current attempts.
JobAccumulators accumulators_of(const JobModel& job) {
  std::map<std::string, std::pair<std::string, double>> sums;
  std::map<std::string, std::pair<std::string, std::int64_t>> wholes;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) {
      for (const auto& a : subtask.back().accumulators) {
        if (a.type == "DoubleCounter") {
          auto& sum = sums[a.name];
          sum.first = a.type;
          sum.second += Json(a.value).real().value_or(0);
          continue;
        }
        const std::int64_t value = Json(a.value).whole().value_or(0);
        const auto [at, added] = wholes.try_emplace(a.name, a.type, value);
        if (added) continue;
        if (a.type == "LongCounter") at->second.second += value;
        if (a.type == "LongMaximum") at->second.second = std::max(at->second.second, value);
        if (a.type == "LongMinimum") at->second.second = std::min(at->second.second, value);
      }
    }
  }
  JobAccumulators out;
  for (const auto& [name, v] : wholes)
    out.user_task_accumulators.push_back({name, v.first, fmt::format("{}", v.second)});
  for (const auto& [name, v] : sums) out.user_task_accumulators.push_back({name, v.first, wire::java_double(v.second)});
  return out;
}

JobPlanInfo plan_info_of(const JobModel& job, Dialect dialect) { return {plan_of(job, dialect)}; }

// --- operations ---

// with_job in the words of the calls that ask for a job's result.
template <typename T>
void with_flink_job(JobId id, ClusterGateway& cluster, const Reply<T>& reply,
                    std::function<void(const JobModel&)> use) {
  cluster.job(id).then([reply, id, use = std::move(use)](Result<gateway::JobModelRef> job) {
    if (job.ok()) return use(**job);
    reply.refuse(fail(Code::kNotFound, fmt::format("org.apache.flink.runtime.messages.FlinkJobNotFoundException: "
                                                   "Could not find Flink job ({})",
                                                   id.to_string())));
  });
}

// An answer derived from the job's model alone, and from who asks if kDerive takes that.
template <typename T, auto kDerive>
struct JobView {
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = T;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<T>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) {
      if constexpr (std::is_invocable_v<decltype(kDerive), const JobModel&, Dialect>) {
        reply(kDerive(job, reply.dialect()));
      } else {
        reply(kDerive(job));
      }
    });
  }
};
struct GetJob : JobView<JobDetails, details_of> {
  static constexpr Route kRoute = endpoints::GetJob::kRoute;
};
struct GetExecutionResult : JobView<JobExecutionResult, result_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/execution-result", 200, "How a job ended."};
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_flink_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(result_of(job)); });
  }
};
struct GetJobConfig : JobView<JobConfig, config_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/config", 200, "A job's settings."};
};
struct GetJobPlan : JobView<JobPlanInfo, plan_info_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/plan", 200, "A job's graph."};
};

struct GetAccumulators : JobView<JobAccumulators, accumulators_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/accumulators", 200, "A job's accumulators."};
  struct Query {
    bool serialized = false;
    static constexpr auto fields() {
      return Fields{
          field("includeSerializedValue", &Query::serialized, "Asks for Java's form too; there is none here.")};
    }
  };
  static void handle(const Call<JobPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(accumulators_of(job)); });
  }
};

struct ListJobs {
  static constexpr Route kRoute{"GET", "/jobs", 200, "Ids and states of all jobs."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Response = JobIdsWithStatus;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.jobs().then([reply](Result<std::vector<gateway::JobOutlineRef>> jobs) {
      if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
      Response list;
      for (const auto& job : *jobs) list.jobs.push_back({job->id, job->state});
      reply(list);
    });
  }
};

struct GetJobsOverview : endpoints::GetJobsOverview {
  static constexpr bool kShared = true;
  using Place = std::pair<std::int64_t, JobId>;
  static Place place_of(const JobOutline& job) { return {job.start, job.id}; }
  static std::string next_page(const Query& query, const JobOutline& last) {
    std::string target = fmt::format("/jobs/overview?limit={}", query.limit->value);
    for (const auto& state : query.states) target += "&state=" + percent_encoded(state.text);
    if (!query.name.empty()) target += "&name=" + percent_encoded(query.name);
    return fmt::format("<{}&cursor={}-{}>; rel=\"next\"", target, last.start, last.id.to_string());
  }
  static EndedRows::Row encoded_row(const JobOutline& job, Dialect dialect) {
    const JobSummary summary = summary_of(job);
    EndedRows::Row row;
    write_json(kShapeOf<JobSummary>, &summary, dialect, row.text);
    // All but the duration, which a client knows from the start.
    Tag tag;
    tag.add(job.id.to_string());
    tag.add(job.name);
    tag.add(job.state);
    tag.add(job.modified);
    for (const auto& [state, count] : job.tasks) {
      tag.add(state);
      tag.add(count);
    }
    row.tag = tag.value();
    return row;
  }
  static void handle(const Call<None, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const auto refuse = [&](const char* name, const std::string& value) {
      reply.refuse(
          fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query "
                                                   "parameter ({}) from value \"{}\".",
                                                   name, value)));
    };
    if (call.query.limit && call.query.limit->value == 0) return refuse("limit", "0");
    // When the last job of the page before began, and which it was: it may be forgotten since.
    Place after{INT64_MAX, {}};
    if (const std::string& cursor = call.query.cursor; !cursor.empty()) {
      const auto dash = cursor.find('-');
      const auto start = Json(cursor.substr(0, dash)).whole();
      const auto id = dash == std::string::npos ? std::nullopt : JobId::parse(cursor.substr(dash + 1));
      if (!start || !id) return refuse("cursor", cursor);
      after = {*start, *id};
    }
    cluster.jobs().then([reply, query = call.query, after,
                         rows = call.raw.router->ended_rows()](Result<std::vector<gateway::JobOutlineRef>> jobs) {
      if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
      // The same order on every page, whatever has come or gone meanwhile.
      if (query.limit || !query.cursor.empty()) {
        std::sort(jobs->begin(), jobs->end(), [](const auto& a, const auto& b) { return place_of(*a) > place_of(*b); });
        std::erase_if(*jobs, [&](const auto& job) { return place_of(*job) >= after; });
      }
      if (!query.states.empty() || !query.name.empty()) {
        std::erase_if(*jobs, [&](const auto& job) {
          return (!query.states.empty() && std::none_of(query.states.begin(), query.states.end(),
                                                        [&](const auto& state) { return state.text == job->state; })) ||
                 job->name.find(query.name) == std::string::npos;
        });
      }
      net::Headers headers;
      if (query.limit && static_cast<std::int64_t>(jobs->size()) > query.limit->value) {
        jobs->resize(static_cast<std::size_t>(query.limit->value));
        headers.emplace_back("link", next_page(query, *jobs->back()));
      }
      EndedRows::Row list = rows->list("jobs", *jobs, reply.dialect(), encoded_row);
      Tag tag;
      tag.add(static_cast<std::int64_t>(list.tag));
      for (const auto& header : headers) tag.add(header.second);
      reply.encoded(std::move(list.text), std::move(headers), tag.value());
    });
  }
};

struct GetJobStatus {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/status", 200, "A job's state."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = JobStatusInfo;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_flink_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply({job.state}); });
  }
};

struct GetExceptions : endpoints::GetExceptions {
  static void handle(const Call<JobPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    std::vector<std::string> labels = call.query.labels;
    if (labels.empty() && call.raw.query.contains("failureLabelFilter")) labels.emplace_back();
    for (const std::string& label : labels) {
      if (label.find(':') == std::string::npos) {
        return reply.refuse(fail(Code::kInvalidArgument,
                                 fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter "
                                             "(failureLabelFilter) from value \"{}\".",
                                             label)));
      }
    }
    with_job(call.path.jobid, cluster, reply, [reply, query = call.query](const JobModel& job) {
      reply(exceptions_of(job, query.most.value, query.labels));
    });
  }
};

void cancel(JobId id, ClusterGateway& cluster, const Reply<None>& reply) {
  cluster.cancel(id).then([reply](Result<bool> done) {
    if (!done.ok()) return reply.refuse(done.status());
    reply({});
  });
}

constexpr const char* kStopIsGone =
    "The termination mode \"stop\" has been removed. For an ungraceful shutdown, please use "
    "\"cancel\" instead. For a graceful shutdown, "
    "please use \"jobs/:jobId/stop\" instead.";

struct CancelJob : endpoints::CancelJob {
  static void handle(const Call<JobPath, Query>& call, ClusterGateway& cluster, const Reply<None>& reply) {
    if (call.query.mode == "stop") return reply.refuse(fail(Code::kPermanentRedirect, kStopIsGone));
    cancel(call.path.jobid, cluster, reply);
  }
};

struct CancelJobByGet {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/yarn-cancel", 202, "Cancels a job."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Response = None;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<None>& reply) {
    cancel(call.path.jobid, cluster, reply);
  }
};

struct StopJobByGet {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/yarn-stop", 202, "Has been removed."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Response = None;
  static void handle(const Call<JobPath>&, ClusterGateway&, const Reply<None>& reply) {
    reply.refuse(fail(Code::kPermanentRedirect, kStopIsGone));
  }
};

struct RenewClient {
  static constexpr Route kRoute{"PATCH", "/jobs/:jobid/clientHeartbeat", 202, "Says until when a job's client lives."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Request = ClientHeartbeat;
  using Response = None;
  static void handle(const Call<JobPath, None, ClientHeartbeat>& call, ClusterGateway& cluster,
                     const Reply<None>& reply) {
    cluster.heartbeat(call.path.jobid, call.body.expired_timestamp.value_or(0));
    reply({});
  }
};

// Flink's Table API reads results through coordinators; no operator here has one.
struct AskCoordinator {
  static constexpr Route kRoute{"POST", "/jobs/:jobid/coordinators/:operatorid", 200,
                                "Asks an operator's coordinator."};
  static constexpr Access kAccess = Access::kOperate;
  struct Path {
    JobId jobid;
    OperatorId operatorid;
    static constexpr auto fields() {
      return Fields{job_field(&Path::jobid),
                    field("operatorid", &Path::operatorid, "Id of an operator: 32 hexadecimal digits.")};
    }
  };
  using Request = CoordinationRequest;
  using Response = CoordinationAnswer;
  static void handle(const Call<Path, None, CoordinationRequest>& call, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply, id = call.path.operatorid](const JobModel&) {
      reply.refuse(fail(Code::kNotFound, fmt::format("Coordinator of operator {} does not "
                                                     "exist.",
                                                     id.to_string())));
    });
  }
};

// Takes a graph of Drey's own with the jar of its code; Java's cannot run here.
struct SubmitJob : endpoints::SubmitJob {
  static void handle(const Call<None, None, JobSubmission>& call, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    const auto refuse = [&](std::string text, ErrorForm form = ErrorForm::kHandler) {
      reply.refuse(fail(Code::kInvalidArgument, std::move(text)), form);
    };
    const std::string& name =
        call.body.execution_plan_file_name.empty() ? call.body.job_graph_file_name : call.body.execution_plan_file_name;
    if (name.empty()) return refuse("The jobGraphFileName field must not be omitted or be null.");
    const net::Part* graph = sent(call.raw.files, name);
    const auto missing = [&](const char* what, const std::string& file) {
      refuse(fmt::format("org.apache.flink.runtime.rest.handler.job.JobSubmitHandler$"
                         "MissingFileException: {} file {} could not be found on the server.",
                         what, file),
             ErrorForm::kBare);
    };
    if (graph == nullptr) return missing("ExecutionPlan", name);
    for (const std::string& jar : call.body.job_jar_file_names) {
      if (sent(call.raw.files, jar) == nullptr) return missing("Jar", jar);
    }
    if (graph->bytes > kGraphBytesMax) return refuse("Failed to deserialize ExecutionPlan.");
    auto bytes = env::posix().files.read_all(graph->file->path());
    if (!bytes.ok()) return reply.refuse(bytes.status());
    if (bytes->starts_with("\xac\xed")) {
      return refuse(
          "Failed to deserialize ExecutionPlan. It is Java's: Drey runs native programs. Build the "
          "job with drey_add_job and submit it with `drey run` or POST /jars/upload and "
          "/jars/:jarid/run; Java jobs need a Flink cluster.");
    }
    if (call.body.job_jar_file_names.size() != 1)
      return refuse(
          fmt::format("Failed to deserialize ExecutionPlan.\nA graph of Drey's own needs "
                      "exactly one jar with its code, {} were named.",
                      call.body.job_jar_file_names.size()));
    const net::Part* jar = sent(call.raw.files, call.body.job_jar_file_names[0]);
    // The files are the parts' until the cluster has moved them.
    cluster.submit({std::move(*bytes), jar->file->path(), *jar->file_name})
        .then([reply, files = call.raw.files](Result<JobId> id) {
          if (!id.ok()) return reply.refuse(fail(Code::kInvalidArgument, id.status().to_string()));
          reply({"/jobs/" + id->to_string()});
        });
  }

 private:
  static constexpr std::uint64_t kGraphBytesMax = 64u << 20;
  static const net::Part* sent(const std::vector<net::Part>& files, const std::string& name) {
    for (const net::Part& part : files) {
      if (part.file_name == name && part.file != nullptr) return &part;
    }
    return nullptr;
  }
};

}  // namespace

RootException exception_of(const gateway::ExceptionModel& e) {
  auto entry = exception_entry<RootException>(e);
  for (const auto& other : e.concurrent)
    entry.concurrent_exceptions.push_back(exception_entry<ConcurrentException>(other));
  return entry;
}

std::vector<Endpoint> job_endpoints() {
  return endpoint_list<ListJobs, GetJobsOverview, GetJob, GetExecutionResult, GetJobConfig, GetAccumulators, GetJobPlan,
                       GetJobStatus, GetExceptions, CancelJob, CancelJobByGet, StopJobByGet, RenewClient,
                       AskCoordinator, SubmitJob>();
}

}  // namespace drey::rest
