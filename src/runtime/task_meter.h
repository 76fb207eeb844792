// TaskMeter: what the metrics of a task are at a moment, computed from its cells, its channels and
// its times.
//
// Reading takes nothing from the task: it loads cells and counts of channels, and takes the locks
// of the mailbox and of the registry of metrics for as long as a copy takes. Threading: any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "metrics/metrics.h"
#include "metrics/table.h"
#include "runtime/task_times.h"

namespace drey::runtime {

class Task;
struct OperatorMetrics;

class TaskMeter {
 public:
  explicit TaskMeter(Task& task) : task_(task) {}

  struct Reading {
    metrics::NamesRef names;  // the same object as long as they do not change
    std::vector<std::int64_t> values;
    metrics::TaskTotals totals;
  };
  // Rates are averages over the last minute, or since the first call.
  Reading read(Ticks now, Instant wall);

  // What subtasks and operators have.
  static void document(std::vector<metrics::Documented>& out);

 private:
  class Walk;
  struct OperatorWindow {
    RateWindow rates;
  };

  Task& task_;
  std::mutex mutex_;
  // Guarded by mutex_.
  metrics::NamesRef names_;
  RateWindow times_;
  RateWindow rates_;
  RateWindow meters_;  // that operators registered
  std::vector<OperatorWindow> operators_;
};

}  // namespace drey::runtime
