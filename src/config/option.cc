#include "config/option.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <utility>

namespace drey::config {
namespace {

constexpr std::string_view kInfinite = "infinite";

// How many letters differ; one when one is a part of the other, as `size` of `size_ms`.
std::size_t distance(std::string_view a, std::string_view b) {
  if (std::min(a.size(), b.size()) > 2 && (a.find(b) != a.npos || b.find(a) != b.npos)) return a == b ? 0 : 1;
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

constexpr std::array<std::pair<std::string_view, int>, 14> kUnits{{{"", 0},
                                                                   {"b", 0},
                                                                   {"bytes", 0},
                                                                   {"k", 10},
                                                                   {"kb", 10},
                                                                   {"kibibytes", 10},
                                                                   {"m", 20},
                                                                   {"mb", 20},
                                                                   {"mebibytes", 20},
                                                                   {"g", 30},
                                                                   {"gb", 30},
                                                                   {"gibibytes", 30},
                                                                   {"t", 40},
                                                                   {"tb", 40}}};

std::string parse(std::string_view text, bool& out) {
  const std::string word = lower(text);
  if (word != "true" && word != "false") return "true or false";
  out = word == "true";
  return "";
}

std::string parse(std::string_view text, std::int64_t& out) {
  if (lower(text) == kInfinite) {
    out = INT64_MAX;
    return "";
  }
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return text.empty() || at != end || error != std::errc() ? "a whole number" : "";
}

std::string parse(std::string_view text, double& out) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return text.empty() || at != end || error != std::errc() || !std::isfinite(out) ? "a number" : "";
}

std::string parse(std::string_view text, std::string& out) {
  out = text;
  return "";
}

std::string parse(std::string_view text, char& out) {
  if (text.size() != 1) return "one character";
  out = text[0];
  return "";
}

std::string parse(std::string_view text, Millis& out) {
  const auto value = parse_duration(text);
  if (!value || value->count() < 0) return "a duration like 10 s";
  out = std::chrono::duration_cast<Millis>(*value);
  return "";
}

std::string parse(std::string_view text, Bytes& out) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const char* at = std::from_chars(text.data(), end, value).ptr;
  std::string unit = lower(std::string_view(at, static_cast<std::size_t>(end - at)));
  std::erase(unit, ' ');
  const auto* found =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& known) { return known.first == unit; });
  if (at == text.data() || found == kUnits.end() || value > (UINT64_MAX >> found->second)) return "a size like 512m";
  out.count = value << found->second;
  return "";
}

std::string parse(std::string_view text, std::vector<std::string>& out) {
  out.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(",;", at), text.size());
    std::string_view part = text.substr(at, end - at);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) out.emplace_back(part);
    at = end + 1;
  }
  return "";
}

std::string show(bool value) { return value ? "true" : "false"; }
std::string show(std::int64_t value) { return value == INT64_MAX ? std::string(kInfinite) : fmt::format("{}", value); }
std::string show(double value) { return fmt::format("{}", value); }
std::string show(const std::string& value) { return value; }
std::string show(char value) { return {value}; }

std::string show(Millis value) {
  const std::int64_t ms = value.count();
  if (ms == 0) return "0";
  if (ms % 3'600'000 == 0) return fmt::format("{} h", ms / 3'600'000);
  if (ms % 60'000 == 0) return fmt::format("{} min", ms / 60'000);
  if (ms % 1000 == 0) return fmt::format("{} s", ms / 1000);
  return fmt::format("{} ms", ms);
}

std::string show(Bytes value) {
  constexpr std::array<std::string_view, 5> kNames{"", "k", "m", "g", "t"};
  std::size_t unit = 0;
  for (; value.count != 0 && value.count % 1024 == 0 && unit + 1 < kNames.size(); ++unit) value.count /= 1024;
  return fmt::format("{}{}", value.count, kNames[unit]);
}

std::string show(const std::vector<std::string>& value) { return fmt::format("{}", fmt::join(value, ",")); }

std::string show_bounds(std::int64_t least, std::int64_t most, bool milliseconds) {
  const auto text = [&](std::int64_t value) { return milliseconds ? show(Millis(value)) : show(value); };
  if (least == INT64_MIN) return "at most " + text(most);
  if (most == INT64_MAX) return "at least " + text(least);
  return fmt::format("within {}..{}", text(least), text(most));
}

// Whole numbers of fewer bits are read as 64.
template <typename M>
inline constexpr bool kIsWhole = std::is_integral_v<M> && !std::is_same_v<M, bool> && !std::is_same_v<M, char>;

template <typename M>
std::string show_member(const void* member) {
  const M& value = *static_cast<const M*>(member);
  if constexpr (kIsWhole<M>) {
    return show(static_cast<std::int64_t>(value));
  } else {
    return show(value);
  }
}

template <typename M>
std::string parse_member(std::string_view text, std::int64_t least, std::int64_t most, void* member) {
  std::conditional_t<kIsWhole<M>, std::int64_t, M> value{};
  if (std::string wanted = parse(text, value); !wanted.empty()) return wanted;
  if constexpr (kIsWhole<M>) {
    if (!std::in_range<M>(value)) return show_bounds(std::max<std::int64_t>(least, 0), most, false);
    if (value < least || value > most) return show_bounds(least, most, false);
  }
  if constexpr (std::is_same_v<M, Millis>) {
    if (value.count() < least || value.count() > most) return show_bounds(least, most, true);
  }
  if constexpr (std::is_same_v<M, double>) {
    if ((least != INT64_MIN && value < static_cast<double>(least)) ||
        (most != INT64_MAX && value > static_cast<double>(most)))
      return show_bounds(least, most, false);
  }
  *static_cast<M*>(member) = static_cast<M>(std::move(value));
  return "";
}

