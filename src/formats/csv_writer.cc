#include "formats/csv_writer.h"

#include "data/text.h"

namespace drey::formats {
namespace {

void append_field(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
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

}  // namespace

void CsvWriter::append(const data::RowBatch& batch, std::uint32_t row, std::string& out) {
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    if (c > 0) out += ',';
    value_.clear();
    if (!data::append_text(value_, schema_[c].type, batch.column(c), row)) continue;
    append_field(out, value_);
  }
  out += '\n';
}

}  // namespace drey::formats
