#include "formats/value_parser.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "base/date.h"
#include "base/time.h"
#include "base/utf8.h"

namespace drey::formats {
namespace {

__extension__ using Wide = __int128;

constexpr const char* kNotWhole = "is not a whole number";
constexpr const char* kOutOfRange = "is out of range";

// As Java's parsers do, which Flink's formats use: what is up to ' ' does not count at either end.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

// Whole numbers of up to 18 digits need no overflow check; longer ones take the slow way.
const char* parse_integer(std::string_view text, std::int64_t* value) {
  const char* p = text.data();
  const char* end = p + text.size();
  if (text.size() > 18) {
    if (*p == '+' && p[1] != '-') ++p;
    const auto [at, error] = std::from_chars(p, end, *value);
    if (at != end) return kNotWhole;
    if (error == std::errc::result_out_of_range) return kOutOfRange;
    return error == std::errc() ? nullptr : kNotWhole;
  }
  bool negative = false;
  if (p != end && (*p == '-' || *p == '+')) negative = *p++ == '-';
  if (p == end) return kNotWhole;
  std::int64_t v = 0;
  for (; p != end; ++p) {
    const unsigned digit = static_cast<unsigned char>(*p) - '0';
    if (digit > 9) return kNotWhole;
    v = v * 10 + digit;
  }
  *value = negative ? -v : v;
  return nullptr;
}

template <typename T>
const char* store_integer(std::int64_t v, void* values, std::uint32_t row) {
  if (v < std::numeric_limits<T>::min() || v > std::numeric_limits<T>::max()) return kOutOfRange;
  static_cast<T*>(values)[row] = static_cast<T>(v);
  return nullptr;
}

const char* store_integer(std::int64_t v, data::TypeKind kind, void* values, std::uint32_t row) {
  switch (kind) {
    case data::TypeKind::kInt8:
      return store_integer<std::int8_t>(v, values, row);
    case data::TypeKind::kInt16:
      return store_integer<std::int16_t>(v, values, row);
    case data::TypeKind::kInt32:
      return store_integer<std::int32_t>(v, values, row);
    default:
      return store_integer<std::int64_t>(v, values, row);
  }
}

template <typename T>
const char* put_integer(std::string_view text, void* values, std::uint32_t row) {
  std::int64_t v = 0;
  if (const char* problem = parse_integer(text, &v)) return problem;
  return store_integer<T>(v, values, row);
}

// Digits of a number with a point and an exponent: the value is +-(digits) * 10^exponent, without zeros at either end
// of the digits. `first` to `last` has them, and perhaps a point between them.
struct Digits {
  bool negative = false;
  const char* first = nullptr;
  const char* last = nullptr;  // behind the last one that is not 0; = first: the number is 0
  std::int64_t count = 0;
  std::int64_t exponent = 0;
};

bool scan_digits(std::string_view text, Digits* out) {
  constexpr std::int64_t kFar = 1'000'000'000'000;  // beyond any exponent that counts
  const char* p = text.data();
  const char* const end = p + text.size();
  if (p != end && (*p == '-' || *p == '+')) out->negative = *p++ == '-';
  std::int64_t digits = 0;
  std::int64_t before_point = -1;
  std::int64_t first = 0;  // which digits these are, counted from 0
  std::int64_t last = 0;
  out->first = out->last = p;
  for (; p != end; ++p) {
    if (*p == '.' && before_point < 0) {
      before_point = digits;
      continue;
    }
    if (*p < '0' || *p > '9') break;
    if (*p != '0') {
      if (out->count == 0) {
        out->first = p;
        first = digits;
      }
      out->last = p + 1;
      last = digits;
      out->count = last - first + 1;
    }
    ++digits;
  }
  if (digits == 0) return false;
  out->exponent = (before_point < 0 ? digits : before_point) - 1 - last;
  if (p != end && (*p == 'e' || *p == 'E')) {
    ++p;
    const bool minus = p != end && *p == '-';
    if (p != end && (*p == '-' || *p == '+')) ++p;
    if (p == end) return false;
    std::int64_t e = 0;
    for (; p != end && *p >= '0' && *p <= '9'; ++p) e = std::min(e * 10 + (*p - '0'), kFar);
    out->exponent += minus ? -e : e;
  }
  return p == end;
}

// The number times 10^scale, of at most `precision` digits.
const char* to_unscaled(const Digits& digits, int precision, int scale, Wide* value) {
  *value = 0;
  if (digits.count == 0) return nullptr;
  const std::int64_t shift = digits.exponent + scale;
  if (shift < 0) return "has more digits after the point than the column";
  if (digits.count + shift > precision) return "has more digits than the column";
  for (const char* p = digits.first; p != digits.last; ++p) {
    if (*p != '.') *value = *value * 10 + (*p - '0');
  }
  for (std::int64_t i = 0; i < shift; ++i) *value *= 10;
  if (digits.negative) *value = -*value;
  return nullptr;
}

template <typename T>
const char* put_real(std::string_view text, void* values, std::uint32_t row) {
  T v = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (end - begin > 1 && begin[0] == '+' && begin[1] != '-') ++begin;
  const auto [at, error] = std::from_chars(begin, end, v);
  if (at != end || (error != std::errc() && error != std::errc::result_out_of_range)) return "is not a number";
  if (error == std::errc::result_out_of_range) {
    // Too large is infinite, too small is 0, as in Java.
    Digits digits;
    if (!scan_digits(text, &digits)) return "is not a number";
    v = digits.count + digits.exponent > 0 ? std::numeric_limits<T>::infinity() : 0;
    if (digits.negative) v = -v;
  }
  static_cast<T*>(values)[row] = v;
  return nullptr;
}

const char* put_decimal(std::string_view text, const data::Type& type, void* values, std::uint32_t row) {
  Digits digits;
  if (!scan_digits(text, &digits)) return "is not a decimal number";
  Wide v = 0;
  if (const char* problem = to_unscaled(digits, type.precision, type.scale, &v)) return problem;
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
  if (times_ != TimeFormat::kIso && times_ != TimeFormat::kSql) return parse_epoch(text, times_, millis);
  const auto parsed = parse_instant(text);
  if (!parsed) return "is not a timestamp like 2013-01-01T10:00:00Z";
  *millis = *parsed;
  if (const auto day = parse_instant(text.substr(0, 10)); day && text[4] == '-') {
    std::memcpy(date_text_, text.data(), 10);
    date_millis_ = *day;
  }
  return nullptr;
}

const char* ValueParser::parse_epoch(std::string_view text, TimeFormat unit, std::int64_t* millis) {
  std::int64_t v = 0;
  if (const char* problem = parse_integer(text, &v)) return problem;
  if (unit == TimeFormat::kEpochMicros) v = v / 1000 - (v % 1000 < 0 ? 1 : 0);
  if (unit == TimeFormat::kEpochSeconds && __builtin_mul_overflow(v, 1000, &v)) return kOutOfRange;
  *millis = v;
  return nullptr;
}

const char* ValueParser::parse_json_number(std::string_view text, const data::Type& type, drey_builder_column& column,
                                           std::uint32_t row) {
  using data::TypeKind;
  switch (type.kind) {
    case TypeKind::kTimestamp: {
      const bool is_epoch = times_ != TimeFormat::kIso && times_ != TimeFormat::kSql;
      return parse_epoch(text, is_epoch ? times_ : TimeFormat::kEpochMillis,
                         static_cast<std::int64_t*>(column.values) + row);
    }
    case TypeKind::kInt8:
    case TypeKind::kInt16:
    case TypeKind::kInt32:
    case TypeKind::kInt64: {
      std::int64_t v = 0;
      const char* problem = parse_integer(text, &v);
      if (problem == kNotWhole) {
        Digits digits;
        Wide wide = 0;
        if (!scan_digits(text, &digits) || digits.exponent < 0) return kNotWhole;
        if (to_unscaled(digits, 19, 0, &wide) != nullptr || wide < INT64_MIN || wide > INT64_MAX) return kOutOfRange;
        v = static_cast<std::int64_t>(wide);
        problem = nullptr;
      }
      return problem != nullptr ? problem : store_integer(v, type.kind, column.values, row);
    }
    default:
      return parse(text, type, column, row);
  }
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
    default:
      break;
  }
  text = trimmed(text);
  switch (type.kind) {
    case TypeKind::kText:
    case TypeKind::kBytes:
      break;
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
      const auto day = parse_date(text);
      if (!day) return "is not a date like 2013-01-01";
      static_cast<std::int32_t*>(column.values)[row] = *day;
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
