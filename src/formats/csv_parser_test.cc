#include "formats/csv_parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/prng.h"

namespace drey::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Parses `text` in pieces of `piece` bytes, as a reader would: what is left over of one piece goes
// in front of the next.
struct Parsed {
  std::vector<std::string> rows;  // fields joined with '|', null as <null>
  std::vector<RowError> errors;   // offsets from the beginning of the text
};

Parsed parse(const std::string& schema_text, const std::string& header, const std::string& text,
             FormatOptions options = {}, std::size_t piece = std::string::npos) {
  const data::Schema schema = *data::Schema::parse(schema_text);
  data::BlockPool pool;
  CsvParser parser(schema, options);
  EXPECT_TRUE(parser.set_header(header).ok());
  Parsed parsed;
  std::size_t begin = 0;
  std::size_t end = std::min(piece, text.size());
  while (true) {
    data::BatchBuilder builder(schema, 4, pool);
    const std::string_view input = std::string_view(text).substr(begin, end - begin);
    const CsvParser::Outcome outcome = parser.parse(input, end == text.size(), builder);
    for (std::uint32_t i = 0; i < builder.rows(); ++i) {
      std::string row;
      for (std::size_t c = 0; c < schema.size(); ++c) {
        const drey_builder_column& column = builder.abi().columns[c];
        row += c > 0 ? "|" : "";
        if (!data::get_bit(column.validity, i)) {
          row += "<null>";
        } else if (schema[c].type.kind == data::TypeKind::kText) {
          row += data::text_of(static_cast<const data::View*>(column.values)[i]);
        } else {
          row += fmt::format("{}", static_cast<const std::int64_t*>(column.values)[i]);
        }
      }
      parsed.rows.push_back(row);
    }
    if (outcome.error) {
      parsed.errors.push_back(*outcome.error);
      parsed.errors.back().offset += begin;
    }
    begin += outcome.consumed;
    if (begin == text.size()) return parsed;
    if (begin != end && !outcome.needs_more) continue;
    if (end == text.size()) {
      ADD_FAILURE() << "more is asked for at the end";
      return parsed;
    }
    end = std::min(end + piece, text.size());
  }
}

TEST(CsvParser, TakesTheColumnsOfTheSchemaByTheirNames) {
  EXPECT_THAT(parse("b:l;a:vu", "a,x,b", "one,2,3\nfour,,6\n").rows, ElementsAre("3|one", "6|four"));
  EXPECT_THAT(parse("a:vu", "\xEF\xBB\xBF\"a\",b\r", "1,2\r\n3,4").rows, ElementsAre("1", "3"));
}

TEST(CsvParser, NamesAColumnThatTheHeaderLacks) {
  const data::Schema schema = *data::Schema::parse("a:l;gone:l");
  CsvParser parser(schema, {});
  const Status status = parser.set_header("a,b");
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("'gone'"));
  EXPECT_THAT(status.message(), HasSubstr("a,b"));
}

TEST(CsvParser, QuotesHoldCommasQuotesAndWithMultilineLineEnds) {
  EXPECT_THAT(parse("a:vu;b:vu", "a,b", "\"x,y\",\"say \"\"hi\"\"\"\nun\"quoted,\"\"\n").rows,
              ElementsAre("x,y|say \"hi\"", "un\"quoted|"));
  EXPECT_THAT(parse("a:vu;b:vu", "a,b", "\"x\ny\",z\n", {.null_text = {}, .multiline = true}).rows,
              ElementsAre("x\ny|z"));
}

// Wherever the input is cut, the rows are the same; rows longer than 64 bytes take the fast path
// through several blocks.
TEST(CsvParser, PiecesOfAnySizeGiveTheSameRows) {
  Prng random(7);
  std::string text;
  std::vector<std::string> rows;
  for (int i = 0; i < 200; ++i) {
    const std::string plain(random.below(150), static_cast<char>('a' + random.below(26)));
    const bool quoted = random.chance(0.3);
    rows.push_back(fmt::format("{}|{}", plain + (quoted ? "\"," : ""), i));
    text += fmt::format("{},ignored,{}{}", quoted ? "\"" + plain + "\"\",\"" : plain, i,
                        random.chance(0.5) ? "\r\n" : "\n");
  }
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000}, std::string::npos}) {
    const Parsed parsed = parse("t:vu;n:l", "t,x,n", text, {}, piece);
    EXPECT_EQ(parsed.rows, rows) << piece;
    EXPECT_TRUE(parsed.errors.empty()) << piece;
  }
}

