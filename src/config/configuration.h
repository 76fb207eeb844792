// Configuration: option values by Flink's names, from a file, the environment and the command line,
// with where each came from.
//
// Precedence: command line, environment, file, default. Unknown keys are kept, with a warning that
// names the nearest known one. Threading: a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/option.h"

namespace drey::config {

struct Configuration {
  Values values;
  Values origins;  // "command line", "environment", the file's path

  // FAILS WITH: kInvalidArgument naming key, value, origin.
  template <HasOptions T>
  Result<T> read() const {
    return config::read<T>(values, &origins);
  }
};

struct Sources {
  std::string file_name;    // for origins and messages
  std::string file;         // YAML, nested or flat keys; may be empty
  std::string environment;  // "key=value" lines
  Values command_line;
};
// Keys of the result are those of today: an older one in any source is the same option (`known`).
// FAILS WITH: kInvalidArgument (no YAML).
Result<Configuration> load(const Sources& sources, const std::vector<OptionGroup>& known);

// A warning for each key that no option has, naming the nearest one that an option has.
std::vector<std::string> unknown_keys(const Configuration& configuration, const std::vector<OptionGroup>& known);

// Each option with its value and where that comes from, a line each; secrets masked.
std::string list(const Configuration& configuration, const std::vector<OptionGroup>& known);

// docs/reference/configuration.md.
std::string reference(const std::vector<OptionGroup>& known);

// Whether the value of this key is not for showing (Flink's rule: password, secret, token and the
// like in its name).
bool is_secret(std::string_view key);

}  // namespace drey::config
