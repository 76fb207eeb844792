#include "rest/messages/vertices.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "rest/client_endpoints.h"
#include "rest/job_views.h"
#include "rest/messages/metrics.h"
#include "rest/vertex_path.h"
#include "wire/binary/codec.h"

namespace drey::rest {
namespace {

using gateway::AttemptModel;
using gateway::JobModel;
using gateway::VertexModel;

using gateway::ClusterGateway;
using Attempts = std::vector<const AttemptModel*>;

// How a vertex that is not there is told: two families of calls, two texts.
enum class Missing { kVertexNotFound, kNoVertexWithId };

template <typename T>
void with_vertex(JobId job, VertexId id, ClusterGateway& cluster, const Reply<T>& reply, Missing missing,
                 std::function<void(const JobModel&, const VertexModel&)> use) {
  with_job(job, cluster, reply, [id, reply, missing, use = std::move(use)](const JobModel& model) {
    for (const VertexModel& vertex : model.vertices) {
      if (vertex.vertex.id == id) return use(model, vertex);
    }
    if (missing == Missing::kVertexNotFound) {
      return reply.refuse(fail(Code::kNotFound, fmt::format("JobVertex {} not found", id.to_string())),
                          ErrorForm::kNotFoundClass);
    }
    reply.refuse(fail(Code::kNotFound, fmt::format("No vertex with ID '{}' exists.", id.to_string())));
  });
}

constexpr const char* kTimedStates[] = {"CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING"};

// How long an attempt was in a state; -1: never.
Map<std::int64_t> status_durations(const AttemptModel& a) {
  Map<std::int64_t> out;
  for (const char* state : kTimedStates) {
    const std::int64_t entered = a.time_of(state);
    if (entered == 0) {
      out.emplace_back(state, -1);
      continue;
    }
    // Until the next state that was entered, or now.
    std::int64_t left = 0;
    for (const auto& [name, at] : a.entered) {
      if (at >= entered && name != state && (left == 0 || at < left)) left = at;
    }
    if (a.state == state) left = now_ms();
    out.emplace_back(state, left == 0 ? 0 : left - entered);
  }
  return out;
}

SubtaskAttempt attempt_of(std::int64_t index, const AttemptModel& a) {
  SubtaskAttempt out;
  out.subtask = index;
  out.status = a.state;
  out.attempt = a.number;
  out.host = host_of(a);
  out.endpoint = endpoint_of(a);
  out.start_time = out.start_time_twin = attempt_start(a);
  out.end_time = attempt_end(a);
  out.duration = out.start_time < 0 ? -1 : (out.end_time >= 0 ? out.end_time : now_ms()) - out.start_time;
  out.metrics = io_metrics({&a});
  out.taskmanager_id = task_manager_of(a);
  out.status_duration = status_durations(a);
  return out;
}

AggregatedTaskDetails aggregated_of(const Attempts& attempts) {
  using metrics::TaskTotals;
  static constexpr std::pair<const char*, std::int64_t TaskTotals::*> kMetrics[] = {
      {"read-bytes", &TaskTotals::bytes_in},
      {"write-bytes", &TaskTotals::bytes_out},
      {"read-records", &TaskTotals::records_in},
      {"write-records", &TaskTotals::records_out},
      {"accumulated-backpressured-time", &TaskTotals::back_pressured_ms},
      {"accumulated-busy-time", &TaskTotals::busy_ms},
      {"accumulated-idle-time", &TaskTotals::idle_ms}};
  AggregatedTaskDetails out;
  for (const auto& [name, metric] : kMetrics) {
    std::vector<std::int64_t> values;
    for (const auto* a : attempts) values.push_back(a->totals.*metric);
    out.metrics.emplace_back(name, aggregated(std::move(values)));
  }
  for (std::size_t i = 0; i < std::size(kTimedStates); ++i) {
    std::vector<std::int64_t> values;
    for (const auto* a : attempts) values.push_back(status_durations(*a)[i].second);
    out.status_duration.emplace_back(kTimedStates[i], aggregated(std::move(values)));
  }
  return out;
}

JobVertexDetails details_of(const JobModel&, const VertexModel& vertex) {
  JobVertexDetails out;
  out.id = vertex.vertex.id;
  out.name = vertex.vertex.name;
  out.parallelism = vertex.vertex.parallelism;
  out.max_parallelism = vertex.vertex.max_parallelism;
  out.now = now_ms();
  Attempts current;
  for (const auto& attempts : vertex.subtasks) {
    current.push_back(&attempts.back());
    out.subtasks.push_back(attempt_of(static_cast<std::int64_t>(out.subtasks.size()), attempts.back()));
  }
  out.aggregated = aggregated_of(current);
  return out;
}

SubtaskTimes times_of(const JobModel&, const VertexModel& vertex) {
  SubtaskTimes out{vertex.vertex.id.to_string(), vertex.vertex.name, now_ms(), {}};
  for (const auto& attempts : vertex.subtasks) {
    const AttemptModel& a = attempts.back();
    const std::int64_t scheduled = a.time_of("SCHEDULED");
    const std::int64_t end = attempt_end(a);
    SubtaskTime time;
    time.subtask = static_cast<std::int64_t>(out.subtasks.size());
    time.host = host_of(a);
    time.endpoint = endpoint_of(a);
    time.duration = scheduled == 0 ? -1 : (end >= 0 ? end : out.now) - scheduled;
    for (const EnumText& state : kTaskStates) time.timestamps.emplace_back(state.text, a.time_of(state.text));
    out.subtasks.push_back(std::move(time));
  }
  return out;
}

VertexTaskManagers task_managers_of(const JobModel&, const VertexModel& vertex) {
  std::map<std::string, Attempts> by;
  for (const auto& s : vertex.subtasks) by[task_manager_of(s.back())].push_back(&s.back());
  VertexTaskManagers out{vertex.vertex.id, vertex.vertex.name, now_ms(), {}};
  for (const auto& [id, attempts] : by) {
    VertexModel part;
    std::vector<std::string> states;
    std::int64_t start = -1;
    std::int64_t end = 0;
    bool ended = true;
    for (const auto* a : attempts) {
      part.subtasks.push_back({*a});
      states.push_back(a->state);
      const std::int64_t began = attempt_start(*a);
      if (began >= 0) start = start < 0 ? began : std::min(start, began);
      ended = ended && attempt_end(*a) >= 0;
      end = std::max(end, attempt_end(*a));
    }
    VertexTaskManager row;
    row.host = row.endpoint = endpoint_of(*attempts[0]);
    row.status = vertex_state(part);
    row.start_time = start;
    row.end_time = ended ? end : -1;
    row.duration = start < 0 ? -1 : (ended ? end : out.now) - start;
    row.metrics = io_metrics(attempts);
    row.status_counts = state_counts(states);
    row.taskmanager_id = id;
    row.aggregated = aggregated_of(attempts);
    out.taskmanagers.push_back(std::move(row));
  }
  return out;
}

std::vector<MetricEntry> watermarks_of(const JobModel& job, const VertexModel& vertex) {
  std::vector<MetricEntry> list;
  if (job.is_terminal()) return list;
  for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
    if (const auto mark = vertex.subtasks[i].back().metrics.find("currentInputWatermark"))
      list.push_back({fmt::format("{}.currentInputWatermark", i), metrics::text_of(*mark)});
  }
  return list;
}

std::vector<UserAccumulator> accumulator_list(const std::vector<gateway::AccumulatorModel>& accumulators) {
  std::vector<UserAccumulator> list;
  for (const auto& a : accumulators) list.push_back({a.name, a.type, a.value});
  return list;
}

VertexAccumulators accumulators_of(const JobModel&, const VertexModel& vertex) {
  VertexAccumulators out{vertex.vertex.id.to_string(), {}};
  for (const auto& s : vertex.subtasks) {
    for (auto& a : accumulator_list(s.back().accumulators)) out.user_accumulators.push_back(std::move(a));
  }
  return out;
}

AllSubtaskAccumulators subtask_accumulators_of(const JobModel&, const VertexModel& vertex) {
  AllSubtaskAccumulators out{vertex.vertex.id, vertex.vertex.parallelism, {}};
  for (const auto& attempts : vertex.subtasks) {
    const AttemptModel& a = attempts.back();
    out.subtasks.push_back({static_cast<std::int64_t>(out.subtasks.size()), a.number, host_of(a), endpoint_of(a),
                            accumulator_list(a.accumulators)});
  }
  return out;
}

const char* level(double ratio) { return ratio <= 0.10 ? "ok" : ratio <= 0.50 ? "low" : "high"; }

// Ratios over the last seconds.
VertexBackPressure back_pressure_of(const JobModel& job, const VertexModel& vertex) {
  VertexBackPressure nothing;
  nothing.status = "deprecated";
  if (job.is_terminal()) return nothing;
  std::vector<SubtaskBackPressure> subtasks;
  double worst = 0;
  for (const auto& attempts : vertex.subtasks) {
    const AttemptModel& a = attempts.back();
    const auto ratio = [&](std::string_view metric) {
      const auto value = a.metrics.find(metric);
      return std::min(value ? metrics::number_of(*value).value_or(0) / 1000 : 0.0, 1.0);
    };
    if (a.metrics.empty()) return nothing;
    SubtaskBackPressure row;
    row.subtask = static_cast<std::int64_t>(subtasks.size());
    row.ratio = ratio("backPressuredTimeMsPerSecond");
    row.idle_ratio = ratio("idleTimeMsPerSecond");
    row.busy_ratio = ratio("busyTimeMsPerSecond");
    row.backpressure_level = row.backpressure_level_twin = level(row.ratio);
    worst = std::max(worst, row.ratio);
    subtasks.push_back(std::move(row));
  }
  VertexBackPressure out;
  out.status = "ok";
  out.backpressure_level = out.backpressure_level_twin = level(worst);
  out.end_timestamp = now_ms();
  out.subtasks = std::move(subtasks);
  return out;
}

// --- operations ---

// An answer derived from the vertex alone.
template <typename T, T (*kDerive)(const JobModel&, const VertexModel&), Missing kMissing = Missing::kNoVertexWithId>
struct VertexView {
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = VertexPath;
  using Response = T;
  static void handle(const Call<VertexPath>& call, ClusterGateway& cluster, const Reply<T>& reply) {
    with_vertex(call.path.jobid, call.path.vertexid, cluster, reply, kMissing,
                [reply](const JobModel& job, const VertexModel& vertex) { reply(kDerive(job, vertex)); });
  }
};
struct GetVertex : VertexView<JobVertexDetails, details_of, Missing::kVertexNotFound> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid", 200, "A vertex with its subtasks."};
};
struct GetVertexAccumulators : VertexView<VertexAccumulators, accumulators_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/accumulators", 200,
                                "Accumulators of a vertex."};
};
// What is not there has no back-pressure, and that is an answer.
struct GetBackPressure {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/backpressure", 200,
                                "Back-pressure of a vertex."};
  static constexpr Access kAccess = Access::kView;
  using Path = VertexPath;
  using Response = VertexBackPressure;
  static void handle(const Call<VertexPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.job(call.path.jobid).then([reply, id = call.path.vertexid](Result<gateway::JobModelRef> job) {
      if (job.ok()) {
        for (const VertexModel& vertex : (*job)->vertices) {
          if (vertex.vertex.id == id) return reply(back_pressure_of(**job, vertex));
        }
      }
      Response nothing;
      nothing.status = "deprecated";
      reply(nothing);
    });
  }
};
struct GetAllSubtaskAccumulators : VertexView<AllSubtaskAccumulators, subtask_accumulators_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/accumulators", 200,
                                "Accumulators of each subtask."};
};
struct GetSubtaskTimes : VertexView<SubtaskTimes, times_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasktimes", 200,
                                "When each subtask entered its states."};
};
struct GetVertexTaskManagers : VertexView<VertexTaskManagers, task_managers_of, Missing::kVertexNotFound> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/taskmanagers", 200, "A vertex by TaskManager."};
};
struct GetWatermarks : VertexView<std::vector<MetricEntry>, watermarks_of> {
  static constexpr Route kRoute = endpoints::GetWatermarks::kRoute;
};

