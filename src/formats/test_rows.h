// For tests: rows that are read from text and written as text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/format.h"

namespace drey::formats {

struct Rows {
  std::string text;                 // as the writer writes them, without a header
  std::vector<std::string> errors;  // "column: what", in order; rows with errors are left out
};

// Reads `input` by one parser (its first line as the header, if it has one) and writes what it has read by one writer.
inline Rows convert(const std::string& schema_text, std::string_view input, const FormatOptions& from,
                    const FormatOptions& to) {
  const data::Schema schema = *data::Schema::parse(schema_text);
  data::BlockPool pool;
  auto made_parser = make_parser(from, schema);
  auto made_writer = make_writer(to, schema);
  EXPECT_TRUE(made_parser.ok() && made_writer.ok());
  RowParser* const parser = made_parser->get();
  RowWriter* const writer = made_writer->get();
  Rows rows;
  if (parser->has_header()) {
    const auto end = std::min(input.find('\n'), input.size());
    const Status status = parser->set_header(input.substr(0, end));
    EXPECT_TRUE(status.ok()) << status.to_string();
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  while (!input.empty()) {
    // Texts of batches point into their arenas, as in a job.
    const data::BlockRef block = pool.allocate(input.size() + 64);
    input.copy(block->data(), input.size());
    data::BatchBuilder builder(schema, 16, pool);
    builder.share_arena(block);
    const RowParser::Outcome outcome = parser->parse({block->data(), input.size()}, true, builder);
    if (outcome.consumed == 0) {
      ADD_FAILURE() << "nothing is read of: " << input;
      break;
    }
    input.remove_prefix(outcome.consumed);
    if (outcome.error) rows.errors.push_back(outcome.error->column + ": " + outcome.error->what);
    if (builder.rows() == 0) continue;
    const data::BatchRef batch = builder.build();
    for (std::uint32_t i = 0; i < batch->rows(); ++i) writer->append(*batch, i, rows.text);
  }
  return rows;
}

inline FormatOptions csv_options(bool header = false) {
  FormatOptions options;
  options.header = header;
  return options;
}
inline FormatOptions json_options() {
  FormatOptions options;
  options.format = Format::kJson;
  return options;
}

}  // namespace drey::formats
