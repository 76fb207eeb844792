// Records: plain structs with a table of their members, and the Arrow schemas that follow from it.
//
//   struct Flight {
//     drey::Text origin;
//     std::optional<std::int32_t> dep_delay;
//     drey::Timestamp time_hour;
//     DREY_FIELDS(Flight, origin, dep_delay, time_hour)     // columns are called like the members
//   };
//   struct Line {
//     drey::Text text;
//     static constexpr auto fields() { return drey::Fields{drey::field("raw-line", &Line::text)}; }
//   };
//
// Members: bool, int8..int64 (no unsigned ones), float, double, Decimal, Timestamp,
// Date, Text, Bytes, std::string, std::optional of these, records, List<T>, std::vector<T>. A
// stream's elements may also be one such value (a column "value") or a std::pair / std::tuple
// (columns "f0", "f1", ...).
#pragma once

#include <cstdio>
#include <optional>
#include <tuple>
#include <utility>

#include "drey/types.h"

namespace drey {
inline namespace api {

template <class R, class M>
struct Field {
  const char* name;
  M R::*member;
};
// One row of a record's table: the column's name and the member.
template <class R, class M>
constexpr Field<R, M> field(const char* name, M R::*member) {
  return {name, member};
}

namespace detail {
template <std::size_t, class Row>
struct FieldAt {
  Row row;
};
template <class Indices, class... Row>
struct FieldsOf;
template <std::size_t... I, class... Row>
struct FieldsOf<std::index_sequence<I...>, Row...> : FieldAt<I, Row>... {};
template <std::size_t I, class Row>
constexpr const Row& row_at(const FieldAt<I, Row>& at) {
  return at.row;
}
}  // namespace detail

// The rows of a table: Fields{field(...), field(...)}.
template <class... Row>
struct Fields : detail::FieldsOf<std::make_index_sequence<sizeof...(Row)>, Row...> {
  static constexpr std::size_t kSize = sizeof...(Row);
  constexpr Fields(const Row&... rows) : detail::FieldsOf<std::make_index_sequence<kSize>, Row...>{{rows}...} {}
};

namespace detail {
// The row in place of those past the last one that DREY_FIELDS takes: the one error.
template <class R>
constexpr Field<R, bool> too_many_fields() {
  static_assert(sizeof(R) == 0, "drey: DREY_FIELDS takes at most 256 members: nest records, or write fields()");
  return {"", nullptr};
}

template <class... Row>
constexpr Fields<Row...> as_fields(const Fields<Row...>& fields) {
  return fields;
}
// Tables may also be tuples, which take the compiler longer.
template <class... Row>
constexpr Fields<Row...> as_fields(const std::tuple<Row...>& rows) {
  return std::apply([](const Row&... row) { return Fields<Row...>(row...); }, rows);
}
}  // namespace detail

template <class R>
concept HasFields = requires {
  decltype(detail::as_fields(R::fields()))::kSize;
};

namespace detail {

template <HasFields R>
inline constexpr auto kFieldsOf = as_fields(R::fields());

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<List<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsDecimal = false;
template <int P, int S>
inline constexpr bool kIsDecimal<Decimal<P, S>> = true;
template <class T>
inline constexpr bool kIsTuple = false;
template <class A, class B>
inline constexpr bool kIsTuple<std::pair<A, B>> = true;
template <class... A>
inline constexpr bool kIsTuple<std::tuple<A...>> = true;

// Fixed-width column values that are stored as they are in C++ (bool is a bit column).
template <class T>
concept Plain = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::int16_t> || std::is_same_v<T, std::int32_t> ||
    std::is_same_v<T, std::int64_t> || std::is_same_v<T, long long> || std::is_same_v<T, float> ||
    std::is_same_v<T, double> || std::is_same_v<T, Timestamp> || std::is_same_v<T, Date> || kIsDecimal<T>;
template <class T>
concept Viewlike = std::is_same_v<T, Text> || std::is_same_v<T, Bytes>;
template <class T>
concept Scalar = Plain<T> || Viewlike<T> || std::is_same_v<T, bool> || std::is_same_v<T, std::string>;

// Counts the members of an aggregate, to see that the table has them all.
struct Anything {
  template <class T>
  constexpr operator T() const;
};
template <std::size_t>
using AnythingAt = Anything;
template <class R, class... A>
concept MadeOf = requires(A... a) {
  R{a...};
};
template <class R, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return MadeOf<R, AnythingAt<I>...>;
}
template <class R>
constexpr bool every_member_has_a_row() {
  constexpr std::size_t rows = decltype(kFieldsOf<R>)::kSize;
  if constexpr (!std::is_aggregate_v<R>) {
    return true;
  } else {
    return !takes<R>(std::make_index_sequence<rows + 1>{});
  }
}

template <class M>
struct MemberOf;
template <class R, class M>
struct MemberOf<Field<R, M>> {
  using Type = M;
};

// Shape<T>: the columns of a stream's element, whatever kind of type it is.
template <class T>
struct Shape {
  static_assert(Scalar<T> || kIsOptional<T> || kIsList<T> || kIsVector<T> || HasFields<T>,
                "drey: this type cannot be an element of a stream or a member of a record. Give the struct a "
                "table (DREY_FIELDS or fields()), or use bool, std::int8_t..int64_t, float, double, "
                "drey::Decimal, Timestamp, Date, Text, Bytes, std::string, List, std::vector, std::optional "
                "of these");
  static constexpr std::size_t kColumns = 1;
  static constexpr bool kIsRecord = false;
  template <std::size_t>
  using Column = T;
  static constexpr const char* name(std::size_t) { return "value"; }
  template <std::size_t, class V>
  static constexpr auto& get(V& v) {
    return v;
  }
};
template <HasFields T>
struct Shape<T> {
  using Rows = std::remove_const_t<decltype(kFieldsOf<T>)>;
  static_assert(every_member_has_a_row<T>(), "drey: a member of this record is missing in its table of fields");
  static_assert(std::is_default_constructible_v<T>, "drey: a record must be default-constructible");
  static constexpr std::size_t kColumns = Rows::kSize;
  static constexpr bool kIsRecord = true;
  static_assert(kColumns > 0, "drey: a record needs at least one column");
  template <std::size_t I>
  using Column = typename MemberOf<std::remove_cvref_t<decltype(row_at<I>(kFieldsOf<T>))>>::Type;
  static constexpr const char* name(std::size_t at) { return names(std::make_index_sequence<kColumns>(), at); }
  template <std::size_t I, class V>
  static constexpr auto& get(V& v) {
    constexpr auto member = row_at<I>(kFieldsOf<T>).member;
    return v.*member;
  }

 private:
  template <std::size_t... I>
  static constexpr const char* names(std::index_sequence<I...>, std::size_t at) {
    const char* all[] = {row_at<I>(kFieldsOf<T>).name...};
    return all[at];
  }
};
template <class T>
requires kIsTuple<T>
struct Shape<T> {
  static constexpr std::size_t kColumns = std::tuple_size_v<T>;
  static constexpr bool kIsRecord = true;
  template <std::size_t I>
  using Column = std::tuple_element_t<I, T>;
  static constexpr const char* name(std::size_t at) {
    constexpr const char* names[] = {"f0", "f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",
                                     "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15"};
    return names[at];
  }
  template <std::size_t I, class V>
  static constexpr auto& get(V& v) {
    return std::get<I>(v);
  }
};

template <class T, class F>
[[gnu::always_inline]] constexpr void for_columns(F&& f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { (f(std::integral_constant<std::size_t, I>{}), ...); }
  (std::make_index_sequence<Shape<T>::kColumns>{});
}

// --- Schemas: static storage, made at first use ---
//
// Hidden, so that two jobs in one process never share a table.

template <class T>
struct DREY_HIDDEN_ SchemaOf;

template <class T>
constexpr const char* plain_format() {
  if constexpr (std::is_same_v<T, bool>)
    return "b";
  else if constexpr (std::is_same_v<T, std::int8_t>)
    return "c";
  else if constexpr (std::is_same_v<T, std::int16_t>)
    return "s";
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return "i";
  else if constexpr (std::is_same_v<T, float>)
    return "f";
  else if constexpr (std::is_same_v<T, double>)
    return "g";
  else if constexpr (std::is_same_v<T, Timestamp>)
    return "tsm:UTC";
  else if constexpr (std::is_same_v<T, Date>)
    return "tdD";
  else if constexpr (std::is_same_v<T, Text> || std::is_same_v<T, std::string>)
    return "vu";
  else if constexpr (std::is_same_v<T, Bytes>)
    return "vz";
  else
    return "l";
}

// A column: its schema node under a given name.
template <class M>
struct DREY_HIDDEN_ ColumnSchema {
  ArrowSchema node{};
  explicit ColumnSchema(const char* name, bool nullable = false) {
    node.name = name;
    node.flags = nullable ? ARROW_FLAG_NULLABLE : 0;
    if constexpr (kIsDecimal<M>) {
      static char format[24];
      std::snprintf(format, sizeof format, "d:%d,%d", M::precision, M::scale);
      node.format = format;
    } else if constexpr (kIsList<M> || kIsVector<M>) {
      static ColumnSchema<typename M::value_type> item("item");
      static ArrowSchema* children[] = {&item.node};
      node.format = "+l";
      node.n_children = 1;
      node.children = children;
    } else if constexpr (Shape<M>::kIsRecord) {
      node.format = "+s";
      node.n_children = static_cast<std::int64_t>(Shape<M>::kColumns);
      node.children = SchemaOf<M>::children();
    } else {
      static_assert(Scalar<M>, "drey: unsupported member type");
      node.format = plain_format<M>();
    }
  }
};
template <class M>
struct DREY_HIDDEN_ ColumnSchema<std::optional<M>> : ColumnSchema<M> {
  explicit ColumnSchema(const char* name) : ColumnSchema<M>(name, true) {}
};

template <class T>
struct DREY_HIDDEN_ SchemaOf {
  template <std::size_t... I>
  static ArrowSchema** make(std::index_sequence<I...>) {
    static std::tuple<ColumnSchema<typename Shape<T>::template Column<I>>...> columns{
        ColumnSchema<typename Shape<T>::template Column<I>>(Shape<T>::name(I))...};
    static ArrowSchema* nodes[] = {&std::get<I>(columns).node...};
    return nodes;
  }
  static ArrowSchema** children() { return make(std::make_index_sequence<Shape<T>::kColumns>{}); }
  static const ArrowSchema* get() {
    static ArrowSchema root = [] {
      ArrowSchema s{};
      s.format = "+s";
      s.name = "";
      s.n_children = static_cast<std::int64_t>(Shape<T>::kColumns);
      s.children = children();
      return s;
    }();
    return &root;
  }
};

}  // namespace detail

// The Arrow schema ("+s") of a stream of T. Static storage.
template <class T>
const ArrowSchema* schema_of() {
  return detail::SchemaOf<T>::get();
}

}  // namespace api
}  // namespace drey

// DREY_FIELDS(Record, a, b, c): the table of a record whose columns are called like its members, at most 256.
#define DREY_FIELDS(R, ...) \
  static constexpr auto fields() { return ::drey::Fields{DREY_EACH_FIELD_(R, __VA_ARGS__)}; }
#define DREY_EACH_FIELD_(R, ...) __VA_OPT__(DREY_FIELD_256_(R, __VA_ARGS__))
#include "drey/each_field.h"
