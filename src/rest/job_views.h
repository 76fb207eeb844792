// Views that several families derive from a job's model. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/model.h"
#include "wire/json/json.h"

namespace drey::rest {

using wire::Json;

inline constexpr const char* kTaskStates[] = {"CREATED", "SCHEDULED", "DEPLOYING", "RUNNING", "FINISHED",
                                              "CANCELING", "CANCELED", "FAILED", "RECONCILING", "INITIALIZING"};

// Aggregated state of a vertex (rest.md 4.11).
std::string vertex_state(const gateway::VertexModel& vertex);
Json plan_json(const gateway::JobModel& job);
Json io_metrics(const std::vector<const gateway::AttemptModel*>& attempts, bool is_source);
// -1 when it has not begun or not ended.
std::int64_t attempt_start(const gateway::AttemptModel& attempt);
std::int64_t attempt_end(const gateway::AttemptModel& attempt);
std::string endpoint_of(const gateway::AttemptModel& attempt);
std::string host_of(const gateway::AttemptModel& attempt);
std::string task_manager_of(const gateway::AttemptModel& attempt);
std::int64_t job_start(const gateway::JobModel& job);
std::int64_t job_end(const gateway::JobModel& job);  // -1 unless globally terminal
std::int64_t now_ms();
// min max avg sum median p25 p75 p95 of whole numbers.
Json aggregated(std::vector<std::int64_t> values);

}  // namespace drey::rest