TEST(CsvParser, NullIsTheEmptyFieldOrTheTextThatStandsForIt) {
  EXPECT_THAT(parse("a:l?;b:vu?", "a,b", "1,x\n,\n\"2\",\"\"\n").rows, ElementsAre("1|x", "<null>|<null>", "2|"));
  EXPECT_THAT(parse("a:l?;b:vu?", "a,b", "NA,NA\n1,\"NA\"\n", {.null_text = "NA"}).rows,
              ElementsAre("<null>|<null>", "1|NA"));
  const Parsed required = parse("a:l", "a,b", "NA,1\n", {.null_text = "NA"});
  ASSERT_EQ(required.errors.size(), 1u);
  EXPECT_EQ(required.errors[0].column, "a");
  EXPECT_THAT(required.errors[0].what, HasSubstr("not optional"));
}

TEST(CsvParser, ABadRowIsNamedByItsFirstByteAndColumnAndTheNextOneIsRead) {
  struct Case {
    std::string bad, column, what;
  };
  for (const Case& c : {Case{"1,2,3\n", "", "3 fields where 2"}, Case{"1\n", "", "1 fields where 2"},
                        Case{"x1,2\n", "a", "value=x1"}, Case{"1,E\xffR\n", "b", "UTF-8"},
                        Case{"1,\"open\n", "2", "not closed"}, Case{"1,\"a\"b\n", "2", "closing quote"}}) {
    const Parsed parsed = parse("a:l;b:vu", "a,b", "7,good\n" + c.bad + "8,good\n");
    EXPECT_THAT(parsed.rows, ElementsAre("7|good", "8|good")) << c.bad;
    ASSERT_EQ(parsed.errors.size(), 1u) << c.bad;
    EXPECT_EQ(parsed.errors[0].offset, 7u) << c.bad;
    EXPECT_EQ(parsed.errors[0].column, c.column) << c.bad;
    EXPECT_THAT(parsed.errors[0].what, HasSubstr(c.what)) << c.bad;
  }
}

TEST(CsvParser, ABadRowLeavesNoNullsBehind) {
  EXPECT_THAT(parse("a:l?;b:l", "a,b", ",x\n3,4\n").rows, ElementsAre("3|4"));
}

TEST(CsvParser, EmptyLinesAreNoRows) {
  EXPECT_THAT(parse("a:l;b:l", "a,b", "\n1,2\n\r\n\n3,4\n\n").rows, ElementsAre("1|2", "3|4"));
}

// Rows of a builder as text, with the bits of numbers, so that -0 and 0 differ.
std::vector<std::string> dump(data::BatchBuilder& builder, const data::Schema& schema) {
  std::vector<std::string> rows;
  for (std::uint32_t i = 0; i < builder.rows(); ++i) {
    std::string row;
    for (std::size_t c = 0; c < schema.size(); ++c) {
      const drey_builder_column& column = builder.abi().columns[c];
      row += '|';
      if (!data::get_bit(column.validity, i)) {
        row += "<null>";
      } else if (schema[c].type.is_view()) {
        row += data::text_of(static_cast<const data::View*>(column.values)[i]);
      } else if (schema[c].type.kind == data::TypeKind::kBool) {
        row += data::get_bit(column.values, i) ? "true" : "false";
      } else {
        const auto* bytes = static_cast<const unsigned char*>(column.values);
        const std::size_t width = schema[c].type.width();
        for (std::size_t b = 0; b < width; ++b) row += fmt::format("{:02x}", bytes[i * width + b]);
      }
    }
    rows.push_back(row);
  }
  return rows;
}

struct Dumped {
  std::vector<std::string> rows;
  std::vector<std::pair<std::uint64_t, std::string>> errors;
};

// Lines given one at a time, each as an input of its own, are too short for the index: they go the
// slow way.
Dumped parse_all(const data::Schema& schema, const std::string& header, const std::string& text,
                 const FormatOptions& options, bool line_by_line) {
  data::BlockPool pool;
  CsvParser parser(schema, options);
  EXPECT_TRUE(parser.set_header(header).ok());
  Dumped out;
  for (std::size_t begin = 0; begin < text.size();) {
    data::BatchBuilder builder(schema, 300, pool);
    std::string_view input = std::string_view(text).substr(begin);
    if (line_by_line) input = input.substr(0, input.find('\n') + 1);
    const std::string copy(input);  // what is read behind the end is found by the sanitizer
    const CsvParser::Outcome outcome = parser.parse(copy, true, builder);
    for (std::string& row : dump(builder, schema)) out.rows.push_back(std::move(row));
    if (outcome.error)
      out.errors.emplace_back(begin + outcome.error->offset, outcome.error->column + " " + outcome.error->what);
    begin += outcome.consumed;
  }
  return out;
}

