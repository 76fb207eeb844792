// Clock and Random: time and chance come through the door. Threading: any thread.
#pragma once

#include <cstdint>

#include "base/id.h"
#include "base/time.h"

namespace drey::env {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant wall() = 0;
  virtual Ticks ticks() = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
  template <typename Tag>
  Id<Tag> id() {
    const std::uint64_t high = next();
    return Id<Tag>::from_halves(high, next());
  }
};

}  // namespace drey::env
