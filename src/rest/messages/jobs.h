// Messages about jobs. Rows in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/messages/async.h"
#include "rest/messages/enum_texts.h"
#include "rest/shape.h"

namespace drey::rest {

struct JobIdWithStatus {
  JobId id;
  OneOf<kJobStates> status;
  static constexpr std::string_view kUrn = "runtime:messages:webmonitor:JobIdsWithStatusOverview:JobIdWithStatus";
  static constexpr auto fields() {
    using M = JobIdWithStatus;
    return Fields{field("id", &M::id), field("status", &M::status)};
  }
};
static_assert(wire::EveryMemberHasARow<JobIdWithStatus>);

struct JobIdsWithStatus {
  std::vector<JobIdWithStatus> jobs;
  static constexpr std::string_view kUrn = "runtime:messages:webmonitor:JobIdsWithStatusOverview";
  static constexpr auto fields() {
    using M = JobIdsWithStatus;
    return Fields{field("jobs", &M::jobs)};
  }
};
static_assert(wire::EveryMemberHasARow<JobIdsWithStatus>);

struct JobSummary {
  JobId jid;
  std::string name;
  std::string job_type;
  std::optional<std::string> scheduler_type;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  std::int64_t duration = 0;
  OneOf<kJobStates> state;
  std::int64_t last_modification = 0;
  Map<std::int64_t> tasks;
  std::int64_t pending_operators = 0;
  static constexpr std::string_view kUrn = "runtime:messages:webmonitor:JobDetails";
  static constexpr auto fields() {
    using M = JobSummary;
    return Fields{field("jid", &M::jid).in(kV2),
                  field("name", &M::name).in(kV2),
                  field("jobType", &M::job_type).in(kUnlisted),
                  field("schedulerType", &M::scheduler_type).in(kUnlisted).nullable(),
                  field("start-time", &M::start_time).in(kV2),
                  field("end-time", &M::end_time).in(kV2),
                  field("duration", &M::duration).in(kV2),
                  field("state", &M::state).in(kV2),
                  field("last-modification", &M::last_modification).in(kV2),
                  field("tasks", &M::tasks).in(kV2),
                  field("pending-operators", &M::pending_operators).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<JobSummary>);

struct JobSummaries {
  std::vector<JobSummary> jobs;
  static constexpr std::string_view kUrn = "runtime:messages:webmonitor:MultipleJobsDetails";
  static constexpr auto fields() {
    using M = JobSummaries;
    return Fields{field("jobs", &M::jobs)};
  }
};
static_assert(wire::EveryMemberHasARow<JobSummaries>);

struct PlanInput {
  VertexId id;  // of the producer
  std::int64_t num = 0;
  std::string exchange;
  std::string ship_strategy;
  static constexpr auto fields() {
    using M = PlanInput;
    return Fields{field("id", &M::id), field("num", &M::num), field("exchange", &M::exchange),
                  field("ship_strategy", &M::ship_strategy)};
  }
};
static_assert(wire::EveryMemberHasARow<PlanInput>);

struct PlanNode {
  VertexId id;
  std::string operator_name;
  std::int64_t parallelism = 0;
  std::string operator_strategy;
  std::string description;
  None optimizer_properties;
  std::optional<std::vector<PlanInput>> inputs;  // absent on sources
  static constexpr auto fields() {
    using M = PlanNode;
    return Fields{field("id", &M::id),
                  field("operator", &M::operator_name),
                  field("parallelism", &M::parallelism),
                  field("operator_strategy", &M::operator_strategy),
                  field("description", &M::description),
                  field("optimizer_properties", &M::optimizer_properties),
                  field("inputs", &M::inputs)};
  }
};
static_assert(wire::EveryMemberHasARow<PlanNode>);

struct JobPlan {
  JobId jid;
  std::string name;
  std::string type;
  std::vector<PlanNode> nodes;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobPlanInfo:RawJson";
  static constexpr auto fields() {
    using M = JobPlan;
    return Fields{field("jid", &M::jid).in(kUnlisted), field("name", &M::name).in(kUnlisted),
                  field("type", &M::type).in(kUnlisted), field("nodes", &M::nodes).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<JobPlan>);

struct JobPlanInfo {
  JobPlan plan;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobPlanInfo";
  static constexpr auto fields() {
    using M = JobPlanInfo;
    return Fields{field("plan", &M::plan)};
  }
};
static_assert(wire::EveryMemberHasARow<JobPlanInfo>);

struct IoMetrics {
  std::int64_t read_bytes = 0;
  bool read_bytes_complete = false;
  std::int64_t write_bytes = 0;
  bool write_bytes_complete = false;
  std::int64_t read_records = 0;
  bool read_records_complete = false;
  std::int64_t write_records = 0;
  bool write_records_complete = false;
  std::int64_t accumulated_backpressured_time = 0;
  std::int64_t accumulated_idle_time = 0;
  double accumulated_busy_time = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:metrics:IOMetricsInfo";
  static constexpr bool kStrictV1 = true;
  static constexpr auto fields() {
    using M = IoMetrics;
    return Fields{field("read-bytes", &M::read_bytes),
                  field("read-bytes-complete", &M::read_bytes_complete),
                  field("write-bytes", &M::write_bytes),
                  field("write-bytes-complete", &M::write_bytes_complete),
                  field("read-records", &M::read_records),
                  field("read-records-complete", &M::read_records_complete),
                  field("write-records", &M::write_records),
                  field("write-records-complete", &M::write_records_complete),
                  field("accumulated-backpressured-time", &M::accumulated_backpressured_time).in(kV2),
                  field("accumulated-idle-time", &M::accumulated_idle_time).in(kV2),
                  field("accumulated-busy-time", &M::accumulated_busy_time).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<IoMetrics>);

struct JobDetailsVertex {
  VertexId id;
  VertexId slot_sharing_group_id;
  std::string name;
  std::int64_t max_parallelism = 0;
  std::int64_t parallelism = 0;
  OneOf<kTaskStates> status;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  std::int64_t duration = 0;
  Map<std::int64_t> tasks;
  IoMetrics metrics;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobDetailsInfo:JobVertexDetailsInfo";
  static constexpr bool kStrictV1 = true;
  static constexpr auto fields() {
    using M = JobDetailsVertex;
    return Fields{field("id", &M::id),
                  field("slotSharingGroupId", &M::slot_sharing_group_id).in(kV2),
                  field("name", &M::name),
                  field("maxParallelism", &M::max_parallelism).in(kV2),
                  field("parallelism", &M::parallelism),
                  field("status", &M::status),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("tasks", &M::tasks),
                  field("metrics", &M::metrics)};
  }
};
static_assert(wire::EveryMemberHasARow<JobDetailsVertex>);

struct JobDetails {
  JobId jid;
  JobId application_id;
  std::string name;
  bool is_stoppable = false;
  OneOf<kJobStates> state;
  OneOf<kJobTypes> job_type;
  std::string scheduler_type;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  std::int64_t duration = 0;
  std::int64_t max_parallelism = 0;
  std::int64_t now = 0;
  Map<std::int64_t> timestamps;
  std::vector<JobDetailsVertex> vertices;
  Map<std::int64_t> status_counts;
  JobPlan plan;
  std::int64_t pending_operators = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobDetailsInfo";
  static constexpr bool kStrictV1 = true;
  static constexpr auto fields() {
    using M = JobDetails;
    return Fields{field("jid", &M::jid),
                  field("application-id", &M::application_id).in(kUnlisted),
                  field("name", &M::name),
                  field("isStoppable", &M::is_stoppable),
                  field("state", &M::state),
                  field("job-type", &M::job_type).in(kV2),
                  field("schedulerType", &M::scheduler_type).in(kUnlisted),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("maxParallelism", &M::max_parallelism).in(kV2),
                  field("now", &M::now),
                  field("timestamps", &M::timestamps),
                  field("vertices", &M::vertices),
                  field("status-counts", &M::status_counts),
                  field("plan", &M::plan),
                  field("pending-operators", &M::pending_operators).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<JobDetails>);

struct JobAccumulator {
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobAccumulatorsInfo:JobAccumulator";
  static constexpr auto fields() { return Fields{}; }
};
static_assert(wire::EveryMemberHasARow<JobAccumulator>);

struct UserTaskAccumulator {
  std::string name;
  std::string type;
  std::string value;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobAccumulatorsInfo:UserTaskAccumulator";
  static constexpr auto fields() {
    using M = UserTaskAccumulator;
    return Fields{field("name", &M::name), field("type", &M::type), field("value", &M::value)};
  }
};
static_assert(wire::EveryMemberHasARow<UserTaskAccumulator>);

struct JobAccumulators {
  std::vector<JobAccumulator> job_accumulators;
  std::vector<UserTaskAccumulator> user_task_accumulators;
  Map<Json> serialized_user_task_accumulators;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobAccumulatorsInfo";
  static constexpr auto fields() {
    using M = JobAccumulators;
    return Fields{field("job-accumulators", &M::job_accumulators),
                  field("user-task-accumulators", &M::user_task_accumulators),
                  field("serialized-user-task-accumulators", &M::serialized_user_task_accumulators)};
  }
};
static_assert(wire::EveryMemberHasARow<JobAccumulators>);

struct ExecutionException {
  std::string exception;
  std::string task;
  std::string location;
  std::int64_t timestamp = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobExceptionsInfo:ExecutionExceptionInfo";
  static constexpr auto fields() {
    using M = ExecutionException;
    return Fields{field("exception", &M::exception).in(kV1), field("task", &M::task).in(kV1),
                  field("location", &M::location).in(kV1), field("timestamp", &M::timestamp).in(kV1)};
  }
};
static_assert(wire::EveryMemberHasARow<ExecutionException>);

struct ConcurrentException {
  std::string exception_name;
  std::string stacktrace;
  std::int64_t timestamp = 0;
  Map<std::string> failure_labels;
  std::optional<std::string> task_name;
  std::optional<std::string> endpoint;
  std::optional<std::string> task_manager_id;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobExceptionsInfoWithHistory:ExceptionInfo";
  static constexpr auto fields() {
    using M = ConcurrentException;
    return Fields{
        field("exceptionName", &M::exception_name).in(kV2), field("stacktrace", &M::stacktrace).in(kV2),
        field("timestamp", &M::timestamp).in(kV2),          field("failureLabels", &M::failure_labels).in(kV2),
        field("taskName", &M::task_name).in(kV2),           field("endpoint", &M::endpoint).in(kV2),
        field("taskManagerId", &M::task_manager_id).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<ConcurrentException>);

struct RootException {
  std::string exception_name;
  std::string stacktrace;
  std::int64_t timestamp = 0;
  Map<std::string> failure_labels;
  std::optional<std::string> task_name;
  std::optional<std::string> endpoint;
  std::optional<std::string> task_manager_id;
  std::vector<ConcurrentException> concurrent_exceptions;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobExceptionsInfoWithHistory:RootExceptionInfo";
  static constexpr auto fields() {
    using M = RootException;
    return Fields{field("exceptionName", &M::exception_name).in(kV2),
                  field("stacktrace", &M::stacktrace).in(kV2),
                  field("timestamp", &M::timestamp).in(kV2),
                  field("failureLabels", &M::failure_labels).in(kV2),
                  field("taskName", &M::task_name).in(kV2),
                  field("endpoint", &M::endpoint).in(kV2),
                  field("taskManagerId", &M::task_manager_id).in(kV2),
                  field("concurrentExceptions", &M::concurrent_exceptions).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<RootException>);

struct JobExceptionHistory {
  std::vector<RootException> entries;
  bool truncated = false;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobExceptionsInfoWithHistory:JobExceptionHistory";
  static constexpr auto fields() {
    using M = JobExceptionHistory;
    return Fields{field("entries", &M::entries).in(kV2), field("truncated", &M::truncated).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<JobExceptionHistory>);

struct JobExceptions {
  std::optional<std::string> root_exception;
  std::optional<std::int64_t> timestamp;
  std::vector<ExecutionException> all_exceptions;
  bool truncated = false;
  JobExceptionHistory exception_history;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobExceptionsInfoWithHistory";
  static constexpr std::string_view kUrnV1 = "runtime:rest:messages:JobExceptionsInfo";
  static constexpr auto fields() {
    using M = JobExceptions;
    return Fields{field("root-exception", &M::root_exception).in(kV1).nullable(),
                  field("timestamp", &M::timestamp).in(kV1).nullable(),
                  field("all-exceptions", &M::all_exceptions).in(kV1), field("truncated", &M::truncated).in(kV1),
                  field("exceptionHistory", &M::exception_history).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<JobExceptions>);

struct JobStatusInfo {
  OneOf<kJobStates> status;
  static constexpr std::string_view kUrn = "runtime:messages:webmonitor:JobStatusInfo";
  static constexpr auto fields() {
    using M = JobStatusInfo;
    return Fields{field("status", &M::status).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<JobStatusInfo>);

struct CoordinationRequest {
  std::string request;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ClientCoordinationRequestBody";
  static constexpr bool kNeedsAll = true;
  static constexpr auto fields() {
    return Fields{field("serializedCoordinationRequest", &CoordinationRequest::request, "What Java wrote, as base64.")
                      .in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<CoordinationRequest>);

struct CoordinationAnswer {
  std::string result;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ClientCoordinationResponseBody";
  static constexpr auto fields() {
    return Fields{field("serializedCoordinationResult", &CoordinationAnswer::result).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<CoordinationAnswer>);

struct ClientHeartbeat {
  std::optional<std::int64_t> expired_timestamp;
  static constexpr std::string_view kUrn = "runtime:rest:messages:JobClientHeartbeatRequestBody";
  static constexpr bool kNeedsAll = true;
  static constexpr auto fields() {
    using M = ClientHeartbeat;
    return Fields{field("expiredTimestamp", &M::expired_timestamp).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<ClientHeartbeat>);

struct ParallelismBounds {
  std::optional<std::int64_t> lower_bound;
  std::optional<std::int64_t> upper_bound;
  static constexpr std::string_view kUrn = "runtime:jobgraph:JobVertexResourceRequirements:Parallelism";
  static constexpr auto fields() {
    using M = ParallelismBounds;
    return Fields{field("lowerBound", &M::lower_bound).in(kV2), field("upperBound", &M::upper_bound).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<ParallelismBounds>);

struct VertexResourceRequirements {
  std::optional<ParallelismBounds> parallelism;
  static constexpr std::string_view kUrn = "runtime:jobgraph:JobVertexResourceRequirements";
  static constexpr auto fields() {
    using M = VertexResourceRequirements;
    return Fields{field("parallelism", &M::parallelism).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexResourceRequirements>);

struct CachedFile {
  std::string entry_name;
  std::string file_name;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobSubmitRequestBody:DistributedCacheFile";
  static constexpr auto fields() {
    using M = CachedFile;
    return Fields{field("entryName", &M::entry_name).in(kV1), field("fileName", &M::file_name).in(kV1)};
  }
};
static_assert(wire::EveryMemberHasARow<CachedFile>);

// Names of the files that are sent beside it. The graph has an old and a new key.
struct JobSubmission {
  std::string job_graph_file_name;
  std::string execution_plan_file_name;
  std::vector<std::string> job_jar_file_names;
  std::vector<CachedFile> job_artifact_file_names;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobSubmitRequestBody";
  static constexpr auto fields() {
    using M = JobSubmission;
    return Fields{field("jobGraphFileName", &M::job_graph_file_name).in(kV1),
                  field("executionPlanFileName", &M::execution_plan_file_name).in(kUnlisted),
                  field("jobJarFileNames", &M::job_jar_file_names).in(kV1),
                  field("jobArtifactFileNames", &M::job_artifact_file_names).in(kV1)};
  }
};
static_assert(wire::EveryMemberHasARow<JobSubmission>);

struct JobSubmissionAnswer {
  std::string job_url;
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobSubmitResponseBody";
  static constexpr auto fields() { return Fields{field("jobUrl", &JobSubmissionAnswer::job_url).in(kV1)}; }
};
static_assert(wire::EveryMemberHasARow<JobSubmissionAnswer>);

// How a job ended. Read by hand-written parsers: beside the five keys only single values, nothing
// null.
struct ExecutionResult {
  JobId id;
  std::string name;
  std::string application_status;
  Map<std::string> accumulator_results;
  std::int64_t net_runtime = 0;
  std::optional<FailureCause> failure_cause;
  JobId application_id;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;
  static constexpr bool kStrictV1 = true;
  static constexpr auto fields() {
    using M = ExecutionResult;
    return Fields{field("id", &M::id),
                  field("name", &M::name).in(kV2),
                  field("application-status", &M::application_status),
                  field("accumulator-results", &M::accumulator_results),
                  field("net-runtime", &M::net_runtime),
                  field("failure-cause", &M::failure_cause),
                  field("application-id", &M::application_id).in(kV2),
                  field("start-time", &M::start_time).in(kV2),
                  field("end-time", &M::end_time).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<ExecutionResult>);

struct JobExecutionResult {
  QueueStatus status;
  std::optional<ExecutionResult> result;  // absent while the job runs
  static constexpr std::string_view kUrn = "runtime:rest:messages:job:JobExecutionResultResponseBody";
  static constexpr auto fields() {
    using M = JobExecutionResult;
    return Fields{field("status", &M::status), field("job-execution-result", &M::result)};
  }
};
static_assert(wire::EveryMemberHasARow<JobExecutionResult>);

struct ExecutionConfig {
  std::optional<std::string> execution_mode;  // for old clients
  std::string restart_strategy;
  std::int64_t job_parallelism = 1;
  bool object_reuse_mode = false;
  Map<std::string> user_config;
  static constexpr auto fields() {
    using M = ExecutionConfig;
    return Fields{field("execution-mode", &M::execution_mode).in(kUnlisted),
                  field("restart-strategy", &M::restart_strategy), field("job-parallelism", &M::job_parallelism),
                  field("object-reuse-mode", &M::object_reuse_mode), field("user-config", &M::user_config)};
  }
};
static_assert(wire::EveryMemberHasARow<ExecutionConfig>);

struct JobConfig {
  JobId jid;
  std::string name;
  ExecutionConfig execution_config;
  static constexpr auto fields() {
    using M = JobConfig;
    return Fields{field("jid", &M::jid), field("name", &M::name), field("execution-config", &M::execution_config)};
  }
};
static_assert(wire::EveryMemberHasARow<JobConfig>);

}  // namespace drey::rest
