#include "cluster/job_manager.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/configuration.h"
#include "control/checkpoint/coordinator.h"
#include "control/execution/scaling.h"
#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr Millis kTick{100};
constexpr std::chrono::seconds kWatchTick{1};
constexpr std::chrono::minutes kDeletionsKept{5};
constexpr std::size_t kDeletionsMax = 10'000;

struct ClusterView {
  std::int64_t running_jobs = 0;
  std::int64_t task_managers = 0;
  std::int64_t slots = 0;
  std::int64_t free_slots = 0;
  std::int64_t refused_peers = 0;
};
using C = const ClusterView&;
using metrics::Number;
constexpr metrics::Row<ClusterView> kClusterMetrics[] = {
    {"numRunningJobs", [](C v) -> Number { return v.running_jobs; }, "Jobs that have not ended."},
    {"numRegisteredTaskManagers", [](C v) -> Number { return v.task_managers; }, "TaskManagers that are there."},
    {"taskSlotsTotal", [](C v) -> Number { return v.slots; }, "Their slots."},
    {"taskSlotsAvailable", [](C v) -> Number { return v.free_slots; }, "Those that no job has."},
    {"Status.Drey.refusedPeers", [](C v) -> Number { return v.refused_peers; },
     "Connections to the RPC port that were closed: without the secret, of another version, garbage."},
};

}  // namespace

void JobManager::document(std::vector<metrics::Documented>& out) {
  metrics::document<ClusterView>("The JobManager", kClusterMetrics, out);
}

JobManager::JobManager(JobManagerOptions options, env::Env& env, const operators::Registry& kinds,
                       std::unique_ptr<JobStore> store, std::unique_ptr<Jars> jars,
                       std::unique_ptr<ProgramRunner> runner)
    : owned_loop_(env.threads.make_loop("jobmanager")),
      loop_(*owned_loop_),
      options_(std::move(options)),
      env_(env),
      store_(std::move(store)),
      blocking_(env.io, loop_),
      events_(env.clock),
      jobs_(options_.cluster, env, *store_, events_),
      programs_(std::move(jars), std::move(runner), options_.configuration, env, loop_, blocking_,
                [this](const std::string& jar) { return jobs_.needs_module(programs_.module_path(jar)); }),
      resources_(options_.cluster, env, loop_, jobs_, events_, options_.crash_report),
      dispatcher_(options_.checkpoint_directory, options_.configuration, kinds, env, loop_, blocking_, *store_, jobs_,
                  programs_, events_, *this),
      operations_(*store_),
      operation_runner_(operations_, env_, *this) {}

JobManager::~JobManager() {
  resources_.stop_listening();
  // Nothing runs on it any more when all that its work uses goes.
  owned_loop_.reset();
}

Status JobManager::start() {
  // Ended jobs go to their outlines at once.
  struct Found {
    std::int64_t submitted = 0;
    StoredJob job;
    gateway::JobOutlineRef ended;
  };
  std::vector<Found> found;
  DREY_TRY(store_->each([&](StoredJob job) {
    const std::int64_t submitted = job.submitted;
    if (!job.ended) {
      found.push_back({submitted, std::move(job), nullptr});
    } else if (const auto model = wire::decode<gateway::JobModel>(job.model); model.ok()) {
      found.push_back({submitted, {}, std::make_shared<gateway::JobOutline>(gateway::outline_of(*model))});
    }
  }));
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.submitted < b.submitted; });
  DREY_TRY(operations_.load(env_.clock.wall()));
  DREY_TRY(resources_.listen(options_.host));
  loop_.post([this, found = std::move(found)]() mutable {
    for (auto& [submitted, job, ended] : found) {
      if (ended != nullptr) {
        jobs_.add_ended(std::move(ended));
      } else {
        dispatcher_.resume(std::move(job));
      }
    }
    tick();
  });
  return {};
}

void JobManager::tick() {
  if (stopping_) return;
  const Ticks now = env_.clock.ticks();
  resources_.tick();
  dispatcher_.cancel_abandoned_jobs();
  std::erase_if(dataset_deletions_, [now](const auto& entry) { return now - entry.second > kDeletionsKept; });
  jobs_.retire(now);
  if (now >= watch_tick_after_) {
    watch_tick_after_ = now + kWatchTick;
    events_.publish({{}, 0, gateway::TickEvent{}});
  }
  loop_.after(kTick, [this] { tick(); });
}

// --- JobMasterHost ---

void JobManager::send(const std::string& task_manager, const control::ToTaskManager& message) {
  resources_.send(task_manager, message);
}

void JobManager::request_slots(JobId job, std::int32_t slots) { resources_.request_slots(job, slots); }

