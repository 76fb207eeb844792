// Enum tables: one list per enum gives text, parse, schema and docs.
//
//   enum class Level { kOk, kLow };
//   constexpr auto enum_table(Level) { return std::array{EnumRow{Level::kOk, "ok"}, ...}; }
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace drey {

template <typename E>
struct EnumRow {
  E value;
  std::string_view text;
};
template <typename E>
EnumRow(E, const char*) -> EnumRow<E>;

template <typename E>
concept HasEnumTable = requires(E e) {
  enum_table(e).size();
};

// REQUIRES: the table lists `value`; an unlisted one prints as "?".
template <HasEnumTable E>
constexpr std::string_view to_text(E value) {
  for (const auto& row : enum_table(value)) {
    if (row.value == value) return row.text;
  }
  return "?";
}

template <HasEnumTable E>
constexpr std::optional<E> parse_enum(std::string_view text) {
  for (const auto& row : enum_table(E{})) {
    if (row.text == text) return row.value;
  }
  return std::nullopt;
}

}  // namespace drey
