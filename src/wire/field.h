// Field tables: a message is a plain struct plus one static table of its members; JSON, binary, schema and
// documentation derive from it.
//
//   struct Trigger {
//     bool cancel_job = false;
//     std::string target;
//     static constexpr auto fields() {
//       using M = Trigger;
//       return Fields{field("cancel-job", &M::cancel_job, "Stop the job afterwards."),
//                     field("target-directory", &M::target, "Where to write.").in(kV2)};
//     }
//   };
//   static_assert(EveryMemberHasARow<Trigger>);
//
// Wire names are data, never derived from member names: Flink's are irregular. fields() is a function so that
// a message may contain itself through a vector.
//
// Build time: whatever walks a table turns it once into an array of plain rows (offset, functions of the member's
// type) and works on that array in a .cc. What a walk does in templates is paid for each member of each message in each
// file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
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

namespace detail {
template <std::size_t, typename Row>
struct FieldAt {
  Row row;
};
template <typename Indices, typename... Row>
struct FieldsOf;
template <std::size_t... I, typename... Row>
struct FieldsOf<std::index_sequence<I...>, Row...> : FieldAt<I, Row>... {};
}  // namespace detail

// The rows of a table: Fields{field(...), field(...)}. Not a std::tuple, which makes files that see many tables several
// times as slow to compile.
template <typename... Row>
struct Fields : detail::FieldsOf<std::make_index_sequence<sizeof...(Row)>, Row...> {
  static constexpr std::size_t kSize = sizeof...(Row);
  constexpr Fields(const Row&... rows)  // NOLINT(google-explicit-constructor)
      : detail::FieldsOf<std::make_index_sequence<kSize>, Row...>{{rows}...} {}
  // What use(row, row, ...) gives.
  template <typename Use>
  constexpr auto apply(Use&& use) const {
    return apply_at(use, std::make_index_sequence<kSize>());
  }

 private:
  template <typename Use, std::size_t... I>
  constexpr auto apply_at(Use& use, std::index_sequence<I...>) const {
    return use(static_cast<const detail::FieldAt<I, Row>&>(*this).row...);
  }
};

template <typename M>
concept HasFields = requires {
  decltype(M::fields())::kSize;
};

// Calls visit(row) for each row in order.
template <HasFields M, typename Visit>
constexpr void for_each_field(Visit&& visit) {
  M::fields().apply([&](const auto&... rows) { (visit(rows), ...); });
}

// Bytes from the start of an object to its member: what a pointer to a data member is in the Itanium C++ ABI, which
// Linux uses on all its machines.
template <typename Class, typename Member>
std::size_t offset_of(Member Class::*member) {
  static_assert(sizeof(member) == sizeof(std::size_t));
  return __builtin_bit_cast(std::size_t, member);
}

namespace detail {
// Whether M{{}, {}, ...} compiles with so many braces: whether M has at least so many members.
template <typename M, std::size_t>
inline constexpr bool kTakesBraces = false;
// clang-format off
template <typename M> inline constexpr bool kTakesBraces<M, 0> = true;
template <typename M> inline constexpr bool kTakesBraces<M, 1> = requires { M{{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 2> = requires { M{{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 3> = requires { M{{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 4> = requires { M{{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 5> = requires { M{{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 6> = requires { M{{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 7> = requires { M{{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 8> = requires { M{{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 9> = requires { M{{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 10> = requires { M{{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 11> = requires { M{{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 12> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 13> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 14> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 15> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 16> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 17> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 18> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 19> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 20> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 21> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 22> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 23> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 24> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 25> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 26> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 27> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 28> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 29> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 30> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 31> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 32> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 33> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 34> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 35> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 36> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 37> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 38> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 39> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 40> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
template <typename M> inline constexpr bool kTakesBraces<M, 41> = requires { M{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; };
// clang-format on
}  // namespace detail

// Whether M is an aggregate of exactly so many members, at most 40.
template <typename M, std::size_t members>
inline constexpr bool kHasMembers = detail::kTakesBraces<M, members> && !detail::kTakesBraces<M, members + 1>;

template <typename M>
inline constexpr bool EveryMemberHasARow = kHasMembers<M, decltype(M::fields())::kSize>;

}  // namespace drey::wire
