// StatisticModel: what is known of many numbers (durations, sizes) without keeping them all: exact
// count, sum and extremes, percentiles over the most recent ones. Threading: a value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "wire/field.h"

namespace drey::gateway {

struct StatisticModel {
  static constexpr std::size_t kRecentMax = 1000;  // older numbers no longer count in percentiles
  std::int64_t count = 0;
  std::int64_t sum = 0;
  std::int64_t min = 0;  // 0 when there are none
  std::int64_t max = 0;
  std::vector<std::int64_t> recent;  // oldest first

  void add(std::int64_t value) {
    min = count == 0 ? value : std::min(min, value);
    max = count == 0 ? value : std::max(max, value);
    ++count;
    sum += value;
    if (recent.size() == kRecentMax) recent.erase(recent.begin());
    recent.push_back(value);
  }
  static constexpr auto fields() {
    using M = StatisticModel;
    return wire::Fields{wire::field("count", &M::count), wire::field("sum", &M::sum), wire::field("min", &M::min),
                        wire::field("max", &M::max), wire::field("recent", &M::recent)};
  }
};
static_assert(wire::EveryMemberHasARow<StatisticModel>);

}  // namespace drey::gateway
