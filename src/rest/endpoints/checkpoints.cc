#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

using gateway::CheckpointModel;
using gateway::JobModel;
using gateway::TaskCheckpointModel;

struct Totals {
  std::int64_t written = 0, state = 0, processed = 0, tasks = 0, acknowledged = 0, latest = -1;
};

Totals totals(const CheckpointModel& c, std::int64_t vertex = -1) {
  Totals t;
  for (const TaskCheckpointModel& task : c.tasks) {
    if (vertex >= 0 && task.vertex != vertex) continue;
    t.written += task.written_bytes;
    t.state += task.state_bytes;
    t.processed += task.processed_bytes;
    ++t.tasks;
    if (!task.acknowledged) continue;
    ++t.acknowledged;
    t.latest = std::max(t.latest, task.ack_time);
  }
  return t;
}

Json task_part(const CheckpointModel& c, const Totals& t) {
  return Json::object({{"latest_ack_timestamp", t.latest},
                       {"checkpointed_size", t.written},
                       {"state_size", t.state},
                       {"end_to_end_duration", t.latest < 0 ? -1 : std::max<std::int64_t>(t.latest - c.trigger_time, 0)},
                       {"alignment_buffered", 0},
                       {"processed_data", t.processed},
                       {"persisted_data", 0},
                       {"num_subtasks", t.tasks},
                       {"num_acknowledged_subtasks", t.acknowledged}});
}

void append(Json& to, const Json& part) {
  for (const auto& [key, value] : part.entries()) to.set(key, value);
}

Json checkpoint(const JobModel& job, const CheckpointModel& c, bool with_tasks) {
  std::string kind = c.status;
  for (char& ch : kind) ch = static_cast<char>(std::tolower(static_cast<unsigned char>(ch)));
  Json out = Json::object({{"className", kind},
                           {"id", c.id},
                           {"status", c.status},
                           {"is_savepoint", false},
                           {"savepointFormat", Json()},
                           {"trigger_timestamp", c.trigger_time}});
  append(out, task_part(c, totals(c)));
  out.set("checkpoint_type", "CHECKPOINT");
  Json tasks = Json::object();
  if (with_tasks) {
    for (std::size_t v = 0; v < job.vertices.size(); ++v) {
      Json task = Json::object({{"id", c.id}, {"status", c.status}});
      append(task, task_part(c, totals(c, static_cast<std::int64_t>(v))));
      tasks.set(job.vertices[v].vertex.id.to_string(), std::move(task));
    }
  }
  out.set("tasks", std::move(tasks));
  if (c.status == "COMPLETED") out.set("external_path", "file:" + c.path).set("discarded", c.discarded);
  if (c.status == "FAILED") out.set("failure_timestamp", c.failure_time).set("failure_message", c.failure_message);
  return out;
}

// min max avg and percentiles of whole numbers; "NaN" percentiles when there are none.
Json summary_of(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  std::int64_t sum = 0;
  for (const std::int64_t v : values) sum += v;
  const auto percentile = [&](double p) -> Json {
    if (values.empty()) return Json(std::nan(""));
    const double at = p * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(at);
    const auto high = std::min(low + 1, values.size() - 1);
    const double part = at - static_cast<double>(low);
    return Json(static_cast<double>(values[low]) * (1 - part) + static_cast<double>(values[high]) * part);
  };
  return Json::object({{"min", values.empty() ? 0 : values.front()},
                       {"max", values.empty() ? 0 : values.back()},
                       {"avg", values.empty() ? 0 : sum / static_cast<std::int64_t>(values.size())},
                       {"p50", percentile(0.5)},
                       {"p90", percentile(0.9)},
                       {"p95", percentile(0.95)},
                       {"p99", percentile(0.99)},
                       {"p999", percentile(0.999)}});
}

