#include "cluster/resource_manager.h"

#include <utility>

#include <fmt/format.h>

#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::chrono::seconds kRegisterDeadline{10};

}  // namespace

ResourceManager::ResourceManager(const ClusterOptions& options, env::Env& env, env::Loop& loop, JobCatalog& jobs,
                                 ClusterEvents& events, CrashReports crash_reports)
    : options_(options),
      env_(env),
      loop_(loop),
      jobs_(jobs),
      events_(events),
      crash_reports_(std::move(crash_reports)),
      slots_(options.load_balance) {}

Status ResourceManager::listen(const std::string& host) {
  DREY_TRY_ASSIGN(listener_, env_.network.listen(loop_, host, options_.rpc_port,
                                                 [this](env::ConnectionRef c) { on_connection(c); }));
  return {};
}

void ResourceManager::tick() {
  const Ticks now = env_.clock.ticks();
  std::vector<std::string> silent;
  for (const auto& [id, entry] : task_managers_) {
    if (now - entry.last_heard > options_.heartbeat_timeout) silent.push_back(id);
  }
  for (const std::string& id : silent)
    on_lost(id, fmt::format("The heartbeat of TaskManager with id {} timed out.", id));
  grant_slots();
  judge_waiting();
  inspections_.expire(now, [this](const std::string& id) { return task_managers_.contains(id); });
  if (now >= adapt_after_) adapt();
}

void ResourceManager::on_connection(const env::ConnectionRef& connection) {
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
  loop_.after(kRegisterDeadline, [this, connection] {
    if (unregistered_.erase(connection) == 0) return;
    ++refused_;
    env::log_warn("jobmanager", "A connection to the RPC port did not register in time");
    connection->close();
  });
}

void ResourceManager::on_frame(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
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
  on_message(*id, entry->second, std::move(*message));
}

void ResourceManager::on_message(const std::string& id, TaskManagerEntry& entry, control::ToJobManager message) {
  if (auto* beat = std::get_if<control::Heartbeat>(&message)) return on_heartbeat(entry, *beat);
  if (auto* answer = std::get_if<control::InspectionAnswer>(&message))
    return inspections_.on_answer(id, std::move(*answer));
  events_.changed();
  if (auto* state = std::get_if<control::TaskStateChanged>(&message)) {
    if (const auto job = jobs_.master(state->task.job)) job->on_message(*state);
  } else if (auto* ended = std::get_if<control::EndOfData>(&message)) {
    if (const auto job = jobs_.master(ended->task.job)) job->on_message(*ended);
  } else if (auto* ack = std::get_if<control::SnapshotAck>(&message)) {
    if (const auto job = jobs_.master(ack->task.job)) job->on_message(*ack);
  }
}

void ResourceManager::on_heartbeat(TaskManagerEntry& entry, const control::Heartbeat& beat) {
  const std::int64_t now = env_.clock.wall().millis;
  entry.model.last_heartbeat = now;
  if (!beat.names.empty()) entry.model.metrics = {std::make_shared<const metrics::Names>(beat.names), beat.values};
  for (const control::TaskReport& report : beat.tasks) {
    if (const auto job = jobs_.master(report.task.job)) job->on_report(report);
  }
  entry.connection->send(wire::encode(control::ToTaskManager(control::HeartbeatAnswer{now})));
}

