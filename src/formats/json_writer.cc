#include "formats/json_writer.h"

#include "formats/value_writer.h"

namespace drey::formats {

JsonWriter::JsonWriter(const data::Schema& schema, const FormatOptions& options)
    : schema_(schema), times_(options.time_format) {
  for (const data::Field& field : schema_.fields()) {
    std::string& text = before_.emplace_back(before_.empty() ? "{" : ",");
    append_json_string(text, field.name);
    text += ':';
  }
}

void JsonWriter::append(const data::RowBatch& batch, std::uint32_t row, std::string& out) {
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    out += before_[c];
    append_json(out, schema_[c].type, batch.column(c), row, times_);
  }
  out += schema_.size() == 0 ? "{}\n" : "}\n";
}

}  // namespace drey::formats
