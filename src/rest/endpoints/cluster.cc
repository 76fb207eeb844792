#include "rest/messages/cluster.h"

#include "rest/operation.h"
#include "rest/rest_options.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;

struct GetConfig {
  static constexpr Route kRoute{"GET", "/config", 200, "What a dashboard needs to know first."};
  static constexpr Access kAccess = Access::kView;
  using Response = DashboardConfiguration;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    const RestOptions defaults;
    Response config;
    config.refresh_interval =
        Json(cluster.option("web.refresh-interval", "")).whole().value_or(defaults.refresh_interval);
    config.timezone_name = "Coordinated Universal Time";
    config.flink_version = cluster.option("drey.flink-version", defaults.flink_version);
    config.flink_revision = cluster.option("drey.flink-revision", defaults.flink_revision);
    config.features = {
        .web_submit = true, .web_cancel = true, .web_rescale = true, .web_history = false};
    reply(config);
  }
};

struct GetOverview {
  static constexpr Route kRoute{"GET", "/overview", 200, "The cluster in numbers."};
  static constexpr Access kAccess = Access::kView;
  using Response = ClusterOverview;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    Response overview;
    overview.flink_version = cluster.option("drey.flink-version", RestOptions().flink_version);
    overview.flink_commit = "c0f8d1a";
    cluster.task_managers().then(
        [&cluster, reply, overview](Result<std::vector<gateway::TaskManagerModel>> all) mutable {
          if (!all.ok()) return reply.refuse(all.status(), ErrorForm::kBare);
          overview.taskmanagers = static_cast<std::int64_t>(all->size());
          for (const auto& tm : *all) {
            overview.slots_total += tm.slots;
            overview.slots_available += tm.free_slots;
          }
          cluster.jobs().then(
              [reply, overview](Result<std::vector<gateway::JobModelRef>> jobs) mutable {
                if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
                for (const auto& job : *jobs) {
                  ++(job->state == "FINISHED"   ? overview.jobs_finished
                     : job->state == "CANCELED" ? overview.jobs_cancelled
                     : job->state == "FAILED"   ? overview.jobs_failed
                                                : overview.jobs_running);
                }
                reply(overview);
              });
        });
  }
};

struct GetJobManagerConfig {
  static constexpr Route kRoute{"GET", "/jobmanager/config", 200, "The cluster's configuration."};
  static constexpr Access kAccess = Access::kView;
  using Response = std::vector<ConfigurationEntry>;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    Response list;
    for (const auto& entry : cluster.configuration()) list.push_back({entry.key, entry.value});
    reply(list);
  }
};

}  // namespace

std::vector<Endpoint> cluster_endpoints() {
  return endpoint_list<GetConfig, GetOverview, GetJobManagerConfig>();
}

}  // namespace drey::rest
