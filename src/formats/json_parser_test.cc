#include "formats/json_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/test_rows.h"

namespace drey::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Rows read(const std::string& schema, std::string_view json, TimeFormat times = TimeFormat::kIso) {
  FormatOptions options = json_options();
  options.time_format = times;
  return convert(schema, json, options, options);
}
// The one row, or the one error.
std::string one(const std::string& schema, std::string_view json, TimeFormat times = TimeFormat::kIso) {
  const Rows rows = read(schema, json, times);
  if (rows.errors.empty()) return rows.text.substr(0, rows.text.find('\n'));
  EXPECT_EQ(rows.errors.size(), 1u);
  EXPECT_EQ(rows.text, "");
  return rows.errors[0];
}

TEST(JsonParser, DecimalsAreReadDigitForDigit) {
  EXPECT_EQ(one("d:d:38,18", R"({"d":799.929496989092949698})"), R"({"d":799.929496989092949698})");
  EXPECT_EQ(one("d:d:38,18", R"({"d":"799.929496989092949698"})"), R"({"d":799.929496989092949698})");
  EXPECT_EQ(one("d:d:12,6", R"({"d":0.000001})"), R"({"d":0.000001})");
  EXPECT_EQ(one("d:d:12,6", R"({"d":1e-6})"), R"({"d":0.000001})");
  EXPECT_EQ(one("d:d:12,6", R"({"d":1E+2})"), R"({"d":100.000000})");
  EXPECT_EQ(one("d:d:18,2", R"({"d":1234567890123456.78})"), R"({"d":1234567890123456.78})");
  EXPECT_EQ(one("d:d:18,2", R"({"d":9007199254740993.0})"), R"({"d":9007199254740993.00})");
  EXPECT_EQ(one("d:d:20,4", R"({"d":1234567890123456.7891})"), R"({"d":1234567890123456.7891})");
  EXPECT_EQ(one("d:d:38,0", R"({"d":12345678901234567890123456789012345678})"),
            R"({"d":12345678901234567890123456789012345678})");
  EXPECT_EQ(one("d:d:38,0", R"({"d":1e20})"), R"({"d":100000000000000000000})");
  EXPECT_EQ(one("d:d:38,0", R"({"d":-0.0e99})"), R"({"d":0})");
  EXPECT_EQ(one("d:d:20,4", R"({"d":100000000000000000000.0})"),
            "d: has more digits than the column: value=100000000000000000000.0");
  EXPECT_THAT(one("d:d:18,2", R"({"d":0.005})"), HasSubstr("more digits after the point"));
  EXPECT_THAT(one("d:d:18,2", R"({"d":1e999999999999999999})"), HasSubstr("more digits than the column"));
  EXPECT_THAT(one("d:d:18,2", R"({"d":1e-999999999999999999})"), HasSubstr("more digits after the point"));
}

TEST(JsonParser, NumbersAreExactOrAnError) {
  EXPECT_EQ(one("n:l", R"({"n":9007199254740993})"), R"({"n":9007199254740993})");
  EXPECT_EQ(one("n:l", R"({"n":9007199254740993.0})"), R"({"n":9007199254740993})");
  EXPECT_EQ(one("n:l", R"({"n":1e3})"), R"({"n":1000})");
  EXPECT_EQ(one("n:l", R"({"n":-9223372036854775808})"), R"({"n":-9223372036854775808})");
  EXPECT_EQ(one("n:l", R"({"n":"5"})"), R"({"n":5})");
  EXPECT_EQ(one("n:l", R"({"n":" 5"})"), R"({"n":5})");
  EXPECT_EQ(one("n:l", R"({"n":1.5})"), "n: is not a whole number: value=1.5");
  EXPECT_EQ(one("n:l", R"({"n":true})"), "n: is not a whole number: value=true");
  EXPECT_EQ(one("n:l", R"({"n":9223372036854775808})"), "n: is out of range: value=9223372036854775808");
  EXPECT_EQ(one("n:l", R"({"n":1e400})"), "n: is out of range: value=1e400");
  EXPECT_EQ(one("n:c", R"({"n":128})"), "n: is out of range: value=128");
  EXPECT_EQ(one("f:f", R"({"f":0.1})"), R"({"f":0.1})");
  EXPECT_EQ(one("d:g", R"({"d":123456789012345678901234567890})"), R"({"d":1.2345678901234568e+29})");
  EXPECT_EQ(one("d:g", R"({"d":18446744073709551615})"), R"({"d":18446744073709551616})");
  EXPECT_EQ(one("d:g", R"({"d":1e400})"), R"({"d":"Infinity"})");
  EXPECT_EQ(one("d:g", R"({"d":-1e-400})"), R"({"d":-0})");
}

