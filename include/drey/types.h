// The values that records are made of: Text, Bytes, Timestamp, Date, Decimal, List.
//
// Text, Bytes and List are views. In a function they are valid during the call; put into an output
// record or into state, their content is kept. A view that is kept elsewhere (a member, a capture)
// dangles: use std::string there; records may have std::string members too.
//
//   drey::Text origin = flight.origin;              // 16 bytes, no copy
//   if (origin == "EWR" && flight.time >= drey::Timestamp{0} + 24h) ...
#pragma once

#include <bit>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "drey/abi.h"

// Never shared with another job in the same process.
#define DREY_HIDDEN_ __attribute__((visibility("hidden")))

namespace drey {
inline namespace api {

namespace literals {
using namespace std::chrono_literals;
using namespace std::string_view_literals;
}  // namespace literals

using Millis = std::chrono::milliseconds;

// UTF-8 text: up to 12 bytes inline, else a pointer into memory of somebody else.
class Text {
 public:
  constexpr Text() : view_{} {}
  Text(const char* text) : Text(std::string_view(text)) {}
  Text(const std::string& text) : Text(std::string_view(text)) {}
  // The text of a temporary string would be gone at once: return a record with a std::string
  // member, or use out.text(...).
  Text(std::string&&) = delete;
  Text(std::string_view text) : view_{} {
    view_.size = static_cast<std::uint32_t>(text.size());
    if (text.size() <= DREY_VIEW_INLINE_MAX) {
      if (!text.empty()) put_inline(text.data(), text.size());
    } else {
      std::memcpy(view_.u.far.prefix, text.data(), 4);
      view_.u.far.data = text.data();
    }
  }
  explicit Text(const drey_view& view) : view_(view) {}

  std::size_t size() const { return view_.size; }
  bool empty() const { return view_.size == 0; }
  const char* data() const { return is_inline() ? view_.u.inlined : view_.u.far.data; }
  const char* begin() const { return data(); }
  const char* end() const { return data() + size(); }
  char operator[](std::size_t i) const { return data()[i]; }
  operator std::string_view() const { return {data(), size()}; }
  std::string_view view() const { return {data(), size()}; }
  std::string str() const { return std::string(data(), size()); }
  bool starts_with(std::string_view s) const { return view().starts_with(s); }
  bool contains(std::string_view s) const { return view().find(s) != std::string_view::npos; }

  bool is_inline() const { return view_.size <= DREY_VIEW_INLINE_MAX; }
  const drey_view& raw() const { return view_; }

  friend bool operator==(const Text& a, const Text& b) {
    std::uint64_t x[2], y[2];
    std::memcpy(x, &a.view_, 16);
    std::memcpy(y, &b.view_, 16);
    if (x[0] != y[0]) return false;
    if (x[1] == y[1]) return true;
    return !a.is_inline() && std::memcmp(a.data(), b.data(), a.size()) == 0;
  }
  friend std::strong_ordering operator<=>(const Text& a, const Text& b) { return a.view() <=> b.view(); }
  friend bool operator==(const Text& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const Text& a, const char* b) { return a.view() == std::string_view(b); }
  friend bool operator==(const Text& a, const std::string& b) { return a.view() == std::string_view(b); }
  friend std::strong_ordering operator<=>(const Text& a, std::string_view b) { return a.view() <=> b; }

 private:
  // 1 to 12 bytes, put together in registers from loads that overlap: a copy of as many bytes as there
  // happen to be costs a call, and its narrow stores delay who reads the view as a whole.
  void put_inline(const char* text, std::size_t size) {
    const auto load = [&]<class W>(W, std::size_t at) {
      W word = 0;
      std::memcpy(&word, text + at, sizeof word);
      return static_cast<std::uint64_t>(word);
    };
    std::uint64_t low = 0, high = 0;
    if (size >= 8) {
      low = load(std::uint64_t{}, 0);
      high = load(std::uint64_t{}, size - 8) >> 8 >> (8 * (15 - size));
    } else if (size >= 4) {
      low = load(std::uint32_t{}, 0) | load(std::uint32_t{}, size - 4) << (8 * (size - 4));
    } else {
      low = load(std::uint8_t{}, 0) | load(std::uint8_t{}, size / 2) << (8 * (size / 2)) |
            load(std::uint8_t{}, size - 1) << (8 * (size - 1));
    }
    const std::uint64_t words[2] = {size | low << 32, low >> 32 | high << 32};
    std::memcpy(&view_, words, sizeof words);
  }

  drey_view view_;
};
static_assert(sizeof(Text) == 16 && std::is_trivially_copyable_v<Text>);
static_assert(std::endian::native == std::endian::little);

// Any bytes, else like Text.
class Bytes {
 public:
  constexpr Bytes() = default;
  explicit Bytes(std::string_view bytes) : text_(bytes) {}
  explicit Bytes(std::span<const std::byte> bytes)
      : text_(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())) {}
  explicit Bytes(const drey_view& view) : text_(view) {}
  std::size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  const char* data() const { return text_.data(); }
  std::string_view view() const { return text_.view(); }
  bool is_inline() const { return text_.is_inline(); }
  const drey_view& raw() const { return text_.raw(); }
  friend bool operator==(const Bytes&, const Bytes&) = default;
  friend std::strong_ordering operator<=>(const Bytes& a, const Bytes& b) { return a.text_ <=> b.text_; }

 private:
  Text text_;
};
static_assert(sizeof(Bytes) == 16 && std::is_trivially_copyable_v<Bytes>);

namespace detail {
// Sums of times end at the least and the last of them.
constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? INT64_MIN : INT64_MAX;
}
constexpr std::int64_t saturating_subtract(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? INT64_MAX : INT64_MIN;
}
}  // namespace detail

