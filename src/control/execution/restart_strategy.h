// RestartStrategy: whether and when a failed job starts again. Pure: failures and times in, delays out.
//
// Settings are Flink's: restart-strategy.type = none | fixed-delay | failure-rate | exponential-delay and their options.
// Without a type: exponential delay without a limit of attempts when checkpoints are on, else none (Flink 2.x).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/prng.h"
#include "base/status.h"
#include "base/time.h"

namespace drey::control {

class RestartStrategy {
 public:
  virtual ~RestartStrategy() = default;
  // Delay before the next start, or nothing: the job fails.
  virtual std::optional<Millis> on_failure(Instant now) = 0;
  // As /jobs/:jobid/config says it.
  virtual std::string description() const = 0;
  // As "Recovery is suppressed by ..." names it.
  virtual std::string name() const = 0;
};

// FAILS WITH: kInvalidArgument naming the option.
Result<std::unique_ptr<RestartStrategy>> make_restart_strategy(const std::map<std::string, std::string>& settings,
                                                               bool checkpoints, std::uint64_t seed);

}  // namespace drey::control
