// Slot matching: which free slots a job gets. Pure: same answers for the same slots.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/enums.h"

namespace drey::control {

// taskmanager.load-balance.mode. TASKS balances like SLOTS: a slot has one subtask of each vertex.
enum class LoadBalance { kSlots, kTasks, kNone };
constexpr auto enum_table(LoadBalance) {
  return std::array{EnumRow{LoadBalance::kSlots, "SLOTS"}, EnumRow{LoadBalance::kTasks, "TASKS"},
                    EnumRow{LoadBalance::kNone, "NONE"}};
}

struct ChosenSlot {
  std::size_t task_manager = 0;  // index into what choose_slots() was given
  std::uint32_t slot = 0;
  friend bool operator==(const ChosenSlot&, const ChosenSlot&) = default;
};

// `count` of the free slots, or none when there are fewer. is_free[task manager][slot]. Balanced: one after another
// from the TaskManager of which the smallest share is taken. kNone: from as few TaskManagers as may be.
std::vector<ChosenSlot> choose_slots(std::vector<std::vector<bool>> is_free, std::size_t count, LoadBalance mode);

}  // namespace drey::control
