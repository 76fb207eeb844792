#include "runtime/task_manager.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "env/log.h"
#include "runtime/task_meter.h"
#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

constexpr Millis kReconnectDelay{200};
constexpr Millis kSecondLook{20};

control::AttemptState attempt_state(TaskState state) {
  switch (state) {
    case TaskState::kCreated:
      return control::AttemptState::kDeploying;
    case TaskState::kInitializing:
      return control::AttemptState::kInitializing;
    case TaskState::kRunning:
      return control::AttemptState::kRunning;
    case TaskState::kFinished:
      return control::AttemptState::kFinished;
    case TaskState::kCanceled:
      return control::AttemptState::kCanceled;
    case TaskState::kFailed:
      return control::AttemptState::kFailed;
  }
  return control::AttemptState::kFailed;
}

}  // namespace

control::FailureReport failure_of(const Status& status) {
  if (status.ok()) return {};
  return {static_cast<std::int32_t>(status.code()), status.to_string(), status.origin(), status.stack()};
}

Status status_of(const control::FailureReport& failure) {
  if (failure.code <= 0 || failure.code > static_cast<std::int32_t>(Code::kInternal)) {
    return failure.code == 0 ? Status() : fail(Code::kInternal, failure.message);
  }
  return fail(static_cast<Code>(failure.code), failure.message).with_origin(failure.origin).with_stack(failure.stack);
}

TaskManager::TaskManager(TaskManagerOptions options, env::Env& env, const operators::Registry& registry)
    : options_(std::move(options)), env_(env), registry_(registry) {
  const auto slots = static_cast<std::size_t>(std::max(options_.slots, 1));
  workers_ = std::make_unique<WorkerPool>(
      env, std::min<std::size_t>(slots, static_cast<std::size_t>(env.threads.core_count())));
  DataExchangeOptions exchange;
  exchange.host = options_.host;
  exchange.port = options_.data_port;
  exchange.secret = options_.secret;
  exchange.channel_bytes = options_.channel_bytes;
  exchange.peer_timeout = options_.peer_timeout;
  exchange_ = std::make_unique<DataExchange>(exchange, env, pools_, pools_->blocks);
  loop_ = env.threads.make_loop("taskmanager");
  env::MutexLock lock(door_->mutex);
  door_->loop = loop_.get();
}

TaskManager::~TaskManager() {
  env::MutexLock lock(door_->mutex);
  door_->loop = nullptr;
  // The loop goes first, as the last member: nothing runs on it any more when workers and tasks go. Not loop_.reset():
  // it clears the pointer before it has waited for the loop, which reads it.
}

Status TaskManager::start(std::function<void(const std::string&)> on_refused) {
  DREY_TRY(exchange_->listen().with_context("taskmanager.data.port"));
  loop_->post([this, on_refused = std::move(on_refused)] {
    on_refused_ = on_refused;
    connect();
  });
  return {};
}

void TaskManager::connect() {
  env_.network.connect(*loop_, options_.job_manager_host, options_.job_manager_port, std::chrono::seconds(5),
                       [this](Result<env::ConnectionRef> connection) {
                         if (!connection.ok()) {
                           // Five tries a second: said once.
                           if (!std::exchange(is_unreachable_, true)) {
                             env::log_warn("taskmanager", "{}. Trying again until it can be reached",
                                           connection.status().to_string());
                           }
                           loop_->after(kReconnectDelay, [this] { connect(); });
                           return;
                         }
                         is_unreachable_ = false;
                         connection_ = *connection;
                         env::Connection::Handler handler;
                         handler.on_frame = [this](std::string_view frame) { on_frame(frame); };
                         handler.on_closed = [this](const Status& why) { on_lost(why); };
                         connection_->set_handler(std::move(handler));
                         control::Register hello;
                         hello.secret = options_.secret;
                         hello.id = options_.id;
                         hello.host = options_.host;
                         hello.data_port = exchange_->port();
                         hello.slots = options_.slots;
                         hello.cores = env_.threads.core_count();
                         hello.physical_memory = options_.physical_memory;
                         hello.managed_memory = static_cast<std::int64_t>(options_.managed_bytes);
                         send(hello);
                       });
}

void TaskManager::on_lost(const Status& why) {
  env::log_warn("taskmanager", "Lost the JobManager: {}", why.to_string());
  connection_.reset();
  registered_ = false;
  for (auto& [key, job] : jobs_) job->told.clear();
  cancel_all();
  loop_->after(kReconnectDelay, [this] { connect(); });
}

