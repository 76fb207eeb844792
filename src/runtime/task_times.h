// TaskTimes: where a task's time goes, and RateWindow: totals as averages per second, as Flink's gauges show them.
//
// Every moment of a task is busy (it steps, or could and waits for its worker), idle (nothing to read) or back-pressured (an
// output lacks credit). The totals are the primary data; a state that goes on is in them up to the moment of the look.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/time.h"

namespace drey::runtime {

// Threading: one writer, any readers.
class TaskTimes {
 public:
  enum class State : std::uint8_t { kBusy, kIdle, kBackPressured };

  struct Totals {
    Nanos busy{0};
    Nanos idle{0};
    Nanos back_pressured{0};
    Nanos delay{0};  // the part of busy in which it waited for its worker
  };

  // The writer: from `now` on the task is in `state`.
  void enter(State state, Ticks now) { change(state, now, now.nanos); }
  // The writer: the task has ended.
  void stop(Ticks now) { change(State::kIdle, now, kNever); }
  // The writer: so long it could have stepped and did not.
  void add_delay(Nanos delay) { add(delay_, delay.count()); }

  Totals totals(Ticks now) const {
    while (true) {
      const std::uint32_t version = version_.load(std::memory_order_acquire);
      std::array<std::int64_t, 3> nanos{};
      for (std::size_t i = 0; i < nanos.size(); ++i) nanos[i] = totals_[i].load(std::memory_order_acquire);
      const std::int64_t since = since_.load(std::memory_order_acquire);
      const State state = state_.load(std::memory_order_acquire);
      if ((version & 1) != 0 || version_.load(std::memory_order_relaxed) != version) continue;
      if (since != kNever) nanos[static_cast<std::size_t>(state)] += std::max<std::int64_t>(now.nanos - since, 0);
      return {Nanos(nanos[0]), Nanos(nanos[1]), Nanos(nanos[2]), Nanos(delay_.load(std::memory_order_relaxed))};
    }
  }

 private:
  static constexpr std::int64_t kNever = INT64_MIN;
  // A reader that sees one of these stores sees the odd version, too: they release, it acquires.
  void change(State state, Ticks now, std::int64_t next) {
    const std::uint32_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    const auto at = static_cast<std::size_t>(state_.load(std::memory_order_relaxed));
    const std::int64_t since = since_.load(std::memory_order_relaxed);
    if (since != kNever) add(totals_[at], std::max<std::int64_t>(now.nanos - since, 0));
    since_.store(next, std::memory_order_release);
    state_.store(state, std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }
  static void add(std::atomic<std::int64_t>& to, std::int64_t n) {
    to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }

  std::atomic<std::uint32_t> version_{0};  // odd while the writer is between two states
  std::array<std::atomic<std::int64_t>, 3> totals_{};
  std::atomic<std::int64_t> since_{kNever};
  std::atomic<State> state_{State::kIdle};
  std::atomic<std::int64_t> delay_{0};
};

// Averages per second of `N` totals over the last minute. Marks are kept every five seconds; before the first minute is over
// the average is that since the first look. Threading: one owner.
template <std::size_t N>
class RateWindow {
 public:
  using Values = std::array<std::int64_t, N>;

  Values update(Ticks now, const Values& totals) {
    if (marks_.empty() || now - marks_.back().at >= kStep) {
      marks_.push_back({now, totals});
      while (marks_.size() > 2 && now - marks_[1].at >= kWindow) marks_.pop_front();
    }
    const Mark& from = marks_.front();
    const std::int64_t nanos = (now - from.at).count();
    Values rates{};
    if (nanos <= 0) return rates;
    for (std::size_t i = 0; i < N; ++i) {
      const double grown = static_cast<double>(std::max<std::int64_t>(totals[i] - from.totals[i], 0));
      rates[i] = static_cast<std::int64_t>(grown * 1e9 / static_cast<double>(nanos));
    }
    return rates;
  }

 private:
  static constexpr Nanos kStep{5'000'000'000};
  static constexpr Nanos kWindow{60'000'000'000};
  struct Mark {
    Ticks at;
    Values totals;
  };
  std::deque<Mark> marks_;
};

}  // namespace drey::runtime
