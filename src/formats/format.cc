#include "formats/format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "formats/csv_parser.h"
#include "formats/csv_writer.h"
#include "formats/json_parser.h"
#include "formats/json_writer.h"
#include "formats/text_parser.h"

namespace drey::formats {
namespace {

constexpr std::uint32_t kRowBytesMaxMax = 1u << 30;  // an index of a block has 32 bits

Result<bool> flag(const std::map<std::string, std::string>& options, const char* key, bool fallback) {
  const auto found = options.find(key);
  if (found == options.end()) return fallback;
  if (found->second == "true") return true;
  if (found->second == "false") return false;
  return fail(Code::kInvalidArgument, fmt::format("Option '{}' is true or false: value={}", key, found->second));
}

constexpr std::array kTimeFormats{
    std::pair{std::string_view("iso-8601"), TimeFormat::kIso},
    std::pair{std::string_view("sql"), TimeFormat::kSql},
    std::pair{std::string_view("epoch-seconds"), TimeFormat::kEpochSeconds},
    std::pair{std::string_view("epoch-millis"), TimeFormat::kEpochMillis},
    std::pair{std::string_view("epoch-micros"), TimeFormat::kEpochMicros},
};

// A character that neither quotes nor ends a row nor is part of a number.
bool can_delimit(const std::string& text) {
  if (text.size() != 1) return false;
  const auto c = static_cast<unsigned char>(text[0]);
  return c < 0x80 && c != 0 && std::isalnum(c) == 0 &&
         std::string_view("\"\r\n+-.").find(text[0]) == std::string_view::npos;
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
  if (const auto delimiter = options.find("delimiter"); delimiter != options.end()) {
    if (!can_delimit(delimiter->second)) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("Option 'delimiter' is one ASCII character that is no letter, digit, quote, sign, point or "
                      "line end: value={}",
                      delimiter->second));
    }
    out.delimiter = delimiter->second[0];
  }
  if (const auto time = options.find("time_format"); time != options.end()) {
    const auto found = std::find_if(kTimeFormats.begin(), kTimeFormats.end(),
                                    [&](const auto& row) { return row.first == time->second; });
    if (found == kTimeFormats.end()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("Option 'time_format' is iso-8601, sql, epoch-seconds, epoch-millis or epoch-micros: "
                              "value={}",
                              time->second));
    }
    out.time_format = found->second;
  }
  if (const auto bytes = options.find("row_bytes_max"); bytes != options.end()) {
    const char* const end = bytes->second.data() + bytes->second.size();
    const auto [at, error] = std::from_chars(bytes->second.data(), end, out.row_bytes_max);
    if (error != std::errc() || at != end || out.row_bytes_max == 0 || out.row_bytes_max > kRowBytesMaxMax) {
      return fail(Code::kInvalidArgument, fmt::format("Option 'row_bytes_max' is a whole number from 1 to {}: value={}",
                                                      kRowBytesMaxMax, bytes->second));
    }
  }
  return out;
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
