#include "cluster/job_master.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "cluster/snapshot_files.h"
#include "control/execution/scaling.h"
#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

using control::JobState;

}  // namespace

Result<std::shared_ptr<JobMaster>> JobMaster::make(StoredJob job, std::string checkpoint_root, env::Env& env,
                                                   JobMasterHost& host) {
  DREY_TRY_ASSIGN(const auto options, config::read<control::CheckpointOptions>(job.graph.settings));
  DREY_TRY_ASSIGN(auto strategy,
                  control::make_restart_strategy(job.graph.settings, options.interval.count() > 0, env.random.next()));
  if (!options.directory.empty()) {
    DREY_TRY_ASSIGN(checkpoint_root, local_directory(options.directory));
  }
  const std::string text = strategy->description();
  if (job.plan.vertices.empty()) job.plan = graph::plan_of(job.graph);
  graph::Plan plan = job.plan;
  std::vector<std::uint32_t> tasks;
  for (const graph::Vertex& vertex : plan.vertices) tasks.push_back(static_cast<std::uint32_t>(vertex.parallelism));
  control::CheckpointCoordinator coordinator(options, std::move(tasks), job.next_checkpoint);
  coordinator.restore(job.checkpoints);
  control::ExecutionOptions execution;
  DREY_TRY_ASSIGN(const auto restart, config::read<control::RestartOptions>(job.graph.settings));
  if (restart.failover == control::Failover::kRegion) {
    // Edges that stop being forward with a parallelism stay so.
    execution.regions = [graph = job.graph](const graph::Plan& wanted) mutable {
      graph::Plan scaled = wanted;
      std::vector<std::int32_t> widths;
      for (const graph::Vertex& vertex : scaled.vertices) widths.push_back(vertex.parallelism);
      graph::set_parallelism(graph, scaled, widths);
      return graph::regions_of(graph, scaled);
    };
  }
  execution.restarts_finished = options.interval.count() > 0 || graph::commits_on_completion(job.graph);
  control::ExecutionGraph graph(std::move(plan), std::move(strategy), env.clock.wall(), std::move(execution));
  return std::shared_ptr<JobMaster>(new JobMaster(std::move(job), std::move(checkpoint_root), env, host,
                                                  std::move(graph), std::move(coordinator), text));
}

JobMaster::JobMaster(StoredJob job, std::string checkpoint_root, env::Env& env, JobMasterHost& host,
                     control::ExecutionGraph graph, control::CheckpointCoordinator coordinator,
                     std::string restart_text)
    : job_(std::move(job)),
      checkpoint_root_(std::move(checkpoint_root)),
      env_(env),
      host_(host),
      graph_(std::move(graph)),
      coordinator_(std::move(coordinator)),
      restart_text_(std::move(restart_text)),
      events_(job_.id, [&host](gateway::EventModel event) { host.publish(std::move(event)); }),
      rescales_(job_.rescales, env.random) {
  const ClusterOptions& options = host.cluster_options();
  job_.rescales.history_max = options.rescale_history;
  job_.rescales.slot_timeout = options.slot_timeout.count();
  job_.rescales.slot_stabilization = options.slot_stabilization.count();
  job_.rescales.cooldown = options.rescale_cooldown.count();
}

std::vector<std::int32_t> JobMaster::parallelism() const {
  std::vector<std::int32_t> out;
  for (const graph::Vertex& vertex : graph_.plan().vertices) out.push_back(vertex.parallelism);
  return out;
}

std::int32_t JobMaster::slots_needed() const { return control::slots_for(graph_.plan(), parallelism()); }

