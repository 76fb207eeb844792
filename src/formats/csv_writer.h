// CsvWriter: rows as CSV (RFC 4180), "\n" at the end of each. Fields are quoted only where needed; a null is an empty
// field. Threading: one owner.
#pragma once

#include "formats/format.h"

namespace drey::formats {

class CsvWriter final : public RowWriter {
 public:
  explicit CsvWriter(const data::Schema& schema) : schema_(schema) {}
  void append(const data::RowBatch& batch, std::uint32_t row, std::string& out) override;

 private:
  const data::Schema& schema_;
  std::string value_;
};

}  // namespace drey::formats
