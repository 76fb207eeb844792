// TaskTimes: where a task's time goes, and RateWindow: totals as averages per second, as Flink's gauges show them.
//
// Every moment of a task is busy (it steps), idle (nothing to read), back-pressured (an output lacks credit, or did
// until it steps again) or waiting (it could step, and its worker is busy with others). The totals are the primary
// data; a state that goes on is in them up to the moment of the look.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/time.h"

namespace drey::runtime {

// Threading: one writer, any readers.
class TaskTimes {
 public:
  enum class State : std::uint8_t { kBusy, kIdle, kBackPressured, kWaiting };

  struct Totals {
    Nanos busy{0};
    Nanos idle{0};
    Nanos back_pressured{0};
    Nanos waiting{0};
    Nanos longest_back_pressure{0};  // without a break, of this sampling period (5 s) and the one before
  };

  // The writer: from `now` on the task is in `state`.
  void enter(State state, Ticks now) { change(state, now, now.nanos); }
  // The writer: the task has ended.
  void stop(Ticks now) { change(State::kIdle, now, kNever); }

  Totals totals(Ticks now) const {
    while (true) {
      const std::uint32_t version = version_.load(std::memory_order_acquire);
      std::array<std::int64_t, 4> nanos{};
      for (std::size_t i = 0; i < nanos.size(); ++i) nanos[i] = totals_[i].load(std::memory_order_acquire);
      const std::int64_t since = since_.load(std::memory_order_acquire);
      const State state = state_.load(std::memory_order_acquire);
      const std::int64_t periods = now.nanos / kPeriod - period_.load(std::memory_order_acquire);
      std::int64_t longest = periods <= 1 ? longest_[0].load(std::memory_order_acquire) : 0;
      if (periods <= 0) longest = std::max(longest, longest_[1].load(std::memory_order_acquire));
      if ((version & 1) != 0 || version_.load(std::memory_order_relaxed) != version) continue;
      const std::int64_t going_on = since == kNever ? 0 : std::max<std::int64_t>(now.nanos - since, 0);
      nanos[static_cast<std::size_t>(state)] += going_on;
      if (state == State::kBackPressured) longest = std::max(longest, going_on);
      return {Nanos(nanos[0]), Nanos(nanos[1]), Nanos(nanos[2]), Nanos(nanos[3]), Nanos(longest)};
    }
  }

 private:
  static constexpr std::int64_t kNever = INT64_MIN;
  static constexpr std::int64_t kPeriod = 5'000'000'000;
  // A reader that sees one of these stores sees the odd version, too: they release, it acquires.
  void change(State state, Ticks now, std::int64_t next) {
    const std::uint32_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    const auto at = static_cast<std::size_t>(state_.load(std::memory_order_relaxed));
    const std::int64_t since = since_.load(std::memory_order_relaxed);
    if (since != kNever) {
      const std::int64_t lasted = std::max<std::int64_t>(now.nanos - since, 0);
      add(totals_[at], lasted);
      if (at == static_cast<std::size_t>(State::kBackPressured)) note_back_pressure(lasted, now.nanos / kPeriod);
    }
    since_.store(next, std::memory_order_release);
    state_.store(state, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }
  void note_back_pressure(std::int64_t lasted, std::int64_t period) {
    const std::int64_t before = period_.load(std::memory_order_relaxed);
    if (period != before) {
      longest_[1].store(period == before + 1 ? longest_[0].load(std::memory_order_relaxed) : 0,
                        std::memory_order_release);
      longest_[0].store(0, std::memory_order_release);
      period_.store(period, std::memory_order_release);
    }
    if (lasted > longest_[0].load(std::memory_order_relaxed)) longest_[0].store(lasted, std::memory_order_release);
  }
  static void add(std::atomic<std::int64_t>& to, std::int64_t n) {
    to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }

  std::atomic<std::uint32_t> version_{0};  // odd while the writer is between two states
  std::array<std::atomic<std::int64_t>, 4> totals_{};
  std::atomic<std::int64_t> since_{kNever};
  std::atomic<State> state_{State::kIdle};
  std::atomic<std::int64_t> period_{0};                 // in which the last back-pressure ended
  std::array<std::atomic<std::int64_t>, 2> longest_{};  // of that period and the one before it
};

// Averages per second of some totals over the last minute. Marks are kept every five seconds; before the first minute
// is over the average is that since the first look, and when there are more or fewer totals than before this is the
// first look again. Threading: one owner.
class RateWindow {
 public:
  using Values = std::vector<std::int64_t>;

  // Valid until the next call.
  const std::vector<double>& update(Ticks now, const Values& totals) {
    if (!marks_.empty() && marks_.back().totals.size() != totals.size()) marks_.clear();
    if (marks_.empty() || now - marks_.back().at >= kStep) {
      marks_.push_back({now, totals});
      while (marks_.size() > 2 && now - marks_[1].at >= kWindow) marks_.pop_front();
    }
    const Mark& from = marks_.front();
    const std::int64_t nanos = (now - from.at).count();
    rates_.assign(totals.size(), 0.0);
    if (nanos <= 0) return rates_;
    for (std::size_t i = 0; i < totals.size(); ++i) {
      const double grown = static_cast<double>(std::max<std::int64_t>(totals[i] - from.totals[i], 0));
      rates_[i] = grown * 1e9 / static_cast<double>(nanos);
    }
    return rates_;
  }

 private:
  static constexpr Nanos kStep{5'000'000'000};
  static constexpr Nanos kWindow{60'000'000'000};
  struct Mark {
    Ticks at;
    Values totals;
  };
  std::deque<Mark> marks_;
  std::vector<double> rates_;
};

}  // namespace drey::runtime