void TaskManager::send(const control::ToJobManager& message) {
  if (connection_ != nullptr) connection_->send(wire::encode(message));
}

void TaskManager::on_frame(std::string_view frame) {
  last_heard_ = env_.clock.ticks();
  auto message = wire::decode<control::ToTaskManager>(frame);
  if (!message.ok()) {
    env::log_error("taskmanager", "The JobManager sent a message that cannot be read: {} bytes", frame.size());
    return;
  }
  if (auto* answer = std::get_if<control::RegisterAnswer>(&*message)) {
    if (!answer->accepted) {
      env::log_error("taskmanager", "The JobManager refused this TaskManager: {}", answer->why);
      if (on_refused_) on_refused_(answer->why);
      return;
    }
    if (registered_) return;  // said twice
    registered_ = true;
    heartbeat_ms_ = std::max<std::int64_t>(answer->heartbeat_ms, 10);
    heartbeat_timeout_ = Millis(answer->heartbeat_timeout_ms);
    heartbeat();
  } else if (auto* job = std::get_if<control::Deploy>(&*message)) {
    deploy(std::move(*job));
  } else if (auto* task = std::get_if<control::CancelTask>(&*message)) {
    cancel(*task);
  } else if (auto* checkpoint = std::get_if<control::CheckpointCommand>(&*message)) {
    command(*checkpoint);
  } else if (auto* request = std::get_if<control::InspectionRequest>(&*message)) {
    const auto respond = [this, door = door_, id = request->id](Result<std::string> result) {
      door->post([this, id, result = std::move(result)] {
        send(control::InspectionAnswer{id, static_cast<std::int32_t>(result.status().code()),
                                       result.ok() ? *result : result.status().to_string()});
      });
    };
    if (!options_.inspect) return respond(fail(Code::kUnavailable, "This TaskManager cannot be inspected."));
    options_.inspect(request->inspection, respond);
  }
}

void TaskManager::deploy(control::Deploy message) {
  const JobKey key{message.job, message.incarnation};
  if (jobs_.contains(key)) return;  // said twice
  drop_ended_jobs();
  auto& job = jobs_[key] = std::make_unique<Job>();
  job->incarnation = message.incarnation;
  job->graph = std::make_shared<graph::JobGraph>(message.graph);
  for (const control::TaskDeployment& task : message.tasks)
    job->awaited.insert({message.job, message.incarnation, task.vertex, task.subtask, task.attempt});
  const bool needs_code = std::any_of(message.graph.operators.begin(), message.graph.operators.end(),
                                      [](const graph::OperatorNode& node) { return node.has_code; });
  if (!needs_code) return on_code(message, std::shared_ptr<JobCode>());
  load_code(std::make_shared<const control::Deploy>(std::move(message)));
}

// A main may take long, or for ever: heartbeats, cancellations and other jobs do not wait for it.
void TaskManager::load_code(std::shared_ptr<const control::Deploy> message) {
  auto& lane = programs_.try_emplace(message->module, env_.io).first->second;
  lane.post([this, door = door_, message, load = options_.load_code] {
    auto code = [&]() -> Result<std::shared_ptr<JobCode>> {
      if (load) return load(*message);
      DREY_TRY_ASSIGN(const drey_module* module, load_module(message->module));
      BuildRequest request;
      request.entry = message->graph.entry;
      request.arguments = message->graph.arguments;
      request.configuration = message->graph.settings;
      return build_job(*module, request);
    }();
    door->post([this, message, code = std::move(code)] { on_code(*message, code); });
  });
  loop_->after(options_.program_timeout, [this, message] {
    on_code(*message, fail(Code::kTimeout, fmt::format("The program's main has not returned within {} ms",
                                                       options_.program_timeout.count())));
  });
}

void TaskManager::on_code(const control::Deploy& message, Result<std::shared_ptr<JobCode>> code) {
  const auto found = jobs_.find({message.job, message.incarnation});
  // All its tasks have been cancelled meanwhile, or it is too late.
  if (found == jobs_.end() || found->second->awaited.empty()) return;
  Job& job = *found->second;
  const Status made = [&]() -> Status {
    if (!code.ok()) return code.status().with_context("Building the job's graph in the TaskManager");
    if (*code != nullptr && (*code)->graph.digest() != message.digest) {
      return fail(Code::kUserCode,
                  "The program built another graph than at submission: its main must depend on its arguments alone (no "
                  "clock, no random numbers, no files that change)");
    }
    job.code = *code;
    return make_tasks(message, job);
  }();
  if (made.ok()) return;
  for (const control::TaskAddress& address : job.awaited)
    send(control::TaskStateChanged{address, control::AttemptState::kFailed, failure_of(made)});
  job.awaited.clear();
}

