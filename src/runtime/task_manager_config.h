// TaskManagerConfig: how many TaskManagers `drey up` starts, and what each of them may use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/option.h"

namespace drey::runtime {

struct TaskManagerConfig {
  std::int32_t count = 1;
  std::optional<std::int32_t> slots;
  std::optional<config::Bytes> managed_memory;
  double managed_fraction = 0.4;
  std::uint16_t data_port = 0;
  Millis cancellation_timeout{180'000};

  // The same with slots and memory where they are not set, for a machine with so many cores and bytes of memory.
  TaskManagerConfig on_machine(std::int32_t cores, std::int64_t memory_bytes) const {
    TaskManagerConfig whole = *this;
    if (!slots) whole.slots = cores;
    const double share = managed_fraction / std::max(count, 1) * static_cast<double>(memory_bytes);
    if (!managed_memory) whole.managed_memory = config::Bytes{static_cast<std::uint64_t>(share)};
    return whole;
  }

  static constexpr std::string_view kTitle = "TaskManagers";
  static constexpr auto options() {
    using M = TaskManagerConfig;
    using config::option;
    return config::Options{
        option("minicluster.number-of-taskmanagers", &M::count, "TaskManager processes that drey up starts.")
            .renamed_from("drey.taskmanagers")
            .between(0, 1000),
        option("taskmanager.numberOfTaskSlots", &M::slots, "Slots of a TaskManager; more than cores is fine.")
            .between(1, 100'000)
            .defaults_to("the number of cores"),
        option("taskmanager.memory.managed.size", &M::managed_memory,
               "Memory for state, over all slots of a TaskManager.")
            .defaults_to("a share of the machine's memory"),
        option("taskmanager.memory.managed.fraction", &M::managed_fraction,
               "That share, over all TaskManagers of this machine.")
            .between(0, 1),
        option("taskmanager.data.port", &M::data_port,
               "Port for rows from other TaskManagers, on loopback; 0: any free one. The TaskManagers "
               "of one machine take this one and those behind it.")
            .between(0, 65'535),
        option("task.cancellation.timeout", &M::cancellation_timeout,
               "A TaskManager whose cancelled tasks do not stop in this time ends itself.")
            .at_least(1),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<TaskManagerConfig>);

}  // namespace drey::runtime
