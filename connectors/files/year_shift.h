// YearShift: moves timestamps by whole calendar years (29 February becomes 28 in a common year). Keeps the last day it
// saw: rows of one day follow each other. Threading: one owner.
#pragma once

#include <cstdint>

namespace drey::connectors::files {

class YearShift {
 public:
  std::int64_t apply(std::int64_t millis, std::int64_t years);

 private:
  std::int64_t day_ = INT64_MIN;
  std::int64_t years_ = 0;
  std::int64_t by_ = 0;
};

}  // namespace drey::connectors::files
