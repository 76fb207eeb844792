// Metrics of a job, computed from its model. Pure, but for the wall clock.
#pragma once

#include <vector>

#include "gateway/model.h"
#include "metrics/table.h"

namespace drey::rest {

gateway::Metrics job_metrics(const gateway::JobModel& job);
void document_job_metrics(std::vector<metrics::Documented>& out);

}  // namespace drey::rest