Status TaskManager::make_tasks(const control::Deploy& message, Job& job) {
  std::set<std::uint32_t> slots;
  for (const auto& task : message.tasks) slots.insert(task.slot);
  auto memory = std::make_shared<JobMemory>();
  memory->pools = pools_;
  memory->budget.bytes_max =
      options_.managed_bytes / static_cast<std::uint64_t>(std::max(options_.slots, 1)) * slots.size();
  ChannelTable channels(*job.graph, message.plan, options_.channel_bytes);
  std::vector<std::pair<std::shared_ptr<Task>, std::uint32_t>> made;
  std::map<control::TaskAddress, std::shared_ptr<Task>> tasks;
  for (const control::TaskDeployment& task : message.tasks) {
    // One that was cancelled while the code was awaited is not made.
    if (!job.awaited.contains({message.job, message.incarnation, task.vertex, task.subtask, task.attempt})) continue;
    TaskSpec spec;
    spec.job = message.job;
    spec.incarnation = message.incarnation;
    spec.vertex_index = task.vertex;
    spec.vertex = message.plan.vertices.at(task.vertex);
    spec.subtask = task.subtask;
    spec.attempt = task.attempt;
    spec.graph = job.graph;
    spec.code = job.code;
    spec.exactly_once = message.exactly_once;
    spec.waits_at_end_of_data = true;
    spec.restore_own = message.restore_own;
    spec.restored_checkpoint = message.restored_checkpoint;
    spec.state_directory = message.state_directory;
    for (const std::string& bytes : task.restore) {
      auto handle = wire::decode<state::TaskStateHandle>(bytes);
      if (!handle.ok()) return handle.status();
      spec.restore.push_back(std::move(*handle));
    }
    channels.connect(spec, task.vertex, [&](std::uint32_t vertex, std::uint32_t subtask) {
      return message.placement.task_managers.at(vertex).at(subtask) != message.me;
    });
    auto made_task = std::make_shared<Task>(
        std::move(spec),
        TaskSurroundings{env_, registry_, pools_->blocks, pools_->pages, memory->budget, *this, memory});
    tasks[address_of(*made_task)] = made_task;
    made.emplace_back(std::move(made_task), task.slot);
  }
  env::log_info("taskmanager", "Deploying job {} ({}), {} tasks", message.job.to_string(), message.graph.name,
                made.size());
  job.tasks = std::move(tasks);
  job.awaited.clear();
  exchange_->add(remote_ends(message, job, channels));
  for (auto& [task, slot] : made) {
    workers_->add(task, slot);
    loop_->after(options_.start_timeout, [this, address = address_of(*task)] { check_started(address); });
  }
  return {};
}

// No worker takes the task: user code holds them all.
void TaskManager::check_started(const control::TaskAddress& address) {
  const auto job = jobs_.find({address.job, address.incarnation});
  if (job == jobs_.end()) return;
  const auto task = job->second->tasks.find(address);
  if (task == job->second->tasks.end() || task->second->state() != TaskState::kCreated) return;
  task->second->cancel();
  send(control::TaskStateChanged{
      address, control::AttemptState::kFailed,
      failure_of(
          fail(Code::kTimeout, fmt::format("{} did not start within {} ms: user code holds all workers of {}",
                                           task->second->name(), options_.start_timeout.count(), options_.id)))});
}

RemoteDeployment TaskManager::remote_ends(const control::Deploy& message, const Job& job,
                                          const ChannelTable& channels) const {
  RemoteDeployment remote{message.job, message.incarnation, message.me, message.placement.hosts, {}, {}};
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::weak_ptr<Task>> tasks;  // by vertex and subtask
  for (const auto& [address, task] : job.tasks) tasks[{address.vertex, address.subtask}] = task;
  std::map<std::uint32_t, std::shared_ptr<const data::Schema>> schemas;
  for (const graph::VertexEdge& crossing : message.plan.edges) {
    for (const auto& [name, channel] : channels.all()) {
      const auto& [edge, from, to] = name;
      if (edge != crossing.edge) continue;
      const std::uint32_t producer = message.placement.task_managers.at(crossing.from).at(from);
      const std::uint32_t consumer = message.placement.task_managers.at(crossing.to).at(to);
      if (producer == consumer) continue;
      auto& schema = schemas[edge];
      if (schema == nullptr) {
        const graph::OperatorEdge& its = message.graph.edges[edge];
        schema = std::make_shared<data::Schema>(
            *data::Schema::parse(message.graph.operators[its.from].outputs.at(its.output)));
      }
      const bool is_output = producer == message.me;
      RemoteEnd end;
      end.name = {edge, from, to};
      end.peer = is_output ? consumer : producer;
      end.channel = channel;
      end.schema = schema;
      end.on_lost =
          [task = tasks.at({is_output ? crossing.from : crossing.to, is_output ? from : to})](const Status& why) {
            if (const auto alive = task.lock()) alive->fail_from_outside(why);
          };
      (is_output ? remote.outputs : remote.inputs).push_back(std::move(end));
    }
  }
  return remote;
}