void JobMaster::start() {
  if (Status made = env_.files.make_directories(checkpoint_directory()); !made.ok()) {
    carry_out(graph_.fail_job({static_cast<std::int32_t>(made.code()), made.to_string(), "", ""}, false, now()));
    return;
  }
  remove_orphans();
  if (job_.rescales.history.empty())
    rescales_.begin(gateway::RescaleCause::kInitialSchedule, graph_.plan(), wanted_bounds(), false, now());
  // With bounds the JobManager sees to what was open when the one before it went.
  if (!has_requirements() || (rescales_.is_open() && rescales_.open().cause == gateway::RescaleCause::kInitialSchedule))
    rescales_.carry();
  carry_out(graph_.start(now()));
}

void JobMaster::remove_orphans() {
  std::set<std::string> needed;
  for (const control::Checkpoint& checkpoint : coordinator_.completed()) {
    needed.insert(checkpoint.path);
    for (const control::TaskCheckpoint& task : checkpoint.tasks) {
      for (const auto& file : task.ack.files) needed.insert(file.first);
    }
  }
  std::vector<std::string> orphans;
  for (const std::string& name : env_.files.list(checkpoint_directory()).value_or({})) {
    const std::string path = checkpoint_directory() + "/" + name;
    if (!needed.contains(path) && (name.starts_with("chk-") || name.ends_with(".state"))) orphans.push_back(path);
  }
  if (orphans.empty()) return;
  env::log_info("jobmaster", "Removing {} files of checkpoints of job {} that a crash left incomplete", orphans.size(),
                job_.id.to_string());
  remove_trees(std::move(orphans));
}

void JobMaster::remove_trees(std::vector<std::string> paths) {
  env_.io.post([env = &env_, paths = std::move(paths)] {
    for (const std::string& path : paths) static_cast<void>(env->files.remove_tree(path));
  });
}

void JobMaster::cancel() { carry_out(graph_.cancel(now())); }

void JobMaster::suspend() {
  coordinator_.on_stopped("The JobManager is shutting down", now());
  carry_out(graph_.suspend(now()));
}

// Deploys at once when no slot is missing.
void JobMaster::request_slots() {
  // The parallelisms may be others than before.
  slots_.resize(static_cast<std::size_t>(slots_needed()));
  deployments_.resize(graph_);
  const auto missing =
      std::count_if(slots_.begin(), slots_.end(), [](const SlotOffer& s) { return s.task_manager.empty(); });
  if (missing == 0) return place();
  if (rescales_.is_carried()) rescales_.enter("WaitingForResources", now());
  host_.request_slots(job_.id, static_cast<std::int32_t>(missing));
}

void JobMaster::on_slots(const std::vector<SlotOffer>& slots) {
  auto next = slots.begin();
  for (SlotOffer& slot : slots_) {
    if (slot.task_manager.empty() && next != slots.end()) slot = *next++;
  }
  // Others may have been lost meanwhile.
  request_slots();
}

void JobMaster::place() {
  waits_for_storing_ = coordinator_.is_storing();
  if (waits_for_storing_) return;
  slot_of_ = control::slots_of_subtasks(graph_.plan());
  std::vector<std::vector<control::ExecutionGraph::Place>> places;
  for (const std::vector<std::size_t>& vertex : slot_of_) {
    places.emplace_back();
    for (const std::size_t slot : vertex) {
      const SlotOffer& offer = slots_.at(slot);
      places.back().push_back({offer.task_manager, offer.host, offer.data_port});
    }
  }
  carry_out(graph_.on_slots(places, now()));
}

void JobMaster::take_fewer_slots(std::vector<std::int32_t> widths) {
  rescales_.begin(gateway::RescaleCause::kFailover, graph_.plan(), wanted_bounds(), true, now());
  rescales_.carry();
  rescales_.enter("WaitingForResources", now());
  carry_out(graph_.resize(std::move(widths), now()));
}

void JobMaster::on_slots_failed(const Status& why) { carry_out(graph_.on_slots_failed(why, now())); }

void JobMaster::on_task_manager_lost(const std::string& id, const control::FailureReport& why) {
  for (SlotOffer& slot : slots_) {
    if (slot.task_manager == id) slot = {};
  }
  carry_out(graph_.on_task_manager_lost(id, why, now()));
}

