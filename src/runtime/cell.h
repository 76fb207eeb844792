// Cell: a number with one writer, read at any time.
#pragma once

#include <atomic>
#include <cstdint>

namespace drey::runtime {

struct Cell {
  std::atomic<std::int64_t> value{0};
  void add(std::int64_t n) { value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(std::int64_t n) { value.store(n, std::memory_order_relaxed); }
  std::int64_t get() const { return value.load(std::memory_order_relaxed); }
};

}  // namespace drey::runtime