// The attempt of that number; without one the current one.
template <typename T>
void with_attempt(const SubtaskPath& path, std::optional<std::int64_t> number, ClusterGateway& cluster,
                  const Reply<T>& reply, std::function<void(std::int64_t, const AttemptModel&)> use) {
  with_vertex(path.jobid, path.vertexid, cluster, reply, Missing::kNoVertexWithId,
              [=, index = path.subtaskindex.value](const JobModel&, const VertexModel& vertex) {
                if (index >= static_cast<std::int64_t>(vertex.subtasks.size())) {
                  return reply.refuse(fail(Code::kNotFound, fmt::format("Invalid subtask index for vertex {}",
                                                                        vertex.vertex.id.to_string())));
                }
                const auto& attempts = vertex.subtasks[static_cast<std::size_t>(index)];
                if (!number) return use(index, attempts.back());
                for (const AttemptModel& attempt : attempts) {
                  if (attempt.number == *number) return use(index, attempt);
                }
                reply.refuse(fail(Code::kNotFound, fmt::format("Invalid attempt num {}", *number)));
              });
}

struct GetSubtask {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex", 200,
                                "The current attempt of a subtask."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = SubtaskPath;
  using Response = SubtaskAttempt;
  static void handle(const Call<SubtaskPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_attempt(call.path, std::nullopt, cluster, reply,
                 [reply](std::int64_t index, const AttemptModel& attempt) { reply(attempt_of(index, attempt)); });
  }
};

