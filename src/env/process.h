// Processes: children of this process, started, watched and ended. Threading: on the loop given.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/loop.h"

namespace drey::env {

struct SpawnOptions {
  std::vector<std::string> arguments;              // arguments[0] is the full path of the program
  std::map<std::string, std::string> environment;  // added to this process's
  std::string stdout_path;                         // appended to; empty: inherited
  std::string stderr_path;                         // empty: inherited; "&1": as stdout
  // Gets the child's standard output through a pipe, on the loop, in place of stdout_path; all of
  // it before on_exit.
  std::function<void(std::string_view)> on_output;
  bool dies_with_parent = true;
  std::uint64_t memory_bytes_max = 0;  // RLIMIT_AS; 0: none
};

struct ExitStatus {
  int code = 0;    // when it exited
  int signal = 0;  // when a signal ended it
};

class Processes {
 public:
  virtual ~Processes() = default;
  // `on_exit` runs on the loop, once.
  virtual Result<std::int64_t> spawn(Loop& loop, const SpawnOptions& options,
                                     std::function<void(ExitStatus)> on_exit) = 0;
  // Only for processes that spawn() started. Fine when it has ended.
  virtual void signal(std::int64_t pid, int signal_number) = 0;
  virtual std::string executable_path() = 0;
  virtual bool is_alive(std::int64_t pid) = 0;
};

}  // namespace drey::env
