#include "cluster/job_master.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/ranges.h>

#include "cluster/snapshot_files.h"
#include "control/checkpoint/restore.h"
#include "control/execution/scaling.h"
#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

using control::JobState;

std::string class_of(const control::FailureReport& failure) {
  if (!failure.origin.empty()) return failure.origin;
  const bool known = failure.code > 0 && failure.code <= static_cast<std::int32_t>(Code::kInternal);
  return fmt::format("drey.{}", known ? row_of(static_cast<Code>(failure.code)).name : "internal");
}

gateway::ExceptionModel exception_model(const control::ExceptionEntry& entry) {
  gateway::ExceptionModel model;
  model.name = class_of(entry.failure);
  model.stacktrace = fmt::format("{}: {}\n{}", model.name, entry.failure.message, entry.failure.stack);
  model.time = entry.time;
  model.task_name = entry.task_name;
  model.endpoint = entry.endpoint;
  model.task_manager = entry.task_manager;
  // Whom it concerns, for who filters: the caller's own mistakes from what a machine or Drey did.
  const bool known = entry.failure.code > 0 && entry.failure.code <= static_cast<std::int32_t>(Code::kInternal);
  const CodeRow& row = row_of(known ? static_cast<Code>(entry.failure.code) : Code::kInternal);
  static constexpr const char* kBlames[] = {"nobody", "caller", "external", "engine"};
  model.labels = {{"code", std::string(row.name)}, {"blame", kBlames[static_cast<std::size_t>(row.blame)]}};
  for (const auto& other : entry.concurrent) model.concurrent.push_back(exception_model(other));
  return model;
}

gateway::CheckpointModel checkpoint_model(const control::Checkpoint& c) {
  gateway::CheckpointModel model;
  model.id = c.id;
  model.status = to_text(c.status);
  if (control::is_savepoint(c.form)) {
    model.type = c.after == control::AfterSnapshot::kGoOn ? "SAVEPOINT" : "SYNC_SAVEPOINT";
    model.savepoint_format = to_text(c.form);
  }
  model.trigger_time = c.trigger_time;
  model.latest_ack_time = c.latest_ack_time;
  model.failure_time = c.failure_time;
  model.failure_message = c.failure_message;
  model.path = c.path;
  model.discarded = c.discarded;
  for (const control::TaskCheckpoint& t : c.tasks) {
    model.tasks.push_back({t.vertex, t.subtask, t.acknowledged, t.ack_time,
                           static_cast<std::int64_t>(t.ack.written_bytes), static_cast<std::int64_t>(t.ack.state_bytes),
                           t.ack.start_delay_ms, t.ack.alignment_ms, static_cast<std::int64_t>(t.ack.processed_bytes),
                           t.ack.sync_ms, t.ack.async_ms});
  }
  return model;
}

