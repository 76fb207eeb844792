// Accumulators of the job and metrics of the operator, as members of a function.
//
//   drey::LongCounter late{"lateRows"};      late.add(1);
//   drey::Gauge waiting{"waitingRows"};      waiting.set(n);
#pragma once

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
  void set(std::int64_t n) {
    __atomic_store_n(rt_ == nullptr ? &own_ : cell_, n, __ATOMIC_RELAXED);
  }
  std::int64_t value() const { return rt_ == nullptr ? own_ : *cell_; }

 private:
  std::int64_t* cell_ = nullptr;
  std::int64_t own_ = 0;
};
using Counter = MetricCell<DREY_COUNTER>;
using Gauge = MetricCell<DREY_GAUGE>;
using Meter = MetricCell<DREY_METER>;

}  // namespace api
}  // namespace drey
