// The endpoints that Drey's own clients call, as declarations: endpoints/ adds the handlers, client.h calls them.
//
// An endpoint that only others call is declared with its handler in endpoints/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rest/endpoint.h"
#include "rest/messages/checkpoints.h"
#include "rest/messages/cluster.h"
#include "rest/messages/jars.h"
#include "rest/messages/jobs.h"
#include "rest/messages/metrics.h"
#include "rest/messages/operations.h"
#include "rest/vertex_path.h"

namespace drey::rest::endpoints {

struct GetOverview {
  static constexpr Route kRoute{"GET", "/overview", 200, "The cluster in numbers."};
  static constexpr Access kAccess = Access::kView;
  using Response = ClusterOverview;
};

struct GetJobsOverview {
  static constexpr Route kRoute{"GET", "/jobs/overview", 200, "All jobs with their tasks counted by state."};
  static constexpr Access kAccess = Access::kView;
  struct Query {
    std::vector<OneOf<kJobStates>> states;
    std::string name;
    std::optional<Index> limit;
    std::string cursor;
    static constexpr auto fields() {
      return Fields{field("state", &Query::states, "Only jobs in one of these states.").in(kUnlisted),
                    field("name", &Query::name, "Only jobs whose name holds this text.").in(kUnlisted),
                    field("limit", &Query::limit, "How many at most; when there are more, a Link header leads to them.")
                        .in(kUnlisted),
                    field("cursor", &Query::cursor, "Where a page begins: as a Link header has it.").in(kUnlisted)};
    }
  };
  using Response = JobSummaries;
};

struct GetJob {
  static constexpr Route kRoute{"GET", "/jobs/:jobid", 200, "A job with its vertices and plan."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = JobDetails;
};

struct GetExceptions {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/exceptions", 200, "A job's failures, newest first."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  struct Query {
    Index most{20};
    std::vector<std::string> labels;
    static constexpr auto fields() {
      return Fields{field("maxExceptions", &Query::most, "How many at most."),
                    field("failureLabelFilter", &Query::labels, "key:value pairs that all must match.").in(kV2)};
    }
  };
  using Response = JobExceptions;
};

struct GetCheckpoints {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/checkpoints", 200, "Checkpoint statistics of a job."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = CheckpointStatistics;
};

struct GetWatermarks {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/watermarks", 200,
                                "Input watermark of each subtask."};
  static constexpr Access kAccess = Access::kView;
  using Path = VertexPath;
  using Response = std::vector<MetricEntry>;
};

