#include "config/option.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace drey::config::detail {
namespace {

constexpr std::string_view kInfinite = "infinite";

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

}  // namespace

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
  return text.empty() || at != end || error != std::errc() ? "a number" : "";
}

std::string parse(std::string_view text, std::string& out) {
  out = text;
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

int find_name(std::string_view text, const std::vector<std::string_view>& names) {
  const std::string word = lower(text);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (lower(names[i]) == word) return static_cast<int>(i);
  }
  return -1;
}

std::string one_of(const std::vector<std::string_view>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

std::string show(bool value) { return value ? "true" : "false"; }
std::string show(std::int64_t value) { return value == INT64_MAX ? std::string(kInfinite) : fmt::format("{}", value); }
std::string show(double value) { return fmt::format("{}", value); }
std::string show(const std::string& value) { return value; }

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

Status refused(std::string_view key, const std::string& value, const std::string& wanted, const Values* origins) {
  std::string from;
  if (origins != nullptr) {
    if (const auto found = origins->find(std::string(key)); found != origins->end()) from = ", from " + found->second;
  }
  return fail(Code::kInvalidArgument, fmt::format("Option {} must be {}: value={}{}", key, wanted, value, from));
}

}  // namespace drey::config::detail
