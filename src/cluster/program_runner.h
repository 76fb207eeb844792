// ProgramRunner: runs a program's main and returns the graph that it builds. The production one is a child process
// (child_program_runner.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "env/loop.h"
#include "graph/job_graph.h"

namespace drey::cluster {

class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  struct Request {
    std::string module;
    std::string entry;
    std::vector<std::string> arguments;
    std::map<std::string, std::string> configuration;
  };
  // On the loop, on which `done` runs later. FAILS WITH: kInvalidArgument / kUserCode with the program's own message.
  virtual void plan(env::Loop& loop, Request request, std::function<void(Result<graph::JobGraph>)> done) = 0;
};

}  // namespace drey::cluster
