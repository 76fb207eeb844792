// Formats: rows as text, and text as rows. Every source and sink reads and writes through these two types, so that CSV
// is the same CSV in a file, from a socket and in Kafka.
//
//   DREY_TRY_ASSIGN(const FormatOptions options, format_options(node.options));
//   DREY_TRY_ASSIGN(const auto parser, make_parser(options, schema));
//   if (parser->has_header()) DREY_TRY(parser->set_header(first_line));
//   const RowParser::Outcome outcome = parser->parse(text, is_last, builder);
//
// Threading: one owner each. Lifetime: the schema outlives parser and writer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "data/row_batch.h"

namespace drey::formats {

enum class Format : std::uint8_t {
  kCsv,   // RFC 4180
  kJson,  // one object a line
  kText,  // one line, one column
};

// How timestamps are written. Readers of kIso and kSql take each other's, with offsets from UTC, without seconds and
// with fractions of any length (milliseconds are kept); JSON numbers are milliseconds then.
enum class TimeFormat : std::uint8_t {
  kIso,           // 2013-01-01T10:00:00Z
  kSql,           // 2013-01-01 10:00:00
  kEpochSeconds,  // whole numbers since 1970-01-01T00:00Z
  kEpochMillis,
  kEpochMicros,
};

struct FormatOptions {
  Format format = Format::kCsv;
  bool header = true;                    // kCsv: the first line has the names of the columns
  char delimiter = ',';                  // kCsv
  std::optional<std::string> null_text;  // kCsv: unquoted text that is null; absent: the empty field is
  bool multiline = false;                // kCsv: quoted fields may hold line ends
  TimeFormat time_format = TimeFormat::kIso;
  std::uint32_t row_bytes_max = 16u << 20;  // a longer row is one that cannot be read
};

// FAILS WITH: kInvalidArgument naming option and value.
Result<FormatOptions> format_options(const std::map<std::string, std::string>& options);

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