void JobManager::release_slots(JobId job) { resources_.release_slots(job); }

Status JobManager::store(const StoredJob& job) {
  events_.changed();
  return store_->put(job);
}

void JobManager::publish(gateway::EventModel event) { events_.publish(std::move(event)); }

void JobManager::after(Nanos delay, std::function<void()> function) {
  loop_.after(delay, [this, function = std::move(function)] {
    events_.changed();
    function();
  });
}

void JobManager::run_blocking(std::string what, std::function<Status()> work, std::function<void(Status)> done) {
  blocking_.run(std::move(what), std::move(work), std::move(done));
}

void JobManager::on_ended(JobId id, bool is_stored) {
  events_.changed();
  // Not now: the master is still in the call that ended it.
  loop_.post([this, id, is_stored] {
    jobs_.on_ended(id, is_stored);
    jobs_.retire(env_.clock.ticks());
  });
}

// --- ClusterGateway ---

template <typename T>
gateway::Future<T> JobManager::answer(std::function<Result<T>()> question) {
  gateway::Promise<T> promise;
  loop_.post([promise, question = std::move(question)] { promise.set(question()); });
  return promise.future();
}

gateway::Future<std::string> JobManager::inspect(std::string task_manager, gateway::Inspection inspection) {
  gateway::Promise<std::string> promise;
  if (!task_manager.empty()) {
    loop_.post([this, task_manager, inspection = std::move(inspection), promise] {
      resources_.inspect(task_manager, inspection, promise);
    });
    return promise.future();
  }
  if (!options_.inspect) return Result<std::string>(fail(Code::kUnavailable, "This JobManager cannot be inspected."));
  options_.inspect(std::move(inspection), [promise](Result<std::string> answer) { promise.set(std::move(answer)); });
  return promise.future();
}

void JobManager::submit(graph::JobGraph graph, std::string module, std::optional<JobId> id, std::string restore_path,
                        std::function<void(Result<JobId>)> done) {
  gateway::RunRequest request;
  request.job_id = id;
  request.savepoint_path = std::move(restore_path);
  loop_.post([this, graph = std::move(graph), module = std::move(module), request = std::move(request),
              done = std::move(done)]() mutable {
    dispatcher_.start(std::move(graph), std::move(module), request, std::move(done));
  });
}

gateway::Future<JobId> JobManager::submit(gateway::SubmitRequest request) {
  return dispatcher_.submit(std::move(request));
}

void JobManager::heartbeat(JobId id, std::int64_t expires) {
  loop_.post([this, id, expires] { dispatcher_.on_client_heartbeat(id, expires); });
}

gateway::Future<TriggerId> JobManager::delete_dataset(std::string) {
  return answer<TriggerId>([this]() -> Result<TriggerId> {
    const TriggerId trigger = env_.random.id<struct TriggerTag>();
    if (dataset_deletions_.size() >= kDeletionsMax) dataset_deletions_.clear();
    dataset_deletions_[trigger] = env_.clock.ticks();
    return trigger;
  });
}

gateway::Future<bool> JobManager::dataset_deletion(TriggerId trigger) {
  return answer<bool>([this, trigger]() -> Result<bool> {
    if (dataset_deletions_.contains(trigger)) return true;
    return fail(Code::kNotFound, fmt::format("Operation not found under key: {}", trigger.to_string()));
  });
}

void JobManager::end_cluster() {
  if (options_.end_cluster) options_.end_cluster();
}

gateway::Future<TriggerId> JobManager::trigger(gateway::OperationRequest request) {
  return answer<TriggerId>([this, request = std::move(request)] { return operation_runner_.trigger(request); });
}

gateway::Future<gateway::OperationModel> JobManager::operation(gateway::OperationKind kind, JobId job, TriggerId id) {
  return answer<gateway::OperationModel>([this, kind, job, id]() -> Result<gateway::OperationModel> {
    if (const gateway::OperationModel* found = operations_.find(kind, job, id)) return *found;
    return fail(Code::kNotFound, fmt::format("Operation not found under key: {}", id.to_string()));
  });
}

gateway::Future<gateway::ResourceRequirements> JobManager::resource_requirements(JobId id) {
  return answer<gateway::ResourceRequirements>([this, id]() -> Result<gateway::ResourceRequirements> {
    const auto master = jobs_.running(id);
    if (master == nullptr) return no_flink_job(id);
    return master->requirements();
  });
}