std::string ResourceManager::objections_to(const control::Register& message) const {
  if (!control::is_same_secret(message.secret, options_.secret)) return "the secret of the cluster does not match";
  if (message.version != control::kProtocolVersion) {
    return fmt::format("it has protocol version {}, this JobManager has {}: run one version of drey", message.version,
                       control::kProtocolVersion);
  }
  if (task_managers_.contains(message.id))
    return fmt::format("a TaskManager with the id {} is registered already", message.id);
  if (message.id.empty()) return "it has no id";
  if (message.slots < 1 || message.slots > 100'000) return fmt::format("it offers {} slots", message.slots);
  return "";
}

void ResourceManager::on_register(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
                                  const control::Register& message) {
  events_.changed();
  unregistered_.erase(connection);
  control::RegisterAnswer answer;
  answer.why = objections_to(message);
  answer.accepted = answer.why.empty();
  answer.heartbeat_ms = options_.heartbeat_interval.count();
  answer.heartbeat_timeout_ms = options_.heartbeat_timeout.count();
  // Counted and logged before the peer knows.
  if (!answer.accepted) {
    ++refused_;
    env::log_warn("jobmanager", "Refused TaskManager {}: {}", message.id, answer.why);
  }
  connection->send(wire::encode(control::ToTaskManager(answer)));
  if (!answer.accepted) return connection->close();
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
  events_.publish({{}, 0, gateway::TaskManagerEvent{message.id, false, ""}});
  grant_slots();
}

void ResourceManager::on_lost(const std::string& id, const std::string& why) {
  events_.changed();
  const auto found = task_managers_.find(id);
  if (found == task_managers_.end()) return;
  control::FailureReport failure{static_cast<std::int32_t>(Code::kIo), why,
                                 "org.apache.flink.runtime.jobmaster.JobMasterException", ""};
  if (crash_reports_) {
    const runtime::CrashReport crash = crash_reports_(id);
    if (!crash.summary.empty()) {
      const Code blame = crash.in_job_code ? Code::kUserCode : Code::kInternal;
      failure = {static_cast<std::int32_t>(blame),
                 fmt::format("{} crashed the TaskManager {}: {}",
                             crash.in_job_code ? "The job's code" : "Drey's own code", id, crash.summary),
                 "drey.NativeCrash", crash.stack};
    }
  }
  env::log_warn("jobmanager", "Lost TaskManager {}: {}", id, failure.message);
  events_.publish({{}, 0, gateway::TaskManagerEvent{id, true, failure.message}});
  found->second.connection->close();
  task_managers_.erase(found);
  for (const JobId& job : slots_.remove_task_manager(id)) {
    if (const auto master = jobs_.master(job)) master->on_task_manager_lost(id, failure);
  }
}

void ResourceManager::inspect(const std::string& task_manager, const gateway::Inspection& inspection,
                              gateway::Promise<std::string> promise) {
  const auto entry = task_managers_.find(task_manager);
  if (entry == task_managers_.end()) {
    return promise.set(fail(Code::kNotFound, fmt::format("No TaskExecutor registered under {}.", task_manager)));
  }
  const control::InspectionRequest request =
      inspections_.begin(task_manager, inspection, std::move(promise), env_.clock.ticks());
  entry->second.connection->send(wire::encode(control::ToTaskManager(request)));
}

void ResourceManager::request_slots(JobId job, std::int32_t slots) {
  events_.changed();
  slots_.request(job, slots, env_.clock.ticks());
  loop_.post([this] { grant_slots(); });
}

void ResourceManager::release_slots(JobId job) {
  events_.changed();
  slots_.release(job);
  loop_.post([this] { grant_slots(); });
}

void ResourceManager::grant_slots() {
  for (const control::SlotPool::Grant& grant : slots_.grant()) {
    const auto job = jobs_.master(grant.job);
    if (job == nullptr) {
      slots_.release(grant.job);
      continue;
    }
    std::vector<SlotOffer> offers;
    for (const auto& [id, slot] : grant.slots) {
      const gateway::TaskManagerModel& model = task_managers_.at(id).model;
      offers.push_back({id, model.host, model.data_port, slot});
    }
    job->on_slots(offers);
  }
}

void ResourceManager::judge_waiting() {
  const Ticks now = env_.clock.ticks();
  // A copy: those who wait may ask anew.
  const std::vector<control::SlotPool::Waiting> waiting = slots_.waiting();
  for (const control::SlotPool::Waiting& request : waiting) {
    const auto job = jobs_.master(request.job);
    if (job == nullptr) {
      slots_.withdraw(request.job);
      continue;
    }
    if (job->has_requirements() && now >= request.since + options_.slot_stabilization) {
      const auto widths = job->parallelism_within(slots_.within_reach(request.job));
      if (widths && *widths != job->parallelism()) {
        slots_.withdraw(request.job);
        job->take_fewer_slots(*widths);
        continue;
      }
    }
    if (now < request.since + options_.slot_timeout) continue;
    slots_.withdraw(request.job);
    job->on_slots_failed(
        fail(Code::kResourceExhausted,
             fmt::format("Could not acquire the minimum required resources: the job needs {} slots, {} are free "
                         "on {} TaskManagers. Start drey with more slots (-Dtaskmanager.numberOfTaskSlots={}) "
                         "or run the job with a lower parallelism",
                         request.slots, slots_.free(), task_managers_.size(), request.slots)));
  }
}

void ResourceManager::adapt() {
  for (const auto& [id, master] : jobs_.masters()) {
    if (!master->has_requirements() || master->is_ended() || master->is_changing()) continue;
    const auto widths = master->parallelism_within(slots_.within_reach(id));
    if (widths && *widths == master->parallelism()) master->on_wide_enough();
    if (!widths || *widths == master->parallelism()) continue;
    adapt_after_ = env_.clock.ticks() + options_.rescale_cooldown;
    const auto keep = master;
    keep->rescale(*widths, gateway::RescaleCause::kNewResource, [id = id](Result<SnapshotTaken> done) {
      if (!done.ok())
        env::log_warn("jobmanager", "Job {} is not rescaled: {}", id.to_string(), done.status().message());
    });
    return;  // the next one when slots have settled
  }
}

void ResourceManager::send(const std::string& task_manager, const control::ToTaskManager& message) {
  events_.changed();
  const auto found = task_managers_.find(task_manager);
  if (found != task_managers_.end()) found->second.connection->send(wire::encode(message));
}

std::vector<gateway::TaskManagerModel> ResourceManager::task_managers() const {
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
  return all;
}

void ResourceManager::close() {
  for (auto& [id, entry] : task_managers_) entry.connection->close();
  task_managers_.clear();
}

}  // namespace drey::cluster
