// TextParser: each line is a row of one column. Empty lines are rows, too. Threading: one owner.
#pragma once

#include "formats/line_parser.h"
#include "formats/value_parser.h"

namespace drey::formats {

class TextParser final : public LineParser {
 public:
  explicit TextParser(const data::Schema& schema) : schema_(schema) {}

 private:
  bool store(std::string_view line, data::BatchBuilder& builder, RowError& error) override;

  const data::Schema& schema_;
  ValueParser values_;
};

}  // namespace drey::formats
