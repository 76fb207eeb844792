#include <algorithm>

#include "commands.h"
#include "env/env.h"

namespace drey::apps {

Arguments parse_arguments(int argc, char** argv, const std::vector<std::string>& with_value,
                          const std::vector<std::string>& flags, bool stops_at_word) {
  Arguments out;
  // Long name of an option, and whether it takes a value.
  const auto find = [&](const std::string& word, bool& takes_value) -> std::string {
    for (const auto* list : {&with_value, &flags}) {
      for (const std::string& entry : *list) {
        const auto equals = entry.find('=');
        std::string name = equals == std::string::npos ? entry : entry.substr(equals + 1);
        if (word != name && (equals == std::string::npos || word != entry.substr(0, equals))) continue;
        takes_value = list == &with_value;
        return name;
      }
    }
    return "";
  };
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    if (stops_at_word && !out.rest.empty()) {
      out.rest.push_back(word);
      continue;
    }
    if (word.starts_with("-D") && word.find('=') != std::string::npos) {
      const auto equals = word.find('=');
      out.properties[word.substr(2, equals - 2)] = word.substr(equals + 1);
      continue;
    }
    if (!word.starts_with("-") || word == "-") {
      out.rest.push_back(word);
      continue;
    }
    const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    bool takes_value = false;
    const std::string name = find(word.substr(0, equals), takes_value);
    if (name.empty()) {
      out.unknown = word;
      return out;
    }
    if (!takes_value) {
      out.options[name] = "true";
    } else if (equals != std::string::npos) {
      out.options[name] = word.substr(equals + 1);
    } else if (i + 1 < argc) {
      out.options[name] = argv[++i];
    } else {
      out.unknown = word + " (it needs a value)";
      return out;
    }
  }
  return out;
}

std::string default_directory() {
  std::string base = env::environment_variable("XDG_STATE_HOME");
  if (base.empty()) base = env::environment_variable("HOME") + "/.local/state";
  return base + "/drey";
}

}  // namespace drey::apps
