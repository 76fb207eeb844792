// Shape: what the binary codec makes of a type, as text: two types of one shape are read by each other's bytes. For
// tests that pin the shape of stored documents to the number of their format. Threading: values.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "wire/binary/codec.h"

namespace drey::wire {
namespace detail {

template <typename T>
void add_shape(std::string& out, std::vector<const void*>& within);

template <typename T>
inline constexpr char kShapeTag = 0;

template <typename Variant, std::size_t... I>
void add_alternatives(std::string& out, std::vector<const void*>& within, std::index_sequence<I...>) {
  ((add_shape<std::variant_alternative_t<I, Variant>>(out, within), out += '|'), ...);
}

template <typename T>
void add_shape(std::string& out, std::vector<const void*>& within) {
  if constexpr (std::is_same_v<T, bool>) {
    out += "bool";
  } else if constexpr (std::is_enum_v<T> || std::is_arithmetic_v<T>) {
    const std::size_t bytes = std::is_enum_v<T> ? sizeof(std::int32_t) : sizeof(T);
    out += (std::is_floating_point_v<T> ? "f" : std::is_unsigned_v<T> ? "u" : "i") + std::to_string(8 * bytes);
  } else if constexpr (std::is_same_v<T, std::string>) {
    out += "text";
  } else if constexpr (std::is_same_v<T, Instant>) {
    out += "i64";
  } else if constexpr (IsId<T>::value) {
    out += "id";
  } else if constexpr (IsVector<T>::value) {
    out += '[';
    add_shape<typename T::value_type>(out, within);
    out += ']';
  } else if constexpr (IsMap<T>::value) {
    out += "map(";
    add_shape<typename T::key_type>(out, within);
    out += ':';
    add_shape<typename T::mapped_type>(out, within);
    out += ')';
  } else if constexpr (IsPair<T>::value) {
    out += '(';
    add_shape<std::remove_const_t<typename T::first_type>>(out, within);
    out += ',';
    add_shape<typename T::second_type>(out, within);
    out += ')';
  } else if constexpr (IsOptional<T>::value) {
    out += '?';
    add_shape<typename T::value_type>(out, within);
  } else if constexpr (IsVariant<T>::value) {
    out += '<';
    add_alternatives<T>(out, within, std::make_index_sequence<std::variant_size_v<T>>());
    out += '>';
  } else {
    static_assert(HasFields<T>, "this type has no field table");
    // A message that contains itself: so many levels up.
    if (const auto found = std::find(within.rbegin(), within.rend(), &kShapeTag<T>); found != within.rend()) {
      out += '^' + std::to_string(found - within.rbegin());
      return;
    }
    within.push_back(&kShapeTag<T>);
    out += '{';
    for_each_field<T>([&]<typename Row>(const Row& row) {
      out.append(row.name) += ' ';
      add_shape<std::remove_cvref_t<decltype(std::declval<T>().*(row.member))>>(out, within);
      out += ';';
    });
    out += '}';
    within.pop_back();
  }
}

}  // namespace detail

// "{id id;files [(text,u64)];}"
template <typename T>
std::string shape_of() {
  std::string out;
  std::vector<const void*> within;
  detail::add_shape<T>(out, within);
  return out;
}

}  // namespace drey::wire
