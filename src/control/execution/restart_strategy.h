// RestartStrategy: whether and when a failed job starts again. Pure: failures and times in, delays out.
//
// Settings are Flink's: restart-strategy.type = none | fixed-delay | failure-rate | exponential-delay and their
// options. Without a type: exponential delay without a limit of attempts when checkpoints are on, else none
// (Flink 2.x).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/prng.h"
#include "base/status.h"
#include "base/time.h"
#include "config/option.h"

namespace drey::control {

enum class RestartKind { kByCheckpoints, kNone, kFixedDelay, kFailureRate, kExponentialDelay };
// With Flink's other spellings.
constexpr auto enum_table(RestartKind) {
  using K = RestartKind;
  return std::array{EnumRow{K::kNone, "none"},
                    EnumRow{K::kFixedDelay, "fixed-delay"},
                    EnumRow{K::kFailureRate, "failure-rate"},
                    EnumRow{K::kExponentialDelay, "exponential-delay"},
                    EnumRow{K::kNone, "off"},
                    EnumRow{K::kNone, "disable"},
                    EnumRow{K::kFixedDelay, "fixeddelay"},
                    EnumRow{K::kFailureRate, "failurerate"},
                    EnumRow{K::kExponentialDelay, "exponentialdelay"}};
}

// What a failure restarts: its region, or all tasks.
enum class Failover { kRegion, kFull };
constexpr auto enum_table(Failover) {
  return std::array{EnumRow{Failover::kRegion, "region"}, EnumRow{Failover::kFull, "full"}};
}

struct RestartOptions {
  Failover failover = Failover::kRegion;
  RestartKind kind = RestartKind::kByCheckpoints;
  std::int64_t fixed_attempts = 1;
  Millis fixed_delay{1000};
  std::int64_t rate_failures = 1;
  Millis rate_interval{60'000};
  Millis rate_delay{1000};
  Millis exponential_initial{1000};
  Millis exponential_largest{60'000};
  double exponential_multiplier = 1.5;
  double exponential_jitter = 0.1;
  Millis exponential_reset{3'600'000};
  std::int64_t exponential_attempts = INT64_MAX;

  static constexpr std::string_view kTitle = "Restart of failed jobs";
  static constexpr auto options() {
    using M = RestartOptions;
    using config::option;
    return config::Options{
        option("jobmanager.execution.failover-strategy", &M::failover,
               "What a failure restarts: the tasks that exchange rows with the failed one, or all.")
            .per_job(),
        option("restart-strategy.type", &M::kind, "Whether and when a failed job starts again.")
            .per_job()
            .renamed_from("restart-strategy")
            .defaults_to("exponential-delay with checkpoints, else none"),
        option("restart-strategy.fixed-delay.attempts", &M::fixed_attempts, "Restarts before the job fails.")
            .per_job()
            .at_least(0),
        option("restart-strategy.fixed-delay.delay", &M::fixed_delay, "Time before each restart.").per_job(),
        option("restart-strategy.failure-rate.max-failures-per-interval", &M::rate_failures,
               "More failures within the interval fail the job.")
            .per_job()
            .at_least(0),
        option("restart-strategy.failure-rate.failure-rate-interval", &M::rate_interval,
               "The interval in which failures are counted.")
            .per_job(),
        option("restart-strategy.failure-rate.delay", &M::rate_delay, "Time before each restart.").per_job(),
        option("restart-strategy.exponential-delay.initial-backoff", &M::exponential_initial,
               "Time before the first restart.")
            .per_job(),
        option("restart-strategy.exponential-delay.max-backoff", &M::exponential_largest,
               "Longest time before a restart.")
            .per_job(),
        option("restart-strategy.exponential-delay.backoff-multiplier", &M::exponential_multiplier,
               "What the time grows by at each failure.")
            .per_job()
            .at_least(1),
        option("restart-strategy.exponential-delay.jitter-factor", &M::exponential_jitter,
               "Share of the time that is left to chance.")
            .per_job()
            .between(0, 1),
        option("restart-strategy.exponential-delay.reset-backoff-threshold", &M::exponential_reset,
               "A job that ran this long starts anew with the initial time.")
            .per_job(),
        option("restart-strategy.exponential-delay.attempts-before-reset-backoff", &M::exponential_attempts,
               "Restarts before the job fails, counted anew after the threshold.")
            .per_job()
            .at_least(0),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<RestartOptions>);

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