TEST(JsonParser, TextTakesNumbersAsTheyStandAndObjectsAsJson) {
  for (const char* number : {"1.10", "1e3", "799.929496989092949698", "18446744073709551616", "-0", "true"}) {
    EXPECT_EQ(one("t:vu", std::string("{\"t\":") + number + "}"), std::string("{\"t\":\"") + number + "\"}");
  }
  EXPECT_EQ(one("t:vu", R"({"t":{"a": [1, 2.50, "x y"], "b":null}})"),
            R"({"t":"{\"a\":[1,2.50,\"x y\"],\"b\":null}"})");
}

TEST(JsonParser, WhatNobodyWantsMayBeAnything) {
  for (const char* other :
       {"123456789012345678901234567890", "1e400", "-9223372036854775809", "\"\\ud83d\"", "\"\\ude00\"",
        "\"\\ud83d\\ud83d\"", "{\"p\":[1,123456789012345678901234567890,{}],\"q\":[[],[{}]]}", "\"a\xFF\"", "\"\"",
        "[]"}) {
    EXPECT_EQ(one("n:l", std::string("{\"other\":") + other + ",\"n\":1}"), R"({"n":1})") << other;
  }
  EXPECT_EQ(one("n:l", R"({"n":1,"\ud83d":2})"), R"({"n":1})");
  EXPECT_EQ(one("n:l", "{\"x\":" + std::string(1000, '[') + std::string(1000, ']') + ",\"n\":1}"), R"({"n":1})");
  EXPECT_THAT(one("n:l", "{\"x\":" + std::string(1001, '[') + std::string(1001, ']') + ",\"n\":1}"),
              HasSubstr("nested too deeply"));
}

TEST(JsonParser, WhatIsWantedAndCannotBeHadNamesItsColumn) {
  EXPECT_THAT(one("n:l;t:vu", R"({"n":1,"t":"\ud83dx"})"), HasSubstr("t: holds half of a surrogate pair"));
  EXPECT_THAT(one("n:l;t:vu", R"({"n":1,"t":"\ude00"})"), HasSubstr("t: holds half of a surrogate pair"));
  EXPECT_EQ(one("n:l;t:vu", "{\"n\":1,\"t\":\"a\xFF\"}"), "t: is not valid UTF-8");
  EXPECT_EQ(one("n:l;t:vu", "{\"n\":1,\"t\":[\"\xFF\"]}"), "t: is not valid UTF-8");
  EXPECT_EQ(one("n:l;t:vu", R"({"n":1,"t":null})"), "t: is null or missing but the column is not optional");
  EXPECT_EQ(one("n:l", R"({"n":{}})"), "n: is an object where a single value is due");
  EXPECT_EQ(one("p:+s{x:l;y:l}", R"({"p":{"x":1}})"), "p.y: is null or missing but the column is not optional");
  EXPECT_EQ(one("p:+s{x:l}", R"({"p":[1]})"), "p: is an array where an object is due");
  EXPECT_EQ(one("p:+l{item:l}", R"({"p":[1,"x"]})"), "p: is not a whole number: value=x");
  EXPECT_EQ(one("b:vz", R"({"b":"***"})"), "b: is not base64: value=***");
}

TEST(JsonParser, TextsHaveTheirEscapes) {
  EXPECT_EQ(one("t:vu", R"({"t":"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00\u0000"})"),
            "{\"t\":\"\\\"\\\\/\\u0008\\u000c\\n\\r\\tA\u00e9\U0001F600\\u0000\"}");
  EXPECT_EQ(one("n:l", R"({"\u006e":2})"), R"({"n":2})");
}

TEST(JsonParser, OfKeysThatComeTwiceTheLastCounts) {
  EXPECT_EQ(one("n:l", R"({"n":1,"n":2})"), R"({"n":2})");
  EXPECT_EQ(one("n:l", R"({"n":1,"\u006e":2})"), R"({"n":2})");
  EXPECT_EQ(one("n:l?", R"({"n":null,"n":2})"), R"({"n":2})");
  EXPECT_EQ(one("n:l?", R"({"n":1,"n":null})"), R"({"n":null})");
  EXPECT_EQ(one("p:+l{item:l?}", R"({"p":[1,null,3],"p":[4]})"), R"({"p":[4]})");
  EXPECT_EQ(one("p:+s?{x:l?;l:+l{item:l}}", R"({"p":null,"p":{"x":1,"x":null,"l":[7],"l":[8,9]}})"),
            R"({"p":{"x":null,"l":[8,9]}})");
}

