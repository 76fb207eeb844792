#include <algorithm>

#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

using gateway::AttemptModel;
using gateway::JobModel;
using gateway::VertexModel;

using UseVertex = std::function<void(const JobModel&, const VertexModel&)>;

void with_vertex(const Call& call, gateway::ClusterGateway& gateway, const Refuse& refuse, bool details_text, UseVertex use) {
  if (!path_id<JobId>(call, "jobid", refuse)) return;
  const auto id = path_id<VertexId>(call, "vertexid", refuse);
  if (!id) return;
  with_job(call, gateway, refuse, [id, refuse, details_text, use](const JobModel& job) {
    for (const VertexModel& vertex : job.vertices) {
      if (vertex.vertex.id == *id) return use(job, vertex);
    }
    if (details_text) {
      return refuse({fail(Code::kNotFound, fmt::format("JobVertex {} not found", id->to_string())), ErrorForm::kNotFoundClass});
    }
    refuse({fail(Code::kNotFound, fmt::format("No vertex with ID '{}' exists.", id->to_string()))});
  });
}

Json status_durations(const AttemptModel& a) {
  static constexpr const char* kStates[] = {"CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING"};
  Json out = Json::object();
  for (const char* state : kStates) {
    const std::int64_t entered = a.time_of(state);
    if (entered == 0) {
      out.set(state, -1);
      continue;
    }
    // Until the next state that was entered, or now.
    std::int64_t left = 0;
    for (const auto& [name, at] : a.entered) {
      if (at >= entered && name != state && (left == 0 || at < left)) left = at;
    }
    if (a.state == state) left = now_ms();
    out.set(state, left == 0 ? 0 : left - entered);
  }
  return out;
}

Json subtask(std::int64_t index, const AttemptModel& a) {
  const std::int64_t start = attempt_start(a);
  const std::int64_t end = attempt_end(a);
  return Json::object({{"subtask", index},
                       {"status", a.state},
                       {"attempt", a.number},
                       {"endpoint", endpoint_of(a)},
                       {"host", host_of(a)},
                       {"start-time", start},
                       {"end-time", end},
                       {"duration", start < 0 ? -1 : (end >= 0 ? end : now_ms()) - start},
                       {"metrics", io_metrics({&a}, false)},
                       {"taskmanager-id", task_manager_of(a)},
                       {"status-duration", status_durations(a)},
                       {"start_time", start}});
}

Json aggregated_metrics(const std::vector<const AttemptModel*>& attempts) {
  const auto of = [&](const char* name) {
    std::vector<std::int64_t> values;
    for (const auto* a : attempts) values.push_back(a->metric(name));
    return aggregated(std::move(values));
  };
  Json metrics = Json::object({{"read-bytes", of("numBytesIn")},
                               {"write-bytes", of("numBytesOut")},
                               {"read-records", of("numRecordsIn")},
                               {"write-records", of("numRecordsOut")},
                               {"accumulated-backpressured-time", of("accumulateBackPressuredTimeMs")},
                               {"accumulated-busy-time", of("accumulateBusyTimeMs")},
                               {"accumulated-idle-time", of("accumulateIdleTimeMs")}});
  Json durations = Json::object();
  for (const char* state : {"CREATED", "SCHEDULED", "INITIALIZING", "DEPLOYING", "RUNNING"}) {
    std::vector<std::int64_t> values;
    for (const auto* a : attempts) values.push_back(status_durations(*a)[state].whole().value_or(-1));
    durations.set(state, aggregated(std::move(values)));
  }
  return Json::object({{"metrics", std::move(metrics)}, {"status-duration", std::move(durations)}});
}

std::vector<const AttemptModel*> current_attempts(const VertexModel& vertex) {
  std::vector<const AttemptModel*> out;
  for (const auto& s : vertex.subtasks) out.push_back(&s.back());
  return out;
}

Json vertex_details(const JobModel&, const VertexModel& vertex) {
  Json subtasks = Json::array();
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) subtasks.push(subtask(static_cast<std::int64_t>(i), vertex.subtasks[i].back()));
  return Json::object({{"id", vertex.vertex.id},
                       {"name", vertex.vertex.name},
                       {"parallelism", vertex.vertex.parallelism},
                       {"maxParallelism", vertex.vertex.max_parallelism},
                       {"now", now_ms()},
                       {"subtasks", std::move(subtasks)},
                       {"aggregated", aggregated_metrics(current_attempts(vertex))}});
}

