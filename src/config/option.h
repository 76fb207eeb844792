// Options: a struct's members with their defaults, and one row a member: Flink's key, what it means, its bounds, its
// older names. Parsing, bounds, the reference page and the hints for unknown keys derive from the rows; code reads
// members.
//
//   struct HeartbeatOptions {
//     Millis interval{1000};
//     static constexpr std::string_view kTitle = "Heartbeats";
//     static constexpr auto options() {
//       using M = HeartbeatOptions;
//       return Options{option("heartbeat.interval", &M::interval, "Time between two heartbeats.").at_least(1)};
//     }
//   };
//   static_assert(EveryMemberIsAnOption<HeartbeatOptions>);
//
// What one row cannot say (two options that exclude each other) says `std::string problem() const`: a sentence, empty
// when there is none.
//
// Members: bool, char, integers, double, std::string, Millis, Bytes, enums with a table, std::vector<std::string>
// (separated by ',' or ';'), std::optional of those (empty: the default is computed; defaults_to() says how).
// Threading: values.
//
// Build time: rows_of<T>() turns the table into an array of plain rows; all that reads it is in option.cc.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/enums.h"
#include "base/status.h"
#include "base/time.h"
#include "wire/field.h"

namespace drey::config {

// A size in bytes: "512m", "1 gb", plain bytes.
struct Bytes {
  std::uint64_t count = 0;
  friend auto operator<=>(const Bytes&, const Bytes&) = default;
};

// What a row says of an option, whatever its type.
struct OptionInfo {
  std::string_view key;
  std::string_view doc;
  std::string_view old_key = {};        // with_current_names() makes `key` of it
  std::string_view shown_default = {};  // in place of the member's own
  std::int64_t least = INT64_MIN;       // of numbers; durations in ms
  std::int64_t most = INT64_MAX;
  bool is_required = false;  // read() fails without it
  bool is_per_job = false;   // a job may set it; else it has the cluster's value
};

template <typename Class, typename Member>
struct OptionRow : OptionInfo {
  Member Class::*member = nullptr;