template <typename M>
std::string name() {
  if (std::is_same_v<M, bool>) return "boolean";
  if (std::is_same_v<M, double>) return "number";
  if (std::is_same_v<M, std::string>) return "text";
  if (std::is_same_v<M, char>) return "character";
  if (std::is_same_v<M, Millis>) return "duration";
  if (std::is_same_v<M, Bytes>) return "size";
  if (std::is_same_v<M, std::vector<std::string>>) return "list";
  return "whole number";
}

}  // namespace

namespace detail {

std::string enum_name(std::span<const EnumValue> values) {
  std::string names;
  for (const EnumValue& value : values) (names += names.empty() ? "" : ", ") += value.text;
  return names;
}

const EnumValue* find_enum(std::span<const EnumValue> values, std::string_view text) {
  const std::string word = lower(text);
  for (const EnumValue& value : values) {
    if (lower(value.text) == word) return &value;
  }
  return nullptr;
}

template <typename M>
const OptionType& plain_option_type() {
  static constexpr OptionType kType{std::is_same_v<M, Millis>, &name<M>, &show_member<M>, &parse_member<M>};
  return kType;
}
template const OptionType& plain_option_type<bool>();
template const OptionType& plain_option_type<char>();
template const OptionType& plain_option_type<std::int16_t>();
template const OptionType& plain_option_type<std::int32_t>();
template const OptionType& plain_option_type<std::int64_t>();
template const OptionType& plain_option_type<std::uint16_t>();
template const OptionType& plain_option_type<std::uint32_t>();
template const OptionType& plain_option_type<std::uint64_t>();
template const OptionType& plain_option_type<double>();
template const OptionType& plain_option_type<std::string>();
template const OptionType& plain_option_type<Millis>();
template const OptionType& plain_option_type<Bytes>();
template const OptionType& plain_option_type<std::vector<std::string>>();

}  // namespace detail

Status read_into(void* object, std::span<const Option> rows, const Values& values, const Values* origins) {
  for (const Option& row : rows) {
    const auto found = values.find(std::string(row.info.key));
    if (found == values.end()) {
      if (!row.info.is_required) continue;
      return fail(Code::kInvalidArgument, fmt::format("Option {} is required: {}", row.info.key, row.info.doc));
    }
    const auto& [key, value] = *found;
    const std::string wanted =
        row.type->parse(value, row.info.least, row.info.most, static_cast<char*>(object) + row.offset);
    if (wanted.empty()) continue;
    std::string from;
    if (origins != nullptr) {
      if (const auto origin = origins->find(key); origin != origins->end()) from = ", from " + origin->second;
    }
    return fail(Code::kInvalidArgument, fmt::format("Option {} must be {}: value={}{}", key, wanted, value, from));
  }
  return ok();
}

OptionGroup describe(std::string_view title, std::span<const Option> rows, const void* defaults) {
  OptionGroup group{std::string(title), {}};
  for (const Option& row : rows) {
    const OptionInfo& info = row.info;
    OptionText text;
    text.key = info.key;
    text.old_key = info.old_key;
    text.type = row.type->name();
    text.fallback = info.shown_default.empty() ? row.type->show(static_cast<const char*>(defaults) + row.offset)
                                               : std::string(info.shown_default);
    if (info.least != INT64_MIN || info.most != INT64_MAX) {
      text.bounds = show_bounds(info.least, info.most, row.type->milliseconds);
    }
    text.doc = info.doc;
    text.is_required = info.is_required;
    text.is_per_job = info.is_per_job;
    group.options.push_back(std::move(text));
  }
  return group;
}

Status check_keys(std::span<const Option> rows, const Values& values) {
  std::vector<std::string_view> known;
  for (const Option& row : rows) known.push_back(row.info.key);
  for (const auto& [key, value] : values) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (known.empty()) return fail(Code::kInvalidArgument, fmt::format("Unknown option {}: there are none", key));
    return fail(Code::kInvalidArgument, fmt::format("Unknown option {}; did you mean {}?", key, nearest(key, known)));
  }
  return {};
}

std::string_view nearest(std::string_view key, const std::vector<std::string_view>& known) {
  // An option that begins with the key is meant more probably than one of few other letters: "size", "size_ms".
  const auto rank = [&](std::string_view name) {
    return std::pair(key.empty() || !name.starts_with(key), distance(key, name));
  };
  const auto found = std::min_element(known.begin(), known.end(),
                                      [&](std::string_view a, std::string_view b) { return rank(a) < rank(b); });
  return found == known.end() ? std::string_view() : *found;
}

std::string current_name(std::string_view key, const std::vector<OptionGroup>& known) {
  for (const OptionGroup& group : known) {
    for (const OptionText& option : group.options) {
      if (!option.old_key.empty() && option.old_key == key) return option.key;
    }
  }
  return std::string(key);
}

Values with_current_names(const Values& values, const std::vector<OptionGroup>& known) {
  Values out;
  for (const auto& [key, value] : values) {
    std::string name = current_name(key, known);
    if (name == key) {
      out[key] = value;
    } else {
      out.emplace(std::move(name), value);
    }
  }
  return out;
}

Values per_job(const Values& values, const std::vector<OptionGroup>& known) {
  Values out;
  for (const OptionGroup& group : known) {
    for (const OptionText& option : group.options) {
      const auto found = values.find(option.key);
      if (option.is_per_job && found != values.end()) out.insert(*found);
    }
  }
  return out;
}

}  // namespace drey::config