void JobMaster::on_all_run() {
  const std::vector<std::int32_t> widths = parallelism();
  if (rescaling_) {
    // A failure may have restarted the job first.
    return end_rescale(widths == rescales_to_
                           ? Status()
                           : fail(Code::kUnavailable, "The job was restarted by a failure before it was rescaled"));
  }
  if (!rescales_.is_carried()) return;
  const auto& vertices = rescales_.open().vertices;
  const bool is_done =
      has_requirements() || std::equal(vertices.begin(), vertices.end(), widths.begin(),
                                       [](const auto& v, std::int32_t width) { return v.desired == width; });
  if (is_done) return end_rescale_record(gateway::RescaleEnd::kSucceeded);
  end_rescale_record(gateway::RescaleEnd::kException, "The JobManager was started anew before the job was rescaled");
}

void JobMaster::pass_over(std::int64_t checkpoint, const control::FailureReport& failure) {
  env::log_warn("jobmaster", "Checkpoint {} of job {} cannot be restored: {}", checkpoint, job_.id.to_string(),
                failure.message);
  coordinator_.forget(checkpoint);
  if (!coordinator_.completed().empty()) return;
  // Beginning anew would commit again what sinks have committed.
  control::FailureReport none = failure;
  none.message = "No complete checkpoint is left that can be read; the last one tried: " + failure.message;
  carry_out(graph_.fail_job(none, false, now()));
}

bool JobMaster::has_widths_of(std::int64_t checkpoint) const {
  for (const control::Checkpoint& c : coordinator_.completed()) {
    if (c.id != checkpoint) continue;
    std::vector<std::int32_t> widths(graph_.plan().vertices.size());
    for (const control::TaskCheckpoint& task : c.tasks) {
      if (task.vertex >= widths.size()) return false;
      ++widths[task.vertex];
    }
    return widths == parallelism();
  }
  return true;
}

void JobMaster::on_message(const control::TaskStateChanged& message) {
  if (!deployments_.is_current(message.task)) return;
  const std::optional<std::int64_t> from = deployments_.restored_from(message.task.incarnation);
  bool is_cut_anew = false;
  if (message.state == control::AttemptState::kFailed &&
      message.failure.code == static_cast<std::int32_t>(Code::kCorrupt) && from && !graph_.all_running()) {
    is_cut_anew = !has_widths_of(*from);
    pass_over(*from, message.failure);
  }
  carry_out(graph_.on_task_state(message.task.vertex, message.task.subtask, message.task.attempt, message.state,
                                 message.failure, now()));
  // State that is dealt out anew must be so from one checkpoint: another one deals it out in another way.
  if (is_cut_anew) carry_out(graph_.restart_rest(now()));
  if (!tasks_run_ && graph_.all_running()) {
    tasks_run_ = true;
    coordinator_.on_running(now());
    schedule_checkpoint_timer();
    on_all_run();
  }
}

void JobMaster::on_message(const control::EndOfData& message) {
  if (!deployments_.is_current(message.task)) return;
  carry_out(graph_.on_end_of_data(message.task.vertex, message.task.subtask, message.task.attempt));
}

void JobMaster::on_message(const control::SnapshotAck& message) {
  if (!deployments_.is_current(message.task)) {
    control::SnapshotAck stale = message;
    stale.checkpoint_id = -1;  // nobody's: only its file is cleaned up
    carry_out(coordinator_.on_ack(stale, now()));
    return;
  }
  carry_out(coordinator_.on_ack(message, now()));
}

void JobMaster::on_report(const control::TaskReport& report) {
  if (!deployments_.is_current(report.task)) return;
  view_.on_report(report);
}

