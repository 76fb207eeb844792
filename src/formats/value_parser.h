// From the text of one field to a column's value. Shared by all formats.
//
// Threading: one owner (it caches the last dates it saw).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/row_batch.h"
#include "formats/csv_index.h"
#include "formats/format.h"

namespace drey::formats {

class ValueParser {
 public:
  explicit ValueParser(TimeFormat times = TimeFormat::kIso) : times_(times) {}

  // Writes `text` as row `row` of `column`. Text columns get a view of `text` itself: it must live in an
  // arena of the batch. Returns null on success, else what is wrong ("is not a whole number").
  const char* parse(std::string_view text, const data::Type& type, drey_builder_column& column, std::uint32_t row);

  // The same for a number of JSON: whole numbers may be spelt "1.0" or "1e3", and timestamps may be numbers.
  const char* parse_json_number(std::string_view text, const data::Type& type, drey_builder_column& column,
                                std::uint32_t row);

  // The same as parse() for the unquoted fields of one column in `rows` rows, written from row `at` on, with nulls: a
  // field that is `null_text`, or an empty one (see FormatOptions). Stops before the first row that is wrong or takes
  // too long to tell, and returns how many it has done: parse() then has the last word on the next one.
  std::size_t parse_column(const FieldSpans& fields, std::size_t rows, const data::Field& declared,
                           const std::optional<std::string>& null_text, drey_builder_column& column, std::uint32_t at);

 private:
  const char* parse_timestamp(std::string_view text, std::int64_t* millis);
  const char* parse_epoch(std::string_view text, TimeFormat unit, std::int64_t* millis);

  TimeFormat times_;
  char date_text_[10] = {};
  std::int64_t date_millis_ = 0;
};

}  // namespace drey::formats
