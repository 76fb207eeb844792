#include "rest/job_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "env/env.h"
#include "rest/java_throwable.h"

namespace drey::rest {
namespace {

// HTML4-escaped, newline -> <br/>, backslash -> entity (rest.md 4.1).
std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "<br/>";
        break;
      case '\\':
        out += "&#92;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::int64_t percentile(const std::vector<std::int64_t>& sorted, double p) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(at, sorted.size() - 1)];
}

}  // namespace

std::int64_t now_ms() { return env::posix().clock.wall().millis; }

std::string vertex_state(const gateway::VertexModel& vertex) {
  const auto any = [&](std::string_view state) {
    return std::any_of(vertex.subtasks.begin(), vertex.subtasks.end(),
                       [&](const auto& s) { return s.back().state == state; });
  };
  const auto all = [&](std::string_view state) {
    return std::all_of(vertex.subtasks.begin(), vertex.subtasks.end(),
                       [&](const auto& s) { return s.back().state == state; });
  };
  for (const char* state : {"FAILED", "CANCELING", "CANCELED", "INITIALIZING", "RUNNING"}) {
    if (any(state)) return state;
  }
  if (any("FINISHED")) return all("FINISHED") ? "FINISHED" : "RUNNING";
  return "CREATED";
}

JobPlan plan_of(const gateway::JobModel& job, Dialect dialect) {
  JobPlan plan{job.id, job.name, "STREAMING", {}};
  for (std::size_t i = job.vertices.size(); i-- > 0;) {  // sinks first
    const graph::Vertex& vertex = job.vertices[i].vertex;
    PlanNode node;
    node.id = vertex.id;
    node.parallelism = vertex.parallelism;
    node.description = escape(dialect == Dialect::kFull ? vertex.description : vertex.name);
    std::vector<PlanInput> inputs;
    for (const gateway::EdgeModel& edge : job.edges) {
      if (edge.to != i) continue;
      inputs.push_back({job.vertices[edge.from].vertex.id, static_cast<std::int64_t>(inputs.size()),
                        "pipelined_bounded", edge.ship_strategy});
    }
    if (!inputs.empty()) node.inputs = std::move(inputs);
    plan.nodes.push_back(std::move(node));
  }
  return plan;
}

IoMetrics io_metrics(const std::vector<const gateway::AttemptModel*>& attempts) {
  using metrics::TaskTotals;
  const auto sum = [&](std::int64_t TaskTotals::*which) {
    std::int64_t total = 0;
    for (const auto* attempt : attempts) total += attempt->totals.*which;
    return total;
  };
  const bool complete = std::all_of(attempts.begin(), attempts.end(), [](const auto* a) { return a->is_measured; });
  IoMetrics io;
  io.read_bytes = sum(&TaskTotals::bytes_in);
  io.write_bytes = sum(&TaskTotals::bytes_out);
  io.read_records = sum(&TaskTotals::records_in);
  io.write_records = sum(&TaskTotals::records_out);
  io.read_bytes_complete = io.write_bytes_complete = io.read_records_complete = io.write_records_complete = complete;
  io.accumulated_backpressured_time = sum(&TaskTotals::back_pressured_ms);
  io.accumulated_idle_time = sum(&TaskTotals::idle_ms);
  io.accumulated_busy_time = static_cast<double>(sum(&TaskTotals::busy_ms));
  return io;
}

std::int64_t attempt_start(const gateway::AttemptModel& attempt) {
  const std::int64_t at = attempt.time_of("DEPLOYING");
  return at > 0 ? at : -1;
}

std::int64_t attempt_end(const gateway::AttemptModel& attempt) {
  return gateway::is_terminal(attempt.state) ? attempt.time_of(attempt.state) : -1;
}