// Milliseconds since 1970-01-01T00:00:00Z. Sums and differences saturate.
struct Timestamp {
  std::int64_t ms = 0;

  static constexpr Timestamp min() { return {INT64_MIN}; }
  static constexpr Timestamp max() { return {INT64_MAX}; }
  friend constexpr auto operator<=>(const Timestamp&, const Timestamp&) = default;
  template <class R, class P>
  friend constexpr Timestamp operator+(Timestamp t, std::chrono::duration<R, P> d) {
    return {detail::saturating_add(t.ms, std::chrono::duration_cast<Millis>(d).count())};
  }
  template <class R, class P>
  friend constexpr Timestamp operator-(Timestamp t, std::chrono::duration<R, P> d) {
    return {detail::saturating_subtract(t.ms, std::chrono::duration_cast<Millis>(d).count())};
  }
  friend constexpr Millis operator-(Timestamp a, Timestamp b) {
    return Millis(detail::saturating_subtract(a.ms, b.ms));
  }
};

// Days since 1970-01-01.
struct Date {
  std::int32_t days = 0;
  static constexpr Date of(int year, unsigned month, unsigned day) {
    using namespace std::chrono;
    return {
        static_cast<std::int32_t>(sys_days(std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day))
                                      .time_since_epoch()
                                      .count())};
  }
  constexpr Timestamp start() const { return {static_cast<std::int64_t>(days) * 86'400'000}; }
  friend constexpr auto operator<=>(const Date&, const Date&) = default;
};

namespace detail {
__extension__ typedef __int128 Int128;

inline std::string decimal_text(Int128 unscaled, int scale) {
  std::string digits;  // the last one first
  for (Int128 rest = unscaled; rest != 0; rest /= 10) {
    const auto digit = static_cast<int>(rest % 10);
    digits.push_back(static_cast<char>('0' + (digit < 0 ? -digit : digit)));
  }
  const auto after_point = static_cast<std::size_t>(scale);
  if (digits.size() <= after_point) digits.resize(after_point + 1, '0');
  if (scale > 0) digits.insert(after_point, 1, '.');
  if (unscaled < 0) digits.push_back('-');
  return {digits.rbegin(), digits.rend()};
}
[[noreturn]] inline void decimal_overflow(Int128 a, char sign, Int128 b, int precision, int scale) {
  throw std::overflow_error(decimal_text(a, scale) + " " + sign + " " + decimal_text(b, scale) +
                            " does not fit Decimal<" + std::to_string(precision) + ", " + std::to_string(scale) + ">");
}
constexpr Int128 power_of_ten(int n) {
  Int128 power = 1;
  while (n-- > 0) power *= 10;
  return power;
}
}  // namespace detail

