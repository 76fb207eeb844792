#include "connectors/files/year_shift.h"

#include <gtest/gtest.h>

#include "base/time.h"

namespace drey::connectors::files {
namespace {

TEST(YearShift, YearsAreCalendarYears) {
  YearShift shift;
  const auto shifted = [&](const char* from, std::int64_t years) {
    return format_instant(shift.apply(*parse_instant(from), years));
  };
  EXPECT_EQ(shifted("2013-01-01T10:00:00Z", 0), "2013-01-01T10:00:00Z");
  EXPECT_EQ(shifted("2013-01-01T10:00:00Z", 3), "2016-01-01T10:00:00Z");
  EXPECT_EQ(shifted("2013-03-01T00:00:00Z", 3), "2016-03-01T00:00:00Z");
  EXPECT_EQ(shifted("2012-02-29T12:00:00Z", 1), "2013-02-28T12:00:00Z");
  EXPECT_EQ(shifted("2012-02-29T12:00:00Z", 4), "2016-02-29T12:00:00Z");
  EXPECT_EQ(shifted("1969-12-31T23:00:00Z", 1), "1970-12-31T23:00:00Z");
}

}  // namespace
}  // namespace drey::connectors::files
