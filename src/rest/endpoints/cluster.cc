#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {

std::vector<Endpoint> cluster_endpoints() {
  return {
      {"GET", "/config", "What a dashboard needs to know first.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse) {
         answer({200, Json::object({{"refresh-interval", Json(gateway.option("web.refresh-interval", "3000")).whole().value_or(3000)},
                                    {"timezone-name", "Coordinated Universal Time"},
                                    {"timezone-offset", 0},
                                    {"flink-version", gateway.option("drey.flink-version", "2.3.0")},
                                    {"flink-revision", gateway.option("drey.flink-revision", "c0f8d1a @ 2026-06-14T16:29:03+02:00")},
                                    {"features", Json::object({{"web-submit", true}, {"web-cancel", true}, {"web-rescale", true},
                                                               {"web-history", false}})}})});
       }},
      {"GET", "/overview", "The cluster in numbers.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const std::string version = gateway.option("drey.flink-version", "2.3.0");
         gateway.task_managers().then([&gateway, answer, refuse, version](Result<std::vector<gateway::TaskManagerModel>> tms) {
           if (!tms.ok()) return refuse({tms.status(), ErrorForm::kBare});
           std::int64_t total = 0;
           std::int64_t free = 0;
           for (const auto& tm : *tms) {
             total += tm.slots;
             free += tm.free_slots;
           }
           const auto count = static_cast<std::int64_t>(tms->size());
           gateway.jobs().then([answer, refuse, version, total, free, count](Result<std::vector<gateway::JobModelRef>> jobs) {
             if (!jobs.ok()) return refuse({jobs.status(), ErrorForm::kBare});
             std::int64_t running = 0, finished = 0, cancelled = 0, failed = 0;
             for (const auto& job : *jobs) {
               if (job->state == "FINISHED") {
                 ++finished;
               } else if (job->state == "CANCELED") {
                 ++cancelled;
               } else if (job->state == "FAILED") {
                 ++failed;
               } else {
                 ++running;
               }
             }
             answer({200, Json::object({{"taskmanagers", count},
                                        {"slots-total", total},
                                        {"slots-available", free},
                                        {"jobs-running", running},
                                        {"jobs-finished", finished},
                                        {"jobs-cancelled", cancelled},
                                        {"jobs-failed", failed},
                                        {"flink-version", version},
                                        {"flink-commit", "c0f8d1a"}})});
           });
         });
       }},
      {"GET", "/jobmanager/config", "The cluster's configuration.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse) {
         Json list = Json::array();
         for (const auto& entry : gateway.configuration()) list.push(Json::object({{"key", entry.key}, {"value", entry.value}}));
         answer({200, std::move(list)});
       }},
  };
}

}  // namespace drey::rest