Json subtask_times(const JobModel&, const VertexModel& vertex) {
  Json subtasks = Json::array();
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
    const AttemptModel& a = vertex.subtasks[i].back();
    const std::int64_t scheduled = a.time_of("SCHEDULED");
    const std::int64_t end = attempt_end(a);
    Json stamps = Json::object();
    for (const char* state : kTaskStates) stamps.set(state, a.time_of(state));
    subtasks.push(Json::object({{"subtask", static_cast<std::int64_t>(i)},
                                {"endpoint", endpoint_of(a)},
                                {"host", host_of(a)},
                                {"duration", scheduled == 0 ? -1 : (end >= 0 ? end : now_ms()) - scheduled},
                                {"timestamps", std::move(stamps)}}));
  }
  return Json::object({{"id", vertex.vertex.id}, {"name", vertex.vertex.name}, {"now", now_ms()}, {"subtasks", std::move(subtasks)}});
}

Json task_managers(const JobModel&, const VertexModel& vertex) {
  std::map<std::string, std::vector<const AttemptModel*>> by;
  for (const auto& s : vertex.subtasks) by[task_manager_of(s.back())].push_back(&s.back());
  Json list = Json::array();
  for (const auto& [id, attempts] : by) {
    VertexModel part;
    std::int64_t start = INT64_MAX;
    std::int64_t end = 0;
    bool ended = true;
    for (const auto* a : attempts) {
      part.subtasks.push_back({*a});
      if (attempt_start(*a) >= 0) start = std::min(start, attempt_start(*a));
      ended = ended && attempt_end(*a) >= 0;
      end = std::max(end, attempt_end(*a));
    }
    if (start == INT64_MAX) start = -1;
    Json counts = Json::object();
    for (const char* state : kTaskStates) {
      counts.set(state, std::count_if(attempts.begin(), attempts.end(), [&](const auto* a) { return a->state == state; }));
    }
    list.push(Json::object({{"endpoint", endpoint_of(*attempts[0])},
                            {"host", endpoint_of(*attempts[0])},
                            {"status", vertex_state(part)},
                            {"start-time", start},
                            {"end-time", ended ? end : -1},
                            {"duration", start < 0 ? -1 : (ended ? end : now_ms()) - start},
                            {"metrics", io_metrics(attempts, false)},
                            {"status-counts", std::move(counts)},
                            {"taskmanager-id", id},
                            {"aggregated", aggregated_metrics(attempts)}}));
  }
  return Json::object({{"id", vertex.vertex.id}, {"name", vertex.vertex.name}, {"now", now_ms()}, {"taskmanagers", std::move(list)}});
}

Json watermarks(const JobModel& job, const VertexModel& vertex) {
  Json list = Json::array();
  if (job.is_terminal()) return list;
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
    for (const auto& [name, value] : vertex.subtasks[i].back().metrics) {
      if (name == "currentInputWatermark") {
        list.push(Json::object({{"id", fmt::format("{}.currentInputWatermark", i)}, {"value", fmt::format("{}", value)}}));
      }
    }
  }
  return list;
}

Json accumulator_list(const std::vector<gateway::AccumulatorModel>& accumulators) {
  Json list = Json::array();
  for (const auto& a : accumulators) list.push(Json::object({{"name", a.name}, {"type", a.type}, {"value", a.value}}));
  return list;
}

Json vertex_accumulators(const JobModel&, const VertexModel& vertex) {
  std::vector<gateway::AccumulatorModel> all;
  for (const auto& s : vertex.subtasks) all.insert(all.end(), s.back().accumulators.begin(), s.back().accumulators.end());
  return Json::object({{"id", vertex.vertex.id}, {"user-accumulators", accumulator_list(all)}});
}

Json subtask_accumulators(const JobModel&, const VertexModel& vertex) {
  Json subtasks = Json::array();
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
    const AttemptModel& a = vertex.subtasks[i].back();
    subtasks.push(Json::object({{"subtask", static_cast<std::int64_t>(i)}, {"attempt", a.number}, {"endpoint", endpoint_of(a)},
                                {"host", host_of(a)}, {"user-accumulators", accumulator_list(a.accumulators)}}));
  }
  return Json::object({{"id", vertex.vertex.id}, {"parallelism", vertex.vertex.parallelism}, {"subtasks", std::move(subtasks)}});
}

std::string level(double ratio) { return ratio <= 0.10 ? "ok" : ratio <= 0.50 ? "low" : "high"; }

// Ratios over the life of the attempt.
Json back_pressure(const JobModel& job, const VertexModel& vertex) {
  if (job.is_terminal()) return Json::object({{"status", "deprecated"}});
  Json subtasks = Json::array();
  double worst = 0;
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
    const AttemptModel& a = vertex.subtasks[i].back();
    const auto busy = static_cast<double>(a.metric("accumulateBusyTimeMs"));
    const auto idle = static_cast<double>(a.metric("accumulateIdleTimeMs"));
    const auto pressed = static_cast<double>(a.metric("accumulateBackPressuredTimeMs"));
    const double total = busy + idle + pressed;
    if (total == 0) return Json::object({{"status", "deprecated"}});
    worst = std::max(worst, pressed / total);
    subtasks.push(Json::object({{"subtask", static_cast<std::int64_t>(i)}, {"backpressureLevel", level(pressed / total)},
                                {"ratio", pressed / total}, {"idleRatio", idle / total}, {"busyRatio", busy / total},
                                {"backpressure-level", level(pressed / total)}}));
  }
  return Json::object({{"status", "ok"}, {"backpressureLevel", level(worst)}, {"end-timestamp", now_ms()},
                       {"subtasks", std::move(subtasks)}, {"backpressure-level", level(worst)}});
}

