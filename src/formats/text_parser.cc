#include "formats/text_parser.h"

namespace drey::formats {

bool TextParser::store(std::string_view line, data::BatchBuilder& builder, RowError& error) {
  if (const char* problem = values_.parse(line, schema_[0].type, builder.abi().columns[0], builder.rows())) {
    error.what = problem;
    return false;
  }
  ++builder.abi().rows;
  return true;
}

}  // namespace drey::formats
