#include "runtime/task_times.h"

#include <gtest/gtest.h>

namespace drey::runtime {
namespace {

constexpr Ticks at(std::int64_t ms) { return {ms * 1'000'000}; }
using State = TaskTimes::State;

TEST(TaskTimes, EveryMomentIsInOneTotalAlsoThatWhichGoesOn) {
  TaskTimes times;
  EXPECT_EQ(times.totals(at(5)).idle, Nanos(0));
  times.enter(State::kIdle, at(10));
  EXPECT_EQ(times.totals(at(25)).idle, Millis(15));
  times.enter(State::kBusy, at(30));
  times.enter(State::kWaiting, at(35));
  times.enter(State::kBackPressured, at(37));
  const TaskTimes::Totals totals = times.totals(at(100));
  EXPECT_EQ(totals.idle, Millis(20));
  EXPECT_EQ(totals.busy, Millis(5));
  EXPECT_EQ(totals.waiting, Millis(2));
  EXPECT_EQ(totals.back_pressured, Millis(63));
  EXPECT_EQ(totals.idle + totals.busy + totals.back_pressured + totals.waiting, Millis(90));
}

TEST(TaskTimes, TheLongestBackPressureIsOfTheLastTwoSamplingPeriods) {
  TaskTimes times;
  times.enter(State::kBackPressured, at(1000));
  EXPECT_EQ(times.totals(at(1400)).longest_back_pressure, Millis(400)) << "it goes on";
  times.enter(State::kBusy, at(1600));
  times.enter(State::kBackPressured, at(2000));
  times.enter(State::kIdle, at(2100));
  EXPECT_EQ(times.totals(at(4000)).longest_back_pressure, Millis(600));
  EXPECT_EQ(times.totals(at(9999)).longest_back_pressure, Millis(600));
  EXPECT_EQ(times.totals(at(10'000)).longest_back_pressure, Nanos(0));
  times.enter(State::kBackPressured, at(9000));
  times.enter(State::kIdle, at(9050));
  EXPECT_EQ(times.totals(at(9100)).longest_back_pressure, Millis(600));
  EXPECT_EQ(times.totals(at(12'000)).longest_back_pressure, Millis(50));
}

TEST(RateWindow, AveragesTheLastMinute) {
  RateWindow window;
  EXPECT_EQ(window.update(at(0), {0})[0], 0);
  EXPECT_EQ(window.update(at(2000), {100})[0], 50);
  // A hundred a second for a minute, then nothing: falls from step to step, and is none a minute
  // later.
  for (std::int64_t s = 3; s <= 60; ++s) window.update(at(s * 1000), {s * 100});
  EXPECT_NEAR(window.update(at(61'000), {6000})[0], 98.36, 0.01);
  double before = 98.4;
  for (std::int64_t s = 62; s <= 130; ++s) {
    const double rate = window.update(at(s * 1000), {6000})[0];
    EXPECT_LE(rate, before);
    before = rate;
  }
  EXPECT_EQ(before, 0);
}

}  // namespace
}  // namespace drey::runtime
