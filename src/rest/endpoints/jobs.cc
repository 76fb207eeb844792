#include <algorithm>

#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

using gateway::JobModel;

constexpr const char* kJobStates[] = {"INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING",
                                      "CANCELED", "FINISHED", "RESTARTING", "SUSPENDED", "RECONCILING"};

std::int64_t count_tasks(const JobModel& job, std::string_view state) {
  std::int64_t n = 0;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) n += subtask.back().state == state ? 1 : 0;
  }
  return n;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

Json overview_item(const JobModel& job) {
  std::int64_t total = 0;
  std::int64_t modified = 0;
  for (const auto& vertex : job.vertices) {
    total += static_cast<std::int64_t>(vertex.subtasks.size());
    for (const auto& subtask : vertex.subtasks) {
      for (const auto& [state, at] : subtask.back().entered) modified = std::max(modified, at);
    }
  }
  const std::int64_t end = job_end(job);
  Json tasks = Json::object({{"total", total}});
  for (const char* state : {"CREATED", "SCHEDULED", "DEPLOYING", "RUNNING", "FINISHED", "CANCELING", "CANCELED", "FAILED",
                            "RECONCILING", "INITIALIZING"}) {
    tasks.set(lower(state), count_tasks(job, state));
  }
  return Json::object({{"jid", job.id},
                       {"name", job.name},
                       {"jobType", "STREAMING"},
                       {"schedulerType", "Adaptive"},
                       {"start-time", job_start(job)},
                       {"end-time", end},
                       {"duration", (end >= 0 ? end : now_ms()) - job_start(job)},
                       {"state", job.state},
                       {"last-modification", std::max(modified, end)},
                       {"tasks", std::move(tasks)},
                       {"pending-operators", 0}});
}

Json details(const JobModel& job) {
  const std::int64_t now = now_ms();
  const std::int64_t end = job_end(job);
  Json timestamps = Json::object();
  for (const char* state : kJobStates) timestamps.set(state, job.time_of(state));
  Json vertices = Json::array();
  std::map<std::string, std::int64_t> counts;
  for (const auto& vertex : job.vertices) {
    std::int64_t start = -1;
    std::int64_t finish = 0;
    bool all_ended = true;
    Json tasks = Json::object();
    std::vector<const gateway::AttemptModel*> attempts;
    for (const auto& subtask : vertex.subtasks) {
      const auto& attempt = subtask.back();
      attempts.push_back(&attempt);
      const std::int64_t began = attempt_start(attempt);
      if (began >= 0) start = start < 0 ? began : std::min(start, began);
      const std::int64_t ended = attempt_end(attempt);
      all_ended = all_ended && ended >= 0;
      finish = std::max(finish, ended);
    }
    for (const char* state : kTaskStates) {
      std::int64_t n = 0;
      for (const auto* a : attempts) n += a->state == state ? 1 : 0;
      tasks.set(state, n);
    }
    const std::string state = vertex_state(vertex);
    ++counts[state];
    vertices.push(Json::object({{"id", vertex.vertex.id},
                                {"slotSharingGroupId", vertex.vertex.id},
                                {"name", vertex.vertex.name},
                                {"maxParallelism", vertex.vertex.max_parallelism},
                                {"parallelism", vertex.vertex.parallelism},
                                {"status", state},
                                {"start-time", start},
                                {"end-time", all_ended ? finish : -1},
                                {"duration", start < 0 ? -1 : (all_ended ? finish : now) - start},
                                {"tasks", std::move(tasks)},
                                {"metrics", io_metrics(attempts, false)}}));
  }
  Json status_counts = Json::object();
  for (const char* state : kTaskStates) status_counts.set(state, counts[state]);
  return Json::object({{"jid", job.id},
                       {"application-id", job.id},
                       {"name", job.name},
                       {"isStoppable", false},
                       {"state", job.state},
                       {"job-type", "STREAMING"},
                       {"schedulerType", "Adaptive"},
                       {"start-time", job_start(job)},
                       {"end-time", end},
                       {"duration", (end >= 0 ? end : now) - job_start(job)},
                       {"maxParallelism", -1},
                       {"now", now},
                       {"timestamps", std::move(timestamps)},
                       {"vertices", std::move(vertices)},
                       {"status-counts", std::move(status_counts)},
                       {"plan", plan_json(job)},
                       {"pending-operators", 0}});
}

