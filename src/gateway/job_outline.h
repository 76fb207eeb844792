// JobOutline: what lists tell of a job. Of an ended one it is all that the JobManager keeps in memory.
//
// Times are epoch milliseconds. Threading: values; one that was handed out is never changed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "gateway/model.h"

namespace drey::gateway {

struct JobOutline {
  JobId id;
  std::string name;
  std::string state;
  std::int64_t start = 0;
  std::int64_t end = -1;                                    // -1: it has not ended
  std::int64_t modified = 0;                                // when a task last entered a state, or the job its last one
  std::vector<std::pair<std::string, std::int64_t>> tasks;  // state, how many are in it
  bool is_terminal() const { return end >= 0; }
};
using JobOutlineRef = std::shared_ptr<const JobOutline>;

inline JobOutline outline_of(const JobModel& job) {
  JobOutline out;
  out.id = job.id;
  out.name = job.name;
  out.state = job.state;
  out.start = job.time_of("INITIALIZING");
  if (job.is_terminal()) out.end = out.modified = job.time_of(job.state);
  for (const VertexModel& vertex : job.vertices) {
    for (const auto& attempts : vertex.subtasks) {
      const AttemptModel& attempt = attempts.back();
      for (const auto& [state, at] : attempt.entered) out.modified = std::max(out.modified, at);
      const auto known =
          std::find_if(out.tasks.begin(), out.tasks.end(), [&](const auto& t) { return t.first == attempt.state; });
      if (known != out.tasks.end()) {
        ++known->second;
      } else {
        out.tasks.emplace_back(attempt.state, 1);
      }
    }
  }
  return out;
}

}  // namespace drey::gateway