void JobMaster::carry_out(control::Actions actions) {
  const auto self = shared_from_this();
  for (control::Action& action : actions) {
    if (std::holds_alternative<control::RequestSlots>(action)) {
      request_slots();
    } else if (std::holds_alternative<control::ReleaseSlots>(action)) {
      slots_.clear();
      host_.release_slots(job_.id);
    } else if (const auto* tasks = std::get_if<control::DeployTasks>(&action)) {
      deploy(tasks->regions);
    } else if (const auto* cancel = std::get_if<control::CancelAttempt>(&action)) {
      host_.send(cancel->task_manager,
                 control::CancelTask{{job_.id, deployments_.incarnation_of(cancel->vertex, cancel->subtask),
                                      cancel->vertex, cancel->subtask, cancel->attempt}});
    } else if (const auto* restart = std::get_if<control::RestartAfter>(&action)) {
      host_.after(restart->delay, [self, number = restart->number] {
        self->carry_out(self->graph_.on_restart_timer(number, self->now()));
      });
    } else if (const auto* moved = std::get_if<control::JobStateMoved>(&action)) {
      env::log_info("jobmaster", "Job {} ({}) is {}", job_.graph.name, job_.id.to_string(), to_text(moved->state));
      events_.publish_exceptions(graph_);
      events_.publish_state(job_.graph.name, moved->state);
      if (moved->state != JobState::kRunning && moved->state != JobState::kCreated && tasks_run_) {
        tasks_run_ = false;
        carry_out(coordinator_.on_stopped(fmt::format("The job is {}", to_text(moved->state)), now()));
      }
      if (moved->state != JobState::kRunning && moved->state != JobState::kCreated) {
        end_stop();
        if (moved->state == JobState::kCancelling || moved->state == JobState::kCanceled)
          end_rescale_record(gateway::RescaleEnd::kJobCanceled);
        if (moved->state == JobState::kFailing || moved->state == JobState::kFailed) {
          end_rescale_record(gateway::RescaleEnd::kJobFailed, graph_.failure().message);
        }
        if (moved->state == JobState::kFinished) end_rescale_record(gateway::RescaleEnd::kJobFinished);
        if (moved->state != JobState::kRestarting)
          end_rescale(fail(Code::kConflict, fmt::format("The job is {}", to_text(moved->state))));
      }
      if (control::is_globally_terminal(moved->state)) end();
    } else if (std::holds_alternative<control::AllDataEnded>(action)) {
      // Who has nothing to commit and nothing to go back to needs no last checkpoint.
      if (graph::commits_on_completion(job_.graph) || coordinator_.options().interval.count() > 0) {
        carry_out(coordinator_.trigger_now(now(), true));
      } else {
        command(control::CheckpointCommand::What::kFinish, {});
      }
    }
  }
  events_.publish_exceptions(graph_);
}

Result<std::optional<control::Checkpoint>> JobMaster::checkpoint_to_restore() {
  if (!coordinator_.completed().empty()) return std::optional(coordinator_.completed().front());
  if (job_.restore_path.empty()) return std::optional<control::Checkpoint>();
  auto checkpoint = read_checkpoint(env_.files, job_.restore_path);
  if (!checkpoint.ok()) return checkpoint.status();
  return std::optional(std::move(*checkpoint));
}

