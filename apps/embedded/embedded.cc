// libdrey_embedded: a job run to its end inside the calling process, for <drey/testing.h>.
#include <memory>
#include <mutex>
#include <string>

#include "connectors/all.h"
#include "drey/testing_abi.h"
#include "env/env.h"
#include "graph/pipeline_options.h"
#include "operators/operator.h"
#include "operators/options.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

namespace drey {
namespace {

// Where all sink.collect instances of a run hand their rows; one at a time.
struct Collected {
  const drey_test_job& job;
  std::mutex mutex;
};

// sink.collect: rows go to the test that runs the job.
class Collect final : public operators::Operator {
 public:
  Collect(Collected& to, std::string name) : to_(to), name_(std::move(name)) {}

  Status process(std::uint32_t, const data::BatchRef& batch, operators::Emitter&) override {
    const std::lock_guard lock(to_.mutex);
    if (to_.job.rows != nullptr) to_.job.rows(to_.job.self, name_.c_str(), &batch->abi());
    return {};
  }

 private:
  Collected& to_;
  const std::string name_;
};

Status run(const drey_test_job& job) {
  if (job.module == nullptr) return fail(Code::kInvalidArgument, "no module");
  runtime::BuildRequest request;
  request.entry = job.job != nullptr ? job.job : "";
  request.arguments.assign(job.argv, job.argv + job.argc);
  runtime::LocalJobOptions options;
  options.checkpoint_interval = Millis(job.checkpoint_interval_ms);
  options.state_directory = job.state_directory != nullptr ? job.state_directory : "";

  Collected collected{job, {}};
  operators::Registry registry;
  operators::add_builtin_kinds(registry);
  connectors::add_connector_kinds(registry);
  registry.add({"sink.collect", "Hands rows to the test that runs the job.",
                [&collected](operators::OperatorContext& context)
                    -> Result<std::unique_ptr<operators::Operator>> {
                  return std::unique_ptr<operators::Operator>(std::make_unique<Collect>(
                      collected, operators::Options(context.node()).text("name")));
                },
                nullptr});
  DREY_TRY_ASSIGN(auto code, runtime::build_job(*job.module, request));
  DREY_TRY_ASSIGN(const auto pipeline, config::read<graph::PipelineOptions>(code->graph.settings));
  options.parallelism = job.parallelism == 0 ? pipeline.parallelism : static_cast<std::int32_t>(job.parallelism);
  DREY_TRY_ASSIGN(const runtime::LocalJobResult result,
                  runtime::run_local_job(code, options, env::posix(), registry));
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
