#include "cluster/job_manager.h"

#include <algorithm>

#include <fmt/format.h>

#include "cluster/snapshot_files.h"
#include "config/configuration.h"
#include "control/checkpoint/restore.h"
#include "control/execution/scaling.h"
#include "control/job_options.h"
#include "env/log.h"
#include "graph/pipeline_options.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr Millis kTick{100};
constexpr std::chrono::seconds kRetirePause{1};
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

Status not_found(JobId id) { return fail(Code::kNotFound, fmt::format("Job {} not found", id.to_string())); }

}  // namespace

void JobManager::document(std::vector<metrics::Documented>& out) {
  metrics::document<ClusterView>("The JobManager", kClusterMetrics, out);
}

JobManager::JobManager(JobManagerOptions options, env::Env& env, const operators::Registry& kinds,
                       std::unique_ptr<JobStore> store, std::unique_ptr<Jars> jars,
                       std::unique_ptr<ProgramRunner> runner)
    : options_(std::move(options)),
      env_(env),
      kinds_(kinds),
      store_(std::move(store)),
      jars_(std::move(jars)),
      runner_(std::move(runner)),
      operations_(*store_),
      operation_runner_(operations_, env_, *this),
      slots_(options_.cluster.load_balance) {
  loop_ = env.threads.make_loop("jobmanager");
  const env::MutexLock lock(way_back_->mutex);
  way_back_->loop = loop_.get();
}

JobManager::~JobManager() {
  {
    const env::MutexLock lock(way_back_->mutex);
    way_back_->loop = nullptr;
  }
  listener_.reset();
  // Not loop_.reset(): it clears the pointer before it has waited for the loop, which reads it. It goes before all that
  // its work uses.
}

Status JobManager::start() {
  // Ended jobs go to their outlines at once.
  struct Found {
    std::int64_t submitted = 0;
    StoredJob job;
    gateway::JobOutlineRef ended;
  };
  std::vector<Found> jobs;
  DREY_TRY(store_->each([&](StoredJob job) {
    const std::int64_t submitted = job.submitted;
    if (!job.ended) {
      jobs.push_back({submitted, std::move(job), nullptr});
    } else if (const auto model = wire::decode<gateway::JobModel>(job.model); model.ok()) {
      jobs.push_back({submitted, {}, std::make_shared<gateway::JobOutline>(gateway::outline_of(*model))});
    }
  }));
  std::stable_sort(jobs.begin(), jobs.end(), [](const Found& a, const Found& b) { return a.submitted < b.submitted; });
  DREY_TRY(operations_.load(env_.clock.wall()));
  auto listener = env_.network.listen(*loop_, options_.host, options_.cluster.rpc_port,
                                      [this](env::ConnectionRef c) { on_connection(c); });
  if (!listener.ok()) return listener.status();
  listener_ = std::move(*listener);
  loop_->post([this, jobs = std::move(jobs)]() mutable {
    for (auto& [submitted, job, ended] : jobs) {
      if (ended != nullptr) {
        order_.push_back({ended->id, nullptr});
        remember(std::move(ended), nullptr);
        continue;
      }
      env::log_info("jobmanager", "Resuming job {} ({})", job.graph.name, job.id.to_string());
      kinds_.note_traits(job.graph);
      start_master(std::move(job), [](Result<JobId> resumed) {
        if (!resumed.ok())
          env::log_error("jobmanager", "A stored job cannot be resumed: {}", resumed.status().to_string());
      });
    }
    retire(env_.clock.ticks());
    tick();
  });
  return {};
}

void JobManager::tick() {
  if (stopping_) return;
  const Ticks now = env_.clock.ticks();
  std::vector<std::string> silent;
  for (const auto& [id, entry] : task_managers_) {
    if (now - entry.last_heard > options_.cluster.heartbeat_timeout) silent.push_back(id);
  }
  for (const std::string& id : silent) {
    on_lost(id, fmt::format("The heartbeat of TaskManager with id {} timed out.", id));
  }
  match_slots();
  expire(now);
  if (now >= retire_after_) retire(now);
  if (now >= watch_tick_after_) {
    watch_tick_after_ = now + kWatchTick;
    publish({{}, 0, gateway::TickEvent{}});
  }
  if (now >= adapt_after_) adapt();
  loop_->after(kTick, [this] { tick(); });
}

// --- TaskManagers --------------------------------------------------------------------------------

