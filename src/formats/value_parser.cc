#include "formats/value_parser.h"

#include <charconv>
#include <cstring>
#include <limits>

#include "base/time.h"
#include "base/utf8.h"

namespace drey::formats {
namespace {

constexpr std::int64_t kDay = 86'400'000;

// Whole numbers of up to 18 digits need no overflow check; longer ones take the slow way.
bool parse_integer(std::string_view text, std::int64_t* value) {
  const char* p = text.data();
  const char* end = p + text.size();
  if (text.size() > 18) {
    const auto [at, error] = std::from_chars(p, end, *value);
    return error == std::errc() && at == end;
  }
  bool negative = false;
  if (p != end && (*p == '-' || *p == '+')) negative = *p++ == '-';
  if (p == end) return false;
  std::int64_t v = 0;
  for (; p != end; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p) - '0';
    if (digit > 9) return false;
    v = v * 10 + digit;
  }
  *value = negative ? -v : v;
  return true;
}

template <typename T>
const char* put_integer(std::string_view text, void* values, std::uint32_t row) {
  std::int64_t v = 0;
  if (!parse_integer(text, &v)) return "is not a whole number";
  if (v < std::numeric_limits<T>::min() || v > std::numeric_limits<T>::max()) return "is out of range";
  static_cast<T*>(values)[row] = static_cast<T>(v);
  return nullptr;
}

template <typename T>
const char* put_real(std::string_view text, void* values, std::uint32_t row) {
  T v = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (end - begin > 1 && begin[0] == '+' && begin[1] != '-') ++begin;
  const auto [at, error] = std::from_chars(begin, end, v);
  if (error != std::errc() || at != end) return "is not a number";
  static_cast<T*>(values)[row] = v;
  return nullptr;
}

const char* put_decimal(std::string_view text, const data::Type& type, void* values, std::uint32_t row) {
  __extension__ using Wide = __int128;
  Wide v = 0;
  int digits = 0;
  int fraction = -1;
  bool any = false;
  std::size_t i = 0;
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) ++i;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && fraction < 0) {
      fraction = 0;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return "is not a decimal number";
    any = true;
    if (fraction >= type.scale) {
      if (text[i] != '0') return "has more digits after the point than the column";
      continue;
    }
    v = v * 10 + (text[i] - '0');
    if (v != 0 && ++digits > type.precision) return "has more digits than the column";
    if (fraction >= 0) ++fraction;
  }
  if (!any) return "is not a decimal number";
  for (int f = std::max(fraction, 0); f < type.scale; ++f) {
    v *= 10;
    if (v != 0 && ++digits > type.precision) return "has more digits than the column";
  }
  if (negative) v = -v;
  if (type.width() == 8) {
    static_cast<std::int64_t*>(values)[row] = static_cast<std::int64_t>(v);
  } else {
    static_cast<Wide*>(values)[row] = v;
  }
  return nullptr;
}

int two(const char* p) {
  const unsigned a = static_cast<unsigned char>(p[0]) - '0';
  const unsigned b = static_cast<unsigned char>(p[1]) - '0';
  return a > 9 || b > 9 ? -1 : static_cast<int>(a * 10 + b);
}

}  // namespace

const char* ValueParser::parse_timestamp(std::string_view text, std::int64_t* millis) {
  // The usual form, with the date's milliseconds kept from the row before.
  if (text.size() == 20 && text[10] == 'T' && text[13] == ':' && text[16] == ':' && text[19] == 'Z' &&
      std::memcmp(text.data(), date_text_, 10) == 0) {
    const int h = two(text.data() + 11);
    const int m = two(text.data() + 14);
    const int s = two(text.data() + 17);
    if (h >= 0 && h < 24 && m >= 0 && m < 60 && s >= 0 && s < 60) {
      *millis = date_millis_ + (h * 3600 + m * 60 + s) * 1000LL;
      return nullptr;
    }
  }
  const auto parsed = parse_instant(text);
  if (!parsed) return "is not a timestamp like 2013-01-01T10:00:00Z";
  *millis = *parsed;
  if (const auto day = parse_instant(text.substr(0, 10))) {
    std::memcpy(date_text_, text.data(), 10);
    date_millis_ = *day;
  }
  return nullptr;
}

const char* ValueParser::parse(std::string_view text, const data::Type& type, drey_builder_column& column,
                               std::uint32_t row) {
  using data::TypeKind;
  switch (type.kind) {
    case TypeKind::kText:
      if (!is_utf8(text)) return "is not valid UTF-8";
      [[fallthrough]];
    case TypeKind::kBytes:
      static_cast<data::View*>(column.values)[row] = data::make_view(text);
      return nullptr;
    case TypeKind::kInt8:
      return put_integer<std::int8_t>(text, column.values, row);
    case TypeKind::kInt16:
      return put_integer<std::int16_t>(text, column.values, row);
    case TypeKind::kInt32:
      return put_integer<std::int32_t>(text, column.values, row);
    case TypeKind::kInt64:
      return put_integer<std::int64_t>(text, column.values, row);
    case TypeKind::kFloat:
      return put_real<float>(text, column.values, row);
    case TypeKind::kDouble:
      return put_real<double>(text, column.values, row);
    case TypeKind::kDecimal:
      return put_decimal(text, type, column.values, row);
    case TypeKind::kTimestamp:
      return parse_timestamp(text, static_cast<std::int64_t*>(column.values) + row);
    case TypeKind::kDate: {
      std::int64_t millis = 0;
      if (text.size() != 10 || parse_timestamp(text, &millis) != nullptr) return "is not a date like 2013-01-01";
      static_cast<std::int32_t*>(column.values)[row] = static_cast<std::int32_t>(millis / kDay);
      return nullptr;
    }
    case TypeKind::kBool: {
      const bool yes = text == "true" || text == "TRUE" || text == "True" || text == "1";
      const bool no = text == "false" || text == "FALSE" || text == "False" || text == "0";
      if (!yes && !no) return "is not true or false";
      data::set_bit(column.values, row, yes);
      return nullptr;
    }
    case TypeKind::kStruct:
    case TypeKind::kList:
      return "cannot be read into a nested record or a list";
  }
  return "has an unknown type";
}

}  // namespace drey::formats
