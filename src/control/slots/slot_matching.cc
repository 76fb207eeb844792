#include "control/slots/slot_matching.h"

#include <algorithm>

namespace drey::control {

std::vector<ChosenSlot> choose_slots(std::vector<std::vector<bool>> is_free, std::size_t count, LoadBalance mode) {
  const auto free_in = [&](std::size_t i) {
    return static_cast<std::size_t>(std::count(is_free[i].begin(), is_free[i].end(), true));
  };
  std::size_t all = 0;
  for (std::size_t i = 0; i < is_free.size(); ++i) all += free_in(i);
  if (all < count) return {};
  std::vector<ChosenSlot> chosen;
  // Whether the next slot is better taken from a than from b.
  const auto is_better = [&](std::size_t a, std::size_t b) {
    const std::size_t free_a = free_in(a);
    const std::size_t free_b = free_in(b);
    if (mode != LoadBalance::kNone) return free_a * is_free[b].size() > free_b * is_free[a].size();
    const std::size_t left = count - chosen.size();
    if ((free_a >= left) != (free_b >= left)) return free_a >= left;
    return free_a >= left ? free_a < free_b : free_a > free_b;
  };
  while (chosen.size() < count) {
    std::size_t best = is_free.size();
    for (std::size_t i = 0; i < is_free.size(); ++i) {
      if (free_in(i) != 0 && (best == is_free.size() || is_better(i, best))) best = i;
    }
    do {
      const auto slot = std::find(is_free[best].begin(), is_free[best].end(), true);
      *slot = false;
      chosen.push_back({best, static_cast<std::uint32_t>(slot - is_free[best].begin())});
    } while (mode == LoadBalance::kNone && chosen.size() < count && free_in(best) != 0);
  }
  return chosen;
}

}  // namespace drey::control