void JobManager::on_connection(const env::ConnectionRef& connection) {
  auto id = std::make_shared<std::string>();
  unregistered_.insert(connection);
  env::Connection::Handler handler;
  // The connection owns its handler, so the handler must not own the connection.
  const std::weak_ptr<env::Connection> weak = connection;
  handler.on_frame = [this, weak, id](std::string_view frame) {
    if (const env::ConnectionRef alive = weak.lock()) on_frame(alive, id, frame);
  };
  handler.on_closed = [this, weak, id](const Status& why) {
    const env::ConnectionRef closed = weak.lock();
    unregistered_.erase(closed);
    if (id->empty()) {
      ++refused_;
      env::log_warn("jobmanager", "A connection to the RPC port ended before it registered: {}", why.message());
      return;
    }
    const auto found = task_managers_.find(*id);
    if (found != task_managers_.end() && (closed == nullptr || found->second.connection == closed)) {
      on_lost(*id, fmt::format("TaskManager with id {} is no longer reachable: {}", *id, why.message()));
    }
  };
  connection->set_handler(std::move(handler));
  // Who does not register in time is no TaskManager.
  loop_->after(std::chrono::seconds(10), [this, connection] {
    if (unregistered_.erase(connection) == 0) return;
    ++refused_;
    env::log_warn("jobmanager", "A connection to the RPC port did not register in time");
    connection->close();
  });
}

void JobManager::on_frame(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
                          std::string_view frame) {
  auto message = wire::decode<control::ToJobManager>(frame);
  const bool registers = message.ok() && std::holds_alternative<control::Register>(*message);
  if (registers && !id->empty() && *id == std::get<control::Register>(*message).id) return;  // said twice
  if (!message.ok() || registers != id->empty()) {
    ++refused_;
    env::log_warn("jobmanager", "A peer on the RPC port sent something else than what a TaskManager sends; closing it");
    const std::string lost = *id;
    unregistered_.erase(connection);
    connection->close();
    if (!lost.empty()) on_lost(lost, fmt::format("TaskManager {} sent a message that cannot be read", lost));
    return;
  }
  if (registers) return on_register(connection, id, std::get<control::Register>(*message));
  const auto entry = task_managers_.find(*id);
  if (entry == task_managers_.end() || entry->second.connection != connection) return;
  entry->second.last_heard = env_.clock.ticks();
  if (!std::holds_alternative<control::Heartbeat>(*message) && !std::holds_alternative<control::Told>(*message))
    changed();
  const auto master = [&](const control::TaskAddress& task) -> std::shared_ptr<JobMaster> {
    const auto found = masters_.find(task.job);
    return found == masters_.end() ? nullptr : found->second;
  };
  if (auto* state = std::get_if<control::TaskStateChanged>(&*message)) {
    if (auto m = master(state->task)) m->on_message(*id, *state);
  } else if (auto* ended = std::get_if<control::EndOfData>(&*message)) {
    if (auto m = master(ended->task)) m->on_message(*ended);
  } else if (auto* ack = std::get_if<control::SnapshotAck>(&*message)) {
    if (auto m = master(ack->task)) m->on_message(*ack);
  } else if (auto* told = std::get_if<control::Told>(&*message)) {
    questions_.on_told(*id, std::move(*told));
  } else if (auto* beat = std::get_if<control::Heartbeat>(&*message)) {
    entry->second.model.last_heartbeat = env_.clock.wall().millis;
    if (!beat->names.empty())
      entry->second.model.metrics = {std::make_shared<const metrics::Names>(beat->names), beat->values};
    for (const control::TaskReport& report : beat->tasks) {
      if (auto m = master(report.task)) m->on_report(report);
    }
    connection->send(wire::encode(control::ToTaskManager(control::HeartbeatAnswer{env_.clock.wall().millis})));
  }
}

void JobManager::on_register(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
                             const control::Register& message) {
  changed();
  std::string why;
  if (!control::is_same_secret(message.secret, options_.cluster.secret)) {
    why = "the secret of the cluster does not match";
  } else if (message.version != control::kProtocolVersion) {
    why = fmt::format("it has protocol version {}, this JobManager has {}: run one version of drey", message.version,
                      control::kProtocolVersion);
  } else if (task_managers_.contains(message.id)) {
    why = fmt::format("a TaskManager with the id {} is registered already", message.id);
  } else if (message.id.empty()) {
    why = "it has no id";
  } else if (message.slots < 1 || message.slots > 100'000) {
    why = fmt::format("it offers {} slots", message.slots);
  }
  unregistered_.erase(connection);
  control::RegisterAnswer answer;
  answer.accepted = why.empty();
  answer.why = why;
  answer.heartbeat_ms = options_.cluster.heartbeat_interval.count();
  answer.heartbeat_timeout_ms = options_.cluster.heartbeat_timeout.count();
  // Counted and logged before the peer knows.
  if (!why.empty()) {
    ++refused_;
    env::log_warn("jobmanager", "Refused TaskManager {}: {}", message.id, why);
  }
  connection->send(wire::encode(control::ToTaskManager(answer)));
  if (!why.empty()) return connection->close();
  *id = message.id;
  TaskManagerEntry entry;
  entry.connection = connection;
  entry.last_heard = env_.clock.ticks();
  gateway::TaskManagerModel& m = entry.model;
  m.id = message.id;
  m.host = message.host;
  m.data_port = message.data_port;
  m.slots = message.slots;
  m.cores = message.cores;
  m.physical_memory = message.physical_memory;
  m.managed_memory = message.managed_memory;
  m.pid = message.pid;
  m.last_heartbeat = env_.clock.wall().millis;
  task_managers_[message.id] = std::move(entry);
  slots_.add_task_manager(message.id, static_cast<std::size_t>(message.slots));
  env::log_info("jobmanager", "Registered TaskManager {} with {} slots", message.id, message.slots);
  publish({{}, 0, gateway::TaskManagerEvent{message.id, false, ""}});
  match_slots();
}

