#include "connectors/files/csv_parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/prng.h"

namespace drey::connectors::files {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Parses `text` in pieces of `piece` bytes, as a reader would: what is left over of one piece goes
// in front of the next.
struct Parsed {
  std::vector<std::string> rows;  // fields joined with '|', null as <null>
  std::vector<CsvError> errors;   // offsets from the beginning of the text
};

Parsed parse(const std::string& schema_text, const std::string& header, const std::string& text,
             CsvOptions options = {}, std::size_t piece = std::string::npos) {
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
  EXPECT_THAT(parse("b:l;a:vu", "a,x,b", "one,2,3\nfour,,6\n").rows,
              ElementsAre("3|one", "6|four"));
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
  EXPECT_THAT(parse("a:l?;b:vu?", "a,b", "1,x\n,\n\"2\",\"\"\n").rows,
              ElementsAre("1|x", "<null>|<null>", "2|"));
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
  for (const Case& c :
       {Case{"1,2,3\n", "", "3 fields where 2"}, Case{"1\n", "", "1 fields where 2"},
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

TEST(AppendCsv, QuotesOnlyWhereNeeded) {
  const auto text = [](std::string_view value) {
    std::string out;
    append_csv(out, value);
    return out;
  };
  EXPECT_EQ(text("plain text"), "plain text");
  EXPECT_EQ(text(""), "");
  EXPECT_EQ(text("a,b"), "\"a,b\"");
  EXPECT_EQ(text("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(text("two\nlines"), "\"two\nlines\"");
}

}  // namespace
}  // namespace drey::connectors::files
