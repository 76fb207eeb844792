// libdrey_embedded: a job run to its end inside the calling process, for <drey/testing.h>.
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "connectors/all.h"
#include "drey/testing_abi.h"
#include "env/env.h"
#include "graph/pipeline_options.h"
#include "operators/operator.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

namespace drey {
namespace {

// Where all sink.collect instances of a run hand their rows; one at a time. With checkpoints rows wait for the one that
// covers them.
class Collected {
 public:
  explicit Collected(const drey_test_job& job) : job_(job), waits_(job.state_directory != nullptr) {}

  bool waits() const { return waits_; }
  void hand_over(const std::string& name, const data::BatchRef& batch) {
    const std::lock_guard lock(mutex_);
    if (job_.rows != nullptr) job_.rows(job_.self, name.c_str(), &batch->abi());
  }
  void keep(std::int64_t checkpoint, const std::string& name, std::vector<data::BatchRef> batches) {
    const std::lock_guard lock(mutex_);
    auto& all = waiting_[checkpoint][name];
    for (auto& batch : batches) all.push_back(std::move(batch));
  }
  void complete(std::int64_t checkpoint) {
    const std::lock_guard lock(mutex_);
    while (!waiting_.empty() && waiting_.begin()->first <= checkpoint) {
      for (const auto& [name, batches] : waiting_.begin()->second) {
        for (const auto& batch : batches) {
          if (job_.rows != nullptr) job_.rows(job_.self, name.c_str(), &batch->abi());
        }
      }
      waiting_.erase(waiting_.begin());
    }
  }
  // What later checkpoints would have covered is made again, if the job starts again.
  void ended(std::int64_t checkpoint) {
    complete(checkpoint);
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }

 private:
  const drey_test_job& job_;
  const bool waits_;
  std::mutex mutex_;
  std::map<std::int64_t, std::map<std::string, std::vector<data::BatchRef>>> waiting_;  // guarded by mutex_
};

struct CollectOptions {
  std::string name;

  static constexpr auto options() {
    return config::Options{
        config::option("name", &CollectOptions::name, "What the test asks for the rows by.").required()};
  }
};
static_assert(config::EveryMemberIsAnOption<CollectOptions>);

// sink.collect: rows go to the test that runs the job.
class Collect final : public operators::Operator {
 public:
  Collect(Collected& to, std::string name) : to_(to), name_(std::move(name)) {}

  Status process(std::uint32_t, const data::BatchRef& batch, operators::Emitter&) override {
    if (to_.waits()) {
      batches_.push_back(batch);
    } else {
      to_.hand_over(name_, batch);
    }
    return {};
  }
  Status snapshot(std::int64_t checkpoint_id) override {
    to_.keep(checkpoint_id, name_, std::exchange(batches_, {}));
    return {};
  }
  Status on_checkpoint_complete(std::int64_t checkpoint_id) override {
    to_.complete(checkpoint_id);
    return {};
  }

 private:
  Collected& to_;
  const std::string name_;
  std::vector<data::BatchRef> batches_;
};

Status run(const drey_test_job& job) {
  if (job.module == nullptr) return fail(Code::kInvalidArgument, "no module");
  runtime::BuildRequest request;
  request.entry = job.job != nullptr ? job.job : "";
  request.arguments.assign(job.argv, job.argv + job.argc);
  runtime::LocalJobOptions options;
  options.checkpoint_interval = Millis(job.checkpoint_interval_ms);
  options.state_directory = job.state_directory != nullptr ? job.state_directory : "";

  Collected collected(job);
  if (job.size >= sizeof job) {
    for (std::uint32_t r = 0; r < job.restart_count; ++r) {
      options.restarts.push_back(static_cast<std::int32_t>(job.restart_parallelism[r]));
    }
  }
  options.on_ended = [&collected](std::int64_t checkpoint) { collected.ended(checkpoint); };
  operators::Registry registry = connectors::all_kinds();
  registry.add(operators::declare<CollectOptions>({
      .name = DREY_KIND_COLLECT,
      .doc = "Hands rows to the test that runs the job.",
      .traits = {.role = graph::Role::kSink, .commits_on_completion = true, .accepts = graph::Changes::kAll},
      .make_operator = [&collected](
                           operators::OperatorContext&,
                           const CollectOptions& wanted) { return std::make_unique<Collect>(collected, wanted.name); },
  }));
  DREY_TRY_ASSIGN(auto code, runtime::build_job(*job.module, request));
  DREY_TRY_ASSIGN(const auto pipeline, config::read<graph::PipelineOptions>(code->graph.settings));
  options.parallelism = job.parallelism == 0 ? pipeline.parallelism : static_cast<std::int32_t>(job.parallelism);
  DREY_TRY_ASSIGN(const runtime::LocalJobResult result, runtime::run_local_job(code, options, env::posix(), registry));
  if (job.accumulator != nullptr) {
    for (const auto& [name, value] : result.accumulators) {
      job.accumulator(job.self, name.c_str(), value.whole, value.real);
    }
  }
  return {};
}

}  // namespace
}  // namespace drey

extern "C" __attribute__((visibility("default"))) int drey_test_run(const drey_test_job* job) {
  const drey::Status status = drey::run(*job);
  if (status.ok()) return 0;
  if (job->failed != nullptr) job->failed(job->self, status.to_string().c_str());
  return 1;
}