void JobMaster::deploy(const std::vector<std::uint32_t>& regions) {
  const auto checkpoint = checkpoint_to_restore();
  if (!checkpoint.ok()) {
    carry_out(graph_.fail_job(
        {static_cast<std::int32_t>(checkpoint.status().code()), checkpoint.status().to_string(), "", ""}, false,
        now()));
    return;
  }
  // Parallelism may have changed since the last attempts.
  job_.plan = graph_.plan();
  const std::vector<std::int32_t> widths = parallelism();
  graph::set_parallelism(job_.graph, job_.plan, widths);
  coordinator_.set_tasks({widths.begin(), widths.end()});
  if (rescales_.is_carried()) rescales_.enter("CreatingExecutionGraph", now());
  const bool own = !coordinator_.completed().empty() && !coordinator_.completed().front().keep;
  ++job_.incarnation;
  job_.next_checkpoint = coordinator_.next_id();
  if (Status stored = host_.store(job_); !stored.ok()) {
    carry_out(graph_.fail_job({static_cast<std::int32_t>(stored.code()), stored.to_string(), "", ""}, true, now()));
    return;
  }
  const control::Checkpoint* from = *checkpoint ? &**checkpoint : nullptr;
  view_.on_restored(from, now());
  if (from != nullptr) {
    coordinator_.count_restored();
    env::log_info("jobmaster", "Restoring job {} from checkpoint {}", job_.id.to_string(), from->id);
  }
  control::Deployment deployment;
  deployment.regions = regions;
  deployment.checkpoint = from;
  deployment.slot_of = [this](std::uint32_t v, std::uint32_t s) { return slots_[slot_of_[v][s]].slot; };
  control::Deploy& common = deployment.common;
  common.job = job_.id;
  common.incarnation = job_.incarnation;
  common.graph = job_.graph;
  common.plan = graph_.plan();
  common.module = job_.module;
  common.digest = job_.digest;
  common.exactly_once = coordinator_.options().exactly_once();
  common.restore_own = own;
  common.restored_checkpoint = from != nullptr ? from->id : -1;
  common.state_directory = checkpoint_directory();
  for (const auto& [task_manager, message] : deployments_.deploy(graph_, deployment)) {
    for (const control::TaskDeployment& task : message.tasks) view_.on_deployed(task.vertex, task.subtask);
    host_.send(task_manager, message);
  }
}

void JobMaster::command(control::CheckpointCommand::What what, const control::Barrier& barrier, bool is_final) {
  for (const auto& [task_manager, incarnation] : deployments_.targets(graph_))
    host_.send(task_manager, control::CheckpointCommand{what, job_.id, incarnation, barrier, is_final});
}

void JobMaster::carry_out(control::CheckpointDecisions decisions) {
  using What = control::CheckpointCommand::What;
  for (control::CheckpointDecision& decision : decisions) {
    if (const auto* trigger = std::get_if<control::TriggerCheckpoint>(&decision)) {
      command(What::kTrigger, trigger->barrier);
    } else if (auto* store = std::get_if<control::StoreCheckpoint>(&decision)) {
      store_checkpoint(store->checkpoint);
    } else if (const auto* complete = std::get_if<control::TellComplete>(&decision)) {
      command(What::kComplete, {.checkpoint_id = complete->id}, complete->is_final);
    } else if (const auto* aborted = std::get_if<control::TellAborted>(&decision)) {
      command(What::kAborted, {.checkpoint_id = aborted->id});
    } else if (auto* files = std::get_if<control::DeleteFiles>(&decision)) {
      env_.io.post([env = &env_, gone = std::move(*files)] {
        for (const std::string& file : gone.files) static_cast<void>(env->files.remove(file));
        for (const std::string& directory : gone.directories) static_cast<void>(env->files.remove_tree(directory));
      });
    } else if (const auto* back = std::get_if<control::RollBack>(&decision)) {
      env::log_warn("jobmaster", "Job {} goes back to its last checkpoint: {}", job_.id.to_string(), back->why);
      carry_out(graph_.redeploy({}, now()));
    } else if (auto* ended = std::get_if<control::SnapshotRequestEnded>(&decision)) {
      on_request_ended(*ended);
    } else if (const auto* failed = std::get_if<control::FailJob>(&decision)) {
      carry_out(graph_.fail_job(
          {static_cast<std::int32_t>(Code::kIo), failed->why, "org.apache.flink.util.FlinkRuntimeException", ""}, true,
          now()));
    }
  }
  schedule_checkpoint_timer();
  events_.publish_checkpoints(coordinator_);
  // Slots may have been lost meanwhile.
  if (waits_for_storing_ && !coordinator_.is_storing()) request_slots();
}

