// ProcessMeter: what the system measures of this process, under the names that Flink has for a JVM.
//
// What they mean here is in the table of process_meter.cc (docs/reference/metrics.md). Threading:
// any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "env/env.h"
#include "metrics/metrics.h"
#include "metrics/table.h"
#include "runtime/task_times.h"

namespace drey::runtime {

// Memory that a TaskManager keeps for rows on their way and for state.
struct PoolUse {
  std::int64_t rows_used = 0;   // bytes
  std::int64_t rows_total = 0;  // with what is kept for later
  std::int64_t state_used = 0;
  std::int64_t state_total = 0;
  std::int64_t state_max = 0;  // what the TaskManager was given for it
  // How often pools gave what they kept back to the system, and how long that took.
  std::int64_t trims = 0;
  std::int64_t trim_nanos = 0;
};

class ProcessMeter {
 public:
  explicit ProcessMeter(env::Env& env);
  // Without pools: a process that runs no tasks.
  metrics::Metrics read(const std::optional<PoolUse>& pools);
  static void document(std::vector<metrics::Documented>& out);

 private:
  env::Env& env_;
  std::mutex mutex_;
  RateWindow rates_;  // guarded by mutex_
  // For the load, which is over a second at least: the look before the last one, and the last.
  // Guarded by mutex_.
  struct Mark {
    Ticks at;
    std::int64_t cpu_nanos = 0;
  };
  Mark before_, last_;
};

// Bytes of memory that this machine has.
std::int64_t physical_memory();

}  // namespace drey::runtime