Endpoint view(std::string_view path, std::string_view summary, Json (*derive)(const JobModel&, const VertexModel&), bool details_text = false) {
  return {"GET", path, summary, Endpoint::Access::kRead, false, "",
          [derive, details_text](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
            with_vertex(call, gateway, refuse, details_text,
                        [derive, answer](const JobModel& job, const VertexModel& vertex) { answer({200, derive(job, vertex)}); });
          }};
}

// The attempt of the path; without a number the current one.
void with_attempt(const Call& call, gateway::ClusterGateway& gateway, const Refuse& refuse,
                  std::function<void(const JobModel&, const VertexModel&, std::int64_t, const AttemptModel&)> use) {
  if (!path_id<JobId>(call, "jobid", refuse) || !path_id<VertexId>(call, "vertexid", refuse)) return;
  const auto index = path_number(call, "subtaskindex", refuse);
  if (!index) return;
  if (*index < 0) {
    return refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve path parameter "
                                                            "(subtaskindex) from value \"{}\".",
                                                            *index))});
  }
  std::optional<std::int64_t> number;
  if (call.path.contains("attempt")) {
    number = path_number(call, "attempt", refuse);
    if (!number) return;
  }
  with_vertex(call, gateway, refuse, false, [=](const JobModel& job, const VertexModel& vertex) {
    if (*index >= static_cast<std::int64_t>(vertex.subtasks.size())) {
      return refuse({fail(Code::kNotFound, fmt::format("Invalid subtask index for vertex {}", vertex.vertex.id.to_string()))});
    }
    const auto& attempts = vertex.subtasks[static_cast<std::size_t>(*index)];
    if (!number) return use(job, vertex, *index, attempts.back());
    for (const AttemptModel& attempt : attempts) {
      if (attempt.number == *number) return use(job, vertex, *index, attempt);
    }
    refuse({fail(Code::kNotFound, fmt::format("Invalid attempt num {}", *number))});
  });
}

void answer_attempt(const Call& call, gateway::ClusterGateway& gateway, const Answer& answer, const Refuse& refuse) {
  with_attempt(call, gateway, refuse, [answer](const JobModel&, const VertexModel&, std::int64_t index, const AttemptModel& attempt) {
    answer({200, subtask(index, attempt)});
  });
}

void answer_attempt_accumulators(const Call& call, gateway::ClusterGateway& gateway, const Answer& answer, const Refuse& refuse) {
  with_attempt(call, gateway, refuse, [answer](const JobModel& job, const VertexModel& vertex, std::int64_t index, const AttemptModel& attempt) {
    answer({200, Json::object({{"subtask", index}, {"attempt", attempt.number},
                               {"id", fmt::format("{}_{}_{}_{}", job.id.to_string(), vertex.vertex.id.to_string(), index, attempt.number)},
                               {"user-accumulators", accumulator_list(attempt.accumulators)}})});
  });
}

}  // namespace

std::vector<Endpoint> vertex_endpoints() {
  return {
      view("/jobs/:jobid/vertices/:vertexid", "A vertex with its subtasks.", vertex_details, true),
      view("/jobs/:jobid/vertices/:vertexid/accumulators", "Accumulators of a vertex.", vertex_accumulators),
      view("/jobs/:jobid/vertices/:vertexid/backpressure", "Back-pressure of a vertex.", back_pressure),
      view("/jobs/:jobid/vertices/:vertexid/subtasks/accumulators", "Accumulators of each subtask.", subtask_accumulators),
      view("/jobs/:jobid/vertices/:vertexid/subtasktimes", "When each subtask entered its states.", subtask_times),
      view("/jobs/:jobid/vertices/:vertexid/taskmanagers", "A vertex by TaskManager.", task_managers, true),
      view("/jobs/:jobid/vertices/:vertexid/watermarks", "Input watermark of each subtask.", watermarks),
      {"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex", "The current attempt of a subtask.", Endpoint::Access::kRead, false,
       "", answer_attempt},
      {"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt", "One attempt of a subtask.",
       Endpoint::Access::kRead, false, "", answer_attempt},
      {"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt/accumulators", "Accumulators of an attempt.",
       Endpoint::Access::kRead, false, "", answer_attempt_accumulators},
  };
}

}  // namespace drey::rest
