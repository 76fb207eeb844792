// Messages about TaskManagers. Rows in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/shape.h"

namespace drey::rest {

struct HardwareDescription {
  std::int64_t cpu_cores = 0;
  std::int64_t physical_memory = 0;
  std::int64_t free_memory = 0;
  std::int64_t managed_memory = 0;
  static constexpr std::string_view kUrn = "runtime:instance:HardwareDescription";
  static constexpr auto fields() {
    using M = HardwareDescription;
    return Fields{field("cpuCores", &M::cpu_cores), field("physicalMemory", &M::physical_memory),
                  field("freeMemory", &M::free_memory), field("managedMemory", &M::managed_memory)};
  }
};
static_assert(wire::EveryMemberHasARow<HardwareDescription>);

struct MemoryConfiguration {
  std::int64_t framework_heap = 0;
  std::int64_t task_heap = 0;
  std::int64_t framework_off_heap = 0;
  std::int64_t task_off_heap = 0;
  std::int64_t network_memory = 0;
  std::int64_t managed_memory = 0;
  std::int64_t jvm_metaspace = 0;
  std::int64_t jvm_overhead = 0;
  std::int64_t total_flink_memory = 0;
  std::int64_t total_process_memory = 0;
  static constexpr std::string_view kUrn = "runtime:taskexecutor:TaskExecutorMemoryConfiguration";
  static constexpr auto fields() {
    using M = MemoryConfiguration;
    return Fields{field("frameworkHeap", &M::framework_heap).in(kV2),
                  field("taskHeap", &M::task_heap).in(kV2),
                  field("frameworkOffHeap", &M::framework_off_heap).in(kV2),
                  field("taskOffHeap", &M::task_off_heap).in(kV2),
                  field("networkMemory", &M::network_memory).in(kV2),
                  field("managedMemory", &M::managed_memory).in(kV2),
                  field("jvmMetaspace", &M::jvm_metaspace).in(kV2),
                  field("jvmOverhead", &M::jvm_overhead).in(kV2),
                  field("totalFlinkMemory", &M::total_flink_memory).in(kV2),
                  field("totalProcessMemory", &M::total_process_memory).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<MemoryConfiguration>);

struct ResourceProfile {
  double cpu_cores = 0;
  std::int64_t task_heap_memory = 0;
  std::int64_t task_off_heap_memory = 0;
  std::int64_t managed_memory = 0;
  std::int64_t network_memory = 0;
  Map<double> extended_resources;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ResourceProfileInfo";
  static constexpr auto fields() {
    using M = ResourceProfile;
    return Fields{field("cpuCores", &M::cpu_cores),
                  field("taskHeapMemory", &M::task_heap_memory),
                  field("taskOffHeapMemory", &M::task_off_heap_memory),
                  field("managedMemory", &M::managed_memory),
                  field("networkMemory", &M::network_memory),
                  field("extendedResources", &M::extended_resources)};
  }
};
static_assert(wire::EveryMemberHasARow<ResourceProfile>);

struct TaskManagerInfo {
  std::string id;
  std::string path;
  std::int64_t data_port = 0;
  std::int64_t jmx_port = 0;
  std::int64_t time_since_last_heartbeat = 0;
  std::int64_t slots_number = 0;
  std::int64_t free_slots = 0;
  std::int64_t assigned_tasks = 0;
  ResourceProfile total_resource;
  ResourceProfile free_resource;
  HardwareDescription hardware;
  MemoryConfiguration memory_configuration;
  std::optional<bool> blocked;
  static constexpr std::string_view kUrn = "runtime:rest:messages:taskmanager:TaskManagerInfo";
  static constexpr auto fields() {
    using M = TaskManagerInfo;
    return Fields{field("id", &M::id),
                  field("path", &M::path),
                  field("dataPort", &M::data_port),
                  field("jmxPort", &M::jmx_port).in(kV2),
                  field("timeSinceLastHeartbeat", &M::time_since_last_heartbeat),
                  field("slotsNumber", &M::slots_number),
                  field("freeSlots", &M::free_slots),
                  field("assignedTasks", &M::assigned_tasks).in(kUnlisted),
                  field("totalResource", &M::total_resource),
                  field("freeResource", &M::free_resource),
                  field("hardware", &M::hardware),
                  field("memoryConfiguration", &M::memory_configuration).in(kV2),
                  field("blocked", &M::blocked).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskManagerInfo>);

struct TaskManagerList {
  std::vector<TaskManagerInfo> taskmanagers;
  static constexpr std::string_view kUrn = "runtime:rest:messages:taskmanager:TaskManagersInfo";
  static constexpr auto fields() {
    using M = TaskManagerList;
    return Fields{field("taskmanagers", &M::taskmanagers)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskManagerList>);

struct SlotInfo {
  JobId job_id;
  ResourceProfile resource;
  std::int64_t assigned_tasks = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:taskmanager:SlotInfo";
  static constexpr auto fields() {
    using M = SlotInfo;
    return Fields{field("jobId", &M::job_id).in(kV2), field("resource", &M::resource).in(kV2),
                  field("assignedTasks", &M::assigned_tasks).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<SlotInfo>);

struct GarbageCollectorInfo {
  std::string name;
  std::int64_t count = 0;
  std::int64_t time = 0;
  static constexpr std::string_view kUrn =
      "runtime:rest:messages:taskmanager:TaskManagerMetricsInfo:GarbageCollectorInfo";
  static constexpr auto fields() {
    using M = GarbageCollectorInfo;
    return Fields{field("name", &M::name), field("count", &M::count), field("time", &M::time)};
  }
};
static_assert(wire::EveryMemberHasARow<GarbageCollectorInfo>);

struct TaskManagerMetrics {
  std::int64_t heap_used = 0;
  std::int64_t heap_committed = 0;
  std::int64_t heap_max = 0;
  std::int64_t non_heap_used = 0;
  std::int64_t non_heap_committed = 0;
  std::int64_t non_heap_max = 0;
  std::int64_t direct_count = 0;
  std::int64_t direct_used = 0;
  std::int64_t direct_max = 0;
  std::int64_t mapped_count = 0;
  std::int64_t mapped_used = 0;
  std::int64_t mapped_max = 0;
  std::int64_t memory_segments_available = 0;
  std::int64_t memory_segments_total = 0;
  std::int64_t netty_shuffle_memory_segments_available = 0;
  std::int64_t netty_shuffle_memory_segments_used = 0;
  std::int64_t netty_shuffle_memory_segments_total = 0;
  std::int64_t netty_shuffle_memory_available = 0;
  std::int64_t netty_shuffle_memory_used = 0;
  std::int64_t netty_shuffle_memory_total = 0;
  std::vector<GarbageCollectorInfo> garbage_collectors;
  static constexpr std::string_view kUrn = "runtime:rest:messages:taskmanager:TaskManagerMetricsInfo";
  static constexpr auto fields() {
    using M = TaskManagerMetrics;
    return Fields{field("heapUsed", &M::heap_used),
                  field("heapCommitted", &M::heap_committed),
                  field("heapMax", &M::heap_max),
                  field("nonHeapUsed", &M::non_heap_used),
                  field("nonHeapCommitted", &M::non_heap_committed),
                  field("nonHeapMax", &M::non_heap_max),
                  field("directCount", &M::direct_count),
                  field("directUsed", &M::direct_used),
                  field("directMax", &M::direct_max),
                  field("mappedCount", &M::mapped_count),
                  field("mappedUsed", &M::mapped_used),
                  field("mappedMax", &M::mapped_max),
                  field("memorySegmentsAvailable", &M::memory_segments_available).in(kV1),
                  field("memorySegmentsTotal", &M::memory_segments_total).in(kV1),
                  field("nettyShuffleMemorySegmentsAvailable", &M::netty_shuffle_memory_segments_available).in(kV2),
                  field("nettyShuffleMemorySegmentsUsed", &M::netty_shuffle_memory_segments_used).in(kV2),
                  field("nettyShuffleMemorySegmentsTotal", &M::netty_shuffle_memory_segments_total).in(kV2),
                  field("nettyShuffleMemoryAvailable", &M::netty_shuffle_memory_available).in(kV2),
                  field("nettyShuffleMemoryUsed", &M::netty_shuffle_memory_used).in(kV2),
                  field("nettyShuffleMemoryTotal", &M::netty_shuffle_memory_total).in(kV2),
                  field("garbageCollectors", &M::garbage_collectors)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskManagerMetrics>);

struct TaskManagerDetails {
  std::string id;
  std::string path;
  std::int64_t data_port = 0;
  std::int64_t jmx_port = 0;
  std::int64_t time_since_last_heartbeat = 0;
  std::int64_t slots_number = 0;
  std::int64_t free_slots = 0;
  std::int64_t assigned_tasks = 0;
  ResourceProfile total_resource;
  ResourceProfile free_resource;
  HardwareDescription hardware;
  MemoryConfiguration memory_configuration;
  std::vector<SlotInfo> allocated_slots;
  TaskManagerMetrics metrics;
  std::optional<bool> blocked;
  static constexpr std::string_view kUrn = "runtime:rest:messages:taskmanager:TaskManagerDetailsInfo";
  static constexpr auto fields() {
    using M = TaskManagerDetails;
    return Fields{field("id", &M::id),
                  field("path", &M::path),
                  field("dataPort", &M::data_port),
                  field("jmxPort", &M::jmx_port).in(kV2),
                  field("timeSinceLastHeartbeat", &M::time_since_last_heartbeat),
                  field("slotsNumber", &M::slots_number),
                  field("freeSlots", &M::free_slots),
                  field("assignedTasks", &M::assigned_tasks).in(kUnlisted),
                  field("totalResource", &M::total_resource),
                  field("freeResource", &M::free_resource),
                  field("hardware", &M::hardware),
                  field("memoryConfiguration", &M::memory_configuration).in(kV2),
                  field("allocatedSlots", &M::allocated_slots).in(kV2),
                  field("metrics", &M::metrics),
                  field("blocked", &M::blocked).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskManagerDetails>);

}  // namespace drey::rest
