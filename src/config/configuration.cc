#include "config/configuration.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "env/env.h"

namespace drey::config {
namespace {

// Options that Drey reads; prefixes end in '.'.
constexpr std::array kKnown{
    "drey.flink-revision", "drey.flink-version", "drey.program.timeout", "drey.taskmanagers", "execution.", "heartbeat.interval",
    "heartbeat.timeout", "jobmanager.rpc.port", "parallelism.default", "pipeline.", "rest.address", "rest.allowed-hosts", "rest.bind-address",
    "rest.port", "restart-strategy.", "slot.request.timeout", "taskmanager.memory.managed.size", "taskmanager.numberOfTaskSlots",
    "web.access-control-allow-origin", "web.refresh-interval"};

std::size_t distance(std::string_view a, std::string_view b) {
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

void flatten(const YAML::Node& node, const std::string& prefix, std::map<std::string, std::string>& out) {
  if (node.IsMap()) {
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      flatten(entry.second, prefix.empty() ? key : prefix + "." + key, out);
    }
  } else if (node.IsSequence()) {
    std::string joined;
    for (const auto& element : node) joined += (joined.empty() ? "" : ";") + element.as<std::string>();
    out[prefix] = joined;
  } else if (node.IsScalar()) {
    out[prefix] = node.as<std::string>();
  }
}

}  // namespace

std::string Configuration::get(const std::string& key, const std::string& fallback) const {
  const auto found = values.find(key);
  return found == values.end() ? fallback : found->second;
}

Result<std::int64_t> Configuration::whole(const std::string& key, std::int64_t fallback) const {
  const auto found = values.find(key);
  if (found == values.end()) return fallback;
  std::int64_t value = 0;
  const char* end = found->second.data() + found->second.size();
  if (found->second.empty() || std::from_chars(found->second.data(), end, value).ptr != end) {
    return fail(Code::kInvalidArgument, fmt::format("Option {} is not a whole number: value={}, from {}", key, found->second, origins.at(key)));
  }
  return value;
}

Result<Millis> Configuration::duration(const std::string& key, Millis fallback) const {
  const auto found = values.find(key);
  if (found == values.end()) return fallback;
  const auto value = parse_duration(found->second);
  if (!value || value->count() < 0) {
    return fail(Code::kInvalidArgument, fmt::format("Option {} is not a duration like 10 s: value={}, from {}", key, found->second, origins.at(key)));
  }
  return std::chrono::duration_cast<Millis>(*value);
}

Result<std::uint64_t> Configuration::bytes(const std::string& key, std::uint64_t fallback) const {
  const auto found = values.find(key);
  if (found == values.end()) return fallback;
  std::uint64_t value = 0;
  const char* begin = found->second.data();
  const char* end = begin + found->second.size();
  const char* at = std::from_chars(begin, end, value).ptr;
  std::string unit(at, end);
  std::erase(unit, ' ');
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::map<std::string, int> shifts{{"", 0}, {"b", 0}, {"bytes", 0}, {"k", 10}, {"kb", 10}, {"kibibytes", 10}, {"m", 20}, {"mb", 20},
                                          {"mebibytes", 20}, {"g", 30}, {"gb", 30}, {"gibibytes", 30}, {"t", 40}, {"tb", 40}};
  if (at == begin || !shifts.contains(unit) || value > (UINT64_MAX >> shifts.at(unit))) {
    return fail(Code::kInvalidArgument, fmt::format("Option {} is not a size like 512m: value={}, from {}", key, found->second, origins.at(key)));
  }
  return value << shifts.at(unit);
}

Result<Configuration> load(env::FileSystem& files, const std::string& path, const std::map<std::string, std::string>& command_line) {
  Configuration configuration;
  const auto take = [&](const std::map<std::string, std::string>& entries, const std::string& origin) {
    for (const auto& [key, value] : entries) {
      configuration.values[key] = value;
      configuration.origins[key] = origin;
    }
  };
  if (!path.empty()) {
    DREY_TRY_ASSIGN(const std::string text, files.read_all(path));
    std::map<std::string, std::string> entries;
    try {
      flatten(YAML::Load(text), "", entries);
    } catch (const YAML::Exception& problem) {
      return fail(Code::kInvalidArgument, fmt::format("The configuration file is not YAML: path={}, {}", path, problem.what()));
    }
    take(entries, path);
  }
  std::map<std::string, std::string> environment;
  const std::string properties = env::environment_variable("DREY_PROPERTIES");
  for (std::size_t at = 0; at < properties.size();) {
    const auto end = std::min(properties.find('\n', at), properties.size());
    const std::string line = properties.substr(at, end - at);
    if (const auto equals = line.find('='); equals != std::string::npos) environment[line.substr(0, equals)] = line.substr(equals + 1);
    at = end + 1;
  }
  take(environment, "environment");
  take(command_line, "command line");
  for (const auto& [key, value] : configuration.values) {
    const bool known = std::any_of(kKnown.begin(), kKnown.end(), [&](std::string_view k) {
      return k.ends_with('.') ? key.starts_with(k) : key == k;
    });
    if (known) continue;
    std::string_view nearest = kKnown[0];
    for (const std::string_view candidate : kKnown) {
      if (distance(key, candidate) < distance(key, nearest)) nearest = candidate;
    }
    configuration.warnings.push_back(fmt::format("unknown option {} (from {}); did you mean {}?", key, configuration.origins[key], nearest));
  }
  return configuration;
}

}  // namespace drey::config
