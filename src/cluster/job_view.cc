#include "cluster/job_view.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::cluster {
namespace {

using control::JobState;

bool is_known(std::int32_t code) { return code > 0 && code <= static_cast<std::int32_t>(Code::kInternal); }

std::string class_of(const control::FailureReport& failure) {
  if (!failure.origin.empty()) return failure.origin;
  return fmt::format("drey.{}", is_known(failure.code) ? row_of(static_cast<Code>(failure.code)).name : "internal");
}

gateway::AccumulatorModel accumulator_model(const control::AccumulatorReport& report) {
  static constexpr const char* kTypes[] = {"LongCounter", "DoubleCounter", "LongMaximum", "LongMinimum"};
  const int kind = std::clamp(report.kind, 0, 3);
  return {report.name, kTypes[kind], kind == 1 ? fmt::format("{}", report.real) : fmt::format("{}", report.whole)};
}

// "--key value", "--key=value" and "--flag" of a program's arguments, as Flink's user configuration shows them.
std::map<std::string, std::string> shown_arguments(const std::vector<std::string>& arguments) {
  std::map<std::string, std::string> shown;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) continue;
    if (const auto equals = argument.find('='); equals != std::string::npos) {
      shown[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
      continue;
    }
    const bool has_value = i + 1 < arguments.size() && !arguments[i + 1].starts_with("--");
    shown[argument.substr(2)] = has_value ? arguments[i + 1] : "";
  }
  return shown;
}

}  // namespace

gateway::ExceptionModel exception_model(const control::ExceptionEntry& entry) {
  gateway::ExceptionModel model;
  model.name = class_of(entry.failure);
  model.stacktrace = fmt::format("{}: {}\n{}", model.name, entry.failure.message, entry.failure.stack);
  model.time = entry.time;
  model.task_name = entry.task_name;
  model.endpoint = entry.endpoint;
  model.task_manager = entry.task_manager;
  // Whom it concerns: filters tell the caller's own mistakes from what a machine or Drey did.
  const CodeRow& row = row_of(is_known(entry.failure.code) ? static_cast<Code>(entry.failure.code) : Code::kInternal);
  static constexpr const char* kBlames[] = {"nobody", "caller", "external", "engine"};
  model.labels = {{"code", std::string(row.name)}, {"blame", kBlames[static_cast<std::size_t>(row.blame)]}};
  for (const auto& other : entry.concurrent) model.concurrent.push_back(exception_model(other));
  return model;
}

gateway::CheckpointModel checkpoint_model(const control::Checkpoint& c) {
  gateway::CheckpointModel model;
  model.id = c.id;
  model.status = to_text(c.status);
  if (control::is_savepoint(c.form)) {
    model.type = c.after == control::AfterSnapshot::kGoOn ? "SAVEPOINT" : "SYNC_SAVEPOINT";
    model.savepoint_format = to_text(c.form);
  }
  model.trigger_time = c.trigger_time;
  model.latest_ack_time = c.latest_ack_time;
  model.failure_time = c.failure_time;
  model.failure_message = c.failure_message;
  model.path = c.path;
  model.discarded = c.discarded;
  for (const control::TaskCheckpoint& t : c.tasks) {
    model.tasks.push_back({t.vertex, t.subtask, t.acknowledged, t.ack_time,
                           static_cast<std::int64_t>(t.ack.written_bytes), static_cast<std::int64_t>(t.ack.state_bytes),
                           t.ack.start_delay_ms, t.ack.alignment_ms, static_cast<std::int64_t>(t.ack.processed_bytes),
                           t.ack.sync_ms, t.ack.async_ms});
  }
  return model;
}

void JobView::on_report(const control::TaskReport& report) {
  Measured& measured = reports_[{report.task.vertex, report.task.subtask, report.task.attempt}];
  if (!report.names.empty()) {
    // Subtasks of a vertex have the same ones: they share them.
    metrics::NamesRef& known = names_[report.task.vertex];
    if (known == nullptr || *known != report.names) known = std::make_shared<const metrics::Names>(report.names);
    measured.names = known;
  }
  measured.metrics = {measured.names, report.values};
  measured.totals = report.totals;
  measured.accumulators.clear();
  for (const auto& accumulator : report.accumulators) measured.accumulators.push_back(accumulator_model(accumulator));
}

void JobView::on_deployed(std::uint32_t vertex, std::uint32_t subtask) {
  reports_.erase(reports_.lower_bound({vertex, subtask, 0}), reports_.upper_bound({vertex, subtask, UINT32_MAX}));
}

