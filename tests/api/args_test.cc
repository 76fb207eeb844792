#include "drey/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using drey::ArgumentError;
using drey::ProgramArgs;
using namespace std::chrono_literals;

namespace {
template <class F>
std::string error(F&& f) {
  try {
    f();
  } catch (const ArgumentError& e) {
    return e.what();
  }
  return "";
}
}  // namespace

TEST(Args, Forms) {
  const ProgramArgs a({"--a", "1", "--b=two words", "-c", "-3", "--flag", "--d=", "--last"});
  EXPECT_EQ(a.get<int>("a"), 1);
  EXPECT_EQ(a.required("b"), "two words");
  EXPECT_EQ(a.get<std::int64_t>("c"), -3);
  EXPECT_TRUE(a.flag("flag"));
  EXPECT_EQ(a.required("d"), "");
  EXPECT_TRUE(a.flag("last"));
  EXPECT_FALSE(a.flag("none"));
  EXPECT_EQ(a.get("none", "x"), "x");
  EXPECT_EQ(a.get<double>("none", 0.5), 0.5);
  a.done();
}

// What begins with a digit behind its sign is a value, not an option.
TEST(Args, ValuesMayBeNegative) {
  const ProgramArgs a({"--offset", "-2h", "--n", "-5", "--x", "-.5e3", "--input", "-"});
  EXPECT_EQ(a.duration("offset"), std::chrono::hours(-2));
  EXPECT_EQ(a.get<int>("n"), -5);
  EXPECT_EQ(a.get<double>("x"), -500);
  EXPECT_EQ(a.required("input"), "-");
  EXPECT_THAT(error([] { ProgramArgs({"--n", "5", "-2h"}); }), testing::HasSubstr("unexpected argument '-2h'"));
}

TEST(Args, Paths) {
  const ProgramArgs a({"--a", "/p", "--b", "file:/p", "--c", "file:///p", "--d", "data/x.csv"});
  EXPECT_EQ(a.path("a"), "/p");
  EXPECT_EQ(a.path("b"), "/p");
  EXPECT_EQ(a.path("c"), "/p");
  char here[4096];
  ASSERT_NE(::getcwd(here, sizeof here), nullptr);
  EXPECT_THAT(error([&] { a.path("d"); }), testing::HasSubstr(std::string(here) + "/data/x.csv"));
}

TEST(Args, Errors) {
  const ProgramArgs a({"--n", "12x", "--big", "300", "--flag"});
  EXPECT_THAT(error([&] { a.get<int>("n"); }), testing::HasSubstr("--n: '12x' is not a whole number"));
  EXPECT_THAT(error([&] { a.get<std::int8_t>("big"); }), testing::HasSubstr("in range"));
  EXPECT_THAT(error([&] { a.required("nope"); }), testing::HasSubstr("missing option --nope"));
  EXPECT_THAT(error([&] { a.required("flag"); }), testing::HasSubstr("needs a value"));
  EXPECT_THAT(error([] { ProgramArgs({"word"}); }), testing::HasSubstr("unexpected argument 'word'"));
  EXPECT_THAT(error([] { ProgramArgs({"--x", "1", "--x", "2"}); }), testing::HasSubstr("twice"));
  EXPECT_THAT(error([] { ProgramArgs({"--y", "1"}).done(); }), testing::HasSubstr("unknown option --y"));
}

TEST(Args, Durations) {
  const ProgramArgs a({"--a", "500 ms", "--b", "2h", "--c", "24 h", "--d", "7", "--e", "1 fortnight"});
  EXPECT_EQ(a.duration("a"), 500ms);
  EXPECT_EQ(a.duration("b"), 2h);
  EXPECT_EQ(a.duration("c"), 24h);
  EXPECT_EQ(a.duration("d"), 7ms);
  EXPECT_NE(error([&] { a.duration("e"); }), "");
  EXPECT_EQ(a.duration("none", 1s), 1s);
}