TEST(JsonParser, RecordsAndListsAreRead) {
  const std::string schema = "id:vu;user:+s{id:vu;geo:+s?{country:vu?;city:vu?}};tags:+l{item:vu};grid:+l?{r:+l{v:i?}}";
  const std::string full =
      R"({"id":"a","user":{"id":"u","geo":{"country":"DE","city":null}},"tags":["x","a longer text than inline"],"grid":[[1,null],[],[3]]})";
  EXPECT_EQ(one(schema, full), full);
  EXPECT_EQ(one(schema, R"({"user":{"id":"u"},"tags":[],"id":"a"})"),
            R"({"id":"a","user":{"id":"u","geo":null},"tags":[],"grid":null})");
  // Many rows, so that lists grow; bad ones among them leave nothing behind.
  std::string in, out;
  for (int i = 0; i < 200; ++i) {
    std::string row = R"({"p":[)";
    for (int k = 0; k < i % 7; ++k) {
      row += (k > 0 ? "," : "") + (k == 3 ? std::string("null") : fmt::format(R"({{"n":{},"l":["{}"]}})", k, i));
    }
    row += "]}\n";
    in += row;
    out += row;
    if (i % 5 == 0)
      in += R"({"p":[{"n":1,"l":["gone","gone"]},null,{"n":1,"l":[null,7,{}]},{"n":"x"}]})"
            "\n";
  }
  const Rows rows = read("p:+l{item:+s?{n:l?;l:+l{item:vu?}}}", in);
  EXPECT_EQ(rows.text, out);
  EXPECT_EQ(rows.errors.size(), 40u);
}

TEST(JsonParser, TimesHaveFormats) {
  for (const char* text : {"2013-01-01T10:00:00Z", "2013-01-01T12:00:00+02:00", "2013-01-01t10:00z",
                           "2013-01-01 10:00:00", "2013-01-01T10:00:00.000123Z", "2013-01-01T05:30-0430"}) {
    EXPECT_EQ(one("t:tsm:UTC", std::string("{\"t\":\"") + text + "\"}"), R"({"t":"2013-01-01T10:00:00Z"})") << text;
  }
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":1357034400123})"), R"({"t":"2013-01-01T10:00:00.123Z"})");
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":"2013-01-01T10:00:00.5Z"})", TimeFormat::kSql),
            R"({"t":"2013-01-01 10:00:00.500"})");
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":1357034400})", TimeFormat::kEpochSeconds), R"({"t":1357034400})");
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":"1357034400"})", TimeFormat::kEpochSeconds), R"({"t":1357034400})");
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":-1})", TimeFormat::kEpochMicros), R"({"t":-1000})");
  EXPECT_EQ(one("t:tsm:UTC", R"({"t":1.5})"), "t: is not a whole number: value=1.5");
  EXPECT_EQ(one("d:tdD", R"({"d":"2013-01-01"})"), R"({"d":"2013-01-01"})");
  EXPECT_EQ(one("d:tdD", R"({"d":15706})"), "d: is not a date like 2013-01-01: value=15706");
}

TEST(JsonParser, OnlyJsonIsRead) {
  for (const char* line : {"[]",
                           "1",
                           "{",
                           "{\"n\":1",
                           "{\"n\":1}}",
                           "{\"n\":1,}",
                           "{\"n\":01}",
                           "{\"n\":1.}",
                           "{\"n\":.5}",
                           "{\"n\":+1}",
                           "{\"n\":1e}",
                           "{\"n\":tru}",
                           "{\"n\":nul}",
                           "{\"n\" 1}",
                           "{n:1}",
                           "{\"n\":1 \"m\":2}",
                           "{\"n\":1,\"x\":\"\t\"}",
                           "{\"n\":1,\"x\":\"\\x\"}",
                           "{\"n\":1,\"x\":\"\\u12g4\"}",
                           "{\"n\":1,\"x\":[1,]}",
                           "{\"n\":1,\"x\":[1 2]}",
                           "{\"n\":1,\"x\":{\"y\"}}",
                           "{\"n\":1,\"x\":-}",
                           "{\"n\":1}x",
                           "{\"n\":NaN}"}) {
    const Rows rows = read("n:l", line);
    EXPECT_EQ(rows.text, "") << line;
    EXPECT_THAT(rows.errors, ElementsAre(HasSubstr("the line is not a JSON object"))) << line;
  }
}

TEST(JsonParser, BlankLinesAreNoRows) {
  const Rows rows = read("n:l", "{\"n\":1}\n\n   \n\t\r\n {\"n\" : 2 } \r\n\n");
  EXPECT_EQ(rows.text, "{\"n\":1}\n{\"n\":2}\n");
  EXPECT_THAT(rows.errors, IsEmpty());
}

}  // namespace
}  // namespace drey::formats