TEST(CsvParser, ManyRowsAtOnceGiveWhatOneRowAtATimeGives) {
  Prng random(11);
  const std::string header = "i8,skipped,i16,i32,i64,f32,f64,t,n,b,at";
  const auto schema = *data::Schema::parse("i64:l;i8:c?;i16:s;i32:i?;f32:f?;f64:g;t:vu;n:vu?;b:b;at:tsm:UTC?");
  const auto pick = [&](std::initializer_list<const char*> values) {
    return std::string(*(values.begin() + static_cast<std::ptrdiff_t>(random.below(values.size()))));
  };
  for (int round = 0; round < 60; ++round) {
    // One value in `odd` is a rare one; the first rounds have few, so that long runs of plain rows
    // happen.
    const std::uint64_t odd = round < 20 ? 2000 : round < 40 ? 100 : 6;
    const auto whole = [&](std::uint64_t below) {
      if (random.below(odd) == 0) {
        return pick(
            {"",    "-",    "+5",  "-0",    "007", "12345678", "123456789", "-12345678",  "99999999999999999999",
             "1x",  " 1",   "NA",  "\"3\"", "128", "-129",     "40000",     "2147483648", "1.0",
             "0x1", "12/4", "1:2", "\xff"});
      }
      return fmt::format("{}{}", random.chance(0.3) ? "-" : "", random.below(below));
    };
    const auto real = [&] {
      if (random.below(odd) == 0) {
        return pick({"",          "-",          ".5",          "5.",
                     "-.5",       "1e3",        "inf",         "nan",
                     "0.1234567", "1.12345678", "16777217",    "99999999",
                     "-0",        "-0.0",       "1.2.3",       "3.40282347e38",
                     "1e400",     "NA",         "123456789.5", "1234.56789012345",
                     "."});
      }
      return random.chance(0.5) ? fmt::format("{}", random.below(100'000))
                                : fmt::format("-{}.{}", random.below(1000), random.below(10'000));
    };
    const auto words = [&] {
      if (random.below(odd) == 0) {
        return pick({"", "NA", "\xc3\xa9t\xc3\xa9", "\xff", "exactly twelv", "twelve bytes",
                     "a text of more than thirty-two bytes, no", "\"quo,ted\"", "un\"quoted", "\"\"",
                     "long with \xc3\xa9 in it somewhere"});
      }
      return std::string(random.below(20), static_cast<char>('a' + random.below(26)));
    };
    FormatOptions options;
    if (round % 3 == 1) options.null_text = "NA";
    if (round % 3 == 2) options.null_text = pick({"0", "-", "a null of many bytes", ""});
    std::string text;
    for (int row = 0; row < 700; ++row) {
      text +=
          whole(100) + ',' + words() + ',' + whole(30'000) + ',' + whole(100'000'000) + ',' + whole(1'000'000'000'000) +
          ',' + real() + ',' + real() + ',' + words() + ',' + words() + ',' +
          (random.below(odd) == 0 ? "maybe" : pick({"true", "false"})) + ',' +
          (random.below(odd) == 0 ? whole(10)
                                  : fmt::format("2013-01-{:02}T10:00:{:02}Z", random.below(28) + 1, random.below(60)));
      if (random.below(odd) == 0) text += pick({",one more", "\n", "\r", "\n\r\n"});
      text += random.chance(0.2) ? "\r\n" : "\n";
    }
    const Dumped fast = parse_all(schema, header, text, options, false);
    const Dumped slow = parse_all(schema, header, text, options, true);
    ASSERT_EQ(fast.rows, slow.rows) << round;
    ASSERT_EQ(fast.errors, slow.errors) << round;
    ASSERT_GT(slow.rows.size(), round < 40 ? 300u : 0u) << round;
  }
}

// Numbers are read four at a time: each text in each place among plain ones, in a column that is
// the last one, too.
TEST(CsvParser, ANumberIsReadAloneWhenItsNeighboursArePlain) {
  const char* const texts[] = {"0",
                               "-0",
                               "7",
                               "-7",
                               "12345678",
                               "-1234567",
                               "-12345678",
                               "123456789",
                               "-123456789",
                               "00000000",
                               "",
                               "-",
                               "--1",
                               "+1",
                               "1-",
                               "1-1",
                               "1.5",
                               "-1.5",
                               "1e3",
                               " 1",
                               "1 ",
                               "/",
                               ":",
                               "1/",
                               "1:",
                               "\x80",
                               "1\xb1",
                               "NA",
                               "N",
                               "99999999",
                               "-9999999",
                               "2147483647",
                               "-2147483648",
                               "2147483648",
                               "1\r",
                               "9223372036854775807",
                               "9223372036854775808"};
  for (const char* type : {"c", "s", "i", "l", "f", "g", "i?", "l?", "g?"}) {
    for (const char* end : {"\n", "\r\n"}) {
      for (const char* text : texts) {
        for (const int place : {0, 3, 5, 8}) {
          std::string all;
          for (int row = 0; row < 9; ++row) {
            all += row == place ? text : std::to_string(row * row - 20);
            all += ",1,";
            all += row == place ? text : std::to_string(row);
            all += end;
          }
          all += std::string(200, 'x') + '\n';  // the index stops before the end of its input
          const auto schema = *data::Schema::parse(std::string("first:") + type + ";last:" + type);
          FormatOptions options;
          if (place == 3) options.null_text = "NA";
          const Dumped fast = parse_all(schema, "first,middle,last", all, options, false);
          const Dumped slow = parse_all(schema, "first,middle,last", all, options, true);
          ASSERT_EQ(fast.rows, slow.rows) << type << ' ' << text << ' ' << place;
          ASSERT_EQ(fast.errors, slow.errors) << type << ' ' << text << ' ' << place;
          ASSERT_GE(fast.rows.size(), 8u);
        }
      }
    }
  }
}

// Text is made into views by words of eight bytes: every length, at the end of a line and before
// another field, and what is not UTF-8 far behind the first row of a run.
TEST(CsvParser, TextOfAnyLengthIsCutOutAndChecked) {
  const auto schema = *data::Schema::parse("a:vu;b:vz;c:vu?");
  for (std::size_t bad_row = 0; bad_row < 40; bad_row += 3) {
    for (const char* tail : {"", "\xc3\xa9", "\xe9", "\xc3"}) {
      std::string all;
      for (std::size_t row = 0; row < 40; ++row) {
        const std::string text(row + 1, 'q');
        const std::string special = row == bad_row ? tail : "";
        all += text + special + ',' + text + special + ',' + text + special + (row % 2 == 0 ? "\n" : "\r\n");
      }
      all += std::string(200, 'x') + '\n';
      const Dumped fast = parse_all(schema, "a,b,c", all, {}, false);
      const Dumped slow = parse_all(schema, "a,b,c", all, {}, true);
      ASSERT_EQ(fast.rows, slow.rows) << bad_row << tail;
      ASSERT_EQ(fast.errors, slow.errors) << bad_row << tail;
      const bool is_bad = std::string_view(tail) == "\xe9" || std::string_view(tail) == "\xc3";
      ASSERT_EQ(fast.errors.size(), is_bad ? 2u : 1u);  // the last row is one field
    }
  }
}

// However many columns there are; the fast way and the slow way agree.
TEST(CsvParser, ABlankLineIsNoRow) {
  const std::string filler(200, '1');
  for (const char* end : {"\n", "\r\n"}) {
    const auto lines = [&](std::initializer_list<std::string> texts) {
      std::string all;
      for (const std::string& text : texts) all += text + end;
      return all;
    };
    EXPECT_THAT(parse("n:l", "n", lines({"", "1", "", "", "2", ""})).rows, ElementsAre("1", "2"));
    EXPECT_THAT(parse("n:l?", "n", lines({"1", "", "\"\"", "2", ""})).rows, ElementsAre("1", "<null>", "2"));
    EXPECT_THAT(parse("t:vu", "t", lines({"", "a", "", "\"\"", "b", "", filler})).rows,
                ElementsAre("a", "", "b", filler));
    EXPECT_THAT(parse("t:vu;n:l", "t,n", lines({"", "a,1", "", "b,2", ""})).rows, ElementsAre("a|1", "b|2"));
  }
}

TEST(CsvParser, ARepeatedColumnIsRefusedOnlyWhereItIsWanted) {
  const data::Schema schema = *data::Schema::parse("n:l");
  CsvParser parser(schema, {});
  EXPECT_TRUE(parser.set_header("n,m,m").ok());
  const Status status = parser.set_header("n,m,n");
  EXPECT_THAT(status.message(), HasSubstr("two columns 'n'"));
  EXPECT_THAT(parser.set_header("n\r1").message(), HasSubstr("carriage return"));
  EXPECT_THAT(parser.set_header("a;n").message(), HasSubstr("is the delimiter another one?"));
}

}  // namespace
}  // namespace drey::formats
