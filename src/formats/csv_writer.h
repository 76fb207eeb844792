// CsvWriter: rows as CSV (RFC 4180), "\n" at the end of each. Fields are quoted only where needed.
//
// What it writes CsvParser reads with the same options: a null is an empty field or FormatOptions::null_text, empty
// text in an optional column is "", records and lists are JSON, text that is no UTF-8 gets U+FFFD where it is not.
// Threading: one owner.
#pragma once

#include <string>

#include "formats/format.h"

namespace drey::formats {

class CsvWriter final : public RowWriter {
 public:
  CsvWriter(const data::Schema& schema, FormatOptions options);
  void append_header(std::string& out) const override;
  void append(const data::RowBatch& batch, std::uint32_t row, std::string& out) override;

 private:
  void append_field(std::string& out, std::string_view text, bool must_quote) const;

  const data::Schema& schema_;
  FormatOptions options_;
  char special_[4];  // what makes quotes necessary
  std::string value_;
};

}  // namespace drey::formats
