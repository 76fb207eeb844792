// Messages of metric queries.
#pragma once

#include <optional>
#include <string>

#include "rest/shape.h"

namespace drey::rest {

// Without a value: the name only.
struct MetricEntry {
  std::string id;
  std::optional<std::string> value;
  static constexpr auto fields() {
    using M = MetricEntry;
    return Fields{field("id", &M::id), field("value", &M::value)};
  }
};
static_assert(wire::EveryMemberHasARow<MetricEntry>);

struct AggregatedMetric {
  std::string id;
  std::optional<double> min;
  std::optional<double> max;
  std::optional<double> avg;
  std::optional<double> sum;
  std::optional<double> skew;  // mean deviation from the mean, in percent of it
  static constexpr auto fields() {
    using M = AggregatedMetric;
    return Fields{field("id", &M::id),   field("min", &M::min), field("max", &M::max),
                  field("avg", &M::avg), field("sum", &M::sum), field("skew", &M::skew)};
  }
};
static_assert(wire::EveryMemberHasARow<AggregatedMetric>);

}  // namespace drey::rest
