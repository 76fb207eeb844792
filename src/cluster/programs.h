// Programs: the jars of the cluster and the programs in them: unpacks each once, whoever comes second waits for the
// first, and removes what was unpacked when nobody uses it any more.
//
// Threading: the JobManager's loop, but the three calls on jars: any thread. Bounds: unpacked programs are those of
// jobs that have not ended and of plans under way.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/blocking_calls.h"
#include "cluster/jars.h"
#include "cluster/program_runner.h"
#include "env/env.h"
#include "gateway/cluster_gateway.h"

namespace drey::cluster {

class Programs {
 public:
  // `is_needed`: whether a job that has not ended runs the program of this jar.
  Programs(std::unique_ptr<Jars> jars, std::unique_ptr<ProgramRunner> runner,
           const std::map<std::string, std::string>& configuration, env::Env& env, env::Loop& loop,
           BlockingCalls& blocking, std::function<bool(const std::string& jar)> is_needed)
      : jars_(std::move(jars)),
        runner_(std::move(runner)),
        configuration_(configuration),
        env_(env),
        loop_(loop),
        blocking_(blocking),
        is_needed_(std::move(is_needed)) {}

  gateway::Future<std::vector<gateway::JarModel>> list();
  gateway::Future<std::string> add(std::string path, std::string name);
  // Where the program of a jar is when it is unpacked.
  std::string module_path(const std::string& jar) const { return jars_->module_path(jar); }
  // A job goes on without its jar: a TaskManager that is started anew loads what was unpacked.
  gateway::Future<bool> remove(const std::string& jar);

  // Unpacks the program of a jar unless it is there. It stays until release(), which the caller owes whatever the
  // result.
  void open(const std::string& jar, const std::string& entry, std::function<void(Result<Jars::Program>)> done);
  // What was unpacked goes when no other caller of open() or plan() and no job needs it.
  void release(const std::string& jar);
  // Unpacks and runs the main of a jar's program. When it succeeds the caller owes a release().
  void plan(const gateway::RunRequest& request,
            std::function<void(Result<std::pair<graph::JobGraph, Jars::Program>>)> done);

 private:
  struct Use {
    int holders = 0;  // open() without release()
    bool is_unpacking = false;
    std::vector<std::function<void()>> waiting;  // until it is unpacked
  };
  void unpack(const std::string& jar, const std::string& entry, std::function<void(Result<Jars::Program>)> done);

  const std::shared_ptr<Jars> jars_;
  const std::unique_ptr<ProgramRunner> runner_;
  const std::map<std::string, std::string>& configuration_;
  env::Env& env_;
  env::Loop& loop_;
  BlockingCalls& blocking_;
  const std::function<bool(const std::string& jar)> is_needed_;
  std::map<std::string, Use> uses_;  // by jar
};

}  // namespace drey::cluster