void JobMaster::take_snapshot(control::SnapshotRequest request, SnapshotDone done) {
  request.ticket = next_ticket_++;
  if (request.after != control::AfterSnapshot::kGoOn) {
    done = [this, done = std::move(done)](Result<SnapshotTaken> taken) {
      if (!taken.ok() || stopping_ != nullptr || ended_) return done(std::move(taken));
      stopping_ = std::make_unique<Stopping>(Stopping{*taken, done});
    };
  }
  waiting_[request.ticket] = std::move(done);
  carry_out(coordinator_.request(std::move(request), now()));
}

void JobMaster::on_request_ended(const control::SnapshotRequestEnded& ended) {
  const auto found = waiting_.find(ended.ticket);
  if (found == waiting_.end()) return;
  const SnapshotDone done = std::move(found->second);
  waiting_.erase(found);
  if (ended.ok) {
    done(SnapshotTaken{ended.id, ended.path});
  } else {
    done(fail(Code::kUnavailable, ended.why));
  }
}

void JobMaster::end_stop() {
  if (stopping_ == nullptr) return;
  const std::unique_ptr<Stopping> stop = std::move(stopping_);
  if (graph_.state() == JobState::kFinished) return stop->done(stop->savepoint);
  stop->done(fail(Code::kUnavailable, fmt::format("A savepoint has been created at: {}, but the job did not finish: it "
                                                  "is {}. The savepoint is complete; the job goes "
                                                  "on from it when it restarts",
                                                  stop->savepoint.path, to_text(graph_.state()))));
}

void JobMaster::rescale(std::vector<std::int32_t> parallelism, gateway::RescaleCause cause, SnapshotDone done) {
  if (rescaling_ || stopping_ != nullptr)
    return done(fail(Code::kConflict, "The job is being rescaled or stopped already."));
  rescaling_ = true;
  rescales_to_ = std::move(parallelism);
  rescaled_ = std::move(done);
  if (!has_requirements() || !rescales_.is_open()) {
    std::vector<control::Bounds> wanted = wanted_bounds();
    for (std::size_t v = 0; !has_requirements() && v < wanted.size(); ++v)
      wanted[v] = {rescales_to_[v], rescales_to_[v]};
    rescales_.begin(cause, graph_.plan(), wanted, true, now());
  }
  rescales_.carry();
  rescales_.enter("Executing", now());
  events_.publish_rescale(job_.rescales);
  if (Status stored = host_.store(job_); !stored.ok()) return end_rescale(stored);
  env::log_info("jobmaster", "Rescaling job {} to {}", job_.id.to_string(), fmt::join(rescales_to_, ", "));
  take_snapshot({}, [this](Result<SnapshotTaken> taken) {
    if (!rescaling_) return;
    if (!taken.ok()) return end_rescale(taken.status());
    rescales_.enter("Restarting", now());
    carry_out(graph_.redeploy(rescales_to_, now()));
  });
}

void JobMaster::end_rescale(Status status) {
  if (!rescaling_) return;
  rescaling_ = false;
  if (status.ok()) {
    end_rescale_record(gateway::RescaleEnd::kSucceeded);
  } else if (graph_.state() != JobState::kSuspended) {
    end_rescale_record(gateway::RescaleEnd::kException, status.message());
  }
  const SnapshotDone done = std::move(rescaled_);
  done(status.ok() ? Result<SnapshotTaken>(SnapshotTaken{}) : Result<SnapshotTaken>(status));
}

void JobMaster::end_rescale_record(gateway::RescaleEnd how, const std::string& exception) {
  if (!rescales_.is_open()) return;
  rescales_.end(how, graph_.plan(), exception, now());
  events_.publish_rescale(job_.rescales);
  if (Status stored = host_.store(job_); !stored.ok()) {
    env::log_error("jobmaster", "A rescaling of job {} cannot be recorded: {}", job_.id.to_string(),
                   stored.to_string());
  }
}

