// Accumulators of the job and metrics of the operator, as members of a function.
//
//   drey::LongCounter late{"lateRows"};      late.add(1);
//   drey::Gauge waiting{"waitingRows"};      waiting.set(n);
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "drey/state.h"

namespace drey {
inline namespace api {

// An accumulator of the job (`/jobs/:jobid/accumulators`), summed over all subtasks.
template <class N>
class Accumulator : public detail::Bound {
 public:
  explicit Accumulator(const char* name) : Bound(name) {}
  void add(N n) {
    if constexpr (std::is_integral_v<N>) {  // wraps
      sum_ = static_cast<N>(static_cast<std::uint64_t>(sum_) + static_cast<std::uint64_t>(n));
    } else {
      sum_ += n;
    }
  }
  void call_ended() override {
    if (sum_ == N{}) return;
    if constexpr (std::is_floating_point_v<N>) {
      host().accumulator_add(rt_->task, name_, DREY_DOUBLE_COUNTER, 0, sum_);
    } else {
      host().accumulator_add(rt_->task, name_, DREY_LONG_COUNTER, sum_, 0);
    }
    sum_ = N{};
  }

 private:
  N sum_{};
};
using LongCounter = Accumulator<std::int64_t>;
using DoubleCounter = Accumulator<double>;

// An accumulator of the job that keeps the largest or the smallest value of all subtasks.
template <drey_accumulator_kind Kind>
class Extreme : public detail::Bound {
 public:
  explicit Extreme(const char* name) : Bound(name) {}
  void add(std::int64_t n) {
    const bool better = Kind == DREY_LONG_MAX ? n > value_ : n < value_;
    if (any_ && !better) return;
    value_ = n;
    any_ = changed_ = true;
  }
  void call_ended() override {
    if (!changed_) return;
    host().accumulator_add(rt_->task, name_, Kind, value_, 0);
    changed_ = false;
  }

 private:
  std::int64_t value_ = 0;
  bool any_ = false, changed_ = false;
};
using LongMaximum = Extreme<DREY_LONG_MAX>;
using LongMinimum = Extreme<DREY_LONG_MIN>;

// A metric of the operator, read by the metrics endpoints while the job runs.
template <drey_metric_kind Kind>
class MetricCell : public detail::Bound {
 public:
  explicit MetricCell(const char* name) : Bound(name) {}
  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    cell_ = detail::check(rt.host->metric(rt.task, name_, Kind));
  }
  void add(std::int64_t n = 1) { set(value() + n); }
  void set(std::int64_t n) { __atomic_store_n(rt_ == nullptr ? &own_ : cell_, n, __ATOMIC_RELAXED); }
  std::int64_t value() const { return rt_ == nullptr ? own_ : *cell_; }

 private:
  std::int64_t* cell_ = nullptr;
  std::int64_t own_ = 0;
};
using Counter = MetricCell<DREY_COUNTER>;
using Gauge = MetricCell<DREY_GAUGE>;
using Meter = MetricCell<DREY_METER>;

// The distribution of the last 1000 values: metrics NAME_count, _min, _max, _mean, _stddev, _median,
// _p75, _p95, _p99 and _p999 (whole numbers), brought up to date at most once a second.
//
//   drey::Histogram sizes{"sizes"};          sizes.update(row.bytes);
class Histogram : public detail::Bound {
 public:
  explicit Histogram(const char* name) : Bound(name) {}
  void update(std::int64_t value) {
    if (values_.size() < kValues) {
      values_.push_back(value);
    } else {
      values_[static_cast<std::size_t>(count_) % kValues] = value;
    }
    ++count_;
  }
  std::int64_t count() const { return count_; }

  void open(detail::Runtime& rt) override {
    rt_ = &rt;
    for (std::size_t i = 0; i < kCells; ++i) {
      const std::string name = std::string(name_) + "_" + kNames[i];
      cells_[i] = detail::check(rt.host->metric(rt.task, name.c_str(), DREY_GAUGE));
    }
  }
  void call_ended() override {
    if (count_ == shown_) return;
    const std::int64_t now = host().processing_time(rt_->task);
    if (shown_ != 0 && now < next_show_) return;
    next_show_ = now + 1000;
    shown_ = count_;
    show();
  }

 private:
  static constexpr std::size_t kValues = 1000, kCells = 10;
  static constexpr const char* kNames[kCells] = {"count",  "min", "max", "mean", "stddev",
                                                 "median", "p75", "p95", "p99",  "p999"};
  void show() {
    std::vector<std::int64_t> v = values_;
    std::sort(v.begin(), v.end());
    double sum = 0, squares = 0;
    for (const std::int64_t x : v) sum += static_cast<double>(x);
    const double n = static_cast<double>(v.size()), mean = sum / n;
    for (const std::int64_t x : v) {
      const double d = static_cast<double>(x) - mean;
      squares += d * d;
    }
    const auto at = [&](double q) { return v[std::min(v.size() - 1, static_cast<std::size_t>(q * n))]; };
    const std::int64_t values[kCells] = {count_,
                                         v.front(),
                                         v.back(),
                                         static_cast<std::int64_t>(mean),
                                         static_cast<std::int64_t>(std::sqrt(squares / n)),
                                         at(0.5),
                                         at(0.75),
                                         at(0.95),
                                         at(0.99),
                                         at(0.999)};
    for (std::size_t i = 0; i < kCells; ++i) __atomic_store_n(cells_[i], values[i], __ATOMIC_RELAXED);
  }

  std::vector<std::int64_t> values_;
  std::int64_t count_ = 0, shown_ = 0, next_show_ = 0;
  std::int64_t* cells_[kCells] = {};
};

}  // namespace api
}  // namespace drey
