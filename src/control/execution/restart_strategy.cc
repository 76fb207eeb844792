#include "control/execution/restart_strategy.h"

#include <algorithm>
#include <charconv>

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
    return fmt::format("FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={}, backoffTimeMS={})", attempts_, delay_.count());
  }

 private:
  std::int64_t attempts_;
  Millis delay_;
  std::int64_t used_ = 0;
};

class FailureRate final : public RestartStrategy {
 public:
  FailureRate(std::int64_t failures, Millis interval, Millis delay) : failures_(failures), interval_(interval), delay_(delay) {}
  std::optional<Millis> on_failure(Instant now) override {
    times_.push_back(now);
    while (!times_.empty() && times_.front() + interval_ < now) times_.pop_front();
    if (static_cast<std::int64_t>(times_.size()) > failures_) return std::nullopt;
    return delay_;
  }
  std::string description() const override {
    return fmt::format("Failure rate restart with maximum of {} failures within interval {} and fixed delay {}.", failures_,
                       format_iso_duration(interval_), format_iso_duration(delay_));
  }
  std::string name() const override {
    return fmt::format("FailureRateRestartBackoffTimeStrategy(failuresIntervalMS={}, backoffTimeMS={}, maxFailuresPerInterval={})",
                       interval_.count(), delay_.count(), failures_);
  }

 private:
  std::int64_t failures_;
  Millis interval_;
  Millis delay_;
  std::deque<Instant> times_;
};

struct ExponentialOptions {
  Millis initial{1000};
  Millis largest{60'000};
  Millis reset{3'600'000};
  double multiplier = 1.5;
  double jitter = 0.1;
  std::int64_t attempts = INT64_MAX;
};

class ExponentialDelay final : public RestartStrategy {
 public:
  ExponentialDelay(ExponentialOptions options, std::uint64_t seed)
      : options_(options), random_(seed), current_(static_cast<double>(options.initial.count())) {}
  std::optional<Millis> on_failure(Instant now) override {
    if (last_.millis != 0 && last_ + options_.reset <= now) {
      current_ = static_cast<double>(options_.initial.count());
      used_ = 0;
    }
    if (used_ >= options_.attempts) return std::nullopt;
    ++used_;
    const double spread = current_ * options_.jitter;
    const auto delay = static_cast<std::int64_t>(current_ + (random_.unit() * 2 - 1) * spread);
    current_ = std::min(current_ * options_.multiplier, static_cast<double>(options_.largest.count()));
    const Millis bounded{std::clamp<std::int64_t>(delay, 0, options_.largest.count())};
    last_ = now + bounded;
    return bounded;
  }
  std::string description() const override {
    return fmt::format("Restart with exponential delay: starting at {}, increasing by {}, with maximum {}.",
                       format_iso_duration(options_.initial), options_.multiplier, format_iso_duration(options_.largest));
  }
  std::string name() const override { return "ExponentialDelayRestartBackoffTimeStrategy"; }

 private:
  ExponentialOptions options_;
  Prng random_;
  double current_;
  Instant last_{};
  std::int64_t used_ = 0;
};

class Reader {
 public:
  explicit Reader(const std::map<std::string, std::string>& settings) : settings_(settings) {}

  Result<Millis> duration(const std::string& key, Millis fallback) const {
    const auto found = settings_.find(key);
    if (found == settings_.end()) return fallback;
    const auto value = parse_duration(found->second);
    if (!value || value->count() < 0) return bad(key, found->second, "is not a duration like 10 s");
    return std::chrono::duration_cast<Millis>(*value);
  }
  Result<std::int64_t> whole(const std::string& key, std::int64_t fallback) const {
    const auto found = settings_.find(key);
    if (found == settings_.end() || found->second == "infinite") return found == settings_.end() ? fallback : INT64_MAX;
    std::int64_t value = 0;
    const char* end = found->second.data() + found->second.size();
    if (std::from_chars(found->second.data(), end, value).ptr != end || value < 0) {
      return bad(key, found->second, "is not a count");
    }
    return value;
  }
  Result<double> real(const std::string& key, double fallback) const {
    const auto found = settings_.find(key);
    if (found == settings_.end()) return fallback;
    double value = 0;
    const char* end = found->second.data() + found->second.size();
    if (std::from_chars(found->second.data(), end, value).ptr != end || value < 0) return bad(key, found->second, "is not a number");
    return value;
  }

 private:
  static Status bad(const std::string& key, const std::string& value, std::string_view what) {
    return fail(Code::kInvalidArgument, fmt::format("Option {} {}: value={}", key, what, value));
  }
  const std::map<std::string, std::string>& settings_;
};

}  // namespace

Result<std::unique_ptr<RestartStrategy>> make_restart_strategy(const std::map<std::string, std::string>& settings,
                                                               bool checkpoints, std::uint64_t seed) {
  using Made = std::unique_ptr<RestartStrategy>;
  std::string type;
  if (const auto found = settings.find("restart-strategy.type"); found != settings.end()) type = found->second;
  if (type.empty()) {
    if (const auto found = settings.find("restart-strategy"); found != settings.end()) type = found->second;
  }
  for (char& c : type) c = static_cast<char>(c == '_' ? '-' : c);
  const Reader read(settings);
  if (type.empty()) type = checkpoints ? "exponential-delay" : "none";
  if (type == "none" || type == "off" || type == "disable") return Made(std::make_unique<NoRestart>());
  if (type == "fixed-delay" || type == "fixeddelay") {
    DREY_TRY_ASSIGN(const std::int64_t attempts, read.whole("restart-strategy.fixed-delay.attempts", 1));
    DREY_TRY_ASSIGN(const Millis delay, read.duration("restart-strategy.fixed-delay.delay", Millis(1000)));
    return Made(std::make_unique<FixedDelay>(attempts, delay));
  }
  if (type == "failure-rate" || type == "failurerate") {
    DREY_TRY_ASSIGN(const std::int64_t failures, read.whole("restart-strategy.failure-rate.max-failures-per-interval", 1));
    DREY_TRY_ASSIGN(const Millis interval, read.duration("restart-strategy.failure-rate.failure-rate-interval", Millis(60'000)));
    DREY_TRY_ASSIGN(const Millis delay, read.duration("restart-strategy.failure-rate.delay", Millis(1000)));
    return Made(std::make_unique<FailureRate>(failures, interval, delay));
  }
  if (type == "exponential-delay" || type == "exponentialdelay") {
    const std::string prefix = "restart-strategy.exponential-delay.";
    ExponentialOptions options;
    DREY_TRY_ASSIGN(options.initial, read.duration(prefix + "initial-backoff", options.initial));
    DREY_TRY_ASSIGN(options.largest, read.duration(prefix + "max-backoff", options.largest));
    DREY_TRY_ASSIGN(options.reset, read.duration(prefix + "reset-backoff-threshold", options.reset));
    DREY_TRY_ASSIGN(options.multiplier, read.real(prefix + "backoff-multiplier", options.multiplier));
    DREY_TRY_ASSIGN(options.jitter, read.real(prefix + "jitter-factor", options.jitter));
    DREY_TRY_ASSIGN(options.attempts, read.whole(prefix + "attempts-before-reset-backoff", options.attempts));
    return Made(std::make_unique<ExponentialDelay>(options, seed));
  }
  return fail(Code::kInvalidArgument, fmt::format("Option restart-strategy.type has an unknown value: {}; known are none, fixed-delay, "
                                                  "failure-rate, exponential-delay",
                                                  type));
}

}  // namespace drey::control
