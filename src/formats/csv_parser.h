// CsvParser: rows of CSV (RFC 4180) into columns.
//
// Plain rows go the fast way: CsvIndex finds their fields, and the columns that the schema names are parsed one after
// the other, each for many rows at once. A row that is not plain, or has a value that the fast way does not take, goes
// the slow way alone, which knows all cases and all errors. Text becomes views into the input, unless a doubled quote
// makes a copy necessary. "\r\n" ends a line as "\n" does. A line of nothing is no row, however many columns there are.
// Records and lists are JSON in a field. Threading: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/row_batch.h"
#include "formats/csv_index.h"
#include "formats/format.h"
#include "formats/json_parser.h"
#include "formats/value_parser.h"

namespace drey::formats {

class CsvParser final : public RowParser {
 public:
  CsvParser(const data::Schema& schema, FormatOptions options);

  bool has_header() const override { return options_.header; }
  Status set_header(std::string_view line) override;
  Outcome parse(std::string_view input, bool is_last, data::BatchBuilder& builder) override;

 private:
  struct FieldSpan {
    const char* begin;
    const char* end;
    bool quoted;
    bool doubled;  // holds "" pairs
  };
  // Appends plain rows from the begin of the input, as many as there are and the builder takes. Returns their bytes.
  std::size_t parse_plain(std::string_view input, data::BatchBuilder& builder);
  // One row into fields_; returns the byte after it, or null when the input ends first.
  const char* split_row(const char* begin, const char* end, bool is_last, const char** problem);
  bool store_row(const char* row, const char* base, data::BatchBuilder& builder, RowError* error);

  const data::Schema& schema_;
  FormatOptions options_;
  ValueParser values_;
  JsonParser nested_;
  CsvIndex index_;
  std::size_t index_rows_ = 1;  // how far to look ahead: little where many rows go the slow way
  std::size_t field_count_ = 0;
  std::vector<std::uint32_t> field_of_column_;
  std::vector<FieldSpan> fields_;
};

}  // namespace drey::formats
