// The commands of the `drey` program. Each returns the process's exit code.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace drey::apps {

inline constexpr const char* kVersion = "0.1.0";

// Arguments of a command: `--key value`, `--key=value`, `-k value`, flags, `-Dkey=value` and the rest.
struct Arguments {
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> properties;  // -D
  std::vector<std::string> rest;
  std::optional<std::string> unknown;
  bool has(const std::string& key) const { return options.contains(key); }
  std::string get(const std::string& key, const std::string& fallback = "") const {
    const auto found = options.find(key);
    return found == options.end() ? fallback : found->second;
  }
};
// `with_value` and `flags` list the options, "--json" or "-d"; "-d=--detached" makes the first a short form of the
// second. Parsing stops at the first word that is no option when `stops_at_word`: what follows belongs to a program.
Arguments parse_arguments(int argc, char** argv, const std::vector<std::string>& with_value,
                          const std::vector<std::string>& flags, bool stops_at_word);

int up(int argc, char** argv);
int job_manager(int argc, char** argv);
int status(int argc, char** argv);
int down(int argc, char** argv);
int metrics(int argc, char** argv);
int openapi(int argc, char** argv);
int operators(int argc, char** argv);
int task_manager(int argc, char** argv);
int program(int argc, char** argv);
// run, list, info, jars, exceptions
int client(const std::string& command, int argc, char** argv);
// stop, savepoint, checkpoint, rescale, cancel
int lifecycle(const std::string& command, int argc, char** argv);

// Where `drey up` keeps what it knows unless told otherwise.
std::string default_directory();

}  // namespace drey::apps
