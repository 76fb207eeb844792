// Options: a struct's members with their defaults, and one row a member: Flink's key, what it
// means, its bounds, its older names. Parsing, bounds, the reference page and the hints for unknown
// keys derive from the rows; code reads members.
//
//   struct HeartbeatOptions {
//     Millis interval{1000};
//     static constexpr std::string_view kTitle = "Heartbeats";
//     static constexpr auto options() {
//       using M = HeartbeatOptions;
//       return std::tuple{option("heartbeat.interval", &M::interval, "Time between two
//       heartbeats.").at_least(1)};
//     }
//   };
//   static_assert(EveryMemberIsAnOption<HeartbeatOptions>);
//
// Members: bool, integers, double, std::string, Millis, Bytes, enums with a table,
// std::vector<std::string> (separated by
// ',' or ';'), std::optional of those (empty: the default is worked out; say how with defaults_to).
// Threading: values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
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

template <typename Class, typename Member>
struct OptionRow {
  std::string_view key;
  Member Class::*member;
  std::string_view doc;
  std::string_view old_key = {};        // read when `key` is not set
  std::string_view shown_default = {};  // in place of the member's own
  std::int64_t least = INT64_MIN;       // of numbers; durations in ms
  std::int64_t most = INT64_MAX;

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
  return {key, member, doc};
}

template <typename T>
concept HasOptions = requires {
  std::tuple_size<decltype(T::options())>::value;
  std::string_view(T::kTitle);
};
template <typename T>
inline constexpr bool EveryMemberIsAnOption = std::tuple_size_v<decltype(T::options())> == wire::kArity<T>;

using Values = std::map<std::string, std::string>;

// An option as text, for hints, the reference page and `drey config`.
struct OptionText {
  std::string key;
  std::string old_key;
  std::string type;
  std::string fallback;
  std::string bounds;
  std::string doc;
};
struct OptionGroup {
  std::string title;
  std::vector<OptionText> options;
};

