#include "local_plan.h"

#include <fmt/format.h>

#include "cluster/jars.h"
#include "env/env.h"
#include "runtime/module.h"
#include "wire/binary/codec.h"

namespace drey::apps {
namespace {

// A directory of this user's that goes with the object.
class Scratch {
 public:
  explicit Scratch(env::Env& env)
      : files_(env.files), path_(fmt::format("/tmp/drey-plan-{:016x}", env.random.next())) {}
  ~Scratch() { static_cast<void>(files_.remove_tree(path_)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Status make() { return files_.make_directories(path_, 0700); }
  const std::string& path() const { return path_; }

 private:
  env::FileSystem& files_;
  const std::string path_;
};

}  // namespace

Result<std::string> plan_here(const Arguments& args) {
  env::Env& env = env::posix();
  Scratch scratch(env);
  DREY_TRY(scratch.make());
  const std::string id = "local_" + env::base_name_of(args.rest[0]);
  DREY_TRY_ASSIGN(const std::string bytes, env.files.read_all(args.rest[0]));
  DREY_TRY(env.files.write_atomic(scratch.path() + "/" + id, bytes));
  cluster::Jars jars(scratch.path(), scratch.path() + "/cache", env);
  DREY_TRY_ASSIGN(const cluster::Jars::Program program, jars.open(id, args.get("--class")));
  DREY_TRY_ASSIGN(const drey_module* module, runtime::load_module(program.module));
  const std::vector<std::string> arguments(args.rest.begin() + 1, args.rest.end());
  DREY_TRY_ASSIGN(const auto code, runtime::build_job(*module, {program.entry, arguments, args.properties}));
  graph::JobGraph graph = code->graph;
  graph.entry = program.entry;
  graph.arguments = arguments;
  for (const auto& [key, value] : args.properties) graph.settings.emplace(key, value);
  if (args.has("--parallelism")) graph.settings["parallelism.default"] = args.get("--parallelism");
  return wire::encode(graph);
}

}  // namespace drey::apps
