#include "rest/messages/cluster.h"

#include "rest/client_endpoints.h"
#include "rest/job_views.h"
#include "rest/messages/async.h"
#include "rest/rest_options.h"
#include "rest/tag.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;

// What the API says of itself. The cluster has read its options when it started, so they are good.
RestOptions options_of(ClusterGateway& cluster) {
  config::Values values;
  for (const gateway::ConfigEntry& entry : cluster.configuration()) values[entry.key] = entry.value;
  return config::read<RestOptions>(values).value_or(RestOptions());
}

struct GetConfig {
  static constexpr Route kRoute{"GET", "/config", 200, "What a dashboard needs to know first."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Response = DashboardConfiguration;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    const RestOptions options = options_of(cluster);
    Response config;
    config.refresh_interval = options.refresh_interval;
    config.timezone_name = "Coordinated Universal Time";
    config.flink_version = options.flink_version;
    config.flink_revision = options.flink_revision;
    config.features = {.web_submit = true, .web_cancel = true, .web_rescale = true, .web_history = false};
    reply(config);
  }
};

struct GetOverview : endpoints::GetOverview {
  static constexpr bool kShared = true;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    Response overview;
    const RestOptions options = options_of(cluster);
    overview.flink_version = options.flink_version;
    overview.flink_commit = options.flink_revision.substr(0, options.flink_revision.find(' '));
    cluster.task_managers().then(
        [&cluster, reply, overview](Result<std::vector<gateway::TaskManagerModel>> all) mutable {
          if (!all.ok()) return reply.refuse(all.status(), ErrorForm::kBare);
          overview.taskmanagers = static_cast<std::int64_t>(all->size());
          for (const auto& tm : *all) {
            overview.slots_total += tm.slots;
            overview.slots_available += tm.free_slots;
          }
          cluster.jobs().then([reply, overview](Result<std::vector<gateway::JobOutlineRef>> jobs) mutable {
            if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
            for (const auto& job : *jobs) {
              ++(job->state == "FINISHED"   ? overview.jobs_finished
                 : job->state == "CANCELED" ? overview.jobs_cancelled
                 : job->state == "FAILED"   ? overview.jobs_failed
                                            : overview.jobs_running);
            }
            Tag tag;
            for (const std::int64_t number :
                 {overview.taskmanagers, overview.slots_total, overview.slots_available, overview.jobs_running,
                  overview.jobs_finished, overview.jobs_cancelled, overview.jobs_failed})
              tag.add(number);
            tag.add(overview.flink_version);
            tag.add(overview.flink_commit);
            reply(overview, {}, tag.value());
          });
        });
  }
};

struct GetJobManagerConfig {
  static constexpr Route kRoute{"GET", "/jobmanager/config", 200, "The cluster's configuration."};
  static constexpr Access kAccess = Access::kView;
  using Response = std::vector<ConfigurationEntry>;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply(configuration_of(cluster));
  }
};

struct EndCluster {
  static constexpr Route kRoute{"DELETE", "/cluster", 200, "Ends the cluster; jobs resume when it starts again."};
  static constexpr Access kAccess = Access::kAdmin;
  using Response = None;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    reply({});
    cluster.end_cluster();
  }
};

struct GetOpenApi {
  static constexpr Route kRoute{"GET", "/openapi.json", 200, "This API as OpenAPI 3."};
  static constexpr Access kAccess = Access::kView;
  using Response = Json;
  static void handle(const Call<>&, ClusterGateway&, const Reply<Response>& reply) {
    static const Json page = openapi(all_endpoints());
    reply(page);
  }
};

// --- data sets: none is cached, so there is none to list and any deletion is done at once ---

struct ListDataSets {
  static constexpr Route kRoute{"GET", "/datasets", 200, "Cached data sets."};
  static constexpr Access kAccess = Access::kView;
  using Response = DataSetList;
  static void handle(const Call<>&, ClusterGateway&, const Reply<Response>& reply) { reply({}); }
};

struct DeleteDataSet {
  static constexpr Route kRoute{"DELETE", "/datasets/:datasetid", 202, "Deletes a data set."};
  static constexpr Access kAccess = Access::kOperate;
  struct Path {
    DatasetId id;
    static constexpr auto fields() { return Fields{field("datasetid", &Path::id, "Id of a data set.")}; }
  };
  using Response = TriggerAnswer;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.delete_dataset(call.path.id.to_string()).then([reply](Result<TriggerId> id) {
      if (!id.ok()) return reply.refuse(id.status());
      reply({*id});
    });
  }
};

struct PollDataSetDeletion {
  static constexpr Route kRoute{"GET", "/datasets/delete/:triggerid", 200, "How far the deletion of a data set is."};
  static constexpr Access kAccess = Access::kView;
  struct Path {
    TriggerId id;
    static constexpr auto fields() { return Fields{field("triggerid", &Path::id, "The request-id of the deletion.")}; }
  };
  using Response = AsyncResult<AsyncInfo>;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.dataset_deletion(call.path.id).then([reply](Result<bool> done) {
      if (!done.ok()) return reply.refuse(done.status(), ErrorForm::kNotFoundClass);
      reply({{"COMPLETED"}, AsyncInfo()});
    });
  }
};

}  // namespace

std::vector<Endpoint> cluster_endpoints() {
  return endpoint_list<GetConfig, GetOverview, GetJobManagerConfig, EndCluster, GetOpenApi, ListDataSets, DeleteDataSet,
                       PollDataSetDeletion>();
}

}  // namespace drey::rest
