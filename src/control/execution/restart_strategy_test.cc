#include "control/execution/restart_strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace drey::control {
namespace {

using testing::HasSubstr;

std::unique_ptr<RestartStrategy> strategy(const std::map<std::string, std::string>& settings, bool checkpoints = true) {
  auto made = make_restart_strategy(settings, checkpoints, 1);
  EXPECT_TRUE(made.ok()) << made.status().to_string();
  return std::move(*made);
}
constexpr Instant at(std::int64_t millis) { return {1'000'000 + millis}; }

TEST(RestartStrategy, ByDefaultBacksOffWithoutLimitWithCheckpointsAndElseDoesNotRestart) {
  EXPECT_EQ(strategy({}, false)->on_failure(at(0)), std::nullopt);
  const auto with_checkpoints = strategy({});
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(with_checkpoints->on_failure(at(i)).has_value());
  EXPECT_THAT(with_checkpoints->description(),
              HasSubstr("exponential delay: starting at PT1S, increasing by 1.5, with maximum PT1M"));
}

TEST(RestartStrategy, NoneInEverySpellingOfFlink) {
  for (const char* name : {"none", "off", "disable", "NONE"}) {
    EXPECT_EQ(strategy({{"restart-strategy.type", name}})->on_failure(at(0)), std::nullopt) << name;
  }
}

TEST(RestartStrategy, FixedDelayEndsAfterItsAttempts) {
  const auto fixed = strategy({{"restart-strategy.type", "fixed_delay"},
                               {"restart-strategy.fixed-delay.attempts", "2"},
                               {"restart-strategy.fixed-delay.delay", "3 s"}});
  EXPECT_EQ(fixed->on_failure(at(0)), Millis(3000));
  EXPECT_EQ(fixed->on_failure(at(1)), Millis(3000));
  EXPECT_EQ(fixed->on_failure(at(2)), std::nullopt);
  // Flink's defaults: one attempt after a second.
  const auto defaults = strategy({{"restart-strategy.type", "fixed-delay"}});
  EXPECT_EQ(defaults->on_failure(at(0)), Millis(1000));
  EXPECT_EQ(defaults->on_failure(at(1)), std::nullopt);
}

TEST(RestartStrategy, FailureRateCountsWithinItsIntervalOnly) {
  const auto rate = strategy({{"restart-strategy.type", "failure-rate"},
                              {"restart-strategy.failure-rate.max-failures-per-interval", "2"},
                              {"restart-strategy.failure-rate.failure-rate-interval", "10 s"},
                              {"restart-strategy.failure-rate.delay", "500 ms"}});
  EXPECT_EQ(rate->on_failure(at(0)), Millis(500));
  EXPECT_EQ(rate->on_failure(at(6'000)), Millis(500));
  EXPECT_EQ(rate->on_failure(at(12'000)), Millis(500));  // the first one is forgotten
  EXPECT_EQ(rate->on_failure(at(13'000)), std::nullopt);
}

TEST(RestartStrategy, ExponentialDelayGrowsToItsBoundWithinTheJitter) {
  const auto exponential = strategy({{"restart-strategy.type", "exponential-delay"},
                                     {"restart-strategy.exponential-delay.initial-backoff", "100 ms"},
                                     {"restart-strategy.exponential-delay.max-backoff", "1 s"},
                                     {"restart-strategy.exponential-delay.backoff-multiplier", "2"},
                                     {"restart-strategy.exponential-delay.jitter-factor", "0.2"}});
  std::int64_t now = 0;
  for (const double expected : {100., 200., 400., 800., 1000., 1000.}) {
    const auto delay = exponential->on_failure(at(++now));
    ASSERT_TRUE(delay.has_value());
    EXPECT_GE(static_cast<double>(delay->count()), expected * 0.8 - 1);
    EXPECT_LE(static_cast<double>(delay->count()), std::min(expected * 1.2, 1000.) + 1);
  }
}

TEST(RestartStrategy, JitterDiffersBetweenFailures) {
  const auto exponential = strategy({{"restart-strategy.exponential-delay.backoff-multiplier", "1"}});
  std::set<std::int64_t> delays;
  for (int i = 0; i < 20; ++i) delays.insert(exponential->on_failure(at(i))->count());
  EXPECT_GT(delays.size(), 5U);
}

TEST(RestartStrategy, ExponentialDelayStartsAnewAfterTheThresholdAndEndsAfterItsAttempts) {
  const auto exponential = strategy({{"restart-strategy.exponential-delay.initial-backoff", "100 ms"},
                                     {"restart-strategy.exponential-delay.backoff-multiplier", "10"},
                                     {"restart-strategy.exponential-delay.jitter-factor", "0"},
                                     {"restart-strategy.exponential-delay.reset-backoff-threshold", "1 min"},
                                     {"restart-strategy.exponential-delay.attempts-before-reset-backoff", "3"}});
  EXPECT_EQ(exponential->on_failure(at(0)), Millis(100));
  EXPECT_EQ(exponential->on_failure(at(200)), Millis(1000));
  // It ran for a minute after the restart.
  EXPECT_EQ(exponential->on_failure(at(200 + 1000 + 60'000)), Millis(100));
  EXPECT_EQ(exponential->on_failure(at(62'000)), Millis(1000));
  EXPECT_EQ(exponential->on_failure(at(64'000)), Millis(10'000));
  EXPECT_EQ(exponential->on_failure(at(75'000)), std::nullopt);
}

TEST(RestartStrategy, ABadSettingIsNamed) {
  const auto kind = make_restart_strategy({{"restart-strategy.type", "perhaps"}}, true, 1);
  ASSERT_FALSE(kind.ok());
  EXPECT_THAT(kind.status().message(), HasSubstr("restart-strategy.type must be one of none, fixed-delay"));
  const auto jitter = make_restart_strategy({{"restart-strategy.exponential-delay.jitter-factor", "2"}}, true, 1);
  ASSERT_FALSE(jitter.ok());
  EXPECT_THAT(jitter.status().message(), HasSubstr("jitter-factor must be within 0..1: value=2"));
}

}  // namespace
}  // namespace drey::control