void JobMaster::on_wide_enough() {
  if (!rescales_.is_open() || rescales_.is_carried()) return;
  const std::vector<control::Bounds> wanted = wanted_bounds();
  for (std::size_t v = 0; v < wanted.size(); ++v) {
    if (graph_.plan().vertices[v].parallelism != wanted[v].upper) return;  // it waits for slots
  }
  end_rescale_record(gateway::RescaleEnd::kNoChange);
}

std::vector<control::Bounds> JobMaster::wanted_bounds() const {
  std::vector<control::Bounds> out;
  for (const auto& [vertex, b] : job_.requirements) out.push_back({b.lower, b.upper});
  if (out.empty()) {
    for (const std::int32_t width : parallelism()) out.push_back({width, width});
  }
  return out;
}

gateway::ResourceRequirements JobMaster::requirements() const {
  if (has_requirements()) return job_.requirements;
  gateway::ResourceRequirements out;
  for (const graph::Vertex& vertex : graph_.plan().vertices) out.push_back({vertex.id, {1, vertex.parallelism}});
  return out;
}

std::optional<std::vector<std::int32_t>> JobMaster::parallelism_within(std::int32_t slots) const {
  std::vector<control::Bounds> bounds;
  for (const auto& [vertex, b] : requirements()) bounds.push_back({b.lower, b.upper});
  return control::parallelism_within(graph_.plan(), bounds, slots);
}

Status JobMaster::set_requirements(gateway::ResourceRequirements requirements) {
  StoredJob next = job_;
  next.requirements = std::move(requirements);
  DREY_TRY(host_.store(next));
  job_ = std::move(next);
  rescales_.begin(gateway::RescaleCause::kUpdateRequirement, graph_.plan(), wanted_bounds(), true, now());
  rescales_.enter("Executing", now());
  events_.publish_rescale(job_.rescales);
  return host_.store(job_);
}

bool JobMaster::needs(const std::string& path) const {
  if (is_ended()) return false;
  const auto& completed = coordinator_.completed();
  if (std::any_of(completed.begin(), completed.end(), [&](const control::Checkpoint& c) { return c.path == path; }))
    return true;
  if (!completed.empty() || job_.restore_path.empty()) return false;
  const auto restored = local_directory(job_.restore_path);
  return restored.ok() && (*restored == path || *restored == path + "/_metadata");
}

void JobMaster::store_checkpoint(control::Checkpoint checkpoint) {
  if (checkpoint.path.empty()) checkpoint.path = fmt::format("{}/chk-{}", checkpoint_directory(), checkpoint.id);
  checkpoint.operators = operators_of(checkpoint);
  coordinator_.set_pending(checkpoint);
  checkpoint.status = control::CheckpointStatus::kCompleted;
  const auto stored = std::make_shared<const control::Checkpoint>(std::move(checkpoint));
  const auto bytes = std::make_shared<std::int64_t>(0);
  host_.run_blocking(
      fmt::format("Writing the metadata of checkpoint {}", stored->id),
      [env = &env_, stored, bytes]() -> Status {
        DREY_TRY_ASSIGN(*bytes, write_metadata(env->files, *stored));
        return {};
      },
      [self = shared_from_this(), stored, bytes](Status status) {
        self->on_metadata_written(*stored, status.ok() ? Result<std::int64_t>(*bytes) : Result<std::int64_t>(status));
      });
}

