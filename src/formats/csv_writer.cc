#include "formats/csv_writer.h"

#include "data/text.h"
#include "formats/value_writer.h"

namespace drey::formats {

using data::TypeKind;

CsvWriter::CsvWriter(const data::Schema& schema, FormatOptions options)
    : schema_(schema), options_(std::move(options)), special_{options_.delimiter, '"', '\r', '\n'} {}

void CsvWriter::append_field(std::string& out, std::string_view text, bool must_quote) const {
  if (!must_quote && text.find_first_of(std::string_view(special_, sizeof special_)) == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void CsvWriter::append_header(std::string& out) const {
  if (!options_.header) return;
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    if (c > 0) out += options_.delimiter;
    append_field(out, schema_[c].name, schema_[c].name.empty() || byte_order_mark_bytes(schema_[c].name) > 0);
  }
  out += '\n';
}

void CsvWriter::append(const data::RowBatch& batch, std::uint32_t row, std::string& out) {
  const bool is_only = schema_.size() == 1;  // an empty line would be no row
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    if (c > 0) out += options_.delimiter;
    const data::Field& field = schema_[c];
    const ArrowArray& column = batch.column(c);
    if (is_null(column, row)) {
      std::string_view text;
      if (options_.null_text) text = *options_.null_text;
      out += text.empty() && is_only ? "\"\"" : text;
      continue;
    }
    value_.clear();
    switch (field.type.kind) {
      case TypeKind::kText:
        append_utf8_text(value_, data::text_of(static_cast<const data::View*>(column.buffers[1])[row]));
        break;
      case TypeKind::kStruct:
      case TypeKind::kList:
        append_json(value_, field.type, column, row, options_.time_format);
        break;
      case TypeKind::kTimestamp:
        append_time(value_, static_cast<const std::int64_t*>(column.buffers[1])[row], options_.time_format);
        break;
      default:
        data::append_text(value_, field.type, column, row);
    }
    const bool reads_as_null =
        (value_.empty() && (field.nullable || is_only)) || (options_.null_text && value_ == *options_.null_text);
    append_field(out, value_, reads_as_null || (c == 0 && byte_order_mark_bytes(value_) > 0));
  }
  out += '\n';
}

}  // namespace drey::formats
