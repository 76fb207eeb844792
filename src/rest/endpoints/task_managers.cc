#include <fmt/format.h>

#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

using gateway::TaskManagerModel;

std::int64_t metric(const TaskManagerModel& tm, std::string_view name) {
  for (const auto& [key, value] : tm.metrics) {
    if (key == name) return value;
  }
  return 0;
}

Json resource(const TaskManagerModel& tm, std::int32_t slots) {
  const double share = tm.slots == 0 ? 0 : static_cast<double>(slots) / tm.slots;
  const auto managed = static_cast<std::int64_t>(static_cast<double>(tm.managed_memory) * share) >> 20;
  return Json::object({{"cpuCores", static_cast<double>(slots)},
                       {"taskHeapMemory", 0},
                       {"taskOffHeapMemory", 0},
                       {"managedMemory", managed},
                       {"networkMemory", 0},
                       {"extendedResources", Json::object()}});
}

Json common(const TaskManagerModel& tm) {
  return Json::object({{"id", tm.id},
                       {"path", fmt::format("pekko.tcp://flink@{}:{}/user/rpc/taskmanager_0", tm.host, tm.data_port)},
                       {"dataPort", tm.data_port},
                       {"jmxPort", -1},
                       {"timeSinceLastHeartbeat", tm.last_heartbeat},
                       {"slotsNumber", tm.slots},
                       {"freeSlots", tm.free_slots},
                       {"totalResource", resource(tm, tm.slots)},
                       {"freeResource", resource(tm, tm.free_slots)},
                       {"hardware", Json::object({{"cpuCores", tm.cores},
                                                  {"physicalMemory", tm.physical_memory},
                                                  {"freeMemory", tm.managed_memory},
                                                  {"managedMemory", tm.managed_memory}})},
                       {"memoryConfiguration", Json::object({{"frameworkHeap", 0}, {"taskHeap", 0}, {"frameworkOffHeap", 0},
                                                             {"taskOffHeap", 0}, {"networkMemory", 0},
                                                             {"managedMemory", tm.managed_memory}, {"jvmMetaspace", 0},
                                                             {"jvmOverhead", 0}, {"totalFlinkMemory", tm.managed_memory},
                                                             {"totalProcessMemory", tm.managed_memory}})},
                       {"assignedTasks", static_cast<std::int64_t>(tm.allocated.size())}});
}

}  // namespace

std::vector<Endpoint> task_manager_endpoints() {
  return {
      {"GET", "/taskmanagers", "All TaskManagers.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.task_managers().then([answer, refuse](Result<std::vector<TaskManagerModel>> all) {
           if (!all.ok()) return refuse({all.status(), ErrorForm::kBare});
           Json list = Json::array();
           for (const auto& tm : *all) list.push(common(tm));
           answer({200, Json::object({{"taskmanagers", std::move(list)}})});
         });
       }},
      {"GET", "/taskmanagers/:taskmanagerid", "One TaskManager.", Endpoint::Access::kRead, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.task_managers().then([answer, refuse, id = call.path.at("taskmanagerid")](Result<std::vector<TaskManagerModel>> all) {
           if (!all.ok()) return refuse({all.status(), ErrorForm::kBare});
           for (const auto& tm : *all) {
             if (tm.id != id) continue;
             Json details = common(tm);
             Json slots = Json::array();
             for (const JobId& job : tm.allocated) {
               slots.push(Json::object({{"jobId", job}, {"resource", resource(tm, 1)}, {"assignedTasks", 1}}));
             }
             details.set("allocatedSlots", std::move(slots));
             const std::int64_t used = metric(tm, "Status.Flink.Memory.Managed.Used");
             const std::int64_t shuffle = metric(tm, "Status.Shuffle.Netty.UsedMemory");
             details.set("metrics", Json::object({{"heapUsed", used}, {"heapCommitted", used}, {"heapMax", tm.managed_memory},
                                                  {"nonHeapUsed", 0}, {"nonHeapCommitted", 0}, {"nonHeapMax", 0},
                                                  {"directCount", 0}, {"directUsed", 0}, {"directMax", 0},
                                                  {"mappedCount", 0}, {"mappedUsed", 0}, {"mappedMax", 0},
                                                  {"memorySegmentsAvailable", 0}, {"memorySegmentsTotal", 0},
                                                  {"nettyShuffleMemorySegmentsAvailable", 0}, {"nettyShuffleMemorySegmentsUsed", 0},
                                                  {"nettyShuffleMemorySegmentsTotal", 0}, {"nettyShuffleMemoryAvailable", 0},
                                                  {"nettyShuffleMemoryUsed", shuffle}, {"nettyShuffleMemoryTotal", shuffle},
                                                  {"garbageCollectors", Json::array()}}));
             return answer({200, std::move(details)});
           }
           refuse({fail(Code::kNotFound, fmt::format("No TaskExecutor registered under {}.", id))});
         });
       }},
  };
}

}  // namespace drey::rest