gateway::AccumulatorModel accumulator_model(const control::AccumulatorReport& report) {
  static constexpr const char* kTypes[] = {"LongCounter", "DoubleCounter", "LongMaximum", "LongMinimum"};
  const int kind = std::clamp(report.kind, 0, 3);
  return {report.name, kTypes[kind], kind == 1 ? fmt::format("{}", report.real) : fmt::format("{}", report.whole)};
}

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
  incarnations_.resize(graph_.executions().size());
  for (std::size_t v = 0; v < incarnations_.size(); ++v) incarnations_[v].resize(graph_.executions()[v].size());
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
  // Groups one after another; subtask i of each vertex of a group lies in the group's slot i.
  std::map<std::string, std::size_t> first;
  std::size_t next = 0;
  std::vector<std::vector<control::ExecutionGraph::Place>> places;
  std::map<std::string, std::int32_t> widest;
  for (const graph::Vertex& vertex : graph_.plan().vertices) {
    widest[vertex.slot_sharing_group] = std::max(widest[vertex.slot_sharing_group], vertex.parallelism);
  }
  for (const auto& [group, width] : widest) {
    first[group] = next;
    next += static_cast<std::size_t>(width);
  }
  slot_of_.clear();
  for (const graph::Vertex& vertex : graph_.plan().vertices) {
    places.emplace_back();
    slot_of_.emplace_back();
    for (std::int32_t s = 0; s < vertex.parallelism; ++s) {
      const std::size_t slot = first[vertex.slot_sharing_group] + static_cast<std::size_t>(s);
      const SlotOffer& offer = slots_.at(slot);
      places.back().push_back({offer.task_manager, offer.host, offer.data_port});
      slot_of_.back().push_back(slot);
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

bool JobMaster::is_current(const control::TaskAddress& task) const {
  return task.vertex < incarnations_.size() && task.subtask < incarnations_[task.vertex].size() &&
         task.incarnation == incarnations_[task.vertex][task.subtask];
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

void JobMaster::on_message(const std::string&, const control::TaskStateChanged& message) {
  if (!is_current(message.task)) return;
  const auto from = restored_from_.find(message.task.incarnation);
  bool is_cut_anew = false;
  if (message.state == control::AttemptState::kFailed &&
      message.failure.code == static_cast<std::int32_t>(Code::kCorrupt) && from != restored_from_.end() &&
      !graph_.all_running()) {
    is_cut_anew = !has_widths_of(from->second);
    pass_over(from->second, message.failure);
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
  if (!is_current(message.task)) return;
  carry_out(graph_.on_end_of_data(message.task.vertex, message.task.subtask, message.task.attempt));
}

void JobMaster::on_message(const control::SnapshotAck& message) {
  if (!is_current(message.task)) {
    control::SnapshotAck stale = message;
    stale.checkpoint_id = -1;  // nobody's: only its file is cleaned up
    carry_out(coordinator_.on_ack(stale, now()));
    return;
  }
  carry_out(coordinator_.on_ack(message, now()));
}

void JobMaster::on_report(const control::TaskReport& report) {
  if (!is_current(report.task)) return;
  Seen& seen = reports_[{report.task.vertex, report.task.subtask, report.task.attempt}];
  if (!report.names.empty()) {
    // Subtasks of a vertex have the same ones: they share them.
    metrics::NamesRef& known = names_[report.task.vertex];
    if (known == nullptr || *known != report.names) known = std::make_shared<const metrics::Names>(report.names);
    seen.names = known;
  }
  seen.metrics = {seen.names, report.values};
  seen.totals = report.totals;
  seen.accumulators.clear();
  for (const auto& accumulator : report.accumulators) seen.accumulators.push_back(accumulator_model(accumulator));
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
      host_.send(cancel->task_manager, control::CancelTask{{job_.id, incarnations_[cancel->vertex][cancel->subtask],
                                                            cancel->vertex, cancel->subtask, cancel->attempt}});
    } else if (const auto* restart = std::get_if<control::RestartAfter>(&action)) {
      host_.after(restart->delay, [self, number = restart->number] {
        self->carry_out(self->graph_.on_restart_timer(number, self->now()));
      });
    } else if (const auto* moved = std::get_if<control::JobStateMoved>(&action)) {
      env::log_info("jobmaster", "Job {} ({}) is {}", job_.graph.name, job_.id.to_string(), to_text(moved->state));
      publish_exceptions();
      host_.publish({job_.id, 0, gateway::JobStateEvent{job_.graph.name, std::string(to_text(moved->state))}});
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
  publish_exceptions();
}

void JobMaster::publish_exceptions() {
  const auto& all = graph_.exceptions();  // newest first
  const std::uint64_t told = told_exception_;
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    if (entry->number <= told) continue;
    told_exception_ = entry->number;
    host_.publish({job_.id, 0, exception_model(*entry)});
  }
}

void JobMaster::publish_checkpoints() {
  const std::int64_t ended = coordinator_.completed_count() + coordinator_.failed_count();
  const auto& history = coordinator_.history();  // newest first
  const auto fresh = std::min<std::int64_t>(ended - std::exchange(told_checkpoints_, ended),
                                            static_cast<std::int64_t>(history.size()));
  for (std::int64_t i = fresh; i > 0; --i)
    host_.publish({job_.id, 0, checkpoint_model(history[static_cast<std::size_t>(i - 1)])});
  const auto& pending = coordinator_.pending();
  if (!pending || pending->id == told_pending_) return;
  told_pending_ = pending->id;
  host_.publish({job_.id, 0, checkpoint_model(*pending)});
}

void JobMaster::publish_rescale() {
  if (!job_.rescales.history.empty()) host_.publish({job_.id, 0, job_.rescales.history.front()});
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
  restored_id_ = -1;
  // Of incarnations that still have tasks.
  std::set<std::uint64_t> used;
  for (const auto& vertex : incarnations_) used.insert(vertex.begin(), vertex.end());
  std::erase_if(restored_from_, [&](const auto& entry) { return !used.contains(entry.first); });
  if (*checkpoint) {
    restored_from_[job_.incarnation] = (*checkpoint)->id;
    restored_id_ = (*checkpoint)->id;
    restored_time_ = now().millis;
    restored_path_ = (*checkpoint)->path;
    restored_savepoint_ = control::is_savepoint((*checkpoint)->form);
    coordinator_.count_restored();
    env::log_info("jobmaster", "Restoring job {} from checkpoint {}", job_.id.to_string(), restored_id_);
  }
  const graph::Plan& plan = graph_.plan();
  std::map<std::string, control::Deploy> messages;
  control::Placement placement;
  std::map<std::string, std::uint32_t> host_of;
  for (std::uint32_t v = 0; v < plan.vertices.size(); ++v) {
    placement.task_managers.emplace_back();
    for (std::uint32_t s = 0; s < graph_.executions()[v].size(); ++s) {
      if (!std::binary_search(regions.begin(), regions.end(), graph_.region_of(v, s))) {
        placement.task_managers.back().push_back(control::Placement::kNotHere);
        continue;
      }
      incarnations_[v][s] = job_.incarnation;
      const control::Attempt& attempt = graph_.executions()[v][s].current();
      std::erase_if(reports_,
                    [&](const auto& seen) { return std::get<0>(seen.first) == v && std::get<1>(seen.first) == s; });
      const auto [at, added] =
          host_of.emplace(attempt.task_manager, static_cast<std::uint32_t>(placement.hosts.size()));
      if (added) placement.hosts.emplace_back(attempt.host, attempt.data_port);
      placement.task_managers.back().push_back(at->second);
      control::Deploy& message = messages[attempt.task_manager];
      control::TaskDeployment task;
      task.vertex = v;
      task.subtask = s;
      task.attempt = attempt.number;
      task.slot = slots_[slot_of_[v][s]].slot;
      if (*checkpoint)
        task.restore = control::parts_for(**checkpoint, operators_in(v), s,
                                          static_cast<std::uint32_t>(plan.vertices[v].parallelism));
      message.tasks.push_back(std::move(task));
    }
  }
  for (auto& [task_manager, message] : messages) {
    message.job = job_.id;
    message.incarnation = job_.incarnation;
    message.graph = job_.graph;
    message.plan = plan;
    message.module = job_.module;
    message.digest = job_.digest;
    message.placement = placement;
    message.me = host_of[task_manager];
    message.exactly_once = coordinator_.options().exactly_once();
    message.restore_own = own;
    message.restored_checkpoint = restored_id_;
    message.state_directory = checkpoint_directory();
    host_.send(task_manager, message);
  }
}

void JobMaster::command(control::CheckpointCommand::What what, const control::Barrier& barrier, bool is_final) {
  // Regions that were deployed at different times have incarnations of their own.
  std::set<std::pair<std::string, std::uint64_t>> told;
  for (std::size_t v = 0; v < incarnations_.size(); ++v) {
    for (std::size_t s = 0; s < incarnations_[v].size(); ++s) {
      const std::string& task_manager = graph_.executions()[v][s].current().task_manager;
      const std::uint64_t incarnation = incarnations_[v][s];
      if (task_manager.empty() || incarnation == 0 || !told.emplace(task_manager, incarnation).second) continue;
      host_.send(task_manager, control::CheckpointCommand{what, job_.id, incarnation, barrier, is_final});
    }
  }
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
    } else if (auto* ended = std::get_if<control::WishEnded>(&decision)) {
      on_wish_ended(*ended);
    } else if (const auto* failed = std::get_if<control::FailJob>(&decision)) {
      carry_out(graph_.fail_job(
          {static_cast<std::int32_t>(Code::kIo), failed->why, "org.apache.flink.util.FlinkRuntimeException", ""}, true,
          now()));
    }
  }
  schedule_checkpoint_timer();
  publish_checkpoints();
  // Slots may have been lost meanwhile.
  if (waits_for_storing_ && !coordinator_.is_storing()) request_slots();
}

void JobMaster::take_snapshot(control::SnapshotWish wish, SnapshotDone done) {
  wish.ticket = next_ticket_++;
  if (wish.after != control::AfterSnapshot::kGoOn) {
    done = [this, done = std::move(done)](Result<SnapshotTaken> taken) {
      if (!taken.ok() || stopping_ != nullptr || ended_) return done(std::move(taken));
      stopping_ = std::make_unique<Stopping>(Stopping{*taken, done});
    };
  }
  waiting_[wish.ticket] = std::move(done);
  carry_out(coordinator_.wish(std::move(wish), now()));
}

void JobMaster::on_wish_ended(const control::WishEnded& ended) {
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
  publish_rescale();
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
  publish_rescale();
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
  publish_rescale();
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
  const auto bytes = std::make_shared<Result<std::int64_t>>(0);
  host_.beside([env = &env_, stored, bytes] { *bytes = write_metadata(env->files, *stored); },
               [self = shared_from_this(), stored, bytes] { self->on_metadata_written(*stored, *bytes); });
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
  if (status.ok()) {
    std::int64_t written = 0, state = 0, processed = 0, last_ack = checkpoint.trigger_time;
    for (const control::TaskCheckpoint& task : checkpoint.tasks) {
      written += static_cast<std::int64_t>(task.ack.written_bytes);
      state += static_cast<std::int64_t>(task.ack.state_bytes);
      processed += static_cast<std::int64_t>(task.ack.processed_bytes);
      last_ack = std::max(last_ack, task.ack_time);
    }
    statistics_.written_bytes.add(written);
    statistics_.state_bytes.add(state);
    statistics_.processed_bytes.add(processed);
    statistics_.metadata_bytes = *bytes;
    statistics_.duration.add(last_ack - checkpoint.trigger_time);
  }
  carry_out(coordinator_.on_stored(checkpoint.id, status.ok(), status.to_string(), now()));
}

std::vector<std::string> JobMaster::operators_in(std::uint32_t vertex) const {
  std::vector<std::string> ids;
  for (const std::uint32_t number : graph_.plan().vertices[vertex].operators)
    ids.push_back(graph::operator_id_of(job_.graph, number).to_string());
  return ids;
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
  auto model = std::make_shared<gateway::JobModel>();
  model->id = job_.id;
  model->name = job_.graph.name;
  model->state = to_text(graph_.state());
  for (const auto& row : enum_table(JobState{})) {
    model->entered.emplace_back(row.text, graph_.entered()[static_cast<std::size_t>(row.value)]);
  }
  // A resumed job began when it was submitted, not when this JobManager did.
  model->entered[0].second = job_.submitted;
  for (std::uint32_t v = 0; v < graph_.plan().vertices.size(); ++v) {
    gateway::VertexModel vertex;
    vertex.vertex = graph_.plan().vertices[v];
    for (std::uint32_t s = 0; s < graph_.executions()[v].size(); ++s) {
      vertex.subtasks.emplace_back();
      for (const control::Attempt& attempt : graph_.executions()[v][s].attempts) {
        gateway::AttemptModel a;
        a.number = attempt.number;
        a.state = to_text(attempt.state);
        for (const auto& row : enum_table(control::AttemptState{})) {
          a.entered.emplace_back(row.text, attempt.entered[static_cast<std::size_t>(row.value)]);
        }
        a.task_manager = attempt.task_manager;
        a.host = attempt.host;
        a.data_port = attempt.data_port;
        if (const auto seen = reports_.find({v, s, attempt.number}); seen != reports_.end()) {
          a.metrics = seen->second.metrics;
          a.is_measured = true;
          a.totals = seen->second.totals;
          a.accumulators = seen->second.accumulators;
        }
        vertex.subtasks.back().push_back(std::move(a));
      }
    }
    model->vertices.push_back(std::move(vertex));
  }
  for (const graph::VertexEdge& edge : graph_.plan().edges) {
    model->edges.push_back({edge.from, edge.to, std::string(to_text(job_.graph.edges[edge.edge].partitioner))});
  }
  model->settings = job_.graph.settings;
  for (std::size_t i = 0; i < job_.graph.arguments.size(); ++i) {
    const std::string& argument = job_.graph.arguments[i];
    if (!argument.starts_with("--")) continue;
    const auto equals = argument.find('=');
    if (equals != std::string::npos) {
      model->arguments[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    } else {
      const bool has_value = i + 1 < job_.graph.arguments.size() && !job_.graph.arguments[i + 1].starts_with("--");
      model->arguments[argument.substr(2)] = has_value ? job_.graph.arguments[i + 1] : "";
    }
  }
  model->restart_strategy = restart_text_;
  for (const graph::Vertex& vertex : graph_.plan().vertices)
    model->parallelism = std::max(model->parallelism, vertex.parallelism);
  for (const control::ExceptionEntry& entry : graph_.exceptions()) model->exceptions.push_back(exception_model(entry));
  if (graph_.state() == JobState::kFailed) {
    control::ExceptionEntry entry;
    entry.failure = graph_.failure();
    entry.time = graph_.entered()[static_cast<std::size_t>(JobState::kFailing)];
    model->failure = exception_model(entry);
  }
  const control::CheckpointOptions& options = coordinator_.options();
  gateway::CheckpointsModel& c = model->checkpoints;
  c = statistics_;
  c.exactly_once = options.exactly_once();
  c.interval = options.interval.count();
  c.timeout = options.timeout.count();
  c.min_pause = options.min_pause.count();
  c.tolerable_failures = options.tolerable_failures;
  c.keep_on_cancellation = options.keep_on_cancellation();
  c.completed = coordinator_.completed_count();
  c.failed = coordinator_.failed_count();
  c.restored = coordinator_.restored_count();
  if (coordinator_.pending()) c.history.push_back(checkpoint_model(*coordinator_.pending()));
  for (const control::Checkpoint& checkpoint : coordinator_.history())
    c.history.push_back(checkpoint_model(checkpoint));
  c.restored_id = restored_id_;
  c.restored_time = restored_time_;
  c.restored_path = restored_path_;
  c.restored_savepoint = restored_savepoint_;
  model->restarts = graph_.restarts();
  model->rescales = job_.rescales;
  if (is_ended()) {
    for (const gateway::ConfigEntry& entry : host_.configuration())
      model->cluster_configuration[entry.key] = entry.value;
    model->cluster_version = host_.facts().version;
  }
  return model;
}

}  // namespace drey::cluster