void JobManager::on_lost(const std::string& id, const std::string& why) {
  changed();
  const auto found = task_managers_.find(id);
  if (found == task_managers_.end()) return;
  control::FailureReport failure{static_cast<std::int32_t>(Code::kIo), why,
                                 "org.apache.flink.runtime.jobmaster.JobMasterException", ""};
  if (options_.crash_report) {
    const runtime::CrashReport crash = options_.crash_report(id);
    if (!crash.summary.empty()) {
      const Code blame = crash.in_job_code ? Code::kUserCode : Code::kInternal;
      failure = {static_cast<std::int32_t>(blame),
                 fmt::format("{} crashed the TaskManager {}: {}",
                             crash.in_job_code ? "The job's code" : "Drey's own code", id, crash.summary),
                 "drey.NativeCrash", crash.stack};
    }
  }
  env::log_warn("jobmanager", "Lost TaskManager {}: {}", id, failure.message);
  publish({{}, 0, gateway::TaskManagerEvent{id, true, failure.message}});
  found->second.connection->close();
  task_managers_.erase(found);
  for (const JobId& job : slots_.remove_task_manager(id)) {
    const auto master = masters_.find(job);
    if (master != masters_.end()) master->second->on_task_manager_lost(id, failure);
  }
}

// --- questions about processes -------------------------------------------------------------------

gateway::Future<std::string> JobManager::inspect(std::string task_manager, gateway::Inspection question) {
  gateway::Promise<std::string> promise;
  if (task_manager.empty()) {
    if (!options_.inspect)
      return Result<std::string>(fail(Code::kUnavailable, "This JobManager answers no questions."));
    options_.inspect(std::move(question), [promise](Result<std::string> answer) { promise.set(std::move(answer)); });
    return promise.future();
  }
  loop_->post([this, task_manager, question = std::move(question), promise] {
    const auto entry = task_managers_.find(task_manager);
    if (entry == task_managers_.end()) {
      return promise.set(fail(Code::kNotFound, fmt::format("No TaskExecutor registered under {}.", task_manager)));
    }
    const control::Ask ask = questions_.ask(task_manager, question, promise, env_.clock.ticks());
    entry->second.connection->send(wire::encode(control::ToTaskManager(ask)));
  });
  return promise.future();
}

void JobManager::expire(Ticks now) {
  questions_.expire(now, [this](const std::string& id) { return task_managers_.contains(id); });
  const std::int64_t wall = env_.clock.wall().millis;
  for (auto it = clients_.begin(); it != clients_.end();) {
    const auto master = masters_.find(it->first);
    const bool ended = master == masters_.end() || master->second->is_ended();
    if (!ended && wall < it->second) {
      ++it;
      continue;
    }
    if (!ended) {
      env::log_warn("jobmanager", "Cancelling job {}: its client did not come again in time", it->first.to_string());
      const auto keep = master->second;
      keep->cancel();
    }
    it = clients_.erase(it);
  }
  std::erase_if(dataset_deletions_, [now](const auto& entry) { return now - entry.second > kDeletionsKept; });
}

void JobManager::heartbeat(JobId id, std::int64_t expires) {
  loop_->post([this, id, expires] {
    if (masters_.contains(id)) clients_[id] = expires;
  });
}

gateway::Future<TriggerId> JobManager::delete_dataset(std::string) {
  gateway::Promise<TriggerId> promise;
  loop_->post([this, promise] {
    const TriggerId trigger = env_.random.id<struct TriggerTag>();
    if (dataset_deletions_.size() >= kDeletionsMax) dataset_deletions_.clear();
    dataset_deletions_[trigger] = env_.clock.ticks();
    promise.set(trigger);
  });
  return promise.future();
}

gateway::Future<bool> JobManager::dataset_deletion(TriggerId trigger) {
  gateway::Promise<bool> promise;
  loop_->post([this, trigger, promise] {
    if (dataset_deletions_.contains(trigger)) return promise.set(true);
    promise.set(fail(Code::kNotFound, fmt::format("Operation not found under key: {}", trigger.to_string())));
  });
  return promise.future();
}

void JobManager::end_cluster() {
  if (options_.end_cluster) options_.end_cluster();
}

// --- slots ---------------------------------------------------------------------------------------