  constexpr OptionRow required() const {
    OptionRow row = *this;
    row.is_required = true;
    return row;
  }
  constexpr OptionRow per_job() const {
    OptionRow row = *this;
    row.is_per_job = true;
    return row;
  }
  constexpr OptionRow between(std::int64_t from, std::int64_t to) const {
    OptionRow row = *this;
    row.least = from;
    row.most = to;
    return row;
  }
  constexpr OptionRow at_least(std::int64_t from) const { return between(from, INT64_MAX); }
  constexpr OptionRow renamed_from(std::string_view name) const {
    OptionRow row = *this;
    row.old_key = name;
    return row;
  }
  constexpr OptionRow defaults_to(std::string_view text) const {
    OptionRow row = *this;
    row.shown_default = text;
    return row;
  }
};

template <typename Class, typename Member>
constexpr OptionRow<Class, Member> option(std::string_view key, Member Class::*member, std::string_view doc) {
  return {{key, doc}, member};
}

// A member that has options of its own: its rows are the struct's, too.
template <typename Class, typename Member>
struct PartRow {
  Member Class::*member = nullptr;
};
template <typename Class, typename Member>
constexpr PartRow<Class, Member> part(Member Class::*member) {
  return {member};
}

// The rows of an options struct.
template <typename... Row>
struct Options : wire::Fields<Row...> {
  constexpr Options(const Row&... rows) : wire::Fields<Row...>(rows...) {}  // NOLINT(google-explicit-constructor)
};

template <typename T>
concept HasOptions = requires {
  decltype(T::options())::kSize;
};
template <typename T>
inline constexpr bool EveryMemberIsAnOption = wire::kHasMembers<T, decltype(T::options())::kSize>;

using Values = std::map<std::string, std::string>;

// An option as text, for hints, the reference page and `drey config`.
struct OptionText {
  std::string key;
  std::string old_key;
  std::string type;
  std::string fallback;
  std::string bounds;
  std::string doc;
  bool is_required = false;
  bool is_per_job = false;
};
struct OptionGroup {
  std::string title;
  std::vector<OptionText> options;
};

// What the type of a member brings.
struct OptionType {
  bool milliseconds;      // how bounds are shown
  std::string (*name)();  // "boolean", "duration", the values of an enum
  std::string (*show)(const void* member);
  // Sets the member and returns "", or returns what the text must be: "a whole number".
  std::string (*parse)(std::string_view text, std::int64_t least, std::int64_t most, void* member);
};

// A row with its member's place in the struct.
struct Option {
  OptionInfo info;
  std::size_t offset;
  const OptionType* type;
};

namespace detail {

struct EnumValue {
  std::string_view text;
  std::int64_t value;
};
std::string enum_name(std::span<const EnumValue> values);
// Null when no value is called so, without regard to case and with '-' for '_'.
const EnumValue* find_enum(std::span<const EnumValue> values, std::string_view text);

template <HasEnumTable E>
std::span<const EnumValue> enum_values() {
  static constexpr auto kValues = [] {
    constexpr auto kRows = enum_table(E{});
    std::array<EnumValue, kRows.size()> values{};
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = {kRows[i].text, static_cast<std::int64_t>(kRows[i].value)};
    return values;
  }();
  return kValues;
}

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Of all types but enums and optionals: defined in option.cc.
template <typename M>
const OptionType& plain_option_type();

template <typename M>
const OptionType& option_type();

template <HasEnumTable E>
std::string enum_type_name() {
  return enum_name(enum_values<E>());
}
template <HasEnumTable E>
std::string show_enum(const void* member) {
  return std::string(to_text(*static_cast<const E*>(member)));
}
template <HasEnumTable E>
std::string parse_enum(std::string_view text, std::int64_t, std::int64_t, void* member) {
  const EnumValue* found = find_enum(enum_values<E>(), text);
  if (found == nullptr) return "one of " + enum_type_name<E>();
  *static_cast<E*>(member) = static_cast<E>(found->value);
  return "";
}

template <typename M>
std::string show_optional(const void* member) {
  const auto& value = *static_cast<const std::optional<M>*>(member);
  return value ? option_type<M>().show(&*value) : "";
}
template <typename M>
std::string parse_optional(std::string_view text, std::int64_t least, std::int64_t most, void* member) {
  M value{};
  std::string wanted = option_type<M>().parse(text, least, most, &value);
  if (wanted.empty()) *static_cast<std::optional<M>*>(member) = std::move(value);
  return wanted;
}

template <typename M>
const OptionType& option_type() {
  if constexpr (is_optional<M>) {
    using Value = typename M::value_type;
    static const OptionType type{option_type<Value>().milliseconds, option_type<Value>().name, &show_optional<Value>,
                                 &parse_optional<Value>};
    return type;
  } else if constexpr (std::is_enum_v<M>) {
    static constexpr OptionType kType{false, &enum_type_name<M>, &show_enum<M>, &parse_enum<M>};
    return kType;
  } else {
    return plain_option_type<M>();
  }
}

}  // namespace detail

template <HasOptions T>
std::span<const Option> rows_of();

namespace detail {

template <typename Class, typename Member>
void add_rows(std::vector<Option>& out, const OptionRow<Class, Member>& row) {
  out.push_back({row, wire::offset_of(row.member), &option_type<Member>()});
}
template <typename Class, typename Member>
void add_rows(std::vector<Option>& out, const PartRow<Class, Member>& row) {
  for (Option inner : rows_of<Member>()) {
    inner.offset += wire::offset_of(row.member);
    out.push_back(inner);
  }
}

}  // namespace detail

// The options of a struct, in the order of its table.
template <HasOptions T>
std::span<const Option> rows_of() {
  static const std::vector<Option> rows = T::options().apply([](const auto&... row) {
    std::vector<Option> all;
    (detail::add_rows(all, row), ...);
    return all;
  });
  return rows;
}

// Sets the members of `object`, a struct with these rows, that `values` names.
Status read_into(void* object, std::span<const Option> rows, const Values& values, const Values* origins);
OptionGroup describe(std::string_view title, std::span<const Option> rows, const void* defaults);
// FAILS WITH: kInvalidArgument for a key that no row has, naming the nearest one.
Status check_keys(std::span<const Option> rows, const Values& values);
// The one of `known` that differs from `key` in the fewest letters; empty when there is none.
std::string_view nearest(std::string_view key, const std::vector<std::string_view>& known);

// The same values by the names of today: done once, where values come in. The name of today wins over an older one.
Values with_current_names(const Values& values, const std::vector<OptionGroup>& known);
// The name of today for an older one; any other key as it is.
std::string current_name(std::string_view key, const std::vector<OptionGroup>& known);
// Those of options that a job may set. REQUIRES: current names.
Values per_job(const Values& values, const std::vector<OptionGroup>& known);

namespace detail {

// What problem() of the struct or of one of its parts says.
template <HasOptions T>
std::string problem_of(const T& object) {
  std::string found;
  const auto look = [&]<typename Row>(const Row& row) {
    if constexpr (requires { row.member; } && !std::is_base_of_v<OptionInfo, Row>) {
      if (found.empty()) found = problem_of(object.*row.member);
    }
  };
  T::options().apply([&](const auto&... row) { (look(row), ...); });
  if constexpr (requires { std::string(object.problem()); }) {
    if (found.empty()) found = object.problem();
  }
  return found;
}

}  // namespace detail

// The options that `values` sets, the defaults for the rest. `origins` (key -> where its value comes from) is for
// messages. FAILS WITH: kInvalidArgument naming key, value, what it must be and its origin.
template <HasOptions T>
Result<T> read(const Values& values, const Values* origins = nullptr) {
  T out;
  if (Status status = read_into(&out, rows_of<T>(), values, origins); !status.ok()) return status;
  if (std::string problem = detail::problem_of(out); !problem.empty())
    return fail(Code::kInvalidArgument, std::move(problem));
  return out;
}

// As read(), where `values` has only options of T. FAILS WITH: as check_keys(), too.
template <HasOptions T>
Result<T> read_all(const Values& values) {
  if (Status status = check_keys(rows_of<T>(), values); !status.ok()) return status;
  return read<T>(values);
}

template <HasOptions T>
OptionGroup describe() {
  const T defaults;
  std::string_view title;
  if constexpr (requires { T::kTitle; }) title = T::kTitle;
  return describe(title, rows_of<T>(), &defaults);
}

}  // namespace drey::config
