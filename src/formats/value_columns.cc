// ValueParser::parse_column: one column of many rows at once. Whole numbers are read four at a time and short text is
// made into views by the kernels of four_fields.h; a field that these refuse is read alone, without a branch that
// depends on the text where that can be; what is rare (long numbers, exponents) goes to parse().
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/utf8.h"
#include "formats/four_fields.h"
#include "formats/value_parser.h"

namespace drey::formats {
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
  if (((word & 0xF0F0F0F0F0F0F0F0ULL) | ((word + 0x0606060606060606ULL) & 0xF0F0F0F0F0F0F0F0ULL) >> 4) !=
      (kZeros | kZeros >> 4)) {
    return false;
  }
  word -= kZeros;
  word = word * 10 + (word >> 8);  // pairs in bytes 0, 2, 4, 6
  *value = ((word & 0x000000FF000000FFULL) * 0x000F424000000064ULL +
            ((word >> 16) & 0x000000FF000000FFULL) * 0x0000271000000001ULL) >>
           32;
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

// The text that means null, compared eight bytes at a time.
class NullText {
 public:
  explicit NullText(const std::optional<std::string>& text)
      : text_(text ? std::string_view(*text) : ""), is_set_(text) {
    char bytes[8] = {};
    std::memcpy(bytes, text_.data(), std::min<std::size_t>(text_.size(), 8));
    word_ = load8(bytes);
  }
  bool is_set() const { return is_set_; }
  // Whether it begins as a whole number may.
  bool is_like_a_number() const {
    return !text_.empty() && (text_[0] == '-' || text_[0] == '+' || (text_[0] >= '0' && text_[0] <= '9'));
  }
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

#if defined(__AVX2__)
template <typename T>
constexpr bool kReadsFour =
    std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>;

// Four whole numbers from row `row` of the fields on; false: see read_four().
template <typename T>
bool put_four(const FieldSpans& fields, std::size_t row, T* out) {
  FourNumbers numbers;
  if (!read_four(fields, row, &numbers)) return false;
  if constexpr (std::is_same_v<T, std::int64_t>) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), numbers.values());
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), numbers.narrow());
  } else {
    // The sign by itself: "-0" is not 0.
    const __m256d sign = _mm256_and_pd(_mm256_castsi256_pd(numbers.minus), _mm256_set1_pd(-0.0));
    _mm256_storeu_pd(out, _mm256_or_pd(_mm256_cvtepi32_pd(numbers.narrow_magnitudes()), sign));
  }
  return true;
}
#else
template <typename T>
constexpr bool kReadsFour = false;
#endif

// What null is in a column.
class Nulls {
 public:
  Nulls(const data::Field& declared, const std::optional<std::string>& text)
      : text_(text),
        allowed_(declared.nullable),
        empty_is_null_(declared.nullable || (!text && !is_text(declared))),
        none_(!text_.is_set() && !empty_is_null_) {}
  static bool is_text(const data::Field& declared) { return declared.type.kind == data::TypeKind::kText; }
  bool allowed() const { return allowed_; }
  bool is(Span field) const { return !none_ && ((field.size == 0 && empty_is_null_) || text_.is(field)); }
  // Whether text that reads as a whole number may be null.
  bool is_like_a_number() const { return text_.is_like_a_number(); }

 private:
  NullText text_;
  bool allowed_;
  bool empty_is_null_;
  bool none_;
};

// The batch's column, from row `at` on.
struct Target {
  drey_builder_column& column;
  std::uint32_t at;
  std::uint32_t row(std::size_t r) const { return at + static_cast<std::uint32_t>(r); }
  void set_null(std::size_t r) const {
    data::set_bit(column.validity, row(r), false);
    column.has_nulls = 1;
  }
};