void JobManager::request_slots(JobId job, std::int32_t slots) {
  changed();
  slots_.request(job, slots, env_.clock.ticks());
  loop_->post([this] { match_slots(); });
}

void JobManager::release_slots(JobId job) {
  changed();
  slots_.release(job);
  loop_->post([this] { match_slots(); });
}

void JobManager::match_slots() {
  for (const control::SlotPool::Grant& grant : slots_.grant()) {
    const auto master = masters_.find(grant.job);
    if (master == masters_.end()) {
      slots_.release(grant.job);
      continue;
    }
    std::vector<SlotOffer> offers;
    for (const auto& [id, slot] : grant.slots) {
      const gateway::TaskManagerModel& model = task_managers_.at(id).model;
      offers.push_back({id, model.host, model.data_port, slot});
    }
    const auto keep = master->second;
    keep->on_slots(offers);
  }
  const Ticks now = env_.clock.ticks();
  // A copy: those who wait may ask anew.
  const std::vector<control::SlotPool::Waiting> waiting = slots_.waiting();
  for (const control::SlotPool::Waiting& request : waiting) {
    const auto master = masters_.find(request.job);
    if (master == masters_.end()) {
      slots_.withdraw(request.job);
      continue;
    }
    const auto keep = master->second;
    if (keep->has_requirements() && now >= request.since + options_.cluster.slot_stabilization) {
      const auto widths = keep->parallelism_within(slots_.within_reach(request.job));
      if (widths && *widths != keep->parallelism()) {
        slots_.withdraw(request.job);
        keep->take_fewer_slots(*widths);
        continue;
      }
    }
    if (now < request.since + options_.cluster.slot_timeout) continue;
    slots_.withdraw(request.job);
    keep->on_slots_failed(
        fail(Code::kResourceExhausted,
             fmt::format("Could not acquire the minimum required resources: the job needs {} slots, {} are free "
                         "on {} TaskManagers. Start drey with more slots (-Dtaskmanager.numberOfTaskSlots={}) "
                         "or run the job with a lower parallelism",
                         request.slots, slots_.free(), task_managers_.size(), request.slots)));
  }
}

void JobManager::send(const std::string& task_manager, const control::ToTaskManager& message) {
  changed();
  const auto found = task_managers_.find(task_manager);
  if (found != task_managers_.end()) found->second.connection->send(wire::encode(message));
}

Status JobManager::store(const StoredJob& job) {
  changed();
  return store_->put(job);
}

void JobManager::after(Nanos delay, std::function<void()> function) {
  loop_->after(delay, [this, function = std::move(function)] {
    changed();
    function();
  });
}

void JobManager::beside(std::function<void()> work, std::function<void()> done) {
  env_.io.post([work = std::move(work), done = std::move(done), way_back = way_back_]() mutable {
    work();
    const env::MutexLock lock(way_back->mutex);
    if (way_back->loop != nullptr) way_back->loop->post(std::move(done));
  });
}

void JobManager::on_ended(JobId id, bool is_stored) {
  changed();
  const auto found = masters_.find(id);
  if (found == masters_.end()) return;
  // Not now: the master is still in the call that ended it.
  loop_->post([this, id, is_stored] {
    const auto master = masters_.find(id);
    if (master == masters_.end()) return;
    const gateway::JobModelRef model = master->second->model();
    remember(std::make_shared<gateway::JobOutline>(gateway::outline_of(*model)), is_stored ? nullptr : model);
    masters_.erase(master);
    retire(env_.clock.ticks());
  });
}

void JobManager::remember(gateway::JobOutlineRef ended, gateway::JobModelRef kept) {
  const auto listed = std::find_if(order_.rbegin(), order_.rend(), [&](const Listed& l) { return l.id == ended->id; });
  if (listed != order_.rend()) listed->ended = ended;
  ended_by_time_.emplace(ended->end, ended->id);
  const JobId id = ended->id;
  ended_[id] = {std::move(ended), std::move(kept)};
}

void JobManager::retire(Ticks now) {
  retire_after_ = now + kRetirePause;
  const ClusterOptions& options = options_.cluster;
  const auto most = static_cast<std::size_t>(
      options.archived_jobs < 0 ? options.ended_jobs : std::min(options.ended_jobs, options.archived_jobs));
  std::int64_t age = options.ended_job_age_s <= 0 ? INT64_MAX : options.ended_job_age_s * 1000;
  if (options.archived_age.count() > 0) age = std::min<std::int64_t>(age, options.archived_age.count());
  const std::int64_t wall = env_.clock.wall().millis;
  while (!ended_by_time_.empty() && (ended_by_time_.size() > most || wall - ended_by_time_.begin()->first > age)) {
    const JobId oldest = ended_by_time_.begin()->second;
    if (Status removed = store_->remove(oldest); !removed.ok()) {
      env::log_warn("jobmanager", "The record of job {} cannot be removed: {}", oldest.to_string(),
                    removed.to_string());
      return;  // the next look tries again
    }
    changed();
    ended_by_time_.erase(ended_by_time_.begin());
    ended_.erase(oldest);
    std::erase_if(order_, [&](const Listed& listed) { return listed.id == oldest; });
  }
}

