#include "metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "metrics/table.h"

namespace drey::metrics {
namespace {

using testing::HasSubstr;

TEST(Metrics, TextsAreFlinks) {
  EXPECT_EQ(text_of(std::int64_t{-9223372036854775807 - 1}), "-9223372036854775808");
  EXPECT_EQ(text_of(43.733333333333334), "43.733333333333334");
  EXPECT_EQ(text_of(6600.0), "6600.0");
  EXPECT_EQ(text_of(0.0), "0.0");
  EXPECT_EQ(text_of(97828864.0), "9.7828864E7");
  EXPECT_EQ(text_of(1.0f / 6), "0.16666667");  // as Float.toString does
  EXPECT_EQ(text_of(0.1f), "0.1");
  EXPECT_EQ(text_of(2.0f), "2.0");
  EXPECT_EQ(text_of(1e-5f), "1.0E-5");
  EXPECT_EQ(text_of(std::numeric_limits<double>::quiet_NaN()), "NaN");
  EXPECT_EQ(text_of(true), "true");
  EXPECT_EQ(text_of(std::string("n/a")), "n/a");
}

TEST(Metrics, TruthsAndTextsAreNoNumbers) {
  EXPECT_EQ(number_of(std::int64_t{7}), 7.0);
  EXPECT_EQ(number_of(0.5f), 0.5);
  EXPECT_EQ(number_of(true), std::nullopt);
  EXPECT_EQ(number_of(std::string("7")), std::nullopt);
}

TEST(Metrics, ValuesGoThroughTheirEightBytes) {
  const Metrics one{{"whole", std::int64_t{-3}}, {"real", 2.5}, {"share", 1.0f / 6}, {"truth", true}};
  const Metrics other(one.names(), one.raw());
  ASSERT_EQ(other.size(), 4u);
  for (std::size_t i = 0; i < other.size(); ++i) EXPECT_EQ(other.value(i), one.value(i)) << i;
  EXPECT_EQ(text_of(*other.find("share")), "0.16666667");
  EXPECT_EQ(other.whole("real"), 2);
  EXPECT_EQ(other.find("nothing"), std::nullopt);
  EXPECT_EQ(other.whole("nothing"), 0);
}

TEST(Metrics, WhatAPeerSaysThatDoesNotFitIsNothing) {
  const auto names = std::make_shared<const Names>(Names{{"a", 0, Form::kWhole}});
  EXPECT_EQ(Metrics(names, {1, 2}).size(), 0u);
  EXPECT_EQ(Metrics(nullptr, {1}).size(), 0u);
  for (const Name& bad : {Name{"a", 0, Form::kText}, Name{"a", 0, static_cast<Form>(99)},
                          Name{"a", 0, static_cast<Form>(-1)}, Name{"a", 2, Form::kWhole}}) {
    EXPECT_EQ(Metrics(std::make_shared<const Names>(Names{bad}), {0}).size(), 0u) << bad.scope;
  }
}

TEST(Metrics, AddLeavesACopyAsItIs) {
  Metrics one;
  one.add("a", std::int64_t{1});
  const Metrics copy = one;
  one.add("b", std::string("text"));
  EXPECT_EQ(copy.size(), 1u);
  EXPECT_EQ(copy.names()->size(), 1u);
  EXPECT_EQ(text_of(one.value(1)), "text");
  Metrics shared(copy.names(), {5});
  shared.add("c", 0.5);
  EXPECT_EQ(copy.names()->size(), 1u);
  EXPECT_EQ(shared.whole("a"), 5);
}

TEST(Metrics, ScopesAreSpelledAsFlinkDoes) {
  EXPECT_EQ(scope_of("Source: my.src, x"), "Source__my_src__x");
  EXPECT_EQ(scope_of("count & <sum>"), "count_&_<sum>");
}

TEST(Metrics, TheReferencePageHasRatesTwinsAndWhatIsLeftOut) {
  const Documented rows[] = {
      {"subtask", "numBytesInLocal", "Bytes | more.", true, "Shuffle.Netty.Input.numBytesInLocal"}};
  const std::string page = reference_page(rows);
  EXPECT_THAT(page, HasSubstr("| `numBytesInLocal`, `PerSecond`<br>`Shuffle.Netty.Input.numBytesInLocal`, "
                              "`PerSecond` | Bytes \\| more. |\n"));
  for (const LeftOut& row : left_out()) EXPECT_THAT(page, HasSubstr(row.why.substr(0, 40)));
}

}  // namespace
}  // namespace drey::metrics