StatsSummary statistic_of(const gateway::StatisticModel& model) {
  std::vector<std::int64_t> sorted = model.recent;
  std::sort(sorted.begin(), sorted.end());
  const auto percentile = [&](double p) {
    if (sorted.empty()) return std::nan("");
    // Between the two values around the place p(n + 1), the first and the last beyond.
    const double place = p * static_cast<double>(sorted.size() + 1);
    if (place < 1) return static_cast<double>(sorted.front());
    if (place >= static_cast<double>(sorted.size())) return static_cast<double>(sorted.back());
    const auto low = static_cast<std::size_t>(place);
    const auto below = static_cast<double>(sorted[low - 1]);
    return below + (place - static_cast<double>(low)) * (static_cast<double>(sorted[low]) - below);
  };
  StatsSummary out;
  out.min = model.min;
  out.max = model.max;
  out.avg = model.count == 0 ? 0 : model.sum / model.count;
  out.p50 = percentile(0.5);
  out.p90 = percentile(0.9);
  out.p95 = percentile(0.95);
  out.p99 = percentile(0.99);
  out.p999 = percentile(0.999);
  return out;
}

VertexId slot_sharing_group_id(const gateway::JobModel& job, const std::string& group) {
  for (const auto& vertex : job.vertices) {
    if (vertex.vertex.slot_sharing_group == group) return vertex.vertex.id;
  }
  return {};
}

std::string endpoint_of(const gateway::AttemptModel& attempt) {
  return attempt.task_manager.empty() ? "(unassigned)" : fmt::format("{}:{}", attempt.host, attempt.data_port);
}
std::string host_of(const gateway::AttemptModel& attempt) {
  return attempt.task_manager.empty() ? "(unassigned)" : attempt.host;
}
std::string task_manager_of(const gateway::AttemptModel& attempt) {
  return attempt.task_manager.empty() ? "(unassigned)" : attempt.task_manager;
}

FailureCause failure_cause(std::string class_name, std::string message, std::string stack_trace) {
  if (stack_trace.empty()) stack_trace = fmt::format("{}: {}", class_name, message);
  FailureCause out;
  out.serialized_throwable = serialized_throwable({class_name, message, stack_trace});
  out.class_name = std::move(class_name);
  out.stack_trace = std::move(stack_trace);
  return out;
}

std::vector<ConfigurationEntry> configuration_of(gateway::ClusterGateway& cluster) {
  std::vector<ConfigurationEntry> list;
  for (const auto& entry : cluster.configuration()) list.push_back({entry.key, entry.value});
  return list;
}

EnvironmentInfo environment_of(gateway::ClusterGateway& cluster) {
  EnvironmentInfo out;
  out.jvm.version = cluster.facts().version;
#if defined(__x86_64__)
  out.jvm.arch = "amd64";
#else
  out.jvm.arch = "aarch64";
#endif
  for (const auto& entry : cluster.configuration())
    out.jvm.options.push_back(fmt::format("-D{}={}", entry.key, entry.value));
  return out;
}

std::int64_t job_start(const gateway::JobModel& job) { return job.time_of("INITIALIZING"); }
std::int64_t job_end(const gateway::JobModel& job) { return job.is_terminal() ? job.time_of(job.state) : -1; }

Map<std::int64_t> state_counts(const std::vector<std::string>& states) {
  Map<std::int64_t> counts;
  for (const EnumText& state : kTaskStates)
    counts.emplace_back(state.text, std::count(states.begin(), states.end(), state.text));
  return counts;
}

Map<std::int64_t> aggregated(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  const std::int64_t sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
  const auto count = static_cast<std::int64_t>(values.size());
  return {{"min", values.empty() ? 0 : values.front()},
          {"max", values.empty() ? 0 : values.back()},
          {"avg", count == 0 ? 0 : sum / count},
          {"sum", sum},
          {"median", percentile(values, 0.5)},
          {"p25", percentile(values, 0.25)},
          {"p75", percentile(values, 0.75)},
          {"p95", percentile(values, 0.95)}};
}

JobSummary summary_of(const gateway::JobOutline& job) {
  JobSummary out;
  out.jid = job.id;
  out.name = job.name;
  out.job_type = "STREAMING";
  out.scheduler_type = "Adaptive";
  out.start_time = job.start;
  out.end_time = job.end;
  out.duration = (job.is_terminal() ? job.end : now_ms()) - job.start;
  out.state = job.state;
  out.last_modification = job.modified;
  out.tasks = {{"total", 0}};
  for (const EnumText& state : kTaskStates) {
    std::string name(state.text);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    out.tasks.emplace_back(std::move(name), 0);
    for (const auto& [of, count] : job.tasks) {
      if (of != state.text) continue;
      out.tasks.back().second = count;
      out.tasks.front().second += count;
    }
  }
  return out;
}

}  // namespace drey::rest