// --- jobs ----------------------------------------------------------------------------------------

void JobManager::start_master(StoredJob job, std::function<void(Result<JobId>)> done) {
  changed();
  const JobId id = job.id;
  auto master = JobMaster::make(std::move(job), options_.checkpoint_directory, env_, *this);
  if (!master.ok()) return done(master.status());
  order_.push_back({id, nullptr});
  masters_[id] = *master;
  (*master)->start();
  done(id);
}

Result<graph::JobGraph> JobManager::resolved(graph::JobGraph graph, const std::map<std::string, std::string>& extra,
                                             std::int32_t parallelism) {
  // The program's own settings win over those of the submission, these over the cluster's.
  config::Values settings = config::with_current_names(graph.settings, control::job_options());
  settings.merge(config::with_current_names(extra, control::job_options()));
  settings.merge(config::per_job(options_.configuration, control::job_options()));
  DREY_TRY_ASSIGN(const auto pipeline, config::read<graph::PipelineOptions>(settings));
  DREY_TRY_ASSIGN(const auto checkpoints, config::read<control::CheckpointOptions>(settings));
  if (!checkpoints.directory.empty()) {
    DREY_TRY(local_directory(checkpoints.directory).status().with_context("execution.checkpointing.dir"));
  }
  if (!pipeline.name.empty()) graph.name = pipeline.name;
  graph.settings = std::move(settings);
  DREY_TRY(kinds_.check(graph));
  DREY_TRY(graph::resolve(graph, parallelism == 0 ? pipeline.parallelism : parallelism, pipeline.max_parallelism));
  return graph;
}

void JobManager::submit(graph::JobGraph graph, std::string module, std::optional<JobId> wanted,
                        std::string restore_path, std::function<void(Result<JobId>)> done) {
  loop_->post([this, graph = std::move(graph), module = std::move(module), wanted,
               restore_path = std::move(restore_path), done = std::move(done)]() mutable {
    StoredJob job;
    job.graph = std::move(graph);
    job.module = std::move(module);
    gateway::RunRequest request;
    request.job_id = wanted;
    request.savepoint_path = std::move(restore_path);
    start_new(std::move(job), request, std::move(done));
  });
}

void JobManager::start_new(StoredJob job, const gateway::RunRequest& request, std::function<void(Result<JobId>)> done) {
  job.id = request.job_id ? *request.job_id : env_.random.id<struct JobTag>();
  job.digest = job.graph.digest();
  job.submitted = env_.clock.wall().millis;
  if (masters_.contains(job.id) || ended_.contains(job.id)) {
    return done(fail(Code::kInvalidArgument, fmt::format("Job has already been submitted: {}", job.id.to_string())));
  }
  std::optional<control::Checkpoint> from;
  if (!request.savepoint_path.empty()) {
    auto checkpoint = read_checkpoint(env_.files, request.savepoint_path);
    if (!checkpoint.ok()) return done(checkpoint.status());
    if (Status fits = control::fit(job.graph, *checkpoint, request.allow_non_restored); !fits.ok()) return done(fits);
    from = std::move(*checkpoint);
  }
  auto whole = resolved(std::move(job.graph), request.configuration, request.parallelism);
  if (!whole.ok()) return done(whole.status());
  job.graph = std::move(*whole);
  if (from) {
    // What sinks have not committed yet carries the ids of then: the job's own come after them.
    job.next_checkpoint = from->id + 1;
    if (request.claim) {
      from->keep = false;
      job.checkpoints = {std::move(*from)};
    } else {
      job.restore_path = from->path;
    }
  }
  if (Status stored = store_->put(job); !stored.ok()) return done(stored);
  start_master(std::move(job), std::move(done));
}

void JobManager::plan(const gateway::RunRequest& request,
                      std::function<void(Result<std::pair<graph::JobGraph, Jars::Program>>)> done) {
  ++planning_[request.jar];
  // What was taken out of a jar stays only for a running job.
  const auto finish = [this, jar = request.jar,
                       done = std::move(done)](Result<std::pair<graph::JobGraph, Jars::Program>> planned) {
    done(std::move(planned));
    if (--planning_[jar] > 0) return;
    planning_.erase(jar);
    if (!is_running(jar)) jars_->remove_unpacked(jar);
  };
  // Unpacking may take a while: not on the loop.
  env_.io.post([this, request, done = finish] {
    auto program = jars_->open(request.jar, request.entry);
    loop_->post([this, request, done, program = std::move(program)]() mutable {
      if (!program.ok()) return done(program.status());
      ProgramRunner::Request run;
      run.module = program->module;
      run.entry = program->entry;
      run.arguments = request.arguments;
      run.configuration = options_.configuration;
      for (const auto& [key, value] : request.configuration) run.configuration[key] = value;
      runner_->plan(*loop_, std::move(run), [done, program = *program](Result<graph::JobGraph> graph) {
        if (!graph.ok()) return done(graph.status());
        done(std::pair(std::move(*graph), program));
      });
    });
  });
}