struct CancelJob {
  static constexpr Route kRoute{"PATCH", "/jobs/:jobid", 202, "Cancels a job."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  struct Query {
    OneOf<kTerminationModes> mode{"cancel"};
    static constexpr auto fields() { return Fields{field("mode", &Query::mode, "cancel; stop has been removed.")}; }
  };
  using Response = None;
};

struct SubmitJob {
  static constexpr Route kRoute{"POST", "/jobs", 202, "Runs a graph that the client has built."};
  static constexpr Access kAccess = Access::kSubmit;
  static constexpr bool kTakesUpload = true;
  using Request = JobSubmission;
  using Response = JobSubmissionAnswer;
};

// --- triggered, then asked for ---

struct JobTriggerPath {
  JobId jobid;
  TriggerId triggerid;
  static constexpr auto fields() {
    using M = JobTriggerPath;
    return Fields{job_field(&M::jobid), field("triggerid", &M::triggerid, "What the trigger answered.")};
  }
};
struct TriggerPath {
  TriggerId triggerid;
  static constexpr auto fields() {
    return Fields{field("triggerid", &TriggerPath::triggerid, "What the trigger answered.")};
  }
};

struct TriggerSavepoint {
  static constexpr Route kRoute{"POST", "/jobs/:jobid/savepoints", 202,
                                "Takes a savepoint, and cancels the job afterwards if asked to."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Request = SavepointTrigger;
  using Response = TriggerAnswer;
};
struct StopJob {
  static constexpr Route kRoute{"POST", "/jobs/:jobid/stop", 202, "Stops a job with a savepoint; it finishes."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Request = StopTrigger;
  using Response = TriggerAnswer;
};
struct GetSavepointStatus {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/savepoints/:triggerid", 200,
                                "What came of a savepoint or a stop."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobTriggerPath;
  using Response = AsyncResult<SavepointInfo>;
};

struct TriggerCheckpoint {
  static constexpr Route kRoute{"POST", "/jobs/:jobid/checkpoints", 202, "Takes a checkpoint now."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Request = CheckpointTrigger;
  using Response = TriggerAnswer;
};
struct GetCheckpointStatus {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/checkpoints/:triggerid", 200,
                                "What came of a checkpoint that was triggered."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobTriggerPath;
  using Response = AsyncResult<CheckpointInfo>;
};

struct TriggerDisposal {
  static constexpr Route kRoute{"POST", "/savepoint-disposal", 200, "Deletes a savepoint's files."};
  static constexpr Access kAccess = Access::kOperate;
  using Request = DisposalTrigger;
  using Response = TriggerAnswer;
};
struct GetDisposalStatus {
  static constexpr Route kRoute{"GET", "/savepoint-disposal/:triggerid", 200, "What came of a disposal."};
  static constexpr Access kAccess = Access::kView;
  using Path = TriggerPath;
  using Response = AsyncResult<AsyncInfo>;
};

struct TriggerRescaling {
  static constexpr Route kRoute{"PATCH", "/jobs/:jobid/rescaling", 200,
                                "Gives all vertices of a job another parallelism."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  struct Query {
    Index parallelism;
    static constexpr auto fields() { return Fields{field("parallelism", &Query::parallelism, "The new parallelism.")}; }
  };
  using Response = TriggerAnswer;
};
struct GetRescalingStatus {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescaling/:triggerid", 200, "What came of a rescaling."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobTriggerPath;
  using Response = AsyncResult<AsyncInfo>;
};

// --- jars ---

struct JarPath {
  std::string jarid;
  static constexpr auto fields() {
    return Fields{field("jarid", &JarPath::jarid, "Name of a jar as the list of jars has it.")};
  }
};

struct PlanQuery {
  std::string entry_class;
  std::string parallelism;
  std::vector<std::string> program_arg;
  std::string program_args;
  static constexpr auto fields() {
    using M = PlanQuery;
    return Fields{field("entry-class", &M::entry_class, "Program to run; the manifest's when left out."),
                  field("parallelism", &M::parallelism, "Parallelism of the job."),
                  field("programArg", &M::program_arg, "Arguments, separated by commas."),
                  field("program-args", &M::program_args, "Arguments in one text.").in(kV1)};
  }
};

struct RunQuery {
  std::string entry_class;
  std::string parallelism;
  std::vector<std::string> program_arg;
  std::string program_args;
  std::string savepoint_path;
  bool allow_non_restored_state = false;
  static constexpr auto fields() {
    using M = RunQuery;
    return Fields{field("entry-class", &M::entry_class, "Program to run; the manifest's when left out."),
                  field("parallelism", &M::parallelism, "Parallelism of the job."),
                  field("programArg", &M::program_arg, "Arguments, separated by commas."),
                  field("program-args", &M::program_args, "Arguments in one text.").in(kV1),
                  field("savepointPath", &M::savepoint_path, "Savepoint or retained checkpoint to start from."),
                  field("allowNonRestoredState", &M::allow_non_restored_state,
                        "Whether state that fits no operator may be left out.")};
  }
};

struct ListJars {
  static constexpr Route kRoute{"GET", "/jars", 200, "Uploaded jars."};
  static constexpr Access kAccess = Access::kView;
  using Response = JarList;
};
struct UploadJar {
  static constexpr Route kRoute{"POST", "/jars/upload", 200, "Uploads a jar."};
  static constexpr Access kAccess = Access::kSubmit;
  static constexpr bool kTakesUpload = true;
  using Response = JarUploadAnswer;
};
struct DeleteJar {
  static constexpr Route kRoute{"DELETE", "/jars/:jarid", 200, "Deletes a jar."};
  static constexpr Access kAccess = Access::kSubmit;
  using Path = JarPath;
  using Response = None;
};

struct PlanJar {
  static constexpr Route kRoute{"POST", "/jars/:jarid/plan", 200, "The graph of a program."};
  static constexpr Access kAccess = Access::kSubmit;
  using Path = JarPath;
  using Query = PlanQuery;
  using Request = JarPlanRequest;
  using Response = JobPlanInfo;
};
struct RunJar {
  static constexpr Route kRoute{"POST", "/jars/:jarid/run", 200, "Runs a program."};
  static constexpr Access kAccess = Access::kSubmit;
  using Path = JarPath;
  using Query = RunQuery;
  using Request = JarRunRequest;
  using Response = JarRunAnswer;
};

struct GetMetricsOverSubtasks {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/metrics", 200,
                                "Metrics over the subtasks of a vertex."};
  static constexpr Access kAccess = Access::kView;
  using Path = VertexPath;
  struct Query {
    std::optional<std::vector<std::string>> get;
    std::vector<OneOf<kAggregations>> agg;
    std::optional<std::vector<std::string>> subtasks;
    static constexpr auto fields() {
      return Fields{field("get", &Query::get, "Names of the metrics wanted; without it the names are listed."),
                    field("agg", &Query::agg, "Which aggregations; all when left out."),
                    field("subtasks", &Query::subtasks, "Which subtasks, as 1,3,5-9; all when left out.")};
    }
  };
  using Response = std::vector<AggregatedMetric>;
};

}  // namespace drey::rest::endpoints
