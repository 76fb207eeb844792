// Row: one metric of a component as data: its name, how it is computed from a view of the
// component, what it means.
//
//   constexpr Row<TaskView> kRows[] = {
//       {"numRecordsIn", [](const TaskView& v) -> Number { return v.records_in; }, "Rows that came in."},
//   };
//
// Threading: constants.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "metrics/metrics.h"

namespace drey::metrics {

enum class Also { kNothing, kPerSecond };  // kPerSecond: `<name>PerSecond`, its growth over the last minute, too

template <typename View>
struct Row {
  std::string_view name;
  Number (*of)(const View&);
  std::string_view doc;
  Also also = Also::kNothing;
  // The same under another name, with the rate's when there is one; empty: none.
  std::string_view twin = {};
  // Whether the component has it, for its whole life; null: each has.
  bool (*is_had)(const View&) = nullptr;
};

// A row without its function: for the reference page.
struct Documented {
  std::string_view scope;  // "subtask"
  std::string_view name;
  std::string_view doc;
  bool per_second = false;
  std::string_view twin = {};
};

template <typename View>
void document(std::string_view scope, std::span<const Row<View>> rows, std::vector<Documented>& out) {
  for (const Row<View>& row : rows) out.push_back({scope, row.name, row.doc, row.also == Also::kPerSecond, row.twin});
}

// A metric of Flink's that is not served.
struct LeftOut {
  std::string_view name;
  std::string_view why;
};
std::span<const LeftOut> left_out();

// docs/reference/metrics.md.
std::string reference_page(std::span<const Documented> rows);

}  // namespace drey::metrics
