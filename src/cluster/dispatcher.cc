#include "cluster/dispatcher.h"

#include <utility>

#include <fmt/format.h>

#include "cluster/snapshot_files.h"
#include "config/configuration.h"
#include "control/checkpoint/coordinator.h"
#include "control/checkpoint/restore.h"
#include "control/job_options.h"
#include "env/log.h"
#include "graph/pipeline_options.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

// As Flink says it when a program fails or its job cannot be started.
Status not_executed(const Status& why) {
  return fail(Code::kInvalidArgument, "Could not execute application.\nCaused by: " + why.to_string());
}

gateway::JobModelRef model_of_plan(JobId id, const graph::JobGraph& graph) {
  auto model = std::make_shared<gateway::JobModel>();
  model->id = id;
  model->name = graph.name;
  const graph::Plan plan = graph::plan_of(graph);
  for (const graph::Vertex& vertex : plan.vertices) model->vertices.push_back({vertex, {}});
  for (const graph::VertexEdge& edge : plan.edges)
    model->edges.push_back({edge.from, edge.to, std::string(to_text(graph.edges[edge.edge].partitioner))});
  return model;
}

}  // namespace

Result<graph::JobGraph> Dispatcher::resolved(graph::JobGraph graph, const std::map<std::string, std::string>& extra,
                                             const config::Values& configuration, const operators::Registry& kinds,
                                             std::int32_t parallelism) {
  // The program's own settings win over those of the submission, these over the cluster's.
  config::Values settings = config::with_current_names(graph.settings, control::job_options());
  settings.merge(config::with_current_names(extra, control::job_options()));
  settings.merge(config::per_job(configuration, control::job_options()));
  DREY_TRY_ASSIGN(const auto pipeline, config::read<graph::PipelineOptions>(settings));
  DREY_TRY_ASSIGN(const auto checkpoints, config::read<control::CheckpointOptions>(settings));
  if (!checkpoints.directory.empty()) {
    DREY_TRY(local_directory(checkpoints.directory).status().with_context("execution.checkpointing.dir"));
  }
  if (!pipeline.name.empty()) graph.name = pipeline.name;
  graph.settings = std::move(settings);
  DREY_TRY(kinds.check(graph));
  DREY_TRY(graph::resolve(graph, parallelism == 0 ? pipeline.parallelism : parallelism, pipeline.max_parallelism));
  return graph;
}

Result<Dispatcher::Prepared> Dispatcher::prepare(Preparation from) {
  const gateway::RunRequest& request = from.request;
  Prepared prepared;
  StoredJob& job = prepared.job;
  job.module = std::move(from.module);
  job.digest = from.graph.digest();
  std::optional<control::Checkpoint> checkpoint;
  if (!request.savepoint_path.empty()) {
    DREY_TRY_ASSIGN(checkpoint, read_checkpoint(*from.files, request.savepoint_path));
    DREY_TRY(control::fit(from.graph, *checkpoint, request.allow_non_restored));
  }
  DREY_TRY_ASSIGN(job.graph, resolved(std::move(from.graph), request.configuration, from.configuration, *from.kinds,
                                      request.parallelism));
  job.plan = graph::plan_of(job.graph);
  if (!checkpoint) return prepared;
  // What sinks have not committed yet carries the ids of then: the job's own come after them.
  job.next_checkpoint = checkpoint->id + 1;
  if (request.claim) {
    prepared.claimed = checkpoint->path;
    checkpoint->keep = false;
    job.checkpoints = {std::move(*checkpoint)};
  } else {
    job.restore_path = checkpoint->path;
  }
  return prepared;
}

void Dispatcher::start(graph::JobGraph graph, std::string module, const gateway::RunRequest& request, Started done) {
  const JobId id = request.job_id ? *request.job_id : env_.random.id<struct JobTag>();
  if (jobs_.contains(id) || !starting_.insert(id).second)
    return done(fail(Code::kInvalidArgument, fmt::format("Job has already been submitted: {}", id.to_string())));
  blocking_.get<Prepared>(
      "Preparing the job's graph",
      [from = Preparation{std::move(graph), std::move(module), request, configuration_, &kinds_,
                          &env_.files}]() mutable { return prepare(std::move(from)); },
      [this, id, done = std::move(done)](Result<Prepared> prepared) {
        starting_.erase(id);
        if (!prepared.ok()) return done(prepared.status());
        prepared->job.id = id;
        start_prepared(std::move(*prepared), done);
      });
}

void Dispatcher::start_prepared(Prepared prepared, const Started& done) {
  StoredJob& job = prepared.job;
  job.submitted = env_.clock.wall().millis;
  const JobId id = job.id;
  if (Status stored = store_.put(job); !stored.ok()) return done(stored);
  if (Status started = start_master(std::move(job)); !started.ok()) return done(started);
  done(id);
}

Status Dispatcher::start_master(StoredJob job) {
  DREY_TRY_ASSIGN(const auto master, JobMaster::make(std::move(job), checkpoint_directory_, env_, host_));
  jobs_.add(master);
  master->start();
  return {};
}

