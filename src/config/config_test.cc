#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/configuration.h"

namespace drey::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

enum class Color { kRed, kDarkBlue };
constexpr auto enum_table(Color) {
  return std::array{EnumRow{Color::kRed, "RED"}, EnumRow{Color::kDarkBlue, "DARK_BLUE"}};
}

struct Sample {
  bool on = true;
  std::uint16_t port = 8081;
  std::int64_t attempts = INT64_MAX;
  double factor = 1.5;
  std::string name = "none";
  Millis pause{90'000};
  Bytes memory{512u << 20};
  Color color = Color::kRed;
  std::vector<std::string> hosts;
  std::optional<std::int32_t> slots;
  static constexpr std::string_view kTitle = "Sample";
  static constexpr auto options() {
    using M = Sample;
    return Options{option("s.on", &M::on, "Whether."),
                   option("s.port", &M::port, "Which.").between(0, 65'535),
                   option("s.attempts", &M::attempts, "How often.").at_least(0),
                   option("s.factor", &M::factor, "How much.").between(1, 10),
                   option("s.name", &M::name, "What it is called.").per_job(),
                   option("s.pause", &M::pause, "How long.").between(1000, 3'600'000),
                   option("s.memory", &M::memory, "How many bytes."),
                   option("s.color", &M::color, "What color.").renamed_from("s.colour"),
                   option("s.hosts", &M::hosts, "Who."),
                   option("s.slots", &M::slots, "How wide.").between(1, 10).defaults_to("as many as cores")};
  }
};
static_assert(EveryMemberIsAnOption<Sample>);
const std::vector<OptionGroup> kKnown{describe<Sample>()};

struct Inner {
  std::string name;
  std::int64_t most = 10;
  static constexpr auto options() {
    using M = Inner;
    return Options{option("name", &M::name, "What it is called.").required(),
                   option("most", &M::most, "How many.").at_least(1)};
  }
};
struct Outer {
  double rate = 0;
  Inner inner;
  static constexpr auto options() {
    using M = Outer;
    return Options{option("rate", &M::rate, "How fast.").at_least(0), part(&M::inner)};
  }
  std::string problem() const { return rate > static_cast<double>(inner.most) ? "rate is above most" : ""; }
};
static_assert(EveryMemberIsAnOption<Outer>);

TEST(Options, APartBringsItsOwnRows) {
  const auto outer = read_all<Outer>({{"rate", "2.5"}, {"name", "a"}, {"most", "3"}});
  ASSERT_TRUE(outer.ok()) << outer.status().to_string();
  EXPECT_EQ(outer->rate, 2.5);
  EXPECT_EQ(outer->inner.name, "a");
  EXPECT_EQ(outer->inner.most, 3);
  EXPECT_EQ(describe<Outer>().options.size(), 3u);
}

TEST(Options, WhatIsRequiredUnknownOrContradictsIsRefused) {
  const auto problem = [](const Values& values) { return read_all<Outer>(values).status().message(); };
  EXPECT_EQ(problem({}), "Option name is required: What it is called.");
  EXPECT_EQ(problem({{"name", "a"}, {"mots", "1"}}), "Unknown option mots; did you mean most?");
  EXPECT_EQ(problem({{"name", "a"}, {"most", "0"}}), "Option most must be at least 1: value=0");
  EXPECT_EQ(problem({{"name", "a"}, {"rate", "11"}}), "rate is above most");
  for (const char* value : {"nan", "inf", "-inf", "1e999", ""}) {
    EXPECT_EQ(problem({{"name", "a"}, {"rate", value}}), std::string("Option rate must be a number: value=") + value);
  }
}

TEST(Options, DefaultsAreTheMembersOwn) {
  const auto sample = read<Sample>({});
  ASSERT_TRUE(sample.ok());
  EXPECT_EQ(sample->port, 8081);
  EXPECT_EQ(sample->attempts, INT64_MAX);
  EXPECT_FALSE(sample->slots.has_value());
}

TEST(Options, EveryTypeIsRead) {
  const auto sample = read<Sample>({{"s.on", "FALSE"},
                                    {"s.port", "0"},
                                    {"s.attempts", "7"},
                                    {"s.factor", "2.25"},
                                    {"s.name", "x y"},
                                    {"s.pause", "2 min"},
                                    {"s.memory", "1 gb"},
                                    {"s.color", "dark-blue"},
                                    {"s.hosts", "a, b;c"},
                                    {"s.slots", "3"}});
  ASSERT_TRUE(sample.ok()) << sample.status().to_string();
  EXPECT_FALSE(sample->on);
  EXPECT_EQ(sample->port, 0);
  EXPECT_EQ(sample->attempts, 7);
  EXPECT_EQ(sample->factor, 2.25);
  EXPECT_EQ(sample->name, "x y");
  EXPECT_EQ(sample->pause, Millis(120'000));
  EXPECT_EQ(sample->memory.count, 1u << 30);
  EXPECT_EQ(sample->color, Color::kDarkBlue);
  EXPECT_THAT(sample->hosts, ElementsAre("a", "b", "c"));
  EXPECT_EQ(sample->slots, 3);
}

TEST(Options, AnOlderKeyIsTheSameOptionUnlessTheNewOneIsSet) {
  EXPECT_EQ(with_current_names({{"s.colour", "DARK_BLUE"}, {"other", "1"}}, kKnown),
            (Values{{"s.color", "DARK_BLUE"}, {"other", "1"}}));
  EXPECT_EQ(with_current_names({{"s.colour", "DARK_BLUE"}, {"s.color", "RED"}}, kKnown), (Values{{"s.color", "RED"}}));
  EXPECT_EQ(current_name("s.colour", kKnown), "s.color");
  EXPECT_EQ(current_name("s.port", kKnown), "s.port");
}

TEST(Options, AJobInheritsWhatItMaySetItself) {
  EXPECT_EQ(per_job({{"s.name", "a"}, {"s.port", "1"}, {"unknown", "2"}}, kKnown), (Values{{"s.name", "a"}}));
}

// The later source wins, by whichever name.
TEST(Configuration, AnOlderKeyIsTheSameOptionInEverySource) {
  const auto loaded = load({"c.yaml", "s.color: RED", "", {{"s.colour", "DARK_BLUE"}}}, kKnown);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->values, (Values{{"s.color", "DARK_BLUE"}}));
  EXPECT_EQ(loaded->origins.at("s.color"), "command line");
}

TEST(Options, ABadValueIsRefusedByKeyValueAndWhatItMustBe) {
  const std::vector<std::array<std::string, 3>> cases{
      {"s.on", "yes", "true or false"},
      {"s.port", "", "a whole number"},
      {"s.port", "80x", "a whole number"},
      {"s.port", "65536", "within 0..65535"},
      {"s.port", "-1", "within 0..65535"},
      {"s.port", "99999999999999999999", "a whole number"},
      {"s.attempts", "-2", "at least 0"},
      {"s.factor", "0.5", "within 1..10"},
      {"s.factor", "fast", "a number"},
      {"s.pause", "soon", "a duration"},
      {"s.pause", "-5s", "a duration"},
      {"s.pause", "10 ms", "within 1 s..1 h"},
      {"s.memory", "12 parsecs", "a size"},
      {"s.memory", "99999999999 tb", "a size"},
      {"s.color", "green", "one of RED, DARK_BLUE"},
      {"s.slots", "0", "within 1..10"},
  };
  for (const auto& [key, value, wanted] : cases) {
    const auto sample = read<Sample>({{key, value}});
    ASSERT_FALSE(sample.ok()) << key << "=" << value;
    EXPECT_EQ(sample.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(sample.status().message(), HasSubstr("Option " + key + " must be "));
    EXPECT_THAT(sample.status().message(), HasSubstr(wanted));
    EXPECT_THAT(sample.status().message(), HasSubstr("value=" + value));
  }
}

TEST(Configuration, CommandLineBeatsEnvironmentBeatsFileAndEachValueKnowsItsOrigin) {
  const auto loaded = load({"c.yaml",
                            "s:\n  port: 1\n  name: file\n  factor: 2\ns.hosts: [a, b]\n",
                            "s.port=2\ns.name=environment\n",
                            {{"s.port", "3"}}},
                           kKnown);
  ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
  const auto sample = loaded->read<Sample>();
  ASSERT_TRUE(sample.ok());
  EXPECT_EQ(sample->port, 3);
  EXPECT_EQ(sample->name, "environment");
  EXPECT_EQ(sample->factor, 2);
  EXPECT_THAT(sample->hosts, ElementsAre("a", "b"));
  const std::string text = list(*loaded, {describe<Sample>()});
  EXPECT_THAT(text, HasSubstr("s.port = 3  (command line)\n"));
  EXPECT_THAT(text, HasSubstr("s.name = environment  (environment)\n"));
  EXPECT_THAT(text, HasSubstr("s.factor = 2  (c.yaml)\n"));
  EXPECT_THAT(text, HasSubstr("s.pause = 90 s  (default)\n"));
  EXPECT_THAT(text, HasSubstr("s.slots = as many as cores  (default)\n"));
}

TEST(Configuration, ABadValueNamesItsOrigin) {
  const auto loaded = load({"c.yaml", "s.port: x", "", {}}, kKnown);
  ASSERT_TRUE(loaded.ok());
  EXPECT_THAT(loaded->read<Sample>().status().message(), HasSubstr("from c.yaml"));
}

TEST(Configuration, AFileThatIsNoYamlIsRefusedByName) {
  const auto loaded = load({"c.yaml", "a: [1", "", {}}, kKnown);
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.status().message(), HasSubstr("c.yaml"));
}

TEST(Configuration, AnUnknownKeyWarnsWithTheNearestOneAndIsKept) {
  const auto loaded = load({"", "", "", {{"s.prot", "1"}, {"s.colour", "RED"}}}, kKnown);
  const auto warnings = unknown_keys(*loaded, {describe<Sample>()});
  ASSERT_THAT(warnings, ElementsAre(HasSubstr("s.prot")));
  EXPECT_THAT(warnings[0], HasSubstr("did you mean s.port?"));
  EXPECT_EQ(loaded->values.at("s.prot"), "1");
}

TEST(Configuration, SecretsAreNotShown) {
  const auto loaded = load({"", "", "", {{"s.ssl.key-password", "hunter2"}}}, kKnown);
  const std::string text = list(*loaded, {describe<Sample>()});
  EXPECT_THAT(text, HasSubstr("s.ssl.key-password = ******"));
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
}

TEST(Configuration, TheReferenceHasALineForEachOption) {
  const std::string page = reference({describe<Sample>()});
  EXPECT_THAT(page, HasSubstr("## Sample\n"));
  EXPECT_THAT(page, HasSubstr("| `s.pause` | `90 s` | How long. | duration, within 1 s..1 h |\n"));
  EXPECT_THAT(page, HasSubstr("| `s.color` | `RED` | What color. Formerly `s.colour`. | RED, DARK_BLUE |\n"));
}

}  // namespace
}  // namespace drey::config
