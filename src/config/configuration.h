// Configuration: option values by Flink's names, from a file and the command line, with where each came from.
//
// Precedence: command line, environment (DREY_PROPERTIES, "key=value" lines), file, default. Unknown keys are kept, with a
// warning that names the nearest known one. Threading: a value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "env/file_system.h"

namespace drey::config {

struct Configuration {
  std::map<std::string, std::string> values;
  std::map<std::string, std::string> origins;  // "command line", "environment", the file's path
  std::vector<std::string> warnings;

  std::string get(const std::string& key, const std::string& fallback) const;
  // FAILS WITH: kInvalidArgument naming key, value, origin.
  Result<std::int64_t> whole(const std::string& key, std::int64_t fallback) const;
  Result<Millis> duration(const std::string& key, Millis fallback) const;
  Result<std::uint64_t> bytes(const std::string& key, std::uint64_t fallback) const;  // "512m", "1 gb", plain bytes
};

// `path` may be empty. FAILS WITH: kNotFound, kInvalidArgument (no YAML).
Result<Configuration> load(env::FileSystem& files, const std::string& path, const std::map<std::string, std::string>& command_line);

}  // namespace drey::config