bool JobManager::is_running(const std::string& jar) const {
  const std::string module = jars_->module_path(jar);
  return std::any_of(masters_.begin(), masters_.end(),
                     [&](const auto& entry) { return !entry.second->is_ended() && entry.second->module() == module; });
}

gateway::Future<JobId> JobManager::run_jar(gateway::RunRequest request) {
  gateway::Promise<JobId> promise;
  loop_->post([this, request, promise] {
    // As Flink says it when a program fails or its job cannot be started.
    const auto not_executed = [](const Status& why) {
      return fail(Code::kInvalidArgument, "Could not execute application.\nCaused by: " + why.to_string());
    };
    plan(request, [this, request, promise, not_executed](Result<std::pair<graph::JobGraph, Jars::Program>> planned) {
      if (!planned.ok() && planned.status().code() == Code::kUserCode)
        return promise.set(not_executed(planned.status()));
      if (!planned.ok()) return promise.set(planned.status());
      StoredJob job;
      job.graph = std::move(planned->first);
      job.graph.jar = request.jar;
      job.module = planned->second.module;
      start_new(std::move(job), request, [promise, not_executed](Result<JobId> id) {
        promise.set(id.ok() ? std::move(id) : Result<JobId>(not_executed(id.status())));
      });
    });
  });
  return promise.future();
}

// --- operations ----------------------------------------------------------------------------------

std::shared_ptr<JobMaster> JobManager::running(JobId id) const {
  const auto found = masters_.find(id);
  return found == masters_.end() || found->second->is_ended() ? nullptr : found->second;
}

std::optional<JobId> JobManager::job_that_needs(const std::string& snapshot) const {
  for (const auto& [id, master] : masters_) {
    if (master->needs(snapshot)) return id;
  }
  return std::nullopt;
}

gateway::Future<TriggerId> JobManager::trigger(gateway::OperationRequest request) {
  gateway::Promise<TriggerId> promise;
  loop_->post([this, promise, request = std::move(request)]() mutable {
    promise.set(operation_runner_.trigger(std::move(request)));
  });
  return promise.future();
}

gateway::Future<gateway::OperationModel> JobManager::operation(gateway::OperationKind kind, JobId job, TriggerId id) {
  gateway::Promise<gateway::OperationModel> promise;
  loop_->post([this, kind, job, id, promise] {
    const gateway::OperationModel* found = operations_.find(kind, job, id);
    if (found == nullptr)
      return promise.set(fail(Code::kNotFound, fmt::format("Operation not found under key: {}", id.to_string())));
    promise.set(*found);
  });
  return promise.future();
}

// --- rescaling -----------------------------------------------------------------------------------

void JobManager::adapt() {
  for (const auto& [id, master] : masters_) {
    if (!master->has_requirements() || master->is_ended() || master->is_changing()) continue;
    const auto widths = master->parallelism_within(slots_.within_reach(id));
    if (widths && *widths == master->parallelism()) master->on_wide_enough();
    if (!widths || *widths == master->parallelism()) continue;
    adapt_after_ = env_.clock.ticks() + options_.cluster.rescale_cooldown;
    const auto keep = master;
    keep->rescale(*widths, gateway::RescaleCause::kNewResource, [id = id](Result<SnapshotTaken> done) {
      if (!done.ok())
        env::log_warn("jobmanager", "Job {} is not rescaled: {}", id.to_string(), done.status().message());
    });
    return;  // the next one when slots have settled
  }
}

gateway::Future<gateway::ResourceRequirements> JobManager::resource_requirements(JobId id) {
  gateway::Promise<gateway::ResourceRequirements> promise;
  loop_->post([this, id, promise] {
    const auto master = running(id);
    if (master == nullptr) return promise.set(no_flink_job(id));
    promise.set(master->requirements());
  });
  return promise.future();
}

