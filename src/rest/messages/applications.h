// Bodies about applications: what Flink 2.3 calls the run of a program. Its dashboard lists these
// instead of jobs. In Drey an application is its one job, under the same id (rest.md 6).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/messages/jobs.h"
#include "rest/shape.h"

namespace drey::rest {

inline constexpr std::array kApplicationStates{EnumText{"CREATED"}, EnumText{"RUNNING"},   EnumText{"FAILING"},
                                               EnumText{"FAILED"},  EnumText{"CANCELING"}, EnumText{"CANCELED"},
                                               EnumText{"FINISHED"}};

struct ApplicationSummary {
  JobId id;
  std::string name;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;  // -1: not ended
  std::int64_t duration = 0;
  OneOf<kApplicationStates> status;
  Map<std::int64_t> jobs;  // job state -> how many
  static constexpr auto fields() {
    using M = ApplicationSummary;
    return Fields{field("id", &M::id),
                  field("name", &M::name),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("status", &M::status),
                  field("jobs", &M::jobs)};
  }
};
static_assert(wire::EveryMemberHasARow<ApplicationSummary>);

struct ApplicationSummaries {
  std::vector<ApplicationSummary> applications;
  static constexpr auto fields() { return Fields{field("applications", &ApplicationSummaries::applications)}; }
};
static_assert(wire::EveryMemberHasARow<ApplicationSummaries>);

struct ApplicationDetails {
  JobId id;
  std::string name;
  OneOf<kApplicationStates> status;
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;  // -1: not ended
  std::int64_t duration = 0;
  Map<std::int64_t> timestamps;  // of all application states; 0: never entered
  std::vector<JobSummary> jobs;
  static constexpr auto fields() {
    using M = ApplicationDetails;
    return Fields{field("id", &M::id),
                  field("name", &M::name),
                  field("status", &M::status),
                  field("start-time", &M::start_time),
                  field("end-time", &M::end_time),
                  field("duration", &M::duration),
                  field("timestamps", &M::timestamps),
                  field("jobs", &M::jobs)};
  }
};
static_assert(wire::EveryMemberHasARow<ApplicationDetails>);

struct ApplicationException {
  std::string exception_name;
  std::string stacktrace;
  std::int64_t timestamp = 0;
  JobId job_id;
  static constexpr auto fields() {
    using M = ApplicationException;
    return Fields{field("exceptionName", &M::exception_name), field("stacktrace", &M::stacktrace),
                  field("timestamp", &M::timestamp), field("jobId", &M::job_id)};
  }
};
static_assert(wire::EveryMemberHasARow<ApplicationException>);

struct ApplicationExceptionHistory {
  std::vector<ApplicationException> entries;
  static constexpr auto fields() { return Fields{field("entries", &ApplicationExceptionHistory::entries)}; }
};
static_assert(wire::EveryMemberHasARow<ApplicationExceptionHistory>);

struct ApplicationExceptions {
  ApplicationExceptionHistory exception_history;
  static constexpr auto fields() {
    return Fields{field("exceptionHistory", &ApplicationExceptions::exception_history)};
  }
};
static_assert(wire::EveryMemberHasARow<ApplicationExceptions>);

}  // namespace drey::rest
