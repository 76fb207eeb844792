#include "rest/job_metrics.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "rest/job_views.h"

namespace drey::rest {
namespace {

using gateway::JobModel;
using metrics::Value;

// How long a RUNNING job has had subtasks in one of these states, by the current attempts; 0: it
// has none.
std::int64_t time_with(const JobModel& job, std::initializer_list<std::string_view> states) {
  if (job.state != "RUNNING") return 0;
  std::int64_t since = 0;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) {
      const auto& attempt = subtask.back();
      if (std::find(states.begin(), states.end(), attempt.state) == states.end()) continue;
      const std::int64_t at = attempt.time_of(attempt.state);
      since = since == 0 ? at : std::min(since, at);
    }
  }
  return since == 0 ? 0 : now_ms() - since;
}

// For how long all subtasks have been running, or have finished; 0: they are not.
std::int64_t time_of_all_running(const JobModel& job) {
  if (job.state != "RUNNING" || job.vertices.empty()) return 0;
  std::int64_t since = 0;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) {
      const auto& attempt = subtask.back();
      if (attempt.state != "RUNNING" && attempt.state != "FINISHED") return 0;
      since = std::max(since, attempt.time_of("RUNNING"));
    }
  }
  return now_ms() - since;
}

struct JobView {
  const JobModel& job;
  const gateway::CheckpointModel* last = nullptr;  // complete one; null: none yet
  std::int64_t pending = 0;

  // For how long the job has been in that state; 0: it is not.
  std::int64_t time_in(std::string_view state) const {
    const std::int64_t since = job.time_of(state);
    return job.state == state && since > 0 ? now_ms() - since : 0;
  }
  // Over the tasks of the last checkpoint; -1: none.
  std::int64_t of_last(std::int64_t gateway::TaskCheckpointModel::*number) const {
    if (last == nullptr) return -1;
    std::int64_t sum = 0;
    for (const auto& task : last->tasks) sum += task.*number;
    return sum;
  }
};

using J = const JobView&;
using Task = gateway::TaskCheckpointModel;
struct JobRow {
  std::string_view name;
  Value (*of)(J);
  std::string_view doc;
};
constexpr JobRow kRows[] = {
    {"uptime", [](J v) -> Value { return v.time_in("RUNNING"); },
     "For how long the job has been RUNNING, ms; 0: it is not."},
    {"downtime", [](J v) -> Value { return v.time_in("RESTARTING"); },
     "For how long it has been RESTARTING, ms; 0: it is not."},
    {"createdTime",
     [](J v) -> Value { return v.job.time_of("CREATED") > 0 ? v.job.time_of("CREATED") - job_start(v.job) : 0; },
     "From its submission to CREATED, ms."},
    {"initializingTime", [](J v) -> Value { return time_with(v.job, {"INITIALIZING"}); },
     "For how long a RUNNING job has had subtasks that restore their state, ms."},
    {"deployingTime",
     [](J v) -> Value {
       return time_with(v.job, {"SCHEDULED", "DEPLOYING"});
     },
     "For how long it has had subtasks that are SCHEDULED or DEPLOYING, ms."},
    {"allSubTasksRunningOrFinishedTime", [](J v) -> Value { return time_of_all_running(v.job); },
     "For how long all its subtasks have been RUNNING or FINISHED, ms."},
    {"runningTime", [](J v) -> Value { return v.time_in("RUNNING"); }, "As uptime."},
    {"restartingTime", [](J v) -> Value { return v.time_in("RESTARTING"); }, "As downtime."},
    {"failingTime", [](J v) -> Value { return v.time_in("FAILING"); }, "For how long it has been FAILING, ms."},
    {"cancellingTime", [](J v) -> Value { return v.time_in("CANCELLING"); },
     "For how long it has been CANCELLING, ms."},
    {"numRestarts", [](J v) -> Value { return v.job.restarts; }, "How often it started again after a failure."},
    {"fullRestarts", [](J v) -> Value { return v.job.restarts; }, "The same by its old name."},
    // But for the first start, which the history has, too.
    {"numRescales", [](J v) -> Value { return std::max<std::int64_t>(v.job.rescales.completed.count - 1, 0); },
     "How often its parallelism was changed while it ran."},
    {"numberOfCompletedCheckpoints", [](J v) -> Value { return v.job.checkpoints.completed; },
     "Checkpoints that are complete."},
    {"numberOfFailedCheckpoints", [](J v) -> Value { return v.job.checkpoints.failed; }, "Checkpoints that failed."},
    {"numberOfInProgressCheckpoints", [](J v) -> Value { return v.pending; }, "Checkpoints that are being made."},
    {"totalNumberOfCheckpoints",
     [](J v) -> Value { return v.job.checkpoints.completed + v.job.checkpoints.failed + v.pending; }, "All of them."},
    {"lastCheckpointDuration",
     [](J v) -> Value {
       return v.last == nullptr ? -1 : std::max<std::int64_t>(v.last->latest_ack_time - v.last->trigger_time, 0);
     },
     "From the trigger of the last complete checkpoint to its last acknowledgement, ms. Like all "
     "that follow -1 as long as there is none."},
    {"lastCheckpointSize", [](J v) -> Value { return v.of_last(&Task::written_bytes); }, "Bytes that it wrote."},
    {"lastCheckpointFullSize", [](J v) -> Value { return v.of_last(&Task::state_bytes); },
     "Bytes of state that it stands for, with those that earlier ones wrote."},
    {"lastCheckpointMetadataSize",
     [](J v) -> Value { return v.last == nullptr ? -1 : v.job.checkpoints.metadata_bytes; },
     "Bytes of its _metadata file."},
    {"lastCheckpointProcessedData", [](J v) -> Value { return v.of_last(&Task::processed_bytes); },
     "Bytes of rows that came in between its first and its last barrier."},
    {"lastCheckpointExternalPath",
     [](J v) -> Value {
       return v.last == nullptr || v.last->path.empty() ? std::string("n/a") : "file:" + v.last->path;
     },
     "Its directory; n/a: none."},
    {"lastCheckpointCompletedTimestamp", [](J v) -> Value { return v.last != nullptr ? v.last->latest_ack_time : -1; },
     "When it became complete, epoch ms."},
    {"lastCompletedCheckpointId", [](J v) -> Value { return v.last != nullptr ? v.last->id : -1; }, "Its number."},
    {"lastCheckpointRestoreTimestamp",
     [](J v) -> Value { return v.job.checkpoints.restored_time > 0 ? v.job.checkpoints.restored_time : -1; },
     "When the job last started from a checkpoint or savepoint, epoch ms; -1: never."},
};

}  // namespace

gateway::Metrics job_metrics(const JobModel& job) {
  JobView view{job};
  for (const auto& checkpoint : job.checkpoints.history) {
    if (checkpoint.status == "COMPLETED" && view.last == nullptr) view.last = &checkpoint;
    if (checkpoint.status == "IN_PROGRESS") ++view.pending;
  }
  gateway::Metrics out;
  for (const JobRow& row : kRows) out.add(row.name, row.of(view));
  return out;
}

void document_job_metrics(std::vector<metrics::Documented>& out) {
  for (const JobRow& row : kRows) out.push_back({"Jobs", row.name, row.doc});
}

}  // namespace drey::rest
