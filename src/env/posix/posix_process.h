// PosixProcesses: fork and exec, watched through pidfds.
#pragma once

#include "env/process.h"

namespace drey::env {

class PosixProcesses final : public Processes {
 public:
  Result<std::int64_t> spawn(Loop& loop, const SpawnOptions& options, std::function<void(ExitStatus)> on_exit) override;
  void signal(std::int64_t pid, int signal_number) override;
  std::string executable_path() override;
  bool is_alive(std::int64_t pid) override;
};

}  // namespace drey::env
