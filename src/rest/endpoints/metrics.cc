#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

using gateway::JobModel;
using gateway::Metrics;

Metrics job_metrics(const JobModel& job) {
  const auto& c = job.checkpoints;
  const gateway::CheckpointModel* last = nullptr;
  for (const auto& checkpoint : c.history) {
    if (checkpoint.status == "COMPLETED" && last == nullptr) last = &checkpoint;
  }
  std::int64_t size = 0;
  std::int64_t full = 0;
  if (last != nullptr) {
    for (const auto& t : last->tasks) {
      size += t.written_bytes;
      full += t.state_bytes;
    }
  }
  const std::int64_t running = job.time_of("RUNNING");
  return {{"uptime", job.state == "RUNNING" && running > 0 ? now_ms() - running : 0},
          {"numRestarts", job.restarts},
          {"fullRestarts", job.restarts},
          {"numberOfCompletedCheckpoints", c.completed},
          {"numberOfFailedCheckpoints", c.failed},
          {"totalNumberOfCheckpoints", c.completed + c.failed},
          {"lastCheckpointSize", size},
          {"lastCheckpointFullSize", full},
          {"lastCheckpointDuration", last != nullptr ? std::max<std::int64_t>(last->latest_ack_time - last->trigger_time, 0) : 0},
          {"lastCompletedCheckpointId", last != nullptr ? last->id : -1}};
}

// Flink's derived gauges from totals since the attempt began.
Metrics subtask_metrics(const gateway::AttemptModel& a) {
  Metrics out = a.metrics;
  if (out.empty()) return out;
  const std::int64_t busy = a.metric("accumulateBusyTimeMs");
  const std::int64_t idle = a.metric("accumulateIdleTimeMs");
  const std::int64_t pressed = a.metric("accumulateBackPressuredTimeMs");
  const std::int64_t total = std::max<std::int64_t>(busy + idle + pressed, 1);
  out.emplace_back("busyTimeMsPerSecond", busy * 1000 / total);
  out.emplace_back("idleTimeMsPerSecond", idle * 1000 / total);
  out.emplace_back("backPressuredTimeMsPerSecond", pressed * 1000 / total);
  for (const char* name : {"numRecordsIn", "numRecordsOut", "numBytesIn", "numBytesOut"}) {
    out.emplace_back(fmt::format("{}PerSecond", name), a.metric(name) * 1000 / total);
  }
  return out;
}

Json plain(const Call& call, const Metrics& metrics) {
  Json out = Json::array();
  if (!call.query.contains("get")) {
    for (const auto& [name, value] : metrics) out.push(Json::object({{"id", name}}));
    return out;
  }
  for (const std::string& wanted : call.list("get")) {
    for (const auto& [name, value] : metrics) {
      if (name == wanted) out.push(Json::object({{"id", name}, {"value", fmt::format("{}", value)}}));
    }
  }
  return out;
}

// Nothing, with a refusal made, when agg holds an unknown word.
std::optional<Json> aggregate(const Call& call, const std::vector<Metrics>& components, const Refuse& refuse) {
  std::vector<std::string> modes = call.list("agg");
  for (std::string& mode : modes) {
    for (char& c : mode) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (mode != "min" && mode != "max" && mode != "avg" && mode != "sum" && mode != "skew") {
      refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter (agg) from "
                                                       "value \"{}\".",
                                                       mode))});
      return std::nullopt;
    }
  }
  Json out = Json::array();
  if (!call.query.contains("get")) {
    std::vector<std::string> names;
    for (const Metrics& component : components) {
      for (const auto& [name, value] : component) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    }
    for (const std::string& name : names) out.push(Json::object({{"id", name}}));
    return out;
  }
  const auto wants = [&](const char* mode) { return modes.empty() || std::find(modes.begin(), modes.end(), mode) != modes.end(); };
  for (const std::string& wanted : call.list("get")) {
    std::vector<double> values;
    for (const Metrics& component : components) {
      for (const auto& [name, value] : component) {
        if (name == wanted) values.push_back(static_cast<double>(value));
      }
    }
    if (values.empty()) return Json::array();  // one that is missing empties the answer
    double sum = 0;
    for (const double v : values) sum += v;
    const double average = sum / static_cast<double>(values.size());
    double deviation = 0;
    for (const double v : values) deviation += std::fabs(v - average);
    deviation /= static_cast<double>(values.size());
    Json row = Json::object({{"id", wanted}});
    if (wants("min")) row.set("min", *std::min_element(values.begin(), values.end()));
    if (wants("max")) row.set("max", *std::max_element(values.begin(), values.end()));
    if (wants("avg")) row.set("avg", average);
    if (wants("sum")) row.set("sum", sum);
    if (wants("skew")) row.set("skew", average == 0 ? 0.0 : std::min(deviation / std::fabs(average) * 100.0, 100.0));
    out.push(std::move(row));
  }
  return out;
}

// "1,3,5-9": inclusive ranges; what does not parse is passed over.
std::vector<bool> chosen_subtasks(const Call& call, std::size_t count) {
  const auto items = call.list("subtasks");
  std::vector<bool> chosen(count, items.empty());
  for (const std::string& item : items) {
    const auto dash = item.find('-');
    const auto first = Json(item.substr(0, dash)).whole();
    const auto last = dash == std::string::npos ? first : Json(item.substr(dash + 1)).whole();
    if (!first || !last || *first < 0) continue;
    for (std::int64_t i = *first; i <= std::min<std::int64_t>(*last, static_cast<std::int64_t>(count) - 1); ++i) chosen[static_cast<std::size_t>(i)] = true;
  }
  return chosen;
}

