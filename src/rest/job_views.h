// Views that several families derive from a job's model. Pure, but for the wall clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/cluster_gateway.h"
#include "gateway/model.h"
#include "rest/messages/checkpoints.h"
#include "rest/messages/cluster.h"
#include "rest/messages/jobs.h"
#include "rest/messages/rescales.h"

namespace drey::rest {

// Aggregated state of a vertex (rest.md 4.11).
std::string vertex_state(const gateway::VertexModel& vertex);
// Chains as trees; for old clients in one line.
JobPlan plan_of(const gateway::JobModel& job, Dialect dialect);
JobSummary summary_of(const gateway::JobOutline& job);
IoMetrics io_metrics(const std::vector<const gateway::AttemptModel*>& attempts);
Checkpoint checkpoint_of(const gateway::CheckpointModel& checkpoint);  // without its tasks
RootException exception_of(const gateway::ExceptionModel& exception);
RescaleDetails rescale_of(const gateway::RescaleModel& rescale);  // as lists have it
// -1 when it has not begun or not ended.
std::int64_t attempt_start(const gateway::AttemptModel& attempt);
std::int64_t attempt_end(const gateway::AttemptModel& attempt);
// A failure as Flink tells it; without a stack trace the message alone.
FailureCause failure_cause(std::string class_name, std::string message, std::string stack_trace);

// Percentiles as Flink estimates them; "NaN" when there are no values.
StatsSummary statistic_of(const gateway::StatisticModel& model);
// One id for all vertices of a group: the one of its first vertex.
VertexId slot_sharing_group_id(const gateway::JobModel& job, const std::string& group);

std::string endpoint_of(const gateway::AttemptModel& attempt);
std::string host_of(const gateway::AttemptModel& attempt);
std::string task_manager_of(const gateway::AttemptModel& attempt);
std::int64_t job_start(const gateway::JobModel& job);
std::int64_t job_end(const gateway::JobModel& job);  // -1 unless globally terminal
std::int64_t now_ms();
// What the JobManager runs on; secrets are masked.
EnvironmentInfo environment_of(gateway::ClusterGateway& cluster);
// What the cluster is configured with.
std::vector<ConfigurationEntry> configuration_of(gateway::ClusterGateway& cluster);
// Of all task states, in their order.
Map<std::int64_t> state_counts(const std::vector<std::string>& states);
// min max avg sum median p25 p75 p95 of whole numbers.
Map<std::int64_t> aggregated(std::vector<std::int64_t> values);

}  // namespace drey::rest