void Dispatcher::resume(StoredJob job) {
  env::log_info("jobmanager", "Resuming job {} ({})", job.graph.name, job.id.to_string());
  kinds_.note_traits(job.graph);
  if (Status started = start_master(std::move(job)); !started.ok())
    env::log_error("jobmanager", "A stored job cannot be resumed: {}", started.to_string());
}

gateway::Future<JobId> Dispatcher::run_jar(gateway::RunRequest request) {
  gateway::Promise<JobId> promise;
  loop_.post([this, request, promise] {
    programs_.plan(request, [this, request, promise](Result<std::pair<graph::JobGraph, Jars::Program>> planned) {
      if (!planned.ok() && planned.status().code() == Code::kUserCode)
        return promise.set(not_executed(planned.status()));
      if (!planned.ok()) return promise.set(planned.status());
      planned->first.jar = request.jar;
      start(std::move(planned->first), planned->second.module, request,
            [this, jar = request.jar, promise](Result<JobId> id) {
              promise.set(id.ok() ? std::move(id) : Result<JobId>(not_executed(id.status())));
              programs_.release(jar);
            });
    });
  });
  return promise.future();
}

gateway::Future<gateway::JobModelRef> Dispatcher::plan_jar(gateway::RunRequest request) {
  gateway::Promise<gateway::JobModelRef> promise;
  loop_.post([this, request, promise] {
    programs_.plan(request, [this, request, promise](Result<std::pair<graph::JobGraph, Jars::Program>> planned) {
      if (!planned.ok()) return promise.set(planned.status());
      programs_.release(request.jar);
      const JobId id = request.job_id ? *request.job_id : env_.random.id<struct JobTag>();
      blocking_.get<gateway::JobModelRef>(
          "Resolving the job's graph",
          [id, request, configuration = configuration_, kinds = &kinds_,
           graph = std::move(planned->first)]() -> Result<gateway::JobModelRef> {
            DREY_TRY_ASSIGN(const graph::JobGraph whole,
                            resolved(graph, request.configuration, configuration, *kinds, request.parallelism));
            return model_of_plan(id, whole);
          },
          [promise](Result<gateway::JobModelRef> model) { promise.set(std::move(model)); });
    });
  });
  return promise.future();
}

gateway::Future<JobId> Dispatcher::submit(gateway::SubmitRequest request) {
  auto graph = wire::decode<graph::JobGraph>(request.graph);
  if (!graph.ok())
    return Result<JobId>(
        fail(Code::kInvalidArgument, "Failed to deserialize ExecutionPlan. It is no graph of this version of Drey."));
  gateway::Promise<JobId> promise;
  programs_.add(request.jar_path, request.jar_name)
      .then([this, promise, graph = std::move(*graph)](Result<std::string> path) mutable {
        if (!path.ok()) return promise.set(path.status());
        graph.jar = env::base_name_of(*path);
        loop_.post([this, promise, graph = std::move(graph)]() mutable { start_with_jar(std::move(graph), promise); });
      });
  return promise.future();
}

void Dispatcher::start_with_jar(graph::JobGraph graph, gateway::Promise<JobId> promise) {
  const std::string jar = graph.jar;
  const std::string entry = graph.entry;
  programs_.open(jar, entry, [this, jar, graph = std::move(graph), promise](Result<Jars::Program> program) mutable {
    if (!program.ok()) {
      programs_.release(jar);
      static_cast<void>(programs_.remove(jar));
      return promise.set(program.status());
    }
    start(std::move(graph), program->module, {}, [this, jar, promise](Result<JobId> id) {
      promise.set(std::move(id));
      programs_.release(jar);
    });
  });
}

Status Dispatcher::cancel(JobId id) {
  events_.changed();
  if (const auto master = jobs_.running(id)) {
    master->cancel();
    return {};
  }
  const auto ended = jobs_.ended(id);
  if (ended == nullptr) return fail(Code::kNotFound, "Job could not be found.");
  if (ended->state == "CANCELED") return {};
  return fail(Code::kConflict,
              fmt::format("Job cancellation failed because the job has already reached another terminal state ({}).",
                          ended->state));
}

void Dispatcher::on_client_heartbeat(JobId id, std::int64_t expires) {
  if (jobs_.master(id) != nullptr) clients_[id] = expires;
}

void Dispatcher::cancel_abandoned_jobs() {
  const std::int64_t now = env_.clock.wall().millis;
  for (auto it = clients_.begin(); it != clients_.end();) {
    const auto master = jobs_.running(it->first);
    if (master != nullptr && now < it->second) {
      ++it;
      continue;
    }
    if (master != nullptr) {
      env::log_warn("jobmanager", "Cancelling job {}: its client did not come again in time", it->first.to_string());
      master->cancel();
    }
    it = clients_.erase(it);
  }
}

}  // namespace drey::cluster
