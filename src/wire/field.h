// Field tables: a message is a plain struct plus one static table of its members; JSON, binary, schema and
// documentation derive from it.
//
//   struct Trigger {
//     bool cancel_job = false;
//     std::string target;
//     static constexpr auto fields() {
//       using M = Trigger;
//       return std::tuple{field("cancel-job", &M::cancel_job, "Stop the job afterwards."),
//                         field("target-directory", &M::target, "Where to write.").in(kV2)};
//     }
//   };
//   static_assert(EveryMemberHasARow<Trigger>);
//
// Wire names are data, never derived from member names: Flink's are irregular. fields() is a function so that
// a message may contain itself through a vector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

namespace drey::wire {

// Dialects of the REST API, as bits; a row belongs to all unless .in() says otherwise.
using Eras = std::uint8_t;
inline constexpr Eras kV1 = 1;  // what 1.12 sends (and 1.11, less a few)
inline constexpr Eras kV2 = 2;  // what 2.x sends
inline constexpr Eras kAllEras = kV1 | kV2;

template <typename Class, typename Member>
struct FieldRow {
  std::string_view name;
  Member Class::*member;
  std::string_view doc;
  Eras eras = kAllEras;
  bool null_when_empty = false;  // an empty std::optional: true = "null", false = left out

  constexpr FieldRow in(Eras which) const {
    FieldRow row = *this;
    row.eras = which;
    return row;
  }
  constexpr FieldRow nullable() const {
    FieldRow row = *this;
    row.null_when_empty = true;
    return row;
  }
};

template <typename Class, typename Member>
constexpr FieldRow<Class, Member> field(std::string_view name, Member Class::*member, std::string_view doc = "") {
  return {name, member, doc};
}

template <typename M>
concept HasFields = requires {
  std::tuple_size<decltype(M::fields())>::value;
};

// Calls visit(row) for each row in order.
template <HasFields M, typename Visit>
constexpr void for_each_field(Visit&& visit) {
  std::apply([&](const auto&... rows) { (visit(rows), ...); }, M::fields());
}

namespace detail {
// Every member can be initialised by {}; one {} too many does not compile.
// clang-format off
template <typename M>
constexpr std::size_t arity() {
  if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 40;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 39;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 38;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 37;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 36;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 35;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 34;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 33;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 32;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 31;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 30;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 29;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 28;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 27;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 26;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 25;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 24;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 23;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 22;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 21;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 20;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 19;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 18;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 17;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 16;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 15;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 14;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 13;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 12;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{},{}}; }) return 11;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{},{}}; }) return 10;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{},{}}; }) return 9;
  else if constexpr (requires { M{{},{},{},{},{},{},{},{}}; }) return 8;
  else if constexpr (requires { M{{},{},{},{},{},{},{}}; }) return 7;
  else if constexpr (requires { M{{},{},{},{},{},{}}; }) return 6;
  else if constexpr (requires { M{{},{},{},{},{}}; }) return 5;
  else if constexpr (requires { M{{},{},{},{}}; }) return 4;
  else if constexpr (requires { M{{},{},{}}; }) return 3;
  else if constexpr (requires { M{{},{}}; }) return 2;
  else if constexpr (requires { M{{}}; }) return 1;
  else return 0;
}
// clang-format on
}  // namespace detail

// Members of an aggregate, at most 40.
template <typename M>
inline constexpr std::size_t kArity = detail::arity<M>();

template <typename M>
inline constexpr bool EveryMemberHasARow = std::tuple_size_v<decltype(M::fields())> == kArity<M>;

}  // namespace drey::wire