void TaskManager::cancel(const control::CancelTask& message) {
  const auto job = jobs_.find({message.task.job, message.task.incarnation});
  const auto task = job == jobs_.end() ? std::map<control::TaskAddress, std::shared_ptr<Task>>::iterator()
                                       : job->second->tasks.find(message.task);
  if (job == jobs_.end() || task == job->second->tasks.end()) {
    // It is gone, never came, or waits for its code, which it no longer needs: either way nobody runs it.
    if (job != jobs_.end()) job->second->awaited.erase(message.task);
    send(control::TaskStateChanged{message.task, control::AttemptState::kCanceled, {}});
    return;
  }
  cancel(*task->second);
}

void TaskManager::cancel(Task& task) {
  task.cancel();
  if (task.state() >= TaskState::kFinished) return;
  loop_->after(options_.cancellation_timeout, [this, address = address_of(task)] {
    const auto found = jobs_.find({address.job, address.incarnation});
    if (found == jobs_.end()) return;
    const auto stuck = found->second->tasks.find(address);
    if (stuck == found->second->tasks.end() || stuck->second->state() >= TaskState::kFinished) return;
    env::log_error("taskmanager", "{} does not stop: user code has not returned for {} ms; ending this process",
                   stuck->second->name(), options_.cancellation_timeout.count());
    if (on_refused_) on_refused_("a cancelled task did not stop");
  });
}

void TaskManager::command(const control::CheckpointCommand& message) {
  const auto job = jobs_.find({message.job, message.incarnation});
  if (job == jobs_.end()) return;
  using What = control::CheckpointCommand::What;
  for (auto& [address, task] : job->second->tasks) {
    if (task->state() >= TaskState::kFinished) continue;
    switch (message.what) {
      case What::kTrigger:
        if (task->is_source()) task->trigger_checkpoint(message.barrier);
        break;
      case What::kComplete:
        task->checkpoint_complete(message.barrier.checkpoint_id, message.is_final);
        break;
      case What::kAborted:
        task->checkpoint_aborted(message.barrier.checkpoint_id);
        break;
      case What::kFinish:
        task->finish();
        break;
    }
  }
}

void TaskManager::cancel_all() {
  for (auto& [key, job] : jobs_) {
    job->awaited.clear();
    for (auto& [address, task] : job->tasks) cancel(*task);
  }
}

void TaskManager::drop_ended_jobs() {
  std::erase_if(jobs_, [this](const auto& entry) {
    if (!entry.second->awaited.empty()) return false;
    const bool has_ended = std::all_of(entry.second->tasks.begin(), entry.second->tasks.end(), [](const auto& t) {
      return t.second->state() >= TaskState::kFinished && t.second.use_count() == 1;
    });
    if (has_ended) exchange_->finish(entry.first.first, entry.first.second);
    return has_ended;
  });
  const auto kept = [this] { return pools_->blocks.total_bytes() + pools_->pages.total_bytes(); };
  const std::size_t before = kept();
  if (!jobs_.empty() || before == 0) return;
  const Ticks began = env_.clock.ticks();
  pools_->blocks.trim();
  pools_->pages.trim();
  if (kept() == before) return;
  ++trims_;
  trim_time_ += env_.clock.ticks() - began;
}

control::TaskAddress TaskManager::address_of(const Task& task) {
  const TaskSpec& spec = task.spec();
  return {spec.job, spec.incarnation, spec.vertex_index, spec.subtask, spec.attempt};
}

