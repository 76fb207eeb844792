#include "data/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/date.h"
#include "base/time.h"

namespace drey::data {
namespace {

template <typename T>
void append_number(std::string& out, T value) {
  char buffer[40];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  static_cast<void>(error);
  out.append(buffer, end);
}

// What is no number as Java has it; a NaN has no sign.
template <typename T>
void append_real(std::string& out, T value) {
  if (std::isfinite(value)) {
    append_number(out, value);
  } else {
    out += std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
  }
}

void append_decimal(std::string& out, const Type& type, const void* values, std::uint32_t row) {
  __extension__ using Wide = __int128;
  Wide v =
      type.width() == 8 ? Wide{static_cast<const std::int64_t*>(values)[row]} : static_cast<const Wide*>(values)[row];
  const bool negative = v < 0;
  if (negative) v = -v;
  std::string digits;
  for (int i = 0; v != 0 || i <= type.scale; ++i) {
    if (i == type.scale && type.scale > 0) digits += '.';
    digits += static_cast<char>('0' + static_cast<int>(v % 10));
    v /= 10;
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  out += digits;
}

}  // namespace

bool append_text(std::string& out, const Type& type, const ArrowArray& column, std::uint32_t row) {
  if (!is_valid(static_cast<const std::uint64_t*>(column.buffers[0]), row)) return false;
  const void* values = column.n_buffers > 1 ? column.buffers[1] : nullptr;
  switch (type.kind) {
    case TypeKind::kBool:
      out += get_bit(values, row) ? "true" : "false";
      break;
    case TypeKind::kInt8:
      append_number(out, static_cast<int>(static_cast<const std::int8_t*>(values)[row]));
      break;
    case TypeKind::kInt16:
      append_number(out, static_cast<const std::int16_t*>(values)[row]);
      break;
    case TypeKind::kInt32:
      append_number(out, static_cast<const std::int32_t*>(values)[row]);
      break;
    case TypeKind::kInt64:
      append_number(out, static_cast<const std::int64_t*>(values)[row]);
      break;
    case TypeKind::kFloat:
      append_real(out, static_cast<const float*>(values)[row]);
      break;
    case TypeKind::kDouble:
      append_real(out, static_cast<const double*>(values)[row]);
      break;
    case TypeKind::kDecimal:
      append_decimal(out, type, values, row);
      break;
    case TypeKind::kDate:
      out += format_date(static_cast<const std::int32_t*>(values)[row]);
      break;
    case TypeKind::kTimestamp:
      out += format_instant(static_cast<const std::int64_t*>(values)[row]);
      break;
    case TypeKind::kText:
    case TypeKind::kBytes:
      out += text_of(static_cast<const View*>(values)[row]);
      break;
    case TypeKind::kStruct:
      out += '(';
      for (std::size_t i = 0; i < type.children.size(); ++i) {
        if (i > 0) out += ", ";
        if (!append_text(out, type.children[i].type, *column.children[i], row)) out += "null";
      }
      out += ')';
      break;
    case TypeKind::kList: {
      const auto* offsets = static_cast<const std::int32_t*>(values);
      out += '[';
      for (std::int32_t i = offsets[row]; i < offsets[row + 1]; ++i) {
        if (i > offsets[row]) out += ", ";
        if (!append_text(out, type.children[0].type, *column.children[0], static_cast<std::uint32_t>(i))) out += "null";
      }
      out += ']';
      break;
    }
  }
  return true;
}

}  // namespace drey::data
