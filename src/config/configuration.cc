#include "config/configuration.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace drey::config {
namespace {

// How many letters differ.
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

void flatten(const YAML::Node& node, const std::string& prefix, Values& out) {
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

Values lines_of(std::string_view text) {
  Values values;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (const auto equals = line.find('='); equals != std::string_view::npos) {
      values[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
    at = end + 1;
  }
  return values;
}

std::string cell(const std::string& text) { return text.empty() ? "" : fmt::format("`{}`", text); }

}  // namespace

Result<Configuration> load(const Sources& sources) {
  Configuration configuration;
  const auto take = [&](const Values& entries, const std::string& origin) {
    for (const auto& [key, value] : entries) {
      configuration.values[key] = value;
      configuration.origins[key] = origin;
    }
  };
  Values file;
  try {
    flatten(YAML::Load(sources.file), "", file);
  } catch (const YAML::Exception& problem) {
    return fail(Code::kInvalidArgument,
                fmt::format("The configuration file is not YAML: path={}, {}", sources.file_name, problem.what()));
  }
  take(file, sources.file_name);
  take(lines_of(sources.environment), "environment");
  take(sources.command_line, "command line");
  return configuration;
}

std::vector<std::string> unknown_keys(const Configuration& configuration, const std::vector<OptionGroup>& known) {
  std::vector<std::string_view> keys;
  for (const OptionGroup& group : known) {
    for (const OptionText& option : group.options) {
      keys.push_back(option.key);
      if (!option.old_key.empty()) keys.push_back(option.old_key);
    }
  }
  std::vector<std::string> warnings;
  for (const auto& [key, value] : configuration.values) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const auto nearest = std::min_element(keys.begin(), keys.end(),
                                          [wanted = std::string_view(key)](std::string_view a, std::string_view b) {
                                            return distance(wanted, a) < distance(wanted, b);
                                          });
    const auto origin = configuration.origins.find(key);
    warnings.push_back(fmt::format("unknown option {} (from {}) has no effect; did you mean {}?", key,
                                   origin == configuration.origins.end() ? "?" : origin->second,
                                   nearest == keys.end() ? "?" : *nearest));
  }
  return warnings;
}

bool is_secret(std::string_view key) {
  std::string word(key);
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 7> kWords{"password", "secret",      "api-key",    "apikey",
                                                   "token",    "account.key", "auth-params"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view part) { return word.find(part) != std::string::npos; });
}

std::string list(const Configuration& configuration, const std::vector<OptionGroup>& known) {
  std::string out;
  Values rest = configuration.values;
  const auto line = [&](const std::string& key, const std::string& value, const std::string& origin) {
    out += fmt::format("{} = {}  ({})\n", key, is_secret(key) ? "******" : value, origin);
  };
  for (const OptionGroup& group : known) {
    for (const OptionText& option : group.options) {
      auto found = configuration.values.find(option.key);
      if (found == configuration.values.end() && !option.old_key.empty())
        found = configuration.values.find(option.old_key);
      rest.erase(option.key);
      rest.erase(option.old_key);
      if (found == configuration.values.end()) {
        line(option.key, option.fallback, "default");
      } else {
        line(option.key, found->second, configuration.origins.at(found->first));
      }
    }
  }
  for (const auto& [key, value] : rest) line(key, value, configuration.origins.at(key) + ", unknown");
  return out;
}

std::string reference(const std::vector<OptionGroup>& known) {
  std::string out =
      "# Configuration\n\n"
      "Generated by `drey config --reference` from the option tables in the code; a test compares "
      "it.\n\n"
      "Values come from the command line (`-Dkey=value`), the environment (`DREY_PROPERTIES`, "
      "lines of `key=value`), the file\n"
      "(`--config`, YAML, nested or flat keys) and the defaults, in this order. `drey config` "
      "shows each value and where it\n"
      "comes from. Durations: `10 s`, `500 ms`, `1 min`, `PT1S`. Sizes: `512m`, `1 gb`, plain "
      "bytes.\n";
  for (const OptionGroup& group : known) {
    out += fmt::format("\n## {}\n\n| key | default | what | values |\n|---|---|---|---|\n", group.title);
    for (const OptionText& option : group.options) {
      std::string values = option.type;
      if (!option.bounds.empty()) values += ", " + option.bounds;
      std::string doc = option.doc;
      if (!option.old_key.empty()) doc += fmt::format(" Formerly `{}`.", option.old_key);
      out += fmt::format("| `{}` | {} | {} | {} |\n", option.key, cell(option.fallback), doc, values);
    }
  }
  return out;
}

}  // namespace drey::config
