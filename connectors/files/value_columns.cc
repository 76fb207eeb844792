// ValueParser::parse_column: one column of many rows at once. What is common is decided without a branch that depends on
// the text; what is not (long numbers, exponents, text that is not ASCII at its end) goes to parse().
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/utf8.h"
#include "connectors/files/value_parser.h"

namespace drey::connectors::files {
namespace {

static_assert(std::endian::native == std::endian::little);
static_assert(FieldSpans::kPadding >= 1 + 9 + 8);  // sign, digits with a point, a word read from behind them

using Span = FieldSpans::Span;

std::uint64_t load8(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, 8);
  return word;
}

// The first `bytes` (0 to 8) bytes of a word.
std::uint64_t first_bytes(std::uint64_t word, std::size_t bytes) {
  return bytes >= 8 ? word : word & ((std::uint64_t{1} << (bytes * 8)) - 1);
}

// 1 to 8 digits; false when there is anything else.
bool digits(const char* p, std::size_t size, std::uint64_t* value) {
  if (size - 1 > 7) return false;
  constexpr std::uint64_t kZeros = 0x3030303030303030ULL;
  const std::size_t missing = (8 - size) * 8;
  // Zeros in front make it eight digits, the first one in the lowest byte.
  std::uint64_t word = missing == 0 ? load8(p) : load8(p) << missing | kZeros >> (64 - missing);
  if (((word & 0xF0F0F0F0F0F0F0F0ULL) | ((word + 0x0606060606060606ULL) & 0xF0F0F0F0F0F0F0F0ULL) >> 4) != (kZeros | kZeros >> 4)) {
    return false;
  }
  word -= kZeros;
  word = word * 10 + (word >> 8);  // pairs in bytes 0, 2, 4, 6
  *value = ((word & 0x000000FF000000FFULL) * 0x000F424000000064ULL +
            ((word >> 16) & 0x000000FF000000FFULL) * 0x0000271000000001ULL) >> 32;
  return true;
}

// Sign and up to 8 digits.
bool short_integer(Span field, std::int64_t* value) {
  const bool negative = *field.begin == '-';
  std::uint64_t magnitude = 0;
  if (!digits(field.begin + negative, field.size - negative, &magnitude)) return false;
  const auto v = static_cast<std::int64_t>(magnitude);
  *value = negative ? -v : v;
  return true;
}

template <typename T>
bool put_integer(Span field, void* values, std::uint32_t row) {
  std::int64_t v = 0;
  if (!short_integer(field, &v)) return false;
  if constexpr (sizeof(T) < 4) {
    if (v < std::numeric_limits<T>::min() || v > std::numeric_limits<T>::max()) return false;
  }
  static_cast<T*>(values)[row] = static_cast<T>(v);
  return true;
}

// Digits, with a point or without, that make an exact quotient of two exact numbers: then IEEE division rounds as the
// standard library's reading does.
template <typename T>
bool put_real(Span field, void* values, std::uint32_t row) {
  constexpr T kPowers[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7};
  const bool negative = *field.begin == '-';
  const char* p = field.begin + negative;
  const std::size_t size = field.size - negative;
  std::uint64_t whole = 0;
  if (digits(p, size, &whole)) {
    if (std::is_same_v<T, float> && whole >= 1u << 24) return false;
    const T v = static_cast<T>(whole);
    static_cast<T*>(values)[row] = negative ? -v : v;
    return true;
  }
  if (size > 9) return false;
  const auto* point = static_cast<const char*>(std::memchr(p, '.', size));
  if (point == nullptr) return false;
  const std::size_t before = static_cast<std::size_t>(point - p);
  const std::size_t after = size - before - 1;
  std::uint64_t fraction = 0;
  if (after > 7 || !digits(p, before, &whole) || !digits(point + 1, after, &fraction)) return false;
  const std::uint64_t all = whole * static_cast<std::uint64_t>(kPowers[after]) + fraction;
  if (std::is_same_v<T, float> && all >= 1u << 24) return false;
  const T v = static_cast<T>(all) / kPowers[after];
  static_cast<T*>(values)[row] = negative ? -v : v;
  return true;
}

bool put_view(Span field, bool checks_utf8, void* values, std::uint32_t row) {
  auto& view = static_cast<data::View*>(values)[row];
  if (field.size <= DREY_VIEW_INLINE_MAX) {
    const std::uint64_t low = first_bytes(load8(field.begin), field.size);
    const std::uint64_t high = field.size > 8 ? first_bytes(load8(field.begin + 8), field.size - 8) : 0;
    if (checks_utf8 && ((low | high) & 0x8080808080808080ULL) != 0 && !is_utf8({field.begin, field.size})) return false;
    view = std::bit_cast<data::View>(data::ViewWords{low << 32 | field.size, low >> 32 | high << 32});
    return true;
  }
  if (checks_utf8 && !is_utf8({field.begin, field.size})) return false;
  view = data::make_view(field.begin, field.size);
  return true;
}

// The text that means null, compared eight bytes at a time.
class NullText {
 public:
  explicit NullText(const std::optional<std::string>& text) : text_(text ? std::string_view(*text) : ""), is_set_(text) {
    char bytes[8] = {};
    std::memcpy(bytes, text_.data(), std::min<std::size_t>(text_.size(), 8));
    word_ = load8(bytes);
  }
  bool is_set() const { return is_set_; }
  // Whether it begins as a whole number may.
  bool is_like_a_number() const { return !text_.empty() && (text_[0] == '-' || text_[0] == '+' || (text_[0] >= '0' && text_[0] <= '9')); }
  bool is(Span field) const {
    if (field.size != text_.size() || !is_set_) return false;
    if (first_bytes(load8(field.begin), field.size) != word_) return false;
    return field.size <= 8 || std::memcmp(field.begin, text_.data(), field.size) == 0;
  }

