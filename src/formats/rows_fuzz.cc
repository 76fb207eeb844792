// Text of each format as it comes from outside: each row is refused or read; what has been read is written as JSON and
// as CSV, and both read back the same.
#include <array>
#include <string>

#include "formats/format.h"
#include "fuzz.h"

namespace {

using drey::data::Schema;
using drey::formats::Format;
using drey::formats::FormatOptions;
using drey::formats::RowParser;
using drey::formats::RowWriter;

struct Read {
  std::string json;  // the rows
  std::string csv;
  int rows = 0;
  int errors = 0;
};

Read read(std::string_view input, const FormatOptions& from, const FormatOptions& csv, const Schema& schema) {
  static drey::data::BlockPool pool;
  FormatOptions json;
  json.format = Format::kJson;
  const auto parser = make_parser(from, schema);
  const auto as_json = make_writer(json, schema);
  const auto as_csv = make_writer(csv, schema);
  Read out;
  while (!input.empty()) {
    const drey::data::BlockRef block = pool.allocate(input.size() + 64);
    input.copy(block->data(), input.size());
    drey::data::BatchBuilder builder(schema, 8, pool);
    builder.share_arena(block);
    const RowParser::Outcome outcome = (*parser)->parse({block->data(), input.size()}, true, builder);
    drey::fuzz::expect(outcome.consumed > 0 || builder.rows() > 0, "something is read");
    input.remove_prefix(outcome.consumed);
    out.errors += outcome.error ? 1 : 0;
    if (builder.rows() == 0) continue;
    const drey::data::BatchRef batch = builder.build();
    out.rows += static_cast<int>(batch->rows());
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      (*as_json)->append(*batch, i, out.json);
      (*as_csv)->append(*batch, i, out.csv);
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array schemas{
      *Schema::parse("n:l?;t:vu?;z:vz?;d:d:38,18?;m:tsm:UTC?;day:tdD?;b:b?;g:g?"), *Schema::parse("n:l"),
      *Schema::parse("t:vu"), *Schema::parse("r:+s?{x:i?;t:vu?;l:+l?{item:+s?{y:d:18,2?;f:f?}}};tags:+l?{item:vu?}")};
  if (size < 1) return 0;
  const Schema& schema = schemas[data[0] % schemas.size()];
  FormatOptions json;
  json.format = Format::kJson;
  FormatOptions csv;
  csv.header = false;
  csv.multiline = true;
  if ((data[0] & 16) != 0) csv.delimiter = ';';
  const bool from_csv = (data[0] & 8) != 0;
  const Read first = read(drey::fuzz::text(data + 1, size - 1), from_csv ? csv : json, csv, schema);
  const Read again = read(first.json, json, csv, schema);
  drey::fuzz::expect(again.errors == 0 && again.json == first.json, "JSON that is written reads back the same");
  const Read back = read(first.csv, csv, csv, schema);
  drey::fuzz::expect(back.errors == 0 && back.json == first.json, "CSV that is written reads back the same");
  // Rows of the corpus come singly.
  drey::fuzz::planted(first.rows == 3 && first.errors == 1);
  return 0;
}