control::TaskReport TaskManager::report_of(const control::TaskAddress& address, Task& task, metrics::NamesRef* told) {
  TaskMeter::Reading reading = task.meter().read(env_.clock.ticks(), env_.clock.wall());
  control::TaskReport report;
  report.task = address;
  if (told == nullptr || *told != reading.names) report.names = *reading.names;
  if (told != nullptr) *told = reading.names;
  report.values = std::move(reading.values);
  report.totals = reading.totals;
  for (const auto& [name, value] : task.accumulators()) {
    report.accumulators.push_back({name, value.kind, value.whole, value.real});
  }
  return report;
}

PoolUse TaskManager::pool_use() {
  PoolUse use;
  use.rows_used = static_cast<std::int64_t>(pools_->blocks.used_bytes());
  use.rows_total = std::max(static_cast<std::int64_t>(pools_->blocks.total_bytes()), use.rows_used);
  use.state_used = static_cast<std::int64_t>(pools_->pages.used_bytes());
  use.state_total = std::max(static_cast<std::int64_t>(pools_->pages.total_bytes()), use.state_used);
  use.state_max = static_cast<std::int64_t>(options_.managed_bytes);
  use.trims = trims_;
  use.trim_nanos = trim_time_.count();
  return use;
}

void TaskManager::heartbeat() {
  if (!registered_) return;
  if (env_.clock.ticks() - last_heard_ > heartbeat_timeout_) {
    // After a stall of this process the JobManager's words may wait in the queue: they are read before it is judged.
    if (!std::exchange(suspects_silence_, true)) {
      loop_->after(kSecondLook, [this, connection = connection_] {
        if (connection == connection_) heartbeat();
      });
      return;
    }
    connection_->close();
    return on_lost(fail(Code::kTimeout, "The heartbeat of the JobManager timed out"));
  }
  suspects_silence_ = false;
  drop_ended_jobs();
  control::Heartbeat beat;
  for (auto& [key, job] : jobs_) {
    for (auto& [address, task] : job->tasks) beat.tasks.push_back(report_of(address, *task, &job->told[address]));
  }
  metrics::Metrics own = options_.process_metrics ? options_.process_metrics(pool_use()) : metrics::Metrics();
  own.add("Status.Drey.refusedDataPeers", exchange_->refused());
  own.add("Status.Drey.staleDataPeers", exchange_->stale());
  beat.names = *own.names();
  beat.values = own.raw();
  send(beat);
  // Reports of very many tasks are work for both ends: they come less often.
  const auto pause = std::max(Micros(heartbeat_ms_ * 1000), Micros(beat.tasks.size() * 250));
  loop_->after(pause, [this, connection = connection_] {
    if (connection == connection_) heartbeat();
  });
}

void TaskManager::on_state(Task& task, TaskState state, const Status& why) {
  control::TaskStateChanged message{address_of(task), attempt_state(state), failure_of(why)};
  // A task that ends takes its last numbers along: they are final.
  std::shared_ptr<control::Heartbeat> last;
  if (state >= TaskState::kFinished) {
    last = std::make_shared<control::Heartbeat>();
    last->tasks.push_back(report_of(message.task, task, nullptr));
  }
  door_->post([this, message, last] {
    if (last != nullptr) send(*last);
    send(message);
  });
}

void TaskManager::on_end_of_data(Task& task) {
  door_->post([this, message = control::EndOfData{address_of(task)}] { send(message); });
}

void TaskManager::on_snapshot(Task& task, const control::Barrier& barrier, Result<state::TaskStateHandle> handle,
                              const CheckpointNumbers& numbers) {
  control::SnapshotAck ack;
  ack.task = address_of(task);
  ack.checkpoint_id = barrier.checkpoint_id;
  ack.ok = handle.ok();
  if (handle.ok()) {
    ack.handle = wire::encode(*handle);
    for (const state::StateFile& file : handle->files) ack.files.emplace_back(file.path, file.bytes);
    ack.stateful = handle->operators;
    ack.has_union = handle->has_union;
    ack.written_bytes = handle->written_bytes;
    ack.state_bytes = handle->state_bytes;
  } else {
    ack.failure = failure_of(handle.status());
  }
  ack.start_delay_ms = numbers.start_delay_nanos / 1'000'000;
  ack.alignment_ms = numbers.alignment_nanos / 1'000'000;
  ack.processed_bytes = numbers.processed_bytes;
  ack.sync_ms = numbers.sync_nanos / 1'000'000;
  ack.async_ms = numbers.async_nanos / 1'000'000;
  door_->post([this, ack = std::move(ack)] { send(ack); });
}

}  // namespace drey::runtime
