// What a writer writes the parser of the same options reads, for each format and each kind of value.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/test_rows.h"

namespace drey::formats {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Header and rows as a writer writes them are read and written again.
void expect_same(const std::string& schema_text, const std::string& json, FormatOptions options) {
  const Rows written = convert(schema_text, json, json_options(), options);
  ASSERT_THAT(written.errors, IsEmpty());
  const data::Schema schema = *data::Schema::parse(schema_text);
  auto writer = make_writer(options, schema);
  ASSERT_TRUE(writer.ok());
  std::string text;
  (*writer)->append_header(text);
  text += written.text;
  const Rows again = convert(schema_text, text, options, json_options());
  EXPECT_THAT(again.errors, IsEmpty()) << text;
  EXPECT_EQ(again.text, json) << text;
}

TEST(Formats, WhatIsWrittenIsRead) {
  const std::string schema =
      "b:b?;c:c?;s:s?;i:i?;l:l?;f:f?;g:g?;p:d:18,2?;q:d:38,18?;t:vu?;z:vz?;d:tdD?;m:tsm:UTC?;"
      "r:+s?{x:l?;t:vu?;at:tsm:UTC?};list:+l?{item:vu?};deep:+l?{item:+s?{n:l;l:+l{item:g?}}}";
  const std::string json =
      R"({"b":true,"c":-128,"s":-32768,"i":-2147483648,"l":-9223372036854775808,"f":0.1,"g":5e-324,"p":-9999999999999999.99,"q":-99999999999999999999.999999999999999999,"t":"a\tb\\\"/ , ; \u0000\u0001","z":"AP8KDSI=","d":"1969-12-31","m":"2013-01-01T10:00:00.123Z","r":{"x":7,"t":"a, \"q\") (b","at":"0001-01-01T00:00:00Z"},"list":["n,1",null,""],"deep":[{"n":1,"l":[1.5,null]},null,{"n":2,"l":[]}]})"
      "\n"
      R"({"b":false,"c":null,"s":null,"i":null,"l":null,"f":"NaN","g":"NaN","p":null,"q":null,"t":null,"z":null,"d":null,"m":null,"r":null,"list":null,"deep":null})"
      "\n"
      R"({"b":null,"c":1,"s":1,"i":1,"l":1,"f":"-Infinity","g":"Infinity","p":0.00,"q":0.000000000000000001,"t":"","z":"eA==","d":"+12345-01-02","m":"-0044-03-15T12:00:00Z","r":{"x":null,"t":"","at":null},"list":[],"deep":[]})"
      "\n";
  expect_same(schema, json, json_options());
  for (const char delimiter : {',', ';', '\t', '|'}) {
    for (const bool header : {true, false}) {
      FormatOptions csv = csv_options(header);
      csv.delimiter = delimiter;
      csv.multiline = true;
      expect_same(schema, json, csv);
      csv.null_text = "NA";
      expect_same(schema, json, csv);
    }
  }
}

TEST(Formats, EveryTimeFormatIsReadAsItIsWritten) {
  const std::string json = R"({"t":"2013-01-01T10:00:00Z"})"
                           "\n"
                           R"({"t":"1969-12-31T23:59:59Z"})"
                           "\n";
  for (const TimeFormat times : {TimeFormat::kIso, TimeFormat::kSql, TimeFormat::kEpochSeconds,
                                 TimeFormat::kEpochMillis, TimeFormat::kEpochMicros}) {
    FormatOptions options = json_options();
    options.time_format = times;
    expect_same("t:tsm:UTC", json, options);
    options = csv_options(true);
    options.time_format = times;
    expect_same("t:tsm:UTC", json, options);
  }
}

TEST(Formats, CsvOfOneColumnKeepsNullsAndEmptyTexts) {
  expect_same("n:l?", "{\"n\":null}\n{\"n\":1}\n{\"n\":null}\n", csv_options(true));
  expect_same("t:vu", "{\"t\":\"\"}\n{\"t\":\"x\"}\n{\"t\":\"\"}\n", csv_options());
  FormatOptions options = csv_options();
  options.null_text = "\\N";
  expect_same("t:vu?", "{\"t\":null}\n{\"t\":\"\"}\n{\"t\":\"\\\\N\"}\n", options);
  const auto refused = make_writer(csv_options(), *data::Schema::parse("t:vu?"));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("'null'"));
}

TEST(Formats, TextThatIsNoUtf8IsWrittenAsValidText) {
  // Bytes become text on the way: nothing checks what a job puts into a text column.
  const data::Schema schema = *data::Schema::parse("t:vu");
  data::BlockPool pool;
  data::BatchBuilder builder(schema, 1, pool);
  builder.values<data::View>(0)[0] = builder.copy_text("a\xFF\xC3");
  builder.abi().rows = 1;
  const data::BatchRef batch = builder.build();
  for (const FormatOptions& options : {json_options(), csv_options()}) {
    const auto writer = make_writer(options, schema);
    std::string text;
    (*writer)->append(*batch, 0, text);
    EXPECT_THAT(text, HasSubstr("a\uFFFD\uFFFD"));
  }
}

TEST(Formats, OptionsAreChecked) {
  const auto problem = [](const char* key, const char* value) {
    const auto options = config::read_all<FormatOptions>({{key, value}});
    return options.ok() ? "" : options.status().message();
  };
  EXPECT_THAT(problem("format", "xml"), HasSubstr("Option format must be one of csv, json, text: value=xml"));
  EXPECT_THAT(problem("header", "yes"), HasSubstr("Option header must be true or false: value=yes"));
  for (const char* bad : {"", ",,", "\"", "\n", "x", "7", "-", "."}) {
    EXPECT_THAT(problem("delimiter", bad), HasSubstr("Option delimiter must be one")) << bad;
  }
  EXPECT_EQ(problem("delimiter", "\t"), "");
  EXPECT_THAT(problem("time_format", "unix"), HasSubstr("Option time_format must be"));
  EXPECT_THAT(problem("row_bytes_max", "0"), HasSubstr("Option row_bytes_max must be"));
  EXPECT_THAT(problem("row_bytes_max", "1k"), HasSubstr("Option row_bytes_max must be"));
}

}  // namespace
}  // namespace drey::formats