struct GetAttempt {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt", 200,
                                "One attempt of a subtask."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = AttemptPath;
  using Response = SubtaskAttempt;
  static void handle(const Call<AttemptPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const AttemptPath& p = call.path;
    with_attempt({p.jobid, p.vertexid, p.subtaskindex}, p.attempt, cluster, reply,
                 [reply](std::int64_t index, const AttemptModel& attempt) { reply(attempt_of(index, attempt)); });
  }
};

struct GetAttemptAccumulators {
  static constexpr Route kRoute{"GET",
                                "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt/accumulators",
                                200, "Accumulators of an attempt."};
  static constexpr Access kAccess = Access::kView;
  using Path = AttemptPath;
  using Response = AttemptAccumulators;
  static void handle(const Call<AttemptPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const AttemptPath& p = call.path;
    with_attempt({p.jobid, p.vertexid, p.subtaskindex}, p.attempt, cluster, reply,
                 [reply, p](std::int64_t index, const AttemptModel& a) {
                   reply({index, a.number,
                          fmt::format("{}_{}_{}_{}", p.jobid.to_string(), p.vertexid.to_string(), index, a.number),
                          accumulator_list(a.accumulators)});
                 });
  }
};

// --- flame graphs ---

FlameNode& child_named(FlameNode& parent, const std::string& name) {
  for (FlameNode& child : parent.children) {
    if (child.name == name) return child;
  }
  return parent.children.emplace_back(FlameNode{name, 0, {}});
}