gateway::Future<bool> JobManager::set_resource_requirements(JobId id, gateway::ResourceRequirements requirements) {
  gateway::Promise<bool> promise;
  loop_->post([this, id, promise, requirements = std::move(requirements)] {
    changed();
    const auto master = running(id);
    if (master == nullptr) return promise.set(no_flink_job(id));
    std::vector<control::WantedBounds> wanted;
    for (const auto& [vertex, bounds] : requirements) wanted.push_back({vertex, bounds.lower, bounds.upper});
    if (const std::string objections = control::objections_to(master->plan(), wanted); !objections.empty()) {
      return promise.set(fail(Code::kInvalidArgument, objections));
    }
    gateway::ResourceRequirements all;
    for (const graph::Vertex& vertex : master->plan().vertices) {
      for (const control::WantedBounds& w : wanted) {
        if (w.vertex != vertex.id) continue;
        all.push_back({vertex.id,
                       {w.lower == -1 ? 1 : static_cast<std::int32_t>(w.lower),
                        w.upper == -1 ? vertex.max_parallelism : static_cast<std::int32_t>(w.upper)}});
      }
    }
    if (Status stored = master->set_requirements(std::move(all)); !stored.ok()) return promise.set(stored);
    promise.set(true);
    adapt();
  });
  return promise.future();
}

gateway::Future<JobId> JobManager::submit(gateway::SubmitRequest request) {
  gateway::Promise<JobId> promise;
  auto graph = wire::decode<graph::JobGraph>(request.graph);
  if (!graph.ok())
    return Result<JobId>(
        fail(Code::kInvalidArgument, "Failed to deserialize ExecutionPlan. It is no graph of this version of Drey."));
  add_jar(request.jar_path, request.jar_name)
      .then([this, promise, graph = std::move(*graph)](Result<std::string> path) mutable {
        if (!path.ok()) return promise.set(path.status());
        graph.jar = env::base_name_of(*path);
        env_.io.post([this, promise, graph = std::move(graph)]() mutable {
          auto program = jars_->open(graph.jar, graph.entry);
          if (!program.ok()) {
            static_cast<void>(jars_->remove(graph.jar, false));
            return promise.set(program.status());
          }
          loop_->post([this, promise, graph = std::move(graph), module = program->module]() mutable {
            submit(std::move(graph), module, std::nullopt, "",
                   [promise](Result<JobId> id) { promise.set(std::move(id)); });
          });
        });
      });
  return promise.future();
}

gateway::Future<gateway::JobModelRef> JobManager::plan_jar(gateway::RunRequest request) {
  gateway::Promise<gateway::JobModelRef> promise;
  loop_->post([this, request, promise] {
    plan(request, [this, request, promise](Result<std::pair<graph::JobGraph, Jars::Program>> planned) {
      if (!planned.ok()) return promise.set(planned.status());
      auto whole = resolved(std::move(planned->first), request.configuration, request.parallelism);
      if (!whole.ok()) return promise.set(whole.status());
      auto model = std::make_shared<gateway::JobModel>();
      model->id = request.job_id ? *request.job_id : env_.random.id<struct JobTag>();
      model->name = whole->name;
      const graph::Plan plan_of_graph = graph::plan_of(*whole);
      for (const graph::Vertex& vertex : plan_of_graph.vertices) model->vertices.push_back({vertex, {}});
      for (const graph::VertexEdge& edge : plan_of_graph.edges) {
        model->edges.push_back({edge.from, edge.to, std::string(to_text(whole->edges[edge.edge].partitioner))});
      }
      promise.set(gateway::JobModelRef(std::move(model)));
    });
  });
  return promise.future();
}

Result<gateway::JobModelRef> JobManager::find_model(JobId id) {
  if (const auto master = masters_.find(id); master != masters_.end()) return master->second->model();
  const auto ended = ended_.find(id);
  if (ended == ended_.end()) return not_found(id);
  if (ended->second.model != nullptr) return ended->second.model;
  DREY_TRY_ASSIGN(const StoredJob stored, store_->get(id));
  DREY_TRY_ASSIGN(gateway::JobModel model, wire::decode<gateway::JobModel>(stored.model));
  return gateway::JobModelRef(std::make_shared<gateway::JobModel>(std::move(model)));
}

gateway::Future<std::vector<gateway::JobOutlineRef>> JobManager::jobs() {
  gateway::Promise<std::vector<gateway::JobOutlineRef>> promise;
  loop_->post([this, promise] {
    std::vector<gateway::JobOutlineRef> all;
    all.reserve(order_.size());
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (it->ended != nullptr) {
        all.push_back(it->ended);
      } else if (const auto master = masters_.find(it->id); master != masters_.end()) {
        all.push_back(std::make_shared<gateway::JobOutline>(gateway::outline_of(*master->second->model())));
      }
    }
    promise.set(std::move(all));
  });
  return promise.future();
}

gateway::Future<std::vector<gateway::JobModelRef>> JobManager::running_jobs() {
  gateway::Promise<std::vector<gateway::JobModelRef>> promise;
  loop_->post([this, promise] {
    std::vector<gateway::JobModelRef> all;
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      if (it->ended != nullptr) continue;
      const auto master = masters_.find(it->id);
      if (master != masters_.end() && !master->second->is_ended()) all.push_back(master->second->model());
    }
    promise.set(std::move(all));
  });
  return promise.future();
}

