// CsvParser: rows of CSV (RFC 4180) into columns.
//
// Plain rows go the fast way: CsvIndex finds their fields, and the columns that the schema names are parsed one after
// the other, each for many rows at once. A row that is not plain, or has a value that the fast way does not take, goes
// the slow way alone, which knows all cases and all errors. Text becomes views into the input, unless a doubled quote
// makes a copy necessary. "\r\n" ends a line as "\n" does. Threading: one owner. Errors: a bad row is described by
// CsvError; the caller decides to fail or to skip.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "connectors/files/csv_index.h"
#include "connectors/files/value_parser.h"
#include "data/row_batch.h"

namespace drey::connectors::files {

struct CsvError {
  std::uint64_t offset = 0;  // of the row's first byte within the input
  std::string column;        // name or number of the field; empty: the whole row
  std::string what;          // "is not a whole number: value=x1"
};

struct CsvOptions {
  std::optional<std::string> null_text;  // unquoted text that is null; absent: the empty field is
  bool multiline = false;                // quoted fields may hold line ends
  std::uint32_t row_bytes_max = 16u << 20;
};

class CsvParser {
 public:
  CsvParser(const data::Schema& schema, CsvOptions options) : schema_(schema), options_(std::move(options)) {}

  // Where the schema's columns are. `header` is the file's first line without its end, or the schema's own
  // names when a file has none. FAILS WITH: kInvalidArgument naming columns that are missing.
  Status set_header(std::string_view header);
  void set_header_by_position();

  struct Outcome {
    std::size_t consumed = 0;       // bytes of complete rows
    bool needs_more = false;        // the input ends within a row
    std::optional<CsvError> error;  // of the row that ends at `consumed`
  };
  // Parses rows from `input` into the builder until it is full, the input ends, or a row is bad. With
  // `is_last`, text without a line end at the end is a row. REQUIRES: the builder keeps input's memory alive.
  Outcome parse(std::string_view input, bool is_last, data::BatchBuilder& builder);

  ValueParser& values() { return values_; }

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
  bool store_row(const char* row, const char* base, data::BatchBuilder& builder, CsvError* error);

  const data::Schema& schema_;
  CsvOptions options_;
  ValueParser values_;
  CsvIndex index_;
  std::size_t index_rows_ = 1;  // how far to look ahead: little where many rows go the slow way
  std::size_t field_count_ = 0;
  std::vector<std::int32_t> column_of_field_;  // -1: not wanted
  std::vector<std::uint32_t> field_of_column_;
  std::vector<FieldSpan> fields_;
};

// Appends one value as CSV: quoted only where needed.
void append_csv(std::string& out, std::string_view text);

}  // namespace drey::connectors::files