 private:
  std::string_view text_;
  bool is_set_;
  std::uint64_t word_ = 0;
};

// put(field, row) writes a value or returns false.
template <typename Put>
std::size_t for_fields(const FieldSpans& fields, std::size_t rows, const data::Field& declared, const NullText& null,
                       drey_builder_column& column, std::uint32_t at, Put&& put) {
  if (declared.nullable) {
    for (std::size_t r = 0; r < rows; ++r) {
      const Span field = fields[r];
      const std::uint32_t row = at + static_cast<std::uint32_t>(r);
      if (field.size == 0 || null.is(field)) {
        data::set_bit(column.validity, row, false);
        column.has_nulls = 1;
      } else if (!put(field, row)) {
        return r;
      }
    }
    return rows;
  }
  // Null where none may be is an error: one that no integer looks like is found by the integer's parser.
  using data::TypeKind;
  const TypeKind kind = declared.type.kind;
  const bool is_integer = kind == TypeKind::kInt8 || kind == TypeKind::kInt16 || kind == TypeKind::kInt32 || kind == TypeKind::kInt64;
  const bool empty_is_null = !null.is_set() && kind != TypeKind::kText;
  const bool looks = !is_integer || null.is_like_a_number();
  for (std::size_t r = 0; r < rows; ++r) {
    const Span field = fields[r];
    if (looks && (null.is(field) || (empty_is_null && field.size == 0))) return r;
    if (!put(field, at + static_cast<std::uint32_t>(r))) return r;
  }
  return rows;
}

}  // namespace

std::size_t ValueParser::parse_column(const FieldSpans& fields, std::size_t rows, const data::Field& declared,
                                      const std::optional<std::string>& null_text, drey_builder_column& column,
                                      std::uint32_t at) {
  using data::TypeKind;
  const NullText null(null_text);
  void* const values = column.values;
  const auto run = [&](auto&& put) { return for_fields(fields, rows, declared, null, column, at, put); };
  switch (declared.type.kind) {
    case TypeKind::kText: return run([&](Span f, std::uint32_t row) { return put_view(f, true, values, row); });
    case TypeKind::kBytes: return run([&](Span f, std::uint32_t row) { return put_view(f, false, values, row); });
    case TypeKind::kInt8: return run([&](Span f, std::uint32_t row) { return put_integer<std::int8_t>(f, values, row); });
    case TypeKind::kInt16: return run([&](Span f, std::uint32_t row) { return put_integer<std::int16_t>(f, values, row); });
    case TypeKind::kInt32: return run([&](Span f, std::uint32_t row) { return put_integer<std::int32_t>(f, values, row); });
    case TypeKind::kFloat: return run([&](Span f, std::uint32_t row) { return put_real<float>(f, values, row) || parse({f.begin, f.size}, declared.type, column, row) == nullptr; });
    case TypeKind::kDouble: return run([&](Span f, std::uint32_t row) { return put_real<double>(f, values, row) || parse({f.begin, f.size}, declared.type, column, row) == nullptr; });
    case TypeKind::kInt64: return run([&](Span f, std::uint32_t row) { return put_integer<std::int64_t>(f, values, row) || parse({f.begin, f.size}, declared.type, column, row) == nullptr; });
    default: return run([&](Span f, std::uint32_t row) { return parse({f.begin, f.size}, declared.type, column, row) == nullptr; });
  }
}

}  // namespace drey::connectors::files
