#include "connectors/files/json_parser.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace drey::connectors::files {

struct JsonParser::Parser {
  simdjson::dom::parser parser;
};

JsonParser::JsonParser() : parser_(std::make_unique<Parser>()) {}
JsonParser::~JsonParser() = default;

bool JsonParser::parse(std::string_view line, const data::Schema& schema, data::BatchBuilder& builder,
                       CsvError& error) {
  simdjson::dom::element root;
  simdjson::dom::object object;
  if (parser_->parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS ||
      root.get(object) != simdjson::SUCCESS) {
    error = {0, "", "the line is not a JSON object"};
    return false;
  }
  const std::uint32_t row = builder.rows();
  for (std::size_t c = 0; c < schema.size(); ++c) {
    simdjson::dom::element value;
    if (object.at_key(schema[c].name).get(value) != simdjson::SUCCESS || value.is_null()) {
      if (!schema[c].nullable) {
        error = {0, schema[c].name, "is null or missing but the column is not optional"};
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
    if (const char* problem = values_.parse({copy, text.size()}, schema[c].type, builder.abi().columns[c], row)) {
      error = {0, schema[c].name, fmt::format("{}: value={}", problem, text.substr(0, 64))};
      return false;
    }
  }
  builder.abi().rows = row + 1;
  return true;
}

}  // namespace drey::connectors::files