void JobMaster::on_metadata_written(const control::Checkpoint& checkpoint, const Result<std::int64_t>& bytes) {
  Status status = bytes.ok() ? Status() : bytes.status();
  if (!coordinator_.is_storing(checkpoint.id)) {
    // Given up meanwhile, and its files deleted, perhaps before the last of them was there.
    std::vector<std::string> gone{checkpoint.path};
    if (ended_ && !keeps_checkpoints()) gone.push_back(checkpoint_directory());
    remove_trees(std::move(gone));
    return;
  }
  if (status.ok() && !(checkpoint.keep && checkpoint.after == control::AfterSnapshot::kGoOn)) {
    // The store is what a restarted JobManager believes: it comes before anybody is told.
    StoredJob next = job_;
    next.checkpoints.clear();
    for (auto it = coordinator_.completed().rbegin(); it != coordinator_.completed().rend(); ++it)
      next.checkpoints.push_back(*it);
    next.checkpoints.push_back(checkpoint);
    while (next.checkpoints.size() > coordinator_.options().retained) next.checkpoints.erase(next.checkpoints.begin());
    next.next_checkpoint = coordinator_.next_id();
    status = host_.store(next);
    if (status.ok()) job_ = std::move(next);
  }
  if (status.ok()) view_.on_completed(checkpoint, *bytes);
  carry_out(coordinator_.on_stored(checkpoint.id, status.ok(), status.to_string(), now()));
}

std::vector<control::SnapshotOperator> JobMaster::operators_of(const control::Checkpoint& checkpoint) const {
  std::set<std::string> stateful;
  for (const control::TaskCheckpoint& task : checkpoint.tasks)
    stateful.insert(task.ack.stateful.begin(), task.ack.stateful.end());
  const auto ids = graph::operator_ids_of(job_.graph);
  const auto key_schemas = graph::key_schemas_of(job_.graph);
  std::vector<control::SnapshotOperator> operators;
  for (std::uint32_t v = 0; v < graph_.plan().vertices.size(); ++v) {
    for (const std::uint32_t number : graph_.plan().vertices[v].operators) {
      const graph::OperatorNode& node = job_.graph.operators[number];
      const std::string id = ids[number].to_string();
      operators.push_back({id, node.uid, node.name, v, graph_.plan().vertices[v].parallelism,
                           graph_.plan().vertices[v].max_parallelism, key_schemas[number], stateful.contains(id)});
    }
  }
  return operators;
}

void JobMaster::schedule_checkpoint_timer() {
  const std::int64_t next = coordinator_.next_time().millis;
  if (next == INT64_MAX || next >= timer_at_) return;
  timer_at_ = next;
  host_.after(Millis(std::max<std::int64_t>(next - now().millis, 0)), [self = shared_from_this(), next] {
    if (self->timer_at_ != next) return;
    self->timer_at_ = INT64_MAX;
    self->carry_out(self->coordinator_.on_time(self->now()));
  });
}

bool JobMaster::keeps_checkpoints() const {
  return graph_.state() == JobState::kFailed ||
         (graph_.state() == JobState::kCanceled && coordinator_.options().keep_on_cancellation());
}

void JobMaster::end() {
  if (ended_) return;
  ended_ = true;
  if (std::exchange(waits_for_storing_, false)) host_.release_slots(job_.id);
  carry_out(coordinator_.on_ended(fmt::format("The job is {}", to_text(graph_.state())), now()));
  if (!keeps_checkpoints()) {
    carry_out(coordinator_.discard_all());
    remove_trees({checkpoint_directory()});
  }
  job_.ended = true;
  job_.model = wire::encode(*model());
  const Status stored = host_.store(job_);
  if (!stored.ok())
    env::log_error("jobmaster", "The end of job {} cannot be stored: {}", job_.id.to_string(), stored.to_string());
  host_.on_ended(job_.id, stored.ok());
}

gateway::JobModelRef JobMaster::model() const {
  JobView::Parts parts{job_, graph_, coordinator_, restart_text_, {}, ""};
  if (is_ended()) {
    parts.cluster_version = host_.facts().version;
    for (const gateway::ConfigEntry& entry : host_.configuration()) parts.cluster[entry.key] = entry.value;
  }
  return view_.model(std::move(parts));
}

}  // namespace drey::cluster
