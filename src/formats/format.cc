#include "formats/format.h"

#include <cctype>

#include <fmt/format.h>

#include "formats/csv_parser.h"
#include "formats/csv_writer.h"
#include "formats/json_parser.h"
#include "formats/json_writer.h"
#include "formats/text_parser.h"

namespace drey::formats {

std::string FormatOptions::problem() const {
  const auto c = static_cast<unsigned char>(delimiter);
  const bool can_delimit = c < 0x80 && c != 0 && std::isalnum(c) == 0 &&
                           std::string_view("\"\r\n+-.").find(delimiter) == std::string_view::npos;
  if (can_delimit) return "";
  return fmt::format(
      "Option delimiter must be one ASCII character that is no letter, digit, quote, sign, point or line end: value={}",
      delimiter);
}

Status RowParser::set_header(std::string_view) { return {}; }

void RowWriter::append_header(std::string&) const {}

Result<std::unique_ptr<RowParser>> make_parser(const FormatOptions& options, const data::Schema& schema) {
  switch (options.format) {
    case Format::kCsv:
      return std::unique_ptr<RowParser>(std::make_unique<CsvParser>(schema, options));
    case Format::kJson:
      return std::unique_ptr<RowParser>(std::make_unique<JsonParser>(schema, options));
    case Format::kText:
      break;
  }
  return std::unique_ptr<RowParser>(std::make_unique<TextParser>(schema));
}

Result<std::unique_ptr<RowWriter>> make_writer(const FormatOptions& options, const data::Schema& schema) {
  switch (options.format) {
    case Format::kCsv:
      if (options.null_text &&
          options.null_text->find_first_of(std::string("\"\r\n") + options.delimiter) != std::string::npos) {
        return fail(Code::kInvalidArgument,
                    fmt::format("The text for null cannot hold quotes, line ends or the delimiter: null={}",
                                *options.null_text));
      }
      if (schema.size() == 1 && schema[0].nullable && schema[0].type.is_view() &&
          options.null_text.value_or("").empty()) {
        return fail(Code::kInvalidArgument,
                    fmt::format("CSV of the one optional column '{}' cannot tell null from empty text: give the option "
                                "'null', the text that stands for null",
                                schema[0].name));
      }
      return std::unique_ptr<RowWriter>(std::make_unique<CsvWriter>(schema, options));
    case Format::kJson:
      return std::unique_ptr<RowWriter>(std::make_unique<JsonWriter>(schema, options));
    case Format::kText:
      break;
  }
  return fail(Code::kInvalidArgument, "Rows are written as csv or json, not as text");
}

std::string_view file_extension(Format format) {
  switch (format) {
    case Format::kCsv:
      return "csv";
    case Format::kJson:
      return "jsonl";
    case Format::kText:
      break;
  }
  return "txt";
}

std::size_t byte_order_mark_bytes(std::string_view text) { return text.starts_with("\xEF\xBB\xBF") ? 3 : 0; }

}  // namespace drey::formats