namespace detail {

// What a text must be, when it is not; empty when `out` was set.
std::string parse(std::string_view text, bool& out);
std::string parse(std::string_view text, std::int64_t& out);
std::string parse(std::string_view text, double& out);
std::string parse(std::string_view text, std::string& out);
std::string parse(std::string_view text, Millis& out);
std::string parse(std::string_view text, Bytes& out);
std::string parse(std::string_view text, std::vector<std::string>& out);
// The row of an enum table that the text names, without regard to case and with '-' for '_'; -1:
// none.
int find_name(std::string_view text, const std::vector<std::string_view>& names);
std::string one_of(const std::vector<std::string_view>& names);

std::string show(bool value);
std::string show(std::int64_t value);
std::string show(double value);
std::string show(const std::string& value);
std::string show(Millis value);
std::string show(Bytes value);
std::string show(const std::vector<std::string>& value);
std::string show_bounds(std::int64_t least, std::int64_t most, bool milliseconds);

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
inline constexpr bool is_whole = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <HasEnumTable E>
std::vector<std::string_view> names_of() {
  std::vector<std::string_view> names;
  for (const auto& row : enum_table(E{})) names.push_back(row.text);
  return names;
}

template <typename M>
std::string type_of() {
  if constexpr (is_optional<M>) {
    return type_of<typename M::value_type>();
  } else if constexpr (std::is_same_v<M, bool>) {
    return "boolean";
  } else if constexpr (is_whole<M>) {
    return "whole number";
  } else if constexpr (std::is_same_v<M, double>) {
    return "number";
  } else if constexpr (std::is_same_v<M, Millis>) {
    return "duration";
  } else if constexpr (std::is_same_v<M, Bytes>) {
    return "size";
  } else if constexpr (std::is_same_v<M, std::vector<std::string>>) {
    return "list";
  } else if constexpr (std::is_enum_v<M>) {
    return one_of(names_of<M>());
  } else {
    static_assert(std::is_same_v<M, std::string>);
    return "text";
  }
}

template <typename M>
std::string show_value(const M& value) {
  if constexpr (is_optional<M>) {
    return value ? show_value(*value) : "";
  } else if constexpr (is_whole<M>) {
    return show(static_cast<std::int64_t>(value));
  } else if constexpr (std::is_enum_v<M>) {
    return std::string(to_text(value));
  } else {
    return show(value);
  }
}

// What the text must be, when it is not; empty when `out` was set.
template <typename M>
std::string parse_value(std::string_view text, std::int64_t least, std::int64_t most, M& out) {
  const auto bounded = [&](std::int64_t value, bool milliseconds) {
    return value >= least && value <= most ? "" : show_bounds(least, most, milliseconds);
  };
  if constexpr (is_optional<M>) {
    typename M::value_type value{};
    std::string wanted = parse_value(text, least, most, value);
    if (wanted.empty()) out = std::move(value);
    return wanted;
  } else if constexpr (is_whole<M>) {
    std::int64_t value = 0;
    if (std::string wanted = parse(text, value); !wanted.empty()) return wanted;
    if (!std::in_range<M>(value)) return show_bounds(std::max<std::int64_t>(least, 0), most, false);
    if (std::string wanted = bounded(value, false); !wanted.empty()) return wanted;
    out = static_cast<M>(value);
    return "";
  } else if constexpr (std::is_enum_v<M>) {
    const int found = find_name(text, names_of<M>());
    if (found < 0) return "one of " + one_of(names_of<M>());
    out = enum_table(M{})[static_cast<std::size_t>(found)].value;
    return "";
  } else {
    M value{};
    if (std::string wanted = parse(text, value); !wanted.empty()) return wanted;
    if constexpr (std::is_same_v<M, Millis>) {
      if (std::string wanted = bounded(value.count(), true); !wanted.empty()) return wanted;
    }
    if constexpr (std::is_same_v<M, double>) {
      if (value < static_cast<double>(least) || value > static_cast<double>(most))
        return show_bounds(least, most, false);
    }
    out = std::move(value);
    return "";
  }
}

Status refused(std::string_view key, const std::string& value, const std::string& wanted, const Values* origins);

}  // namespace detail

// The options that `values` sets, the defaults for the rest. `origins` (key -> where its value
// comes from) is for messages. FAILS WITH: kInvalidArgument naming key, value, what it must be and
// its origin.
template <HasOptions T>
Result<T> read(const Values& values, const Values* origins = nullptr) {
  T out;
  Status status;
  const auto take = [&](const auto& row) {
    if (!status.ok()) return;
    auto found = values.find(std::string(row.key));
    if (found == values.end() && !row.old_key.empty()) found = values.find(std::string(row.old_key));
    if (found == values.end()) return;
    const std::string wanted = detail::parse_value(found->second, row.least, row.most, out.*row.member);
    if (!wanted.empty()) status = detail::refused(found->first, found->second, wanted, origins);
  };
  std::apply([&](const auto&... rows) { (take(rows), ...); }, T::options());
  if (!status.ok()) return status;
  return out;
}

template <HasOptions T>
OptionGroup describe() {
  OptionGroup group{std::string(T::kTitle), {}};
  const T defaults;
  const auto add = [&](const auto& row) {
    using M = std::remove_cvref_t<decltype(defaults.*row.member)>;
    OptionText text;
    text.key = row.key;
    text.old_key = row.old_key;
    text.type = detail::type_of<M>();
    text.fallback =
        row.shown_default.empty() ? detail::show_value(defaults.*row.member) : std::string(row.shown_default);
    if (row.least != INT64_MIN || row.most != INT64_MAX) {
      text.bounds = detail::show_bounds(row.least, row.most,
                                        std::is_same_v<M, Millis> || std::is_same_v<M, std::optional<Millis>>);
    }
    text.doc = row.doc;
    group.options.push_back(std::move(text));
  };
  std::apply([&](const auto&... rows) { (add(rows), ...); }, T::options());
  return group;
}

}  // namespace drey::config