// `Precision` digits, `Scale` of them behind the point; `unscaled` is the value times 10^Scale. A sum or difference
// that has more digits throws std::overflow_error.
template <int Precision, int Scale>
struct Decimal {
  static_assert(Precision >= 1 && Precision <= 38 && Scale >= 0 && Scale <= Precision,
                "drey::Decimal<precision, scale>: 1 <= precision <= 38, 0 <= scale <= precision");
  using Unscaled = std::conditional_t<(Precision <= 18), std::int64_t, detail::Int128>;
  Unscaled unscaled = 0;
  static constexpr int precision = Precision;
  static constexpr int scale = Scale;

  friend constexpr auto operator<=>(const Decimal&, const Decimal&) = default;
  friend constexpr Decimal operator+(Decimal a, Decimal b) {
    Unscaled sum = 0;
    if (__builtin_add_overflow(a.unscaled, b.unscaled, &sum) || !fits(sum)) [[unlikely]]
      detail::decimal_overflow(a.unscaled, '+', b.unscaled, Precision, Scale);
    return {sum};
  }
  friend constexpr Decimal operator-(Decimal a, Decimal b) {
    Unscaled difference = 0;
    if (__builtin_sub_overflow(a.unscaled, b.unscaled, &difference) || !fits(difference)) [[unlikely]]
      detail::decimal_overflow(a.unscaled, '-', b.unscaled, Precision, Scale);
    return {difference};
  }
  constexpr Decimal& operator+=(Decimal o) { return *this = *this + o; }
  static constexpr bool fits(Unscaled value) {
    constexpr auto kEnd = static_cast<Unscaled>(detail::power_of_ten(Precision));
    return value < kEnd && value > -kEnd;
  }
  explicit constexpr operator double() const {
    double d = static_cast<double>(unscaled);
    for (int i = 0; i < Scale; ++i) d /= 10;
    return d;
  }
};

// A view of the elements of a list column, or of a contiguous range.
template <class T>
class List {
 public:
  using value_type = T;
  using Get = T (*)(const void* base, std::uint32_t index);

  List() = default;
  List(std::span<const T> items) : base_(items.data()), size_(static_cast<std::uint32_t>(items.size())) {}
  List(const std::vector<T>& items) : List(std::span<const T>(items)) {}
  // Elements begin .. begin + size - 1 of whatever `get` reads from `base`.
  List(const void* base, Get get, std::uint32_t begin, std::uint32_t size)
      : base_(base), get_(get), begin_(begin), size_(size) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T operator[](std::size_t i) const {
    const auto at = begin_ + static_cast<std::uint32_t>(i);
    return get_ == nullptr ? static_cast<const T*>(base_)[at] : get_(base_, at);
  }
  std::vector<T> to_vector() const { return std::vector<T>(begin(), end()); }

  class Iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using pointer = void;
    using reference = T;
    Iterator() = default;
    Iterator(const List* list, std::size_t at) : list_(list), at_(at) {}
    T operator*() const { return (*list_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) {
      auto old = *this;
      ++at_;
      return old;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    const List* list_ = nullptr;
    std::size_t at_ = 0;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  const void* base_ = nullptr;
  Get get_ = nullptr;
  std::uint32_t begin_ = 0;
  std::uint32_t size_ = 0;
};

// A span of event (or processing) time: start inclusive, end exclusive.
struct Window {
  Timestamp start;
  Timestamp end;
  // The last instant in it.
  constexpr Timestamp last() const { return {end.ms == INT64_MAX ? end.ms : end.ms - 1}; }
  friend constexpr auto operator<=>(const Window&, const Window&) = default;
};

}  // namespace api
}  // namespace drey

template <>
struct std::hash<drey::Text> {
  std::size_t operator()(const drey::Text& t) const noexcept { return std::hash<std::string_view>()(t.view()); }
};
template <>
struct std::hash<drey::Bytes> {
  std::size_t operator()(const drey::Bytes& t) const noexcept { return std::hash<std::string_view>()(t.view()); }
};
template <>
struct std::hash<drey::Timestamp> {
  std::size_t operator()(drey::Timestamp t) const noexcept { return std::hash<std::int64_t>()(t.ms); }
};
template <>
struct std::hash<drey::Date> {
  std::size_t operator()(drey::Date d) const noexcept { return std::hash<std::int32_t>()(d.days); }
};