// put(field, row) writes a value or returns false; put_group(r) writes four or returns false, having written none that
// counts.
template <typename Put, typename PutGroup>
std::size_t for_fields(const FieldSpans& fields, std::size_t rows, const Nulls& nulls, const Target& to, Put&& put,
                       PutGroup&& put_group) {
  for (std::size_t r = 0; r < rows;) {
    if (r + 4 <= rows && put_group(r)) {
      r += 4;
      continue;
    }
    for (const std::size_t end = std::min(r + 4, rows); r < end; ++r) {
      const Span field = fields[r];
      if (nulls.is(field)) {
        if (!nulls.allowed()) return r;
        to.set_null(r);
      } else if (!put(field, to.row(r))) {
        return r;
      }
    }
  }
  return rows;
}

constexpr auto kNoGroups = [](std::size_t) { return false; };

template <typename T, typename Put>
std::size_t put_numbers(const FieldSpans& fields, std::size_t rows, const Nulls& nulls, const Target& to, Put&& put) {
  if constexpr (kReadsFour<T>) {
    if (!nulls.is_like_a_number()) {
      T* const out = static_cast<T*>(to.column.values) + to.at;
      return for_fields(fields, rows, nulls, to, put, [&](std::size_t r) { return put_four(fields, r, out + r); });
    }
  }
  return for_fields(fields, rows, nulls, to, put, kNoGroups);
}

std::size_t put_views(const FieldSpans& fields, std::size_t rows, const Nulls& nulls, const Target& to,
                      bool checks_utf8) {
  auto* const views = static_cast<data::View*>(to.column.values) + to.at;
  ViewMaker maker;
  std::size_t done = 0;
  for (; done < rows; ++done) {
    const Span field = fields[done];
    if (nulls.is(field)) {
      if (!nulls.allowed()) break;
      to.set_null(done);
    } else if (field.size <= DREY_VIEW_INLINE_MAX) {
      const data::ViewWords words = maker.make(field.begin, field.size);
      std::memcpy(&views[done], &words, sizeof words);
    } else {
      if (checks_utf8 && !is_utf8({field.begin, field.size})) break;
      views[done] = data::make_view(field.begin, field.size);
    }
  }
  if (!checks_utf8 || maker.all_ascii()) return done;
  for (std::size_t r = 0; r < done; ++r) {
    const Span field = fields[r];
    if (field.size <= DREY_VIEW_INLINE_MAX && !is_utf8({field.begin, field.size})) return r;
  }
  return done;
}

}  // namespace

std::size_t ValueParser::parse_column(const FieldSpans& fields, std::size_t rows, const data::Field& declared,
                                      const std::optional<std::string>& null_text, drey_builder_column& column,
                                      std::uint32_t at) {
  using data::TypeKind;
  const Nulls nulls(declared, null_text);
  const Target to{column, at};
  void* const values = column.values;
  const auto slowly = [&](Span f, std::uint32_t row) {
    return parse({f.begin, f.size}, declared.type, column, row) == nullptr;
  };
  const auto integers = [&]<typename T>(T) {
    return put_numbers<T>(fields, rows, nulls, to,
                          [&](Span f, std::uint32_t row) { return put_integer<T>(f, values, row) || slowly(f, row); });
  };
  const auto reals = [&]<typename T>(T) {
    return put_numbers<T>(fields, rows, nulls, to,
                          [&](Span f, std::uint32_t row) { return put_real<T>(f, values, row) || slowly(f, row); });
  };
  switch (declared.type.kind) {
    case TypeKind::kText:
      return put_views(fields, rows, nulls, to, true);
    case TypeKind::kBytes:
      return put_views(fields, rows, nulls, to, false);
    case TypeKind::kInt8:
      return integers(std::int8_t{});
    case TypeKind::kInt16:
      return integers(std::int16_t{});
    case TypeKind::kInt32:
      return integers(std::int32_t{});
    case TypeKind::kInt64:
      return integers(std::int64_t{});
    case TypeKind::kFloat:
      return reals(float{});
    case TypeKind::kDouble:
      return reals(double{});
    case TypeKind::kStruct:
    case TypeKind::kList:
      return 0;
    default:
      return for_fields(fields, rows, nulls, to, slowly, kNoGroups);
  }
}

}  // namespace drey::formats
