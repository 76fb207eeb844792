#include "rest/messages/checkpoints.h"

#include <fmt/format.h>

#include <algorithm>

#include "rest/client_endpoints.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

using gateway::CheckpointModel;
using gateway::ClusterGateway;
using gateway::JobModel;
using gateway::TaskCheckpointModel;

// Sums over the tasks of a checkpoint, or of one vertex in it, into the rows that several messages
// share.
template <typename T>
void fill_totals(const CheckpointModel& c, std::int64_t vertex, T& out) {
  out.latest_ack_timestamp = -1;
  for (const TaskCheckpointModel& task : c.tasks) {
    if (vertex >= 0 && task.vertex != vertex) continue;
    out.checkpointed_size += task.written_bytes;
    out.state_size += task.state_bytes;
    out.processed_data += task.processed_bytes;
    ++out.num_subtasks;
    if (!task.acknowledged) continue;
    ++out.num_acknowledged_subtasks;
    out.latest_ack_timestamp = std::max(out.latest_ack_timestamp, task.ack_time);
  }
  out.end_to_end_duration =
      out.latest_ack_timestamp < 0 ? -1 : std::max<std::int64_t>(out.latest_ack_timestamp - c.trigger_time, 0);
}

template <typename T>
T checkpoint_as(const CheckpointModel& c) {
  T out;
  out.class_name = c.status;
  for (char& ch : out.class_name) ch = static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
  out.id = c.id;
  out.status = c.status;
  out.trigger_timestamp = c.trigger_time;
  fill_totals(c, -1, out);
  out.checkpoint_type = c.type;
  out.is_savepoint = c.type != "CHECKPOINT";
  if (out.is_savepoint) out.savepoint_format = c.savepoint_format;
  if constexpr (requires { out.external_path; }) {
    if (c.status == "COMPLETED") {
      out.external_path = "file:" + c.path;
      out.discarded = c.discarded;
    }
  }
  if constexpr (requires { out.failure_timestamp; }) {
    if (c.status == "FAILED") {
      out.failure_timestamp = c.failure_time;
      out.failure_message = c.failure_message;
    }
  }
  return out;
}

Checkpoint details_of(const JobModel& job, const CheckpointModel& c) {
  auto out = checkpoint_as<Checkpoint>(c);
  for (std::size_t v = 0; v < job.vertices.size(); ++v) {
    TaskCheckpoint task;
    task.id = c.id;
    task.status = c.status;
    fill_totals(c, static_cast<std::int64_t>(v), task);
    out.tasks.emplace_back(job.vertices[v].vertex.id.to_string(), std::move(task));
  }
  return out;
}

CheckpointStatistics statistics_of(const JobModel& job) {
  const auto& model = job.checkpoints;
  CheckpointStatistics out;
  for (const CheckpointModel& c : model.history) {
    out.history.push_back(checkpoint_as<Checkpoint>(c));
    if (c.status == "IN_PROGRESS") ++out.counts.in_progress;
    if (c.status == "FAILED" && !out.latest.failed) out.latest.failed = checkpoint_as<FailedCheckpoint>(c);
    if (c.status != "COMPLETED") continue;
    auto& latest = c.type == "CHECKPOINT" ? out.latest.completed : out.latest.savepoint;
    if (!latest) latest = checkpoint_as<CompletedCheckpoint>(c);
  }
  out.counts.restored = model.restored;
  out.counts.completed = model.completed;
  out.counts.failed = model.failed;
  out.counts.total = model.completed + model.failed + out.counts.in_progress;
  // Barriers are aligned: nothing is buffered, no row in flight is written.
  gateway::StatisticModel none;
  for (std::int64_t i = 0; i < model.duration.count; ++i) none.add(0);
  out.summary = {statistic_of(model.written_bytes),   statistic_of(model.state_bytes),
                 statistic_of(model.duration),        StatsSummary{},
                 statistic_of(model.processed_bytes), statistic_of(none)};
  if (model.restored_id >= 0)
    out.latest.restored = RestoredCheckpoint{model.restored_id, model.restored_time, model.restored_savepoint,
                                             "file:" + model.restored_path};
  return out;
}

CheckpointConfig config_of(const JobModel& job) {
  const auto& c = job.checkpoints;
  CheckpointConfig out;
  out.mode = c.interval > 0 && c.exactly_once ? "exactly_once" : "at_least_once";
  out.interval = c.interval > 0 ? c.interval : INT64_MAX;
  out.timeout = c.timeout;
  out.min_pause = c.min_pause;
  out.max_concurrent = 1;
  out.externalization = {c.keep_on_cancellation, !c.keep_on_cancellation};
  out.state_backend = "HashMapStateBackend";
  out.checkpoint_storage = "FileSystemCheckpointStorage";
  out.tolerable_failed_checkpoints = c.tolerable_failures;
  out.checkpoints_after_tasks_finish = true;
  out.changelog_periodic_materialization_interval = 600000;
  out.changelog_storage = "memory";
  return out;
}