Json statistics(const JobModel& job) {
  const auto& model = job.checkpoints;
  const CheckpointModel* completed = nullptr;
  const CheckpointModel* failed = nullptr;
  std::int64_t in_progress = 0;
  std::vector<std::int64_t> written, state, duration, processed, zero;
  Json history = Json::array();
  for (const CheckpointModel& c : model.history) {
    history.push(checkpoint(job, c, false));
    if (c.status == "IN_PROGRESS") ++in_progress;
    if (c.status == "FAILED" && failed == nullptr) failed = &c;
    if (c.status != "COMPLETED") continue;
    if (completed == nullptr) completed = &c;
    const Totals t = totals(c);
    written.push_back(t.written);
    state.push_back(t.state);
    duration.push_back(std::max<std::int64_t>(t.latest - c.trigger_time, 0));
    processed.push_back(t.processed);
    zero.push_back(0);
  }
  Json restored;
  if (model.restored_id >= 0) {
    restored = Json::object({{"id", model.restored_id}, {"restore_timestamp", model.restored_time}, {"is_savepoint", false},
                             {"external_path", "file:" + model.restored_path}});
  }
  return Json::object(
      {{"counts", Json::object({{"restored", model.restored},
                                {"total", model.completed + model.failed + in_progress},
                                {"in_progress", in_progress},
                                {"completed", model.completed},
                                {"failed", model.failed}})},
       {"summary", Json::object({{"checkpointed_size", summary_of(written)},
                                 {"state_size", summary_of(state)},
                                 {"end_to_end_duration", summary_of(duration)},
                                 {"alignment_buffered", summary_of(zero)},
                                 {"processed_data", summary_of(processed)},
                                 {"persisted_data", summary_of(zero)}})},
       {"latest", Json::object({{"completed", completed != nullptr ? checkpoint(job, *completed, false) : Json()},
                                {"savepoint", Json()},
                                {"failed", failed != nullptr ? checkpoint(job, *failed, false) : Json()},
                                {"restored", std::move(restored)}})},
       {"history", std::move(history)}});
}

Json config(const JobModel& job) {
  const auto& c = job.checkpoints;
  return Json::object({{"mode", c.exactly_once && c.interval > 0 ? "exactly_once" : c.interval > 0 ? "at_least_once" : "exactly_once"},
                       {"interval", c.interval > 0 ? c.interval : INT64_MAX},
                       {"timeout", c.timeout},
                       {"min_pause", c.min_pause},
                       {"max_concurrent", 1},
                       {"externalization", Json::object({{"enabled", c.keep_on_cancellation}, {"delete_on_cancellation", !c.keep_on_cancellation}})},
                       {"state_backend", "HashMapStateBackend"},
                       {"checkpoint_storage", "FileSystemCheckpointStorage"},
                       {"unaligned_checkpoints", false},
                       {"tolerable_failed_checkpoints", c.tolerable_failures},
                       {"aligned_checkpoint_timeout", 0},
                       {"checkpoints_after_tasks_finish", true},
                       {"state_changelog_enabled", false},
                       {"changelog_periodic_materialization_interval", 600000},
                       {"changelog_storage", "memory"}});
}

Json stat3(const std::vector<std::int64_t>& values) { return summary_of(values); }

