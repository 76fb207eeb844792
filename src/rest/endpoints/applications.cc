#include "rest/messages/applications.h"

#include <fmt/format.h>

#include "rest/ended_rows.h"
#include "rest/endpoint.h"
#include "rest/job_views.h"
#include "rest/messages/cluster.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::JobModel;
using gateway::JobOutline;

struct ApplicationPath {
  JobId applicationid;
  static constexpr auto fields() {
    return Fields{field("applicationid", &ApplicationPath::applicationid, "Id of an application: that of its job.")};
  }
};

// An application has one L where a job has two, and knows no restart.
std::string status_of(const JobOutline& job) {
  if (job.state == "CANCELLING") return "CANCELING";
  if (job.state == "INITIALIZING") return "CREATED";
  for (const EnumText& word : kApplicationStates) {
    if (word.text == job.state && word.text != "CREATED") return job.state;
  }
  return "RUNNING";
}

std::string name_of(const JobOutline& job) { return fmt::format("SingleJobApplication({})", job.name); }

template <typename View>
void describe(const JobOutline& job, View& out) {
  out.id = job.id;
  out.name = name_of(job);
  out.start_time = job.start;
  out.end_time = job.end;
  out.duration = (job.is_terminal() ? job.end : now_ms()) - job.start;
  out.status = status_of(job);
}

Status unknown(JobId id) {
  return fail(Code::kNotFound, fmt::format("org.apache.flink.runtime.messages.FlinkApplicationNotFoundException: "
                                           "Could not find Flink application ({})",
                                           id.to_string()));
}

// Hands the application's job to `use`, or refuses for it.
template <typename T>
void with_application(JobId id, ClusterGateway& cluster, const Reply<T>& reply,
                      std::function<void(const JobModel&)> use) {
  cluster.job(id).then([id, reply, use = std::move(use)](Result<gateway::JobModelRef> job) {
    if (!job.ok()) return reply.refuse(unknown(id), ErrorForm::kBare);
    use(**job);
  });
}

EndedRows::Row encoded_row(const JobOutline& job, Dialect dialect) {
  ApplicationSummary summary;
  describe(job, summary);
  summary.jobs = {{job.state, 1}};
  EndedRows::Row row;
  write_json(kShapeOf<ApplicationSummary>, &summary, dialect, row.text);
  return row;
}

struct GetApplications {
  static constexpr Route kRoute{"GET", "/applications/overview", 200, "All applications."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Response = ApplicationSummaries;
  static void handle(const Call<>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.jobs().then(
        [reply, rows = call.raw.router->ended_rows()](Result<std::vector<gateway::JobOutlineRef>> jobs) {
          if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
          reply.encoded(rows->list("applications", *jobs, reply.dialect(), encoded_row).text);
        });
  }
};

struct GetApplication {
  static constexpr Route kRoute{"GET", "/applications/:applicationid", 200, "An application with its jobs."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = ApplicationPath;
  using Response = ApplicationDetails;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_application(call.path.applicationid, cluster, reply, [reply](const JobModel& job) {
      Response details;
      const JobOutline outline = gateway::outline_of(job);
      describe(outline, details);
      for (const EnumText& state : kApplicationStates) {
        const std::string_view of_job = state.text == "CANCELING" ? "CANCELLING" : state.text;
        std::int64_t at = job.time_of(of_job);
        if (state.text == "CREATED") at = details.start_time;
        details.timestamps.emplace_back(std::string(state.text), at);
      }
      details.jobs.push_back(summary_of(outline));
      reply(details);
    });
  }
};

struct GetApplicationExceptions {
  static constexpr Route kRoute{"GET", "/applications/:applicationid/exceptions", 200, "Why an application failed."};
  static constexpr Access kAccess = Access::kView;
  using Path = ApplicationPath;
  using Response = ApplicationExceptions;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_application(call.path.applicationid, cluster, reply, [reply](const JobModel& job) {
      Response out;
      if (job.state == "FAILED") {
        out.exception_history.entries.push_back({job.failure.name, job.failure.stacktrace, job.failure.time, job.id});
      }
      reply(out);
    });
  }
};

struct CancelApplication {
  static constexpr Route kRoute{"POST", "/applications/:applicationid/cancel", 202, "Cancels an application's job."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = ApplicationPath;
  using Response = None;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<None>& reply) {
    cluster.cancel(call.path.applicationid).then([reply, id = call.path.applicationid](Result<bool> done) {
      if (done.ok()) return reply({});
      reply.refuse(fail(Code::kNotFound,
                        fmt::format("Application could not be found.\nCaused by: {}", unknown(id).to_string())));
    });
  }
};

// The cluster's: a native job has no configuration of the JobManager of its own.
struct GetApplicationConfig {
  static constexpr Route kRoute{"GET", "/applications/:applicationid/jobmanager/config", 200,
                                "The cluster's configuration."};
  static constexpr Access kAccess = Access::kView;
  using Path = ApplicationPath;
  using Response = std::vector<ConfigurationEntry>;
  static void handle(const Call<Path>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply(configuration_of(cluster));
  }
};

}  // namespace

std::vector<Endpoint> application_endpoints() {
  return endpoint_list<GetApplications, GetApplication, GetApplicationExceptions, CancelApplication,
                       GetApplicationConfig>();
}

}  // namespace drey::rest
