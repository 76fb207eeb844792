#include "formats/csv_writer.h"

#include <gtest/gtest.h>

#include "formats/test_rows.h"

namespace drey::formats {
namespace {

TEST(CsvWriter, QuotesOnlyWhereNeeded) {
  const auto text = [](const std::string& json) {
    return convert("t:vu", "{\"t\":\"" + json + "\"}", json_options(), csv_options()).text;
  };
  EXPECT_EQ(text("plain text"), "plain text\n");
  EXPECT_EQ(text(""), "\"\"\n");  // an empty line would be no row
  EXPECT_EQ(text("a,b"), "\"a,b\"\n");
  EXPECT_EQ(text("say \\\"hi\\\""), "\"say \"\"hi\"\"\"\n");
  EXPECT_EQ(text("two\\nlines"), "\"two\nlines\"\n");
}

}  // namespace
}  // namespace drey::formats