Json subtask_details(const CheckpointModel& c, std::int64_t vertex) {
  std::vector<std::int64_t> written, state, duration, sync, async, processed, aligned, delay, zero;
  Json subtasks = Json::array();
  for (const TaskCheckpointModel& t : c.tasks) {
    if (t.vertex != vertex) continue;
    if (!t.acknowledged) {
      subtasks.push(Json::object({{"className", "pending"}, {"index", t.subtask}, {"status", "pending_or_failed"}}));
      continue;
    }
    const std::int64_t took = std::max<std::int64_t>(t.ack_time - c.trigger_time, 0);
    written.push_back(t.written_bytes);
    state.push_back(t.state_bytes);
    duration.push_back(took);
    sync.push_back(t.sync);
    async.push_back(t.async);
    processed.push_back(t.processed_bytes);
    aligned.push_back(t.alignment);
    delay.push_back(t.start_delay);
    zero.push_back(0);
    subtasks.push(Json::object(
        {{"className", "completed"},
         {"index", t.subtask},
         {"ack_timestamp", t.ack_time},
         {"end_to_end_duration", took},
         {"checkpointed_size", t.written_bytes},
         {"state_size", t.state_bytes},
         {"checkpoint", Json::object({{"sync", t.sync}, {"async", t.async}})},
         {"alignment", Json::object({{"buffered", 0}, {"processed", t.processed_bytes}, {"persisted", 0}, {"duration", t.alignment}})},
         {"start_delay", t.start_delay},
         {"unaligned_checkpoint", false},
         {"aborted", false},
         {"status", "completed"}}));
  }
  Json out = Json::object({{"id", c.id}, {"status", c.status}});
  append(out, task_part(c, totals(c, vertex)));
  out.set("summary", Json::object({{"checkpointed_size", stat3(written)},
                                   {"state_size", stat3(state)},
                                   {"end_to_end_duration", stat3(duration)},
                                   {"checkpoint_duration", Json::object({{"sync", stat3(sync)}, {"async", stat3(async)}})},
                                   {"alignment", Json::object({{"buffered", stat3(zero)}, {"processed", stat3(processed)},
                                                               {"persisted", stat3(zero)}, {"duration", stat3(aligned)}})},
                                   {"start_delay", stat3(delay)}}));
  out.set("subtasks", std::move(subtasks));
  return out;
}

void with_checkpoint(const Call& call, gateway::ClusterGateway& gateway, const Refuse& refuse,
                     std::function<void(const JobModel&, const CheckpointModel&)> use) {
  if (!path_id<JobId>(call, "jobid", refuse)) return;
  const auto id = path_number(call, "checkpointid", refuse);
  if (!id) return;
  with_job(call, gateway, refuse, [=](const JobModel& job) {
    for (const CheckpointModel& c : job.checkpoints.history) {
      if (c.id == *id) return use(job, c);
    }
    refuse({fail(Code::kNotFound, fmt::format("Could not find checkpointing statistics for checkpoint {}.", *id))});
  });
}

Endpoint view(std::string_view path, std::string_view summary, Json (*derive)(const JobModel&)) {
  return {"GET", path, summary, Endpoint::Access::kRead, false, "",
          [derive](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
            with_job(call, gateway, refuse, [derive, answer](const JobModel& job) { answer({200, derive(job)}); });
          }};
}

}  // namespace

std::vector<Endpoint> checkpoint_endpoints() {
  return {
      view("/jobs/:jobid/checkpoints", "Checkpoint statistics of a job.", statistics),
      view("/jobs/:jobid/checkpoints/config", "How a job makes checkpoints.", config),
      {"GET", "/jobs/:jobid/checkpoints/details/:checkpointid", "One checkpoint.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         with_checkpoint(call, gateway, refuse,
                         [answer](const JobModel& job, const CheckpointModel& c) { answer({200, checkpoint(job, c, true)}); });
       }},
      {"GET", "/jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid", "One checkpoint of a vertex, by subtask.",
       Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const auto vertex = path_id<VertexId>(call, "vertexid", refuse);
         if (!vertex) return;
         with_checkpoint(call, gateway, refuse, [answer, refuse, vertex](const JobModel& job, const CheckpointModel& c) {
           for (std::size_t v = 0; v < job.vertices.size(); ++v) {
             if (job.vertices[v].vertex.id == *vertex) return answer({200, subtask_details(c, static_cast<std::int64_t>(v))});
           }
           refuse({fail(Code::kNotFound, fmt::format("There is no checkpoint statistics for task {}.", vertex->to_string())),
                   ErrorForm::kNotFoundClass});
         });
       }},
  };
}

}  // namespace drey::rest
