// Env: everything outside this program, in one bundle. Production uses posix(); the simulation has
// its own.
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
  Threads& threads;
};

// The real one; lives until the process ends.
Env& posix();

// A thread that runs `body`; destruction joins. Only for rooms that the simulation leaves out (net,
// apps): the others use Env::threads.
class Thread {
 public:
  virtual ~Thread() = default;
};
std::unique_ptr<Thread> start_thread(const std::string& name, std::function<void()> body);

// Value of an environment variable, or empty.
std::string environment_variable(const std::string& name);

}  // namespace drey::env