gateway::Future<bool> JobManager::set_resource_requirements(JobId id, gateway::ResourceRequirements requirements) {
  return answer<bool>([this, id, requirements = std::move(requirements)]() -> Result<bool> {
    events_.changed();
    const auto master = jobs_.running(id);
    if (master == nullptr) return no_flink_job(id);
    std::vector<control::WantedBounds> wanted;
    for (const auto& [vertex, bounds] : requirements) wanted.push_back({vertex, bounds.lower, bounds.upper});
    if (const std::string objections = control::objections_to(master->plan(), wanted); !objections.empty())
      return fail(Code::kInvalidArgument, objections);
    gateway::ResourceRequirements all;
    for (const graph::Vertex& vertex : master->plan().vertices) {
      for (const control::WantedBounds& w : wanted) {
        if (w.vertex != vertex.id) continue;
        all.push_back({vertex.id,
                       {w.lower == -1 ? 1 : static_cast<std::int32_t>(w.lower),
                        w.upper == -1 ? vertex.max_parallelism : static_cast<std::int32_t>(w.upper)}});
      }
    }
    DREY_TRY(master->set_requirements(std::move(all)));
    loop_.post([this] { resources_.adapt(); });
    return true;
  });
}

gateway::Future<JobId> JobManager::run_jar(gateway::RunRequest request) {
  return dispatcher_.run_jar(std::move(request));
}

gateway::Future<gateway::JobModelRef> JobManager::plan_jar(gateway::RunRequest request) {
  return dispatcher_.plan_jar(std::move(request));
}

gateway::Future<std::vector<gateway::JobOutlineRef>> JobManager::jobs() {
  return answer<std::vector<gateway::JobOutlineRef>>([this] { return jobs_.outlines(); });
}

gateway::Future<std::vector<gateway::JobModelRef>> JobManager::running_jobs() {
  return answer<std::vector<gateway::JobModelRef>>([this] { return jobs_.running_models(); });
}

gateway::Future<gateway::JobModelRef> JobManager::job(JobId id) {
  return answer<gateway::JobModelRef>([this, id] { return jobs_.model(id); });
}

gateway::Future<bool> JobManager::cancel(JobId id) {
  return answer<bool>([this, id]() -> Result<bool> {
    DREY_TRY(dispatcher_.cancel(id));
    return true;
  });
}

gateway::Future<std::vector<gateway::JarModel>> JobManager::jars() { return programs_.list(); }

gateway::Future<std::string> JobManager::add_jar(std::string path, std::string name) {
  return programs_.add(std::move(path), std::move(name));
}

gateway::Future<bool> JobManager::delete_jar(std::string id) { return programs_.remove(id); }

gateway::Future<std::vector<gateway::TaskManagerModel>> JobManager::task_managers() {
  return answer<std::vector<gateway::TaskManagerModel>>([this] { return resources_.task_managers(); });
}

gateway::Future<gateway::Metrics> JobManager::metrics() {
  return answer<gateway::Metrics>([this]() -> Result<gateway::Metrics> {
    const JobCatalog::Masters& masters = jobs_.masters();
    const auto running =
        std::count_if(masters.begin(), masters.end(), [](const auto& entry) { return !entry.second->is_ended(); });
    gateway::Metrics all = options_.process_metrics ? options_.process_metrics() : gateway::Metrics();
    const ClusterView view{running, static_cast<std::int64_t>(resources_.size()), resources_.slots().total(),
                           resources_.slots().free(), resources_.refused()};
    for (const metrics::Row<ClusterView>& row : kClusterMetrics)
      std::visit([&](auto value) { all.add(row.name, value); }, row.of(view));
    return all;
  });
}

void JobManager::watch(std::function<void(const gateway::EventModel&)> watcher) {
  loop_.post([this, watcher = std::move(watcher)]() mutable { events_.watch(std::move(watcher)); });
}

std::vector<gateway::ConfigEntry> JobManager::configuration() {
  std::vector<gateway::ConfigEntry> entries;
  for (const auto& [key, value] : options_.configuration)
    entries.push_back({key, config::is_secret(key) ? "******" : value});
  return entries;
}

std::string JobManager::savepoint_directory(JobId job) const {
  const std::shared_ptr<JobMaster> master = jobs_.running(job);
  const config::Values& settings = master != nullptr ? master->settings() : options_.configuration;
  return config::read<control::CheckpointOptions>(settings).value_or({}).savepoint_directory;
}

void JobManager::shut_down(std::function<void()> done) {
  loop_.post([this, done = std::move(done)] {
    stopping_ = true;
    for (const auto& [id, master] : jobs_.masters()) {
      const auto keep = master;
      keep->suspend();
    }
    // Cancellations are on their way before the connections close.
    loop_.after(Millis(50), [this, done] {
      resources_.close();
      done();
    });
  });
}

}  // namespace drey::cluster
