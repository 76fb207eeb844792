// Env: everything outside this program, in one bundle. Production uses posix(); the simulation has its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "env/clock.h"
#include "env/file_system.h"
#include "env/loop.h"
#include "env/network.h"
#include "env/process.h"

namespace drey::env {

struct Env {
  Clock& clock;
  Random& random;
  FileSystem& files;
  Network& network;
  Processes& processes;
  IoPool& io;
};

// The real one; lives until the process ends.
Env& posix();

// A loop with a thread of its own, named for `top -H`. Destruction waits for the function that runs.
std::unique_ptr<Loop> make_posix_loop(const std::string& name);

// A thread that runs `body`; destruction joins.
class Thread {
 public:
  virtual ~Thread() = default;
};
std::unique_ptr<Thread> start_thread(const std::string& name, std::function<void()> body);

// Value of an environment variable, or empty.
std::string environment_variable(const std::string& name);

}  // namespace drey::env
