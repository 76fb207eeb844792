#include "operators/options.h"

#include <charconv>

#include <fmt/format.h>

namespace drey::operators {

bool Options::has(std::string_view key) const { return node_.options.contains(std::string(key)); }

std::string Options::text(std::string_view key, std::string_view fallback) const {
  const auto found = node_.options.find(std::string(key));
  return found == node_.options.end() ? std::string(fallback) : found->second;
}

Result<std::int64_t> Options::whole(std::string_view key, std::int64_t fallback) const {
  if (!has(key)) return fallback;
  const std::string value = text(key);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    return fail(Code::kInvalidArgument,
                fmt::format("Option '{}' of operator '{}' is not a whole number: value={}", key, node_.name, value));
  }
  return number;
}

bool Options::flag(std::string_view key, bool fallback) const { return has(key) ? text(key) == "true" : fallback; }

Result<std::string> Options::required(std::string_view key) const {
  if (!has(key)) {
    return fail(Code::kInvalidArgument, fmt::format("Operator '{}' lacks the option '{}'", node_.name, key));
  }
  return text(key);
}

}  // namespace drey::operators
