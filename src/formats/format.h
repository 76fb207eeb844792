// Formats: rows as text, and text as rows. Every source and sink reads and writes through these two types, so that CSV
// is the same CSV in a file, from a socket and in Kafka.
//
//   DREY_TRY_ASSIGN(const auto parser, make_parser(options, schema));
//   if (parser->has_header()) DREY_TRY(parser->set_header(first_line));
//   const RowParser::Outcome outcome = parser->parse(text, is_last, builder);
//
// Threading: one owner each. Lifetime: the schema outlives parser and writer.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/enums.h"
#include "base/status.h"
#include "config/option.h"
#include "data/row_batch.h"

namespace drey::formats {

enum class Format : std::uint8_t {
  kCsv,   // RFC 4180
  kJson,  // one object a line
  kText,  // one line, one column
};
constexpr auto enum_table(Format) {
  return std::array{EnumRow{Format::kCsv, "csv"}, EnumRow{Format::kJson, "json"}, EnumRow{Format::kText, "text"}};
}

// How timestamps are written. Readers of kIso and kSql take each other's, with offsets from UTC, without seconds and
// with fractions of any length (milliseconds are kept); JSON numbers are milliseconds then.
enum class TimeFormat : std::uint8_t {
  kIso,           // 2013-01-01T10:00:00Z
  kSql,           // 2013-01-01 10:00:00
  kEpochSeconds,  // whole numbers since 1970-01-01T00:00Z
  kEpochMillis,
  kEpochMicros,
};

constexpr auto enum_table(TimeFormat) {
  using F = TimeFormat;
  return std::array{EnumRow{F::kIso, "iso-8601"}, EnumRow{F::kSql, "sql"}, EnumRow{F::kEpochSeconds, "epoch-seconds"},
                    EnumRow{F::kEpochMillis, "epoch-millis"}, EnumRow{F::kEpochMicros, "epoch-micros"}};
}

// Part of the options of every source and sink of text: config::part(&M::format).
struct FormatOptions {
  Format format = Format::kCsv;
  bool header = true;
  char delimiter = ',';
  std::optional<std::string> null_text = {};
  bool multiline = false;
  TimeFormat time_format = TimeFormat::kIso;
  std::uint32_t row_bytes_max = 16u << 20;

  static constexpr auto options() {
    using M = FormatOptions;
    using config::option;
    return config::Options{
        option("format", &M::format, "How rows are written: RFC 4180, one object a line, or one line one column."),
        option("header", &M::header, "csv: whether the first line has the names of the columns."),
        option("delimiter", &M::delimiter, "csv: what is between two fields."),
        option("null", &M::null_text, "csv: text without quotes that is null.").defaults_to("an empty field"),
        option("multiline", &M::multiline,
               "csv: whether quoted fields may hold line ends; each file is one split then."),
        option("time_format", &M::time_format, "How timestamps are written."),
        option("row_bytes_max", &M::row_bytes_max, "A longer row is one that cannot be read.").between(1, 1 << 30)};
  }
  std::string problem() const;
};
static_assert(config::EveryMemberIsAnOption<FormatOptions>);

// A row that cannot be read.
struct RowError {
  std::uint64_t offset = 0;  // of the row's first byte within the input
  std::string column;        // name or number of the field; empty: the whole row
  std::string what;          // "is not a whole number: value=x1"
};

class RowParser {
 public:
  virtual ~RowParser() = default;

  // Whether the first line of a text is none of its rows but goes to set_header() before parse() is called.
  virtual bool has_header() const { return false; }
  // `line` has no line end. FAILS WITH: kInvalidArgument naming the columns that are missing.
  virtual Status set_header(std::string_view line);

  struct Outcome {
    std::size_t consumed = 0;       // bytes of complete rows
    bool needs_more = false;        // the input ends within a row
    std::optional<RowError> error;  // of the row that ends at `consumed`
  };
  // Parses rows from `input` into the builder until it is full, the input ends, or a row is bad. With `is_last`, text
  // without a line end at the end is a row. A bad row leaves nothing behind: the caller fails, or skips it and goes on
  // behind `consumed`. REQUIRES: the builder keeps the input's memory alive (views of the batch may point into it).
  virtual Outcome parse(std::string_view input, bool is_last, data::BatchBuilder& builder) = 0;
};

class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // What a file begins with, before its first row; often nothing.
  virtual void append_header(std::string& out) const;
  // Appends the physical row, with its line end.
  virtual void append(const data::RowBatch& batch, std::uint32_t row, std::string& out) = 0;
};

Result<std::unique_ptr<RowParser>> make_parser(const FormatOptions& options, const data::Schema& schema);
// FAILS WITH: kInvalidArgument for a schema that the format cannot hold.
Result<std::unique_ptr<RowWriter>> make_writer(const FormatOptions& options, const data::Schema& schema);

// "csv", "jsonl", "txt".
std::string_view file_extension(Format format);

// Bytes of the mark that a text may begin with (UTF-8's EF BB BF); it is no part of the first row.
std::size_t byte_order_mark_bytes(std::string_view text);

}  // namespace drey::formats
