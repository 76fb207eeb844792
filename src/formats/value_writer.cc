#include "formats/value_writer.h"

#include <cmath>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/time.h"
#include "base/utf8.h"
#include "data/text.h"

namespace drey::formats {
namespace {

using data::TypeKind;

bool is_finite(const data::Type& type, const void* values, std::uint32_t row) {
  return type.kind == TypeKind::kFloat ? std::isfinite(static_cast<const float*>(values)[row])
                                       : std::isfinite(static_cast<const double*>(values)[row]);
}

}  // namespace

void append_utf8_text(std::string& out, std::string_view text) {
  if (is_utf8(text)) {
    out += text;
    return;
  }
  while (!text.empty()) {
    const std::size_t bytes = utf8_sequence_bytes(text);
    if (bytes == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  std::string clean;
  if (!is_utf8(text)) {
    append_utf8_text(clean, text);
    text = clean;
  }
  out += '"';
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20) continue;
    out += text.substr(from, i - from);
    from = i + 1;
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '"':
      case '\\':
        out += '\\';
        out += c;
        break;
      default:
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    }
  }
  out += text.substr(from);
  out += '"';
}

void append_time(std::string& out, std::int64_t millis, TimeFormat times) {
  switch (times) {
    case TimeFormat::kIso:
      out += format_instant(millis);
      return;
    case TimeFormat::kSql: {
      std::string text = format_instant(millis);
      text.pop_back();
      text[text.rfind('T')] = ' ';
      out += text;
      return;
    }
    case TimeFormat::kEpochSeconds:
      out += std::to_string(millis / 1000 - (millis % 1000 < 0 ? 1 : 0));
      return;
    case TimeFormat::kEpochMillis:
      out += std::to_string(millis);
      return;
    case TimeFormat::kEpochMicros: {
      // Beyond 64 bits the digits go on.
      out += std::to_string(millis);
      if (millis != 0) out += "000";
      return;
    }
  }
}

void append_json(std::string& out, const data::Type& type, const ArrowArray& column, std::uint32_t row,
                 TimeFormat times) {
  if (is_null(column, row)) {
    out += "null";
    return;
  }
  const void* const values = column.n_buffers > 1 ? column.buffers[1] : nullptr;
  switch (type.kind) {
    case TypeKind::kStruct:
      out += '{';
      for (std::size_t i = 0; i < type.children.size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, type.children[i].name);
        out += ':';
        append_json(out, type.children[i].type, *column.children[i], row, times);
      }
      out += '}';
      return;
    case TypeKind::kList: {
      const auto* offsets = static_cast<const std::int32_t*>(values);
      out += '[';
      for (std::int32_t i = offsets[row]; i < offsets[row + 1]; ++i) {
        if (i > offsets[row]) out += ',';
        append_json(out, type.children[0].type, *column.children[0], static_cast<std::uint32_t>(i), times);
      }
      out += ']';
      return;
    }
    case TypeKind::kText:
      append_json_string(out, data::text_of(static_cast<const data::View*>(values)[row]));
      return;
    case TypeKind::kBytes:
      out += '"';
      append_base64(out, data::text_of(static_cast<const data::View*>(values)[row]));
      out += '"';
      return;
    case TypeKind::kTimestamp: {
      const bool is_text = times == TimeFormat::kIso || times == TimeFormat::kSql;
      if (is_text) out += '"';
      append_time(out, static_cast<const std::int64_t*>(values)[row], times);
      if (is_text) out += '"';
      return;
    }
    case TypeKind::kFloat:
    case TypeKind::kDouble:
      if (is_finite(type, values, row)) break;
      [[fallthrough]];
    case TypeKind::kDate:
      out += '"';
      data::append_text(out, type, column, row);
      out += '"';
      return;
    default:
      break;
  }
  data::append_text(out, type, column, row);
}

}  // namespace drey::formats
