// JsonParser: one JSON object a line into columns, by the names of the fields. Text is copied. Threading: one owner.
#pragma once

#include <memory>
#include <string_view>

#include "formats/line_parser.h"
#include "formats/value_parser.h"

namespace drey::formats {

class JsonParser final : public LineParser {
 public:
  explicit JsonParser(const data::Schema& schema);
  ~JsonParser() override;

 private:
  struct Parser;
  bool store(std::string_view line, data::BatchBuilder& builder, RowError& error) override;

  const data::Schema& schema_;
  std::unique_ptr<Parser> parser_;
  ValueParser values_;
};

}  // namespace drey::formats