Json execution_result(const JobModel& job) {
  if (!job.is_terminal()) return Json::object({{"status", Json::object({{"id", "IN_PROGRESS"}})}});
  const std::string status = job.state == "FINISHED" ? "SUCCEEDED" : job.state == "FAILED" ? "FAILED" : "CANCELED";
  Json result = Json::object({{"id", job.id},
                              {"name", job.name},
                              {"application-status", status},
                              {"accumulator-results", Json::object()},
                              {"net-runtime", job_end(job) - job_start(job)}});
  if (job.state == "FAILED") {
    result.set("failure-cause", Json::object({{"class", job.failure.name}, {"stack-trace", job.failure.stacktrace}}));
  }
  result.set("application-id", job.id).set("start-time", job_start(job)).set("end-time", job_end(job));
  return Json::object({{"status", Json::object({{"id", "COMPLETED"}})}, {"job-execution-result", std::move(result)}});
}

Json exception_entry(const gateway::ExceptionModel& e, bool with_concurrent) {
  Json entry = Json::object({{"exceptionName", e.name}, {"stacktrace", e.stacktrace}, {"timestamp", e.time},
                             {"failureLabels", Json::object()}});
  if (!e.task_name.empty()) {
    entry.set("taskName", e.task_name).set("endpoint", e.endpoint).set("taskManagerId", e.task_manager);
  }
  if (with_concurrent) {
    Json others = Json::array();
    for (const auto& other : e.concurrent) others.push(exception_entry(other, false));
    entry.set("concurrentExceptions", std::move(others));
  }
  return entry;
}

Json exceptions(const JobModel& job, std::int64_t most) {
  Json entries = Json::array();
  for (std::size_t i = 0; i < job.exceptions.size() && static_cast<std::int64_t>(i) < most; ++i) {
    entries.push(exception_entry(job.exceptions[i], true));
  }
  const bool truncated = static_cast<std::int64_t>(job.exceptions.size()) > most;
  Json out = Json::object();
  // The old keys beside the new ones: the form of 1.13 to 1.20, which clients of all ages read.
  out.set("root-exception", job.exceptions.empty() ? Json() : Json(job.exceptions[0].stacktrace));
  out.set("timestamp", job.exceptions.empty() ? Json() : Json(job.exceptions[0].time));
  Json all = Json::array();
  for (const auto& e : job.exceptions) {
    if (e.task_name.empty() || !job.is_terminal()) continue;
    all.push(Json::object({{"exception", e.stacktrace}, {"task", e.task_name}, {"location", e.endpoint}, {"timestamp", e.time}}));
  }
  out.set("all-exceptions", std::move(all)).set("truncated", truncated);
  out.set("exceptionHistory", Json::object({{"entries", std::move(entries)}, {"truncated", truncated}}));
  return out;
}

Json config(const JobModel& job) {
  Json user = Json::object();
  for (const auto& [key, value] : job.arguments) user.set(key, value);
  const bool declared = job.settings.contains("restart-strategy.type") || job.settings.contains("restart-strategy");
  return Json::object({{"jid", job.id},
                       {"name", job.name},
                       {"execution-config",
                        Json::object({{"restart-strategy", declared ? job.restart_strategy : "Cluster level default restart strategy"},
                                      {"job-parallelism", job.parallelism},
                                      {"object-reuse-mode", false},
                                      {"user-config", std::move(user)}})}});
}

// Sums (or extremes) over the current attempts.
Json accumulators(const JobModel& job) {
  std::map<std::string, std::pair<std::string, double>> sums;
  std::map<std::string, std::pair<std::string, std::int64_t>> wholes;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) {
      for (const auto& a : subtask.back().accumulators) {
        if (a.type == "DoubleCounter") {
          auto& sum = sums[a.name];
          sum.first = a.type;
          sum.second += std::stod(a.value);
          continue;
        }
        const std::int64_t value = std::stoll(a.value);
        const auto [at, added] = wholes.try_emplace(a.name, a.type, value);
        if (added) continue;
        if (a.type == "LongCounter") at->second.second += value;
        if (a.type == "LongMaximum") at->second.second = std::max(at->second.second, value);
        if (a.type == "LongMinimum") at->second.second = std::min(at->second.second, value);
      }
    }
  }
  Json user = Json::array();
  for (const auto& [name, v] : wholes) user.push(Json::object({{"name", name}, {"type", v.first}, {"value", fmt::format("{}", v.second)}}));
  for (const auto& [name, v] : sums) user.push(Json::object({{"name", name}, {"type", v.first}, {"value", wire::java_double(v.second)}}));
  return Json::object({{"job-accumulators", Json::array()}, {"user-task-accumulators", std::move(user)},
                       {"serialized-user-task-accumulators", Json::object()}});
}

