// Pacer: how many rows a source may emit now, for a rate in rows per second. No clock: the caller says when.
//
// Bounds: unused allowance is kept for at most 100 ms of rows, so that a stalled source does not burst.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace drey::operators {

class Pacer {
 public:
  Pacer() = default;
  explicit Pacer(double rows_per_second) : rate_(rows_per_second) {}

  bool is_limited() const { return rate_ > 0; }
  std::int64_t allowed(Ticks now) {
    if (last_.nanos != 0) {
      credit_ += rate_ * static_cast<double>((now - last_).count()) * 1e-9;
      credit_ = std::min(credit_, std::max(rate_ * 0.1, 1.0));
    }
    last_ = now;
    return credit_ < kAnyNumber ? static_cast<std::int64_t>(credit_) : INT64_MAX;
  }
  void spend(std::int64_t rows) { credit_ -= static_cast<double>(rows); }

 private:
  static constexpr double kAnyNumber = 1e18;

  double rate_ = 0;
  double credit_ = 1;
  Ticks last_{};
};

}  // namespace drey::operators
