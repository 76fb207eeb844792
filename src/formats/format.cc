#include "formats/format.h"

#include <fmt/format.h>

#include "formats/csv_parser.h"
#include "formats/csv_writer.h"
#include "formats/json_parser.h"
#include "formats/json_writer.h"
#include "formats/text_parser.h"

namespace drey::formats {
namespace {

Result<bool> flag(const std::map<std::string, std::string>& options, const char* key, bool fallback) {
  const auto found = options.find(key);
  if (found == options.end()) return fallback;
  if (found->second == "true") return true;
  if (found->second == "false") return false;
  return fail(Code::kInvalidArgument, fmt::format("Option '{}' is true or false: value={}", key, found->second));
}

}  // namespace

Result<FormatOptions> format_options(const std::map<std::string, std::string>& options) {
  FormatOptions out;
  const auto format = options.find("format");
  if (format != options.end()) {
    if (format->second == "csv") {
      out.format = Format::kCsv;
    } else if (format->second == "json") {
      out.format = Format::kJson;
    } else if (format->second == "text") {
      out.format = Format::kText;
    } else {
      return fail(Code::kInvalidArgument,
                  fmt::format("Option 'format' is csv, json or text: value={}", format->second));
    }
  }
  DREY_TRY_ASSIGN(out.header, flag(options, "header", true));
  DREY_TRY_ASSIGN(out.multiline, flag(options, "multiline", false));
  if (const auto null = options.find("null"); null != options.end()) out.null_text = null->second;
  return out;
}

Status RowParser::set_header(std::string_view) { return {}; }

void RowWriter::append_header(std::string&) const {}

Result<std::unique_ptr<RowParser>> make_parser(const FormatOptions& options, const data::Schema& schema) {
  switch (options.format) {
    case Format::kCsv:
      return std::unique_ptr<RowParser>(std::make_unique<CsvParser>(schema, options));
    case Format::kJson:
      return std::unique_ptr<RowParser>(std::make_unique<JsonParser>(schema));
    case Format::kText:
      break;
  }
  return std::unique_ptr<RowParser>(std::make_unique<TextParser>(schema));
}

Result<std::unique_ptr<RowWriter>> make_writer(const FormatOptions& options, const data::Schema& schema) {
  switch (options.format) {
    case Format::kCsv:
      return std::unique_ptr<RowWriter>(std::make_unique<CsvWriter>(schema));
    case Format::kJson:
      return std::unique_ptr<RowWriter>(std::make_unique<JsonWriter>(schema));
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
