#include "cluster/programs.h"

#include <fmt/format.h>

namespace drey::cluster {

gateway::Future<std::vector<gateway::JarModel>> Programs::list() {
  gateway::Promise<std::vector<gateway::JarModel>> promise;
  env_.io.post([jars = jars_, promise] { promise.set(jars->list()); });
  return promise.future();
}

gateway::Future<std::string> Programs::add(std::string path, std::string name) {
  gateway::Promise<std::string> promise;
  env_.io.post([jars = jars_, path, name, promise] { promise.set(jars->add(path, name)); });
  return promise.future();
}

gateway::Future<bool> Programs::remove(const std::string& jar) {
  gateway::Promise<bool> promise;
  loop_.post([this, jar, promise] {
    const bool keep_unpacked = is_needed_(jar) || uses_.contains(jar);
    blocking_.start([jars = jars_, jar, keep_unpacked, promise] {
      const Status status = jars->remove(jar, keep_unpacked);
      promise.set(status.ok() ? Result<bool>(true) : Result<bool>(status));
    });
  });
  return promise.future();
}

void Programs::open(const std::string& jar, const std::string& entry, std::function<void(Result<Jars::Program>)> done) {
  ++uses_[jar].holders;
  unpack(jar, entry, std::move(done));
}

void Programs::unpack(const std::string& jar, const std::string& entry,
                      std::function<void(Result<Jars::Program>)> done) {
  Use& use = uses_[jar];
  if (use.is_unpacking) {
    use.waiting.push_back([this, jar, entry, done = std::move(done)] { unpack(jar, entry, done); });
    return;
  }
  use.is_unpacking = true;
  blocking_.get<Jars::Program>(
      fmt::format("Unpacking the jar {}", jar), [jars = jars_, jar, entry] { return jars->open(jar, entry); },
      [this, jar, done = std::move(done)](Result<Jars::Program> program) {
        Use& opened = uses_[jar];
        opened.is_unpacking = false;
        const auto waiting = std::exchange(opened.waiting, {});
        done(std::move(program));
        for (const auto& next : waiting) next();
      });
}

void Programs::release(const std::string& jar) {
  const auto use = uses_.find(jar);
  if (use == uses_.end() || --use->second.holders > 0) return;
  uses_.erase(use);
  if (is_needed_(jar)) return;
  // Nobody unpacks it again before it is gone.
  Use& removal = uses_[jar];
  removal.is_unpacking = true;
  blocking_.run(
      fmt::format("Removing the program of the jar {}", jar),
      [jars = jars_, jar] {
        jars->remove_unpacked(jar);
        return Status();
      },
      [this, jar](const Status&) {
        const auto removed = uses_.find(jar);
        removed->second.is_unpacking = false;
        const auto waiting = std::exchange(removed->second.waiting, {});
        if (removed->second.holders == 0) uses_.erase(removed);
        for (const auto& next : waiting) next();
      });
}

void Programs::plan(const gateway::RunRequest& request,
                    std::function<void(Result<std::pair<graph::JobGraph, Jars::Program>>)> done) {
  const auto fail_with = [this, jar = request.jar, done](const Status& why) {
    release(jar);
    done(why);
  };
  open(request.jar, request.entry, [this, request, done, fail_with](Result<Jars::Program> program) {
    if (!program.ok()) return fail_with(program.status());
    ProgramRunner::Request run;
    run.module = program->module;
    run.entry = program->entry;
    run.arguments = request.arguments;
    run.configuration = configuration_;
    for (const auto& [key, value] : request.configuration) run.configuration[key] = value;
    runner_->plan(loop_, std::move(run), [done, fail_with, program = *program](Result<graph::JobGraph> graph) {
      if (!graph.ok()) return fail_with(graph.status());
      done(std::pair(std::move(*graph), program));
    });
  });
}

}  // namespace drey::cluster