TaskCheckpointDetails subtask_details(const CheckpointModel& c, std::int64_t vertex) {
  TaskCheckpointDetails out;
  out.id = c.id;
  out.status = c.status;
  fill_totals(c, vertex, out);
  gateway::StatisticModel written, state, duration, sync, async, processed, aligned, delay, zero;
  for (const TaskCheckpointModel& t : c.tasks) {
    if (t.vertex != vertex) continue;
    SubtaskCheckpoint row;
    row.index = t.subtask;
    if (!t.acknowledged) {
      row.class_name = "pending";
      row.status = "pending_or_failed";
      out.subtasks.push_back(std::move(row));
      continue;
    }
    row.class_name = row.status = "completed";
    row.ack_timestamp = t.ack_time;
    row.end_to_end_duration = std::max<std::int64_t>(t.ack_time - c.trigger_time, 0);
    row.checkpointed_size = t.written_bytes;
    row.state_size = t.state_bytes;
    row.checkpoint = SubtaskCheckpointDuration{t.sync, t.async};
    row.alignment = SubtaskCheckpointAlignment{0, t.processed_bytes, 0, t.alignment};
    row.start_delay = t.start_delay;
    row.unaligned_checkpoint = row.aborted = false;
    written.add(t.written_bytes);
    state.add(t.state_bytes);
    duration.add(*row.end_to_end_duration);
    sync.add(t.sync);
    async.add(t.async);
    processed.add(t.processed_bytes);
    aligned.add(t.alignment);
    delay.add(t.start_delay);
    zero.add(0);
    out.subtasks.push_back(std::move(row));
  }
  out.summary.checkpointed_size = statistic_of(written);
  out.summary.state_size = statistic_of(state);
  out.summary.end_to_end_duration = statistic_of(duration);
  out.summary.checkpoint_duration = {statistic_of(sync), statistic_of(async)};
  out.summary.alignment = {StatsSummary{}, statistic_of(processed), statistic_of(zero), statistic_of(aligned)};
  out.summary.start_delay = statistic_of(delay);
  return out;
}

template <typename T>
void with_checkpoint(JobId job, std::int64_t id, ClusterGateway& cluster, const Reply<T>& reply,
                     std::function<void(const JobModel&, const CheckpointModel&)> use) {
  with_job(job, cluster, reply, [id, reply, use = std::move(use)](const JobModel& model) {
    for (const CheckpointModel& c : model.checkpoints.history) {
      if (c.id == id) return use(model, c);
    }
    reply.refuse(fail(Code::kNotFound, fmt::format("Could not find checkpointing statistics for checkpoint {}.", id)));
  });
}

// --- operations ---

struct GetCheckpoints : endpoints::GetCheckpoints {
  static constexpr bool kShared = true;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(statistics_of(job)); });
  }
};

struct GetCheckpointConfig {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/checkpoints/config", 200, "How a job makes checkpoints."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = CheckpointConfig;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(config_of(job)); });
  }
};

struct CheckpointPath {
  JobId jobid;
  std::int64_t checkpointid = 0;
  static constexpr auto fields() {
    using M = CheckpointPath;
    return Fields{job_field(&M::jobid), field("checkpointid", &M::checkpointid, "Number of a checkpoint.")};
  }
};

struct GetCheckpoint {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/checkpoints/details/:checkpointid", 200, "One checkpoint."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = CheckpointPath;
  using Response = Checkpoint;
  static void handle(const Call<CheckpointPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_checkpoint(call.path.jobid, call.path.checkpointid, cluster, reply,
                    [reply](const JobModel& job, const CheckpointModel& c) { reply(details_of(job, c)); });
  }
};

struct CheckpointVertexPath {
  JobId jobid;
  std::int64_t checkpointid = 0;
  VertexId vertexid;
  static constexpr auto fields() {
    using M = CheckpointVertexPath;
    return Fields{job_field(&M::jobid), field("checkpointid", &M::checkpointid, "Number of a checkpoint."),
                  vertex_field(&M::vertexid)};
  }
};

struct GetCheckpointOfVertex {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid", 200,
                                "One checkpoint of a vertex, by subtask."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = CheckpointVertexPath;
  using Response = TaskCheckpointDetails;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_checkpoint(call.path.jobid, call.path.checkpointid, cluster, reply,
                    [reply, id = call.path.vertexid](const JobModel& job, const CheckpointModel& c) {
                      for (std::size_t v = 0; v < job.vertices.size(); ++v) {
                        if (job.vertices[v].vertex.id == id)
                          return reply(subtask_details(c, static_cast<std::int64_t>(v)));
                      }
                      reply.refuse(fail(Code::kNotFound,
                                        fmt::format("There is no checkpoint statistics for task {}.", id.to_string())),
                                   ErrorForm::kNotFoundClass);
                    });
  }
};

}  // namespace

Checkpoint checkpoint_of(const CheckpointModel& c) { return checkpoint_as<Checkpoint>(c); }

std::vector<Endpoint> checkpoint_endpoints() {
  return endpoint_list<GetCheckpoints, GetCheckpointConfig, GetCheckpoint, GetCheckpointOfVertex>();
}

}  // namespace drey::rest
