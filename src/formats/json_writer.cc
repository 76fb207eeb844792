#include "formats/json_writer.h"

#include <fmt/format.h>

#include "data/text.h"

namespace drey::formats {
namespace {

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

void JsonWriter::append(const data::RowBatch& batch, std::uint32_t row, std::string& out) {
  out += '{';
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    if (c > 0) out += ',';
    append_json_text(out, schema_[c].name);
    out += ':';
    value_.clear();
    using data::TypeKind;
    const TypeKind kind = schema_[c].type.kind;
    if (!data::append_text(value_, schema_[c].type, batch.column(c), row)) {
      out += "null";
    } else if (kind == TypeKind::kText || kind == TypeKind::kBytes || kind == TypeKind::kTimestamp ||
               kind == TypeKind::kDate || kind == TypeKind::kStruct || kind == TypeKind::kList) {
      append_json_text(out, value_);
    } else {
      out += value_;
    }
  }
  out += "}\n";
}

}  // namespace drey::formats
