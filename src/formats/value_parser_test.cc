#include "formats/value_parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace drey::formats {
namespace {

// The value as a T, or what is wrong with it.
template <typename T>
struct Answer {
  T value{};
  std::string problem;
};

template <typename T>
Answer<T> parse(std::string_view text, const std::string& type) {
  const data::Schema schema = *data::Schema::parse("v:" + type);
  alignas(16) T values[2]{};
  drey_builder_column column{};
  column.values = values;
  ValueParser parser;
  const char* problem = parser.parse(text, schema[0].type, column, 1);
  return {values[1], problem != nullptr ? problem : ""};
}

TEST(ValueParser, WholeNumbersHaveTheirBounds) {
  EXPECT_EQ(parse<std::int64_t>("-9223372036854775808", "l").value, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse<std::int64_t>("9223372036854775807", "l").value, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parse<std::int64_t>("+12", "l").value, 12);
  EXPECT_EQ(parse<std::int32_t>("-2147483648", "i").value, std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(parse<std::int8_t>("127", "c").value, 127);
  EXPECT_EQ(parse<std::int8_t>("128", "c").problem, "is out of range");
  EXPECT_EQ(parse<std::int32_t>("2147483648", "i").problem, "is out of range");
  EXPECT_EQ(parse<std::int64_t>("+9223372036854775807", "l").value, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parse<std::int64_t>("9223372036854775808", "l").problem, "is out of range");
  EXPECT_EQ(parse<std::int64_t>("\t12 ", "l").value, 12);
  for (const char* bad : {"", "-", "+", "x1", "1x", "1.5", "1 2", "--1", "+-9223372036854775807", "1e3"}) {
    EXPECT_EQ(parse<std::int64_t>(bad, "l").problem, "is not a whole number") << bad;
  }
}

TEST(ValueParser, RealNumbersAreTheNearestDouble) {
  EXPECT_EQ(parse<double>("0.1", "g").value, 0.1);
  EXPECT_EQ(parse<double>("-1e-3", "g").value, -0.001);
  EXPECT_EQ(parse<double>("+2.5", "g").value, 2.5);
  // As Java's parsers have it.
  EXPECT_EQ(parse<double>("1e400", "g").value, std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse<double>("-1000e9999999999999999999", "g").value, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse<double>("1e-400", "g").value, 0.0);
  EXPECT_TRUE(std::signbit(parse<double>("-0.0001e-400", "g").value));
  EXPECT_EQ(parse<float>("1e39", "f").value, std::numeric_limits<float>::infinity());
  EXPECT_EQ(parse<float>("1e-46", "f").value, 0.0f);
  EXPECT_EQ(parse<double>(" 2.5 ", "g").value, 2.5);
  EXPECT_EQ(parse<double>("-Infinity", "g").value, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(parse<double>("NaN", "g").value));
  for (const char* bad : {"", "+", "+-1", "1,5", "1.5x", "abc"})
    EXPECT_EQ(parse<double>(bad, "g").problem, "is not a number") << bad;
}

TEST(ValueParser, DecimalsAreExact) {
  EXPECT_EQ(parse<std::int64_t>("12.34", "d:10,2").value, 1234);
  EXPECT_EQ(parse<std::int64_t>("-0.5", "d:10,2").value, -50);
  EXPECT_EQ(parse<std::int64_t>("7", "d:10,2").value, 700);
  EXPECT_EQ(parse<std::int64_t>("1.500", "d:10,2").value, 150);
  EXPECT_EQ(parse<std::int64_t>("1e-2", "d:10,2").value, 1);
  EXPECT_EQ(parse<std::int64_t>("1E2", "d:10,2").value, 10'000);
  EXPECT_EQ(parse<std::int64_t>("-0012.340e+1", "d:10,2").value, -12'340);
  EXPECT_EQ(parse<std::int64_t>(".5", "d:10,2").value, 50);
  EXPECT_EQ(parse<std::int64_t>("5.", "d:10,2").value, 500);
  EXPECT_EQ(parse<std::int64_t>("100.0", "d:10,2").value, 10'000);
  EXPECT_EQ(parse<std::int64_t>("0.00000", "d:10,2").value, 0);
  EXPECT_EQ(parse<std::int64_t>("1.005", "d:10,2").problem, "has more digits after the point than the column");
  EXPECT_EQ(parse<std::int64_t>("123456789", "d:10,2").problem, "has more digits than the column");
  for (const char* bad : {"", "-", "+", ".", "-.", "1.2.3", "1e", "1e+", "e5", "1x"}) {
    EXPECT_EQ(parse<std::int64_t>(bad, "d:10,2").problem, "is not a decimal number") << bad;
  }
}

TEST(ValueParser, TimestampsAndDates) {
  EXPECT_EQ(parse<std::int64_t>("2013-01-01T10:00:00Z", "tsm:UTC").value, 1'357'034'400'000);
  EXPECT_EQ(parse<std::int32_t>("1969-12-31", "tdD").value, -1);
  EXPECT_EQ(parse<std::int32_t>("2016-02-29", "tdD").value, 16'860);
  for (const char* bad :
       {"", "2013-13-01T10:00:00Z", "2013-02-29T10:00:00Z", "2013-01-01T24:00:01Z", "yesterday", "2013-01-01T10",
        "2013-01-01T10:00:00+2", "2013-01-01T10:00:00+02:0", "2013-01-01T10:00:00+99:00", "99999-01-01", "+1-01-01"}) {
    EXPECT_NE(parse<std::int64_t>(bad, "tsm:UTC").problem, "") << bad;
  }
  EXPECT_NE(parse<std::int32_t>("2015-02-29", "tdD").problem, "");
}

// The parser remembers the last date it saw: a bad time of day on that date must not slip through.
TEST(ValueParser, TheDateOfTheRowBeforeIsNoShortcutForBadTimes) {
  const data::Schema schema = *data::Schema::parse("v:tsm:UTC");
  std::int64_t value = 0;
  drey_builder_column column{};
  column.values = &value;
  ValueParser parser;
  ASSERT_EQ(parser.parse("2013-01-01T10:00:00Z", schema[0].type, column, 0), nullptr);
  ASSERT_EQ(parser.parse("2013-01-01T23:59:59Z", schema[0].type, column, 0), nullptr);
  EXPECT_EQ(value, 1'357'084'799'000);
  EXPECT_NE(parser.parse("2013-01-01T1x:00:00Z", schema[0].type, column, 0), nullptr);
  EXPECT_NE(parser.parse("2013-01-01T10:60:00Z", schema[0].type, column, 0), nullptr);
}

TEST(ValueParser, TextIsUtf8AndBytesAreAnything) {
  EXPECT_EQ(parse<data::View>("caf\xC3\xA9", "vu").problem, "");
  EXPECT_EQ(parse<data::View>("caf\xE9", "vu").problem, "is not valid UTF-8");
  EXPECT_EQ(parse<data::View>("\xED\xA0\x80", "vu").problem, "is not valid UTF-8");  // a surrogate
  EXPECT_EQ(parse<data::View>("\xC0\xAF", "vu").problem,
            "is not valid UTF-8");  // not the shortest form
  EXPECT_EQ(parse<data::View>("\xF4\x90\x80\x80", "vu").problem,
            "is not valid UTF-8");  // beyond U+10FFFF
  EXPECT_EQ(parse<data::View>("caf\xE9", "vz").problem, "");
}

TEST(ValueParser, TruthHasTwoWords) {
  for (const auto& [text, bit] : {std::pair{"true", true}, {"FALSE", false}, {"1", true}, {"0", false}}) {
    const Answer<std::uint64_t> answer = parse<std::uint64_t>(text, "b");
    EXPECT_EQ(answer.problem, "") << text;
  }
  EXPECT_EQ(parse<std::uint64_t>("yes", "b").problem, "is not true or false");
}

}  // namespace
}  // namespace drey::formats
