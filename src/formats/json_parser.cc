#include "formats/json_parser.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace drey::formats {

struct JsonParser::Parser {
  simdjson::dom::parser parser;
};

JsonParser::JsonParser(const data::Schema& schema) : schema_(schema), parser_(std::make_unique<Parser>()) {}
JsonParser::~JsonParser() = default;

bool JsonParser::store(std::string_view line, data::BatchBuilder& builder, RowError& error) {
  if (line.empty()) return true;
  simdjson::dom::element root;
  simdjson::dom::object object;
  if (parser_->parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS ||
      root.get(object) != simdjson::SUCCESS) {
    error = {0, "", "the line is not a JSON object"};
    return false;
  }
  const std::uint32_t row = builder.rows();
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    simdjson::dom::element value;
    if (object.at_key(schema_[c].name).get(value) != simdjson::SUCCESS || value.is_null()) {
      if (!schema_[c].nullable) {
        error = {0, schema_[c].name, "is null or missing but the column is not optional"};
        return false;
      }
      builder.set_null(c, row);
      continue;
    }
    std::string text;
    std::string_view string;
    if (value.get(string) == simdjson::SUCCESS) {
      text = string;
    } else {
      text = simdjson::minify(value);
    }
    char* copy = builder.text(text.size() + 1);
    text.copy(copy, text.size());
    if (const char* problem = values_.parse({copy, text.size()}, schema_[c].type, builder.abi().columns[c], row)) {
      error = {0, schema_[c].name, fmt::format("{}: value={}", problem, text.substr(0, 64))};
      return false;
    }
  }
  builder.abi().rows = row + 1;
  return true;
}

}  // namespace drey::formats
