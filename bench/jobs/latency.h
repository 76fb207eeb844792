// What the latency case measured: rows by their age in microseconds. One process: the job's last
// operators write, drey-bench reads after the job's end.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace bench {

class Ages {
 public:
  static constexpr std::int64_t kMax = 1'000'000;  // µs; older rows count as this old
  void add(std::int64_t nanos) {
    const std::int64_t us = nanos < 0 ? 0 : nanos / 1000;
    rows_[static_cast<std::size_t>(us < kMax ? us : kMax)].fetch_add(1, std::memory_order_relaxed);
  }
  std::int64_t rows() const {
    std::int64_t sum = 0;
    for (const auto& n : rows_) sum += n.load(std::memory_order_relaxed);
    return sum;
  }
  // The age that `part` of the rows do not exceed, in µs.
  std::int64_t quantile(double part) const {
    const double wanted = part * static_cast<double>(rows());
    std::int64_t sum = 0;
    for (std::int64_t us = 0; us <= kMax; ++us) {
      sum += rows_[static_cast<std::size_t>(us)].load(std::memory_order_relaxed);
      if (static_cast<double>(sum) >= wanted) return us;
    }
    return kMax;
  }

 private:
  std::array<std::atomic<std::int32_t>, kMax + 1> rows_{};
};

struct Latencies {
  Ages since_made;  // from the generator's call
  Ages since_due;   // from when the rate meant the row to leave: a source that stalls shows
};
Latencies& latencies();

}  // namespace bench
