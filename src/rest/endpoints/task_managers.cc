#include "rest/messages/task_managers.h"

#include <fmt/format.h>

#include "rest/endpoint.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::TaskManagerModel;

ResourceProfile resource(const TaskManagerModel& tm, std::int32_t slots) {
  const double share = tm.slots == 0 ? 0 : static_cast<double>(slots) / tm.slots;
  ResourceProfile out;
  out.cpu_cores = slots;
  out.managed_memory = static_cast<std::int64_t>(static_cast<double>(tm.managed_memory) * share) >> 20;
  return out;
}

// The rows that list and details share.
template <typename T>
T common(const TaskManagerModel& tm) {
  T out;
  out.id = tm.id;
  out.path = fmt::format("pekko.tcp://flink@{}:{}/user/rpc/taskmanager_0", tm.host, tm.data_port);
  out.data_port = tm.data_port;
  out.jmx_port = -1;
  out.time_since_last_heartbeat = tm.last_heartbeat;
  out.slots_number = tm.slots;
  out.free_slots = tm.free_slots;
  out.assigned_tasks = static_cast<std::int64_t>(tm.allocated.size());
  out.total_resource = resource(tm, tm.slots);
  out.free_resource = resource(tm, tm.free_slots);
  out.hardware = {tm.cores, tm.physical_memory, tm.managed_memory, tm.managed_memory};
  out.memory_configuration.managed_memory = tm.managed_memory;
  out.memory_configuration.total_flink_memory = tm.managed_memory;
  out.memory_configuration.total_process_memory = tm.managed_memory;
  return out;
}

TaskManagerDetails details_of(const TaskManagerModel& tm) {
  auto out = common<TaskManagerDetails>(tm);
  for (const JobId& job : tm.allocated) out.allocated_slots.push_back({job, resource(tm, 1), 1});
  using M = TaskManagerMetrics;
  static constexpr std::pair<std::int64_t M::*, std::string_view> kRows[] = {
      {&M::heap_used, "JVM.Memory.Heap.Used"},
      {&M::heap_committed, "JVM.Memory.Heap.Committed"},
      {&M::heap_max, "JVM.Memory.Heap.Max"},
      {&M::non_heap_used, "JVM.Memory.NonHeap.Used"},
      {&M::non_heap_committed, "JVM.Memory.NonHeap.Committed"},
      {&M::non_heap_max, "JVM.Memory.NonHeap.Max"},
      {&M::direct_count, "JVM.Memory.Direct.Count"},
      {&M::direct_used, "JVM.Memory.Direct.MemoryUsed"},
      {&M::direct_max, "JVM.Memory.Direct.TotalCapacity"},
      {&M::mapped_count, "JVM.Memory.Mapped.Count"},
      {&M::mapped_used, "JVM.Memory.Mapped.MemoryUsed"},
      {&M::mapped_max, "JVM.Memory.Mapped.TotalCapacity"},
      {&M::memory_segments_available, "Shuffle.Netty.AvailableMemorySegments"},
      {&M::memory_segments_total, "Shuffle.Netty.TotalMemorySegments"},
      {&M::netty_shuffle_memory_segments_available, "Shuffle.Netty.AvailableMemorySegments"},
      {&M::netty_shuffle_memory_segments_used, "Shuffle.Netty.UsedMemorySegments"},
      {&M::netty_shuffle_memory_segments_total, "Shuffle.Netty.TotalMemorySegments"},
      {&M::netty_shuffle_memory_available, "Shuffle.Netty.AvailableMemory"},
      {&M::netty_shuffle_memory_used, "Shuffle.Netty.UsedMemory"},
      {&M::netty_shuffle_memory_total, "Shuffle.Netty.TotalMemory"}};
  for (const auto& [member, name] : kRows) {
    out.metrics.*member = tm.metrics.whole(fmt::format("Status.{}", name));
  }
  return out;
}

struct ListTaskManagers {
  static constexpr Route kRoute{"GET", "/taskmanagers", 200, "All TaskManagers."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Response = TaskManagerList;
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.task_managers().then([reply](Result<std::vector<TaskManagerModel>> all) {
      if (!all.ok()) return reply.refuse(all.status(), ErrorForm::kBare);
      Response list;
      for (const auto& tm : *all) list.taskmanagers.push_back(common<TaskManagerInfo>(tm));
      reply(list);
    });
  }
};

struct GetTaskManager {
  static constexpr Route kRoute{"GET", "/taskmanagers/:taskmanagerid", 200, "One TaskManager."};
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  struct Path {
    std::string id;
    static constexpr auto fields() { return Fields{field("taskmanagerid", &Path::id, "Id of a TaskManager.")}; }
  };
  using Response = TaskManagerDetails;
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.task_managers().then([reply, id = call.path.id](Result<std::vector<TaskManagerModel>> all) {
      if (!all.ok()) return reply.refuse(all.status(), ErrorForm::kBare);
      for (const auto& tm : *all) {
        if (tm.id == id) return reply(details_of(tm));
      }
      reply.refuse(fail(Code::kNotFound, fmt::format("No TaskExecutor registered under {}.", id)));
    });
  }
};

}  // namespace

std::vector<Endpoint> task_manager_endpoints() { return endpoint_list<ListTaskManagers, GetTaskManager>(); }

}  // namespace drey::rest
