// ChildProgramRunner: a program's main in a child process with a deadline and a memory limit; its graph comes back in a
// file.
#pragma once

#include <string>

#include "cluster/program_runner.h"
#include "env/env.h"

namespace drey::cluster {

struct ProgramLimits {
  Millis deadline{60'000};                // drey.program.timeout
  std::uint64_t memory_bytes = 1u << 30;  // drey.program.memory
  std::uint64_t output_bytes = 1u << 20;  // what is kept of what it prints
};

// What the child (`drey program`) is told and answers, in files of `directory`.
struct ProgramTask {
  std::string module;
  std::string entry;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> configuration;
  static constexpr auto fields() {
    using M = ProgramTask;
    return wire::Fields{wire::field("module", &M::module), wire::field("entry", &M::entry),
                        wire::field("arguments", &M::arguments), wire::field("configuration", &M::configuration)};
  }
};
static_assert(wire::EveryMemberHasARow<ProgramTask>);

struct ProgramAnswer {
  bool ok = false;
  std::string message;
  std::string origin;
  graph::JobGraph graph;
  static constexpr auto fields() {
    using M = ProgramAnswer;
    return wire::Fields{wire::field("ok", &M::ok), wire::field("message", &M::message),
                        wire::field("origin", &M::origin), wire::field("graph", &M::graph)};
  }
};
static_assert(wire::EveryMemberHasARow<ProgramAnswer>);

std::unique_ptr<ProgramRunner> make_child_runner(env::Env& env, std::string directory, ProgramLimits limits);
// The child's side: reads the task, builds the graph, writes the answer. Returns the exit code.
int run_program(const std::string& task_path, const std::string& answer_path);

}  // namespace drey::cluster
