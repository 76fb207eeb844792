// JsonParser: one JSON object a line into columns, by the names of the fields. Threading: one owner.
#pragma once

#include <memory>
#include <string_view>

#include "connectors/files/csv_parser.h"
#include "connectors/files/value_parser.h"
#include "data/row_batch.h"

namespace drey::connectors::files {

class JsonParser {
 public:
  JsonParser();
  ~JsonParser();
  // Appends a row. Text is copied. False: the line is bad, nothing was appended.
  bool parse(std::string_view line, const data::Schema& schema, data::BatchBuilder& builder, CsvError& error);
  ValueParser& values() { return values_; }

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  ValueParser values_;
};

}  // namespace drey::connectors::files