// An endpoint whose answer derives from the job's model alone.
Endpoint view(std::string_view path, std::string_view summary, Json (*derive)(const JobModel&)) {
  return {"GET", path, summary, Endpoint::Access::kRead, false, "",
          [derive](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
            with_job(call, gateway, refuse, [derive, answer](const JobModel& job) { answer({200, derive(job)}); });
          }};
}

void cancel(const Call& call, gateway::ClusterGateway& gateway, const Answer& answer, const Refuse& refuse) {
  const auto id = path_id<JobId>(call, "jobid", refuse);
  if (!id) return;
  gateway.cancel(*id).then([answer, refuse](Result<bool> done) {
    if (!done.ok()) return refuse({done.status()});
    answer({202, Json::object()});
  });
}

constexpr const char* kStopIsGone =
    "The termination mode \"stop\" has been removed. For an ungraceful shutdown, please use \"cancel\" instead. For a graceful shutdown, "
    "please use \"jobs/:jobId/stop\" instead.";

}  // namespace

std::vector<Endpoint> job_endpoints() {
  std::vector<Endpoint> all{
      {"GET", "/jobs", "Ids and states of all jobs.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.jobs().then([answer, refuse](Result<std::vector<gateway::JobModelRef>> jobs) {
           if (!jobs.ok()) return refuse({jobs.status(), ErrorForm::kBare});
           Json list = Json::array();
           for (const auto& job : *jobs) list.push(Json::object({{"id", job->id}, {"status", job->state}}));
           answer({200, Json::object({{"jobs", std::move(list)}})});
         });
       }},
      {"GET", "/jobs/overview", "All jobs with their tasks counted by state.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.jobs().then([answer, refuse](Result<std::vector<gateway::JobModelRef>> jobs) {
           if (!jobs.ok()) return refuse({jobs.status(), ErrorForm::kBare});
           Json list = Json::array();
           for (const auto& job : *jobs) list.push(overview_item(*job));
           answer({200, Json::object({{"jobs", std::move(list)}})});
         });
       }},
      view("/jobs/:jobid", "A job with its vertices and plan.", details),
      view("/jobs/:jobid/execution-result", "How a job ended.", execution_result),
      view("/jobs/:jobid/config", "A job's settings.", config),
      view("/jobs/:jobid/accumulators", "A job's accumulators.", accumulators),
      {"GET", "/jobs/:jobid/plan", "A job's graph.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         with_job(call, gateway, refuse, [answer](const JobModel& job) { answer({200, Json::object({{"plan", plan_json(job)}})}); });
       }},
      {"GET", "/jobs/:jobid/status", "A job's state.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const auto id = path_id<JobId>(call, "jobid", refuse);
         if (!id) return;
         gateway.job(*id).then([answer, refuse, id](Result<gateway::JobModelRef> job) {
           if (!job.ok()) {
             return refuse({fail(Code::kNotFound, fmt::format("org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find "
                                                              "Flink job ({})",
                                                              id->to_string()))});
           }
           answer({200, Json::object({{"status", (*job)->state}})});
         });
       }},
      {"GET", "/jobs/:jobid/exceptions", "A job's failures, newest first.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         std::int64_t most = 20;
         if (const auto text = call.first("maxExceptions")) {
           const auto number = Json(*text).whole();
           if (!number || *number < 0) {
             return refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter "
                                                                     "(maxExceptions) from value \"{}\".",
                                                                     *text))});
           }
           most = *number;
         }
         with_job(call, gateway, refuse, [answer, most](const JobModel& job) { answer({200, exceptions(job, most)}); });
       }},
      {"PATCH", "/jobs/:jobid", "Cancels a job.", Endpoint::Access::kWrite, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         if (!path_id<JobId>(call, "jobid", refuse)) return;
         std::string mode = call.first("mode").value_or("cancel");
         for (char& c : mode) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
         if (mode == "STOP") return refuse({fail(Code::kPermanentRedirect, kStopIsGone)});
         if (mode != "CANCEL") {
           return refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter "
                                                                   "(mode) from value \"{}\".",
                                                                   *call.first("mode")))});
         }
         cancel(call, gateway, answer, refuse);
       }},
      {"GET", "/jobs/:jobid/yarn-cancel", "Cancels a job.", Endpoint::Access::kWrite, false, "", cancel},
      {"GET", "/jobs/:jobid/yarn-stop", "Has been removed.", Endpoint::Access::kWrite, false, "",
       [](const Call& call, gateway::ClusterGateway&, Answer, Refuse refuse) {
         if (path_id<JobId>(call, "jobid", refuse)) refuse({fail(Code::kPermanentRedirect, kStopIsGone)});
       }},
  };
  return all;
}

}  // namespace drey::rest