void JobView::on_completed(const control::Checkpoint& checkpoint, std::int64_t metadata_bytes) {
  std::int64_t last_ack = checkpoint.trigger_time;
  for (const control::TaskCheckpoint& task : checkpoint.tasks) last_ack = std::max(last_ack, task.ack_time);
  statistics_.written_bytes.add(static_cast<std::int64_t>(checkpoint.written_bytes()));
  statistics_.state_bytes.add(static_cast<std::int64_t>(checkpoint.state_bytes()));
  statistics_.processed_bytes.add(static_cast<std::int64_t>(checkpoint.processed_bytes()));
  statistics_.metadata_bytes = metadata_bytes;
  statistics_.duration.add(last_ack - checkpoint.trigger_time);
}

void JobView::on_restored(const control::Checkpoint* checkpoint, Instant now) {
  statistics_.restored_id = -1;
  if (checkpoint == nullptr) return;
  statistics_.restored_id = checkpoint->id;
  statistics_.restored_time = now.millis;
  statistics_.restored_path = checkpoint->path;
  statistics_.restored_savepoint = control::is_savepoint(checkpoint->form);
}

std::vector<gateway::VertexModel> JobView::vertices(const control::ExecutionGraph& graph) const {
  std::vector<gateway::VertexModel> vertices;
  for (std::uint32_t v = 0; v < graph.plan().vertices.size(); ++v) {
    gateway::VertexModel vertex;
    vertex.vertex = graph.plan().vertices[v];
    for (std::uint32_t s = 0; s < graph.executions()[v].size(); ++s) {
      vertex.subtasks.emplace_back();
      for (const control::Attempt& attempt : graph.executions()[v][s].attempts) {
        gateway::AttemptModel a;
        a.number = attempt.number;
        a.state = to_text(attempt.state);
        for (const auto& row : enum_table(control::AttemptState{}))
          a.entered.emplace_back(row.text, attempt.entered[static_cast<std::size_t>(row.value)]);
        a.task_manager = attempt.task_manager;
        a.host = attempt.host;
        a.data_port = attempt.data_port;
        if (const auto found = reports_.find({v, s, attempt.number}); found != reports_.end()) {
          a.metrics = found->second.metrics;
          a.is_measured = true;
          a.totals = found->second.totals;
          a.accumulators = found->second.accumulators;
        }
        vertex.subtasks.back().push_back(std::move(a));
      }
    }
    vertices.push_back(std::move(vertex));
  }
  return vertices;
}

gateway::CheckpointsModel JobView::checkpoints(const control::CheckpointCoordinator& coordinator) const {
  const control::CheckpointOptions& options = coordinator.options();
  gateway::CheckpointsModel c = statistics_;
  c.exactly_once = options.exactly_once();
  c.interval = options.interval.count();
  c.timeout = options.timeout.count();
  c.min_pause = options.min_pause.count();
  c.tolerable_failures = options.tolerable_failures;
  c.keep_on_cancellation = options.keep_on_cancellation();
  c.completed = coordinator.completed_count();
  c.failed = coordinator.failed_count();
  c.restored = coordinator.restored_count();
  if (coordinator.pending()) c.history.push_back(checkpoint_model(*coordinator.pending()));
  for (const control::Checkpoint& checkpoint : coordinator.history()) c.history.push_back(checkpoint_model(checkpoint));
  return c;
}

gateway::JobModelRef JobView::model(Parts parts) const {
  const control::ExecutionGraph& graph = parts.graph;
  auto model = std::make_shared<gateway::JobModel>();
  model->id = parts.job.id;
  model->name = parts.job.graph.name;
  model->state = to_text(graph.state());
  for (const auto& row : enum_table(JobState{}))
    model->entered.emplace_back(row.text, graph.entered()[static_cast<std::size_t>(row.value)]);
  // A resumed job began when it was submitted, not when this JobManager did.
  model->entered[0].second = parts.job.submitted;
  model->vertices = vertices(graph);
  for (const graph::VertexEdge& edge : graph.plan().edges) {
    model->edges.push_back({edge.from, edge.to, std::string(to_text(parts.job.graph.edges[edge.edge].partitioner))});
  }
  model->settings = parts.job.graph.settings;
  model->arguments = shown_arguments(parts.job.graph.arguments);
  model->restart_strategy = parts.restart_strategy;
  for (const graph::Vertex& vertex : graph.plan().vertices)
    model->parallelism = std::max(model->parallelism, vertex.parallelism);
  for (const control::ExceptionEntry& entry : graph.exceptions()) model->exceptions.push_back(exception_model(entry));
  if (graph.state() == JobState::kFailed) {
    control::ExceptionEntry entry;
    entry.failure = graph.failure();
    entry.time = graph.entered()[static_cast<std::size_t>(JobState::kFailing)];
    model->failure = exception_model(entry);
  }
  model->checkpoints = checkpoints(parts.coordinator);
  model->restarts = graph.restarts();
  model->rescales = parts.job.rescales;
  model->cluster_configuration = std::move(parts.cluster);
  model->cluster_version = std::move(parts.cluster_version);
  return model;
}

}  // namespace drey::cluster