// Collects what every TaskManager of the vertex saw, then answers once.
struct FlameGraphParts {
  std::int64_t end = -1;
  FlameNode root{"root", 0, {}};
  std::size_t waiting = 0;
  std::mutex mutex;  // answers come on several threads
};

struct GetFlameGraph {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/flamegraph", 200,
                                "Where a vertex spends its time, from stack samples."};
  static constexpr Access kAccess = Access::kView;
  using Path = VertexPath;
  struct Query {
    OneOf<kFlameGraphTypes> type{"FULL"};
    std::optional<Index> subtask;
    static constexpr auto fields() {
      return Fields{field("type", &Query::type, "FULL, ON_CPU or OFF_CPU.").in(kV2),
                    field("subtaskindex", &Query::subtask, "Only this subtask.").in(kV2)};
    }
  };
  using Response = VertexFlameGraph;

  static void handle(const Call<VertexPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_vertex(call.path.jobid, call.path.vertexid, cluster, reply, Missing::kNoVertexWithId,
                [reply, &cluster, query = call.query](const JobModel& job, const VertexModel& vertex) {
                  answer(job, vertex, query, cluster, reply);
                });
  }

 private:
  static constexpr std::int64_t kTerminated = -1;
  static constexpr std::int64_t kWaiting = -3;

  static void answer(const JobModel& job, const VertexModel& vertex, const Query& query, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    const auto count = static_cast<std::int64_t>(vertex.subtasks.size());
    if (query.subtask && query.subtask->value >= count) {
      return reply.refuse(
          fail(Code::kNotFound, fmt::format("Invalid subtask index for vertex {}", vertex.vertex.id.to_string())));
    }
    std::set<std::string> processes;
    for (std::int64_t i = 0; i < count; ++i) {
      const AttemptModel& attempt = vertex.subtasks[static_cast<std::size_t>(i)].back();
      if (query.subtask && query.subtask->value != i) continue;
      if (attempt_end(attempt) < 0 && !attempt.task_manager.empty()) processes.insert(attempt.task_manager);
    }
    if (processes.empty()) {
      const std::string state = vertex_state(vertex);
      const bool ended = gateway::is_terminal(state);
      return reply({ended ? kTerminated : kWaiting, std::nullopt});
    }
    auto parts = std::make_shared<FlameGraphParts>();
    parts->waiting = processes.size();
    for (const std::string& id : processes) {
      const gateway::Inspection question{
          .what = gateway::Inspection::What::kStacks, .job = job.id, .vertex = &vertex - job.vertices.data()};
      cluster.inspect(id, question).then([parts, query, reply](Result<std::string> bytes) {
        auto samples =
            bytes.ok() ? wire::decode<gateway::StackSamples>(*bytes) : Result<gateway::StackSamples>(bytes.status());
        std::unique_lock lock(parts->mutex);
        // A TaskManager that is gone has nothing to tell; the others have.
        if (samples.ok()) merge(*samples, query, *parts);
        if (--parts->waiting > 0) return;
        lock.unlock();
        if (parts->end < 0) return reply({kWaiting, std::nullopt});
        reply({parts->end, std::move(parts->root)});
      });
    }
  }

  static void merge(const gateway::StackSamples& samples, const Query& query, FlameGraphParts& parts) {
    parts.end = std::max(parts.end, samples.end);
    for (const gateway::StackCount& stack : samples.stacks) {
      if (query.subtask && query.subtask->value != stack.subtask) continue;
      if (query.type == "ON_CPU" && !stack.on_cpu) continue;
      if (query.type == "OFF_CPU" && stack.on_cpu) continue;
      FlameNode* node = &parts.root;
      node->value += stack.count;
      for (const std::string& frame : stack.frames) {
        node = &child_named(*node, frame);
        node->value += stack.count;
      }
    }
  }
};

}  // namespace

std::vector<Endpoint> vertex_endpoints() {
  return endpoint_list<GetVertex, GetVertexAccumulators, GetBackPressure, GetAllSubtaskAccumulators, GetSubtaskTimes,
                       GetVertexTaskManagers, GetWatermarks, GetSubtask, GetAttempt, GetAttemptAccumulators,
                       GetFlameGraph>();
}

}  // namespace drey::rest
