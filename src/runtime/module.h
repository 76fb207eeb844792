// Module and JobCode: a job's shared object, and the closures that building its graph makes.
//
// Building runs the program's main (drey_job.build). It happens twice: in the short-lived planning process, whose
// graph is submitted, and in each TaskManager, which needs the closures; the digests of both graphs must agree.
// Threading: load and build on one thread at a time. A module is never unloaded: threads of its code may live.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "drey/abi.h"
#include "graph/job_graph.h"

namespace drey::runtime {

// What an operator or a custom partitioner runs.
struct UserFunctions {
  const drey_functions* functions = nullptr;
  void* closure = nullptr;
};

class JobCode {
 public:
  JobCode() = default;
  ~JobCode();
  JobCode(const JobCode&) = delete;
  JobCode& operator=(const JobCode&) = delete;

  graph::JobGraph graph;                 // as the program declared it; not resolved
  std::vector<UserFunctions> operators;  // by operator number
  std::vector<UserFunctions> edges;      // by edge; empty functions but for custom partitioners
  std::vector<std::function<void()>> releases;
};

// FAILS WITH: kInvalidArgument (no such file, a symbol that is missing), kIncompatible (architecture, ABI version).
Result<const drey_module*> load_module(const std::string& path);

struct BuildRequest {
  std::string entry;  // empty: the module's only job
  std::vector<std::string> arguments;
  std::map<std::string, std::string> configuration;  // what graph_builder.get answers beside the job's own settings
};
// Runs the job's build(). FAILS WITH: kNotFound (no such entry), kUserCode (the program's own message).
Result<std::shared_ptr<JobCode>> build_job(const drey_module& module, const BuildRequest& request);

}  // namespace drey::runtime
