#include "control/execution/restart_strategy.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::control {
namespace {

class NoRestart final : public RestartStrategy {
 public:
  std::optional<Millis> on_failure(Instant) override { return std::nullopt; }
  std::string description() const override { return "Restart deactivated."; }
  std::string name() const override { return "NoRestartBackoffTimeStrategy"; }
};

class FixedDelay final : public RestartStrategy {
 public:
  FixedDelay(std::int64_t attempts, Millis delay) : attempts_(attempts), delay_(delay) {}
  std::optional<Millis> on_failure(Instant) override {
    if (used_ >= attempts_) return std::nullopt;
    ++used_;
    return delay_;
  }
  std::string description() const override {
    return fmt::format("Restart with fixed delay ({}). #{} restart attempts.", format_iso_duration(delay_), attempts_);
  }
  std::string name() const override {
    return fmt::format("FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={}, backoffTimeMS={})", attempts_,
                       delay_.count());
  }

 private:
  std::int64_t attempts_;
  Millis delay_;
  std::int64_t used_ = 0;
};

class FailureRate final : public RestartStrategy {
 public:
  FailureRate(std::int64_t failures, Millis interval, Millis delay)
      : failures_(failures), interval_(interval), delay_(delay) {}
  std::optional<Millis> on_failure(Instant now) override {
    times_.push_back(now);
    while (!times_.empty() && times_.front() + interval_ < now) times_.pop_front();
    if (static_cast<std::int64_t>(times_.size()) > failures_) return std::nullopt;
    return delay_;
  }
  std::string description() const override {
    return fmt::format("Failure rate restart with maximum of {} failures within interval {} and fixed delay {}.",
                       failures_, format_iso_duration(interval_), format_iso_duration(delay_));
  }
  std::string name() const override {
    return fmt::format(
        "FailureRateRestartBackoffTimeStrategy(failuresIntervalMS={}, backoffTimeMS={}, maxFailuresPerInterval={})",
        interval_.count(), delay_.count(), failures_);
  }

 private:
  std::int64_t failures_;
  Millis interval_;
  Millis delay_;
  std::deque<Instant> times_;
};

class ExponentialDelay final : public RestartStrategy {
 public:
  ExponentialDelay(const RestartOptions& options, std::uint64_t seed)
      : options_(options), random_(seed), current_(static_cast<double>(options.exponential_initial.count())) {}
  std::optional<Millis> on_failure(Instant now) override {
    if (last_.millis != 0 && last_ + options_.exponential_reset <= now) {
      current_ = static_cast<double>(options_.exponential_initial.count());
      used_ = 0;
    }
    if (used_ >= options_.exponential_attempts) return std::nullopt;
    ++used_;
    const double spread = current_ * options_.exponential_jitter;
    const auto delay = static_cast<std::int64_t>(current_ + (random_.unit() * 2 - 1) * spread);
    current_ =
        std::min(current_ * options_.exponential_multiplier, static_cast<double>(options_.exponential_largest.count()));
    const Millis bounded{std::clamp<std::int64_t>(delay, 0, options_.exponential_largest.count())};
    last_ = now + bounded;
    return bounded;
  }
  std::string description() const override {
    return fmt::format("Restart with exponential delay: starting at {}, increasing by {}, with maximum {}.",
                       format_iso_duration(options_.exponential_initial), options_.exponential_multiplier,
                       format_iso_duration(options_.exponential_largest));
  }
  std::string name() const override { return "ExponentialDelayRestartBackoffTimeStrategy"; }

 private:
  RestartOptions options_;
  Prng random_;
  double current_;
  Instant last_{};
  std::int64_t used_ = 0;
};

}  // namespace

Result<std::unique_ptr<RestartStrategy>> make_restart_strategy(const std::map<std::string, std::string>& settings,
                                                               bool checkpoints, std::uint64_t seed) {
  using Made = std::unique_ptr<RestartStrategy>;
  DREY_TRY_ASSIGN(const auto options, config::read<RestartOptions>(settings));
  RestartKind kind = options.kind;
  if (kind == RestartKind::kByCheckpoints) kind = checkpoints ? RestartKind::kExponentialDelay : RestartKind::kNone;
  switch (kind) {
    case RestartKind::kFixedDelay:
      return Made(std::make_unique<FixedDelay>(options.fixed_attempts, options.fixed_delay));
    case RestartKind::kFailureRate:
      return Made(std::make_unique<FailureRate>(options.rate_failures, options.rate_interval, options.rate_delay));
    case RestartKind::kExponentialDelay:
      return Made(std::make_unique<ExponentialDelay>(options, seed));
    case RestartKind::kByCheckpoints:
    case RestartKind::kNone:
      break;
  }
  return Made(std::make_unique<NoRestart>());
}

}  // namespace drey::control
