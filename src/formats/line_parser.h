// LineParser: what formats of one row a line have in common. "\r\n" ends a line as "\n" does. Threading: one owner.
#pragma once

#include <string_view>

#include "formats/format.h"

namespace drey::formats {

class LineParser : public RowParser {
 public:
  Outcome parse(std::string_view input, bool is_last, data::BatchBuilder& builder) final;

 protected:
  // Appends the row, or returns false and says why, having appended nothing. A line that is no row is ok.
  virtual bool store(std::string_view line, data::BatchBuilder& builder, RowError& error) = 0;
};

}  // namespace drey::formats