gateway::Future<gateway::JobModelRef> JobManager::job(JobId id) {
  gateway::Promise<gateway::JobModelRef> promise;
  loop_->post([this, id, promise] { promise.set(find_model(id)); });
  return promise.future();
}

gateway::Future<bool> JobManager::cancel(JobId id) {
  gateway::Promise<bool> promise;
  loop_->post([this, id, promise] {
    changed();
    if (const auto master = masters_.find(id); master != masters_.end() && !master->second->is_ended()) {
      const auto keep = master->second;
      keep->cancel();
      return promise.set(true);
    }
    const auto ended = ended_.find(id);
    if (ended == ended_.end()) return promise.set(fail(Code::kNotFound, "Job could not be found."));
    const std::string& state = ended->second.outline->state;
    if (state == "CANCELED") return promise.set(true);
    promise.set(
        fail(Code::kConflict,
             fmt::format("Job cancellation failed because the job has already reached another terminal state ({}).",
                         state)));
  });
  return promise.future();
}

gateway::Future<std::vector<gateway::JarModel>> JobManager::jars() {
  gateway::Promise<std::vector<gateway::JarModel>> promise;
  env_.io.post([this, promise] { promise.set(jars_->list()); });
  return promise.future();
}

gateway::Future<std::string> JobManager::add_jar(std::string path, std::string name) {
  gateway::Promise<std::string> promise;
  env_.io.post([this, path, name, promise] { promise.set(jars_->add(path, name)); });
  return promise.future();
}

gateway::Future<bool> JobManager::delete_jar(std::string id) {
  gateway::Promise<bool> promise;
  loop_->post([this, id, promise] {
    // A job goes on without its jar: a TaskManager that is started anew loads the program again.
    const bool keep_unpacked = is_running(id) || planning_.contains(id);
    env_.io.post([this, id, keep_unpacked, promise] {
      const Status status = jars_->remove(id, keep_unpacked);
      promise.set(status.ok() ? Result<bool>(true) : Result<bool>(status));
    });
  });
  return promise.future();
}

gateway::Future<std::vector<gateway::TaskManagerModel>> JobManager::task_managers() {
  gateway::Promise<std::vector<gateway::TaskManagerModel>> promise;
  loop_->post([this, promise] {
    std::vector<gateway::TaskManagerModel> all;
    for (const auto& [id, entry] : task_managers_) {
      gateway::TaskManagerModel model = entry.model;
      for (const JobId& job : slots_.owners(id)) {
        if (job.is_zero()) {
          ++model.free_slots;
        } else {
          model.allocated.push_back(job);
        }
      }
      all.push_back(std::move(model));
    }
    promise.set(std::move(all));
  });
  return promise.future();
}

gateway::Future<gateway::Metrics> JobManager::metrics() {
  gateway::Promise<gateway::Metrics> promise;
  loop_->post([this, promise] {
    std::int64_t running = 0;
    for (const auto& [id, master] : masters_) running += master->is_ended() ? 0 : 1;
    gateway::Metrics all = options_.process_metrics ? options_.process_metrics() : gateway::Metrics();
    const ClusterView view{running, static_cast<std::int64_t>(task_managers_.size()), slots_.total(), slots_.free(),
                           refused_.load()};
    for (const metrics::Row<ClusterView>& row : kClusterMetrics) {
      std::visit([&](auto value) { all.add(row.name, value); }, row.of(view));
    }
    promise.set(std::move(all));
  });
  return promise.future();
}

void JobManager::watch(std::function<void(const gateway::EventModel&)> watcher) {
  loop_->post([this, watcher = std::move(watcher)]() mutable { watcher_ = std::move(watcher); });
}

void JobManager::publish(gateway::EventModel event) {
  if (!std::holds_alternative<gateway::TickEvent>(event.what)) changed();
  if (!watcher_) return;
  event.time = env_.clock.wall().millis;
  watcher_(event);
}

std::vector<gateway::ConfigEntry> JobManager::configuration() {
  std::vector<gateway::ConfigEntry> entries;
  for (const auto& [key, value] : options_.configuration) {
    entries.push_back({key, config::is_secret(key) ? "******" : value});
  }
  return entries;
}

std::string JobManager::savepoint_directory(JobId job) const {
  const std::shared_ptr<JobMaster> master = running(job);
  const config::Values& settings = master != nullptr ? master->settings() : options_.configuration;
  return config::read<control::CheckpointOptions>(settings).value_or({}).savepoint_directory;
}

void JobManager::shut_down(std::function<void()> done) {
  loop_->post([this, done = std::move(done)] {
    stopping_ = true;
    for (auto& [id, master] : masters_) {
      const auto keep = master;
      keep->suspend();
    }
    // Cancellations are on their way before the connections close.
    loop_->after(Millis(50), [this, done] {
      for (auto& [id, entry] : task_managers_) entry.connection->close();
      task_managers_.clear();
      done();
    });
  });
}

}  // namespace drey::cluster