using UseVertex = std::function<void(const JobModel&, const gateway::VertexModel&)>;

// Metrics of what does not exist are an empty list, never 404.
void with_vertex_or_empty(const Call& call, gateway::ClusterGateway& gateway, const Answer& answer, const Refuse& refuse, UseVertex use) {
  const auto job = path_id<JobId>(call, "jobid", refuse);
  if (!job) return;
  const auto vertex = path_id<VertexId>(call, "vertexid", refuse);
  if (!vertex) return;
  gateway.job(*job).then([answer, vertex, use](Result<gateway::JobModelRef> model) {
    if (model.ok() && !(*model)->is_terminal()) {
      for (const auto& v : (*model)->vertices) {
        if (v.vertex.id == *vertex) return use(**model, v);
      }
    }
    answer({200, Json::array()});
  });
}

}  // namespace

std::vector<Endpoint> metric_endpoints() {
  return {
      {"GET", "/jobmanager/metrics", "Metrics of the JobManager.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse) {
         gateway.metrics().then([answer, call](Result<Metrics> metrics) { answer({200, plain(call, metrics.value_or({}))}); });
       }},
      {"GET", "/jobs/:jobid/metrics", "Metrics of a job.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const auto id = path_id<JobId>(call, "jobid", refuse);
         if (!id) return;
         gateway.job(*id).then([answer, call](Result<gateway::JobModelRef> job) {
           answer({200, job.ok() && !(*job)->is_terminal() ? plain(call, job_metrics(**job)) : Json::array()});
         });
       }},
      {"GET", "/jobs/metrics", "Metrics over jobs.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         std::vector<JobId> wanted;
         for (const std::string& text : call.list("jobs")) {
           const auto id = JobId::parse(text);
           if (!id) {
             return refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter "
                                                                     "(jobs) from value \"{}\".",
                                                                     text))});
           }
           wanted.push_back(*id);
         }
         gateway.jobs().then([answer, refuse, call, wanted](Result<std::vector<gateway::JobModelRef>> jobs) {
           if (!jobs.ok()) return refuse({jobs.status(), ErrorForm::kBare});
           std::vector<Metrics> components;
           for (const auto& job : *jobs) {
             const bool chosen = wanted.empty() || std::find(wanted.begin(), wanted.end(), job->id) != wanted.end();
             if (chosen && !job->is_terminal()) components.push_back(job_metrics(*job));
           }
           if (auto out = aggregate(call, components, refuse)) answer({200, std::move(*out)});
         });
       }},
      {"GET", "/jobs/:jobid/vertices/:vertexid/metrics", "Metrics of a vertex, by subtask.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         with_vertex_or_empty(call, gateway, answer, refuse, [answer, call](const JobModel&, const gateway::VertexModel& vertex) {
           Metrics all;
           for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
             for (const auto& [name, value] : subtask_metrics(vertex.subtasks[i].back())) all.emplace_back(fmt::format("{}.{}", i, name), value);
           }
           answer({200, plain(call, all)});
         });
       }},
      {"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/metrics", "Metrics over the subtasks of a vertex.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         with_vertex_or_empty(call, gateway, answer, refuse, [answer, refuse, call](const JobModel&, const gateway::VertexModel& vertex) {
           const auto chosen = chosen_subtasks(call, vertex.subtasks.size());
           std::vector<Metrics> components;
           for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
             if (chosen[i]) components.push_back(subtask_metrics(vertex.subtasks[i].back()));
           }
           if (auto out = aggregate(call, components, refuse)) answer({200, std::move(*out)});
         });
       }},
      {"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/metrics", "Metrics of a subtask.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const auto index = path_number(call, "subtaskindex", refuse);
         if (!index) return;
         with_vertex_or_empty(call, gateway, answer, refuse, [answer, call, index](const JobModel&, const gateway::VertexModel& vertex) {
           if (*index < 0 || *index >= static_cast<std::int64_t>(vertex.subtasks.size())) return answer({200, Json::array()});
           answer({200, plain(call, subtask_metrics(vertex.subtasks[static_cast<std::size_t>(*index)].back()))});
         });
       }},
      {"GET", "/taskmanagers/metrics", "Metrics over TaskManagers.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.task_managers().then([answer, refuse, call](Result<std::vector<gateway::TaskManagerModel>> all) {
           if (!all.ok()) return refuse({all.status(), ErrorForm::kBare});
           const auto wanted = call.list("taskmanagers");
           std::vector<Metrics> components;
           for (const auto& tm : *all) {
             if (wanted.empty() || std::find(wanted.begin(), wanted.end(), tm.id) != wanted.end()) components.push_back(tm.metrics);
           }
           if (auto out = aggregate(call, components, refuse)) answer({200, std::move(*out)});
         });
       }},
      {"GET", "/taskmanagers/:taskmanagerid/metrics", "Metrics of a TaskManager.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse) {
         gateway.task_managers().then([answer, call, id = call.path.at("taskmanagerid")](Result<std::vector<gateway::TaskManagerModel>> all) {
           if (all.ok()) {
             for (const auto& tm : *all) {
               if (tm.id == id) return answer({200, plain(call, tm.metrics)});
             }
           }
           answer({200, Json::array()});
         });
       }},
  };
}

}  // namespace drey::rest
