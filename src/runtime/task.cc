#include "runtime/task.h"

#include <algorithm>

#include <fmt/format.h>

#include "env/log.h"
#include "graph/pipeline_options.h"
#include "runtime/runner.h"
#include "runtime/task_meter.h"

namespace drey::runtime {
namespace {

// One step: so many batches, then the worker turns to the next task (engine.md 1.6).
constexpr int kBatchesPerStep = 4;
constexpr const char* kWatermarkState = "~watermark";
constexpr std::chrono::minutes kRestoreDeadline{60};

std::string name_of(const TaskSpec& spec) {
  return fmt::format("{} ({}/{})#{}", spec.vertex.name, spec.subtask + 1, spec.vertex.parallelism, spec.attempt);
}

}  // namespace

std::string_view to_text(TaskState state) {
  static constexpr std::string_view kNames[] = {"CREATED", "INITIALIZING", "RUNNING", "FINISHED", "CANCELED", "FAILED"};
  return kNames[static_cast<int>(state)];
}

Task::Task(TaskSpec spec, TaskSurroundings surroundings)
    : spec_(std::move(spec)), around_(surroundings), name_(name_of(spec_)), link_(std::make_shared<Link>()) {
  link_->task = this;
  metrics_.watermark.set(kMinWatermark);
  for (const std::uint32_t number : spec_.vertex.operators) {
    auto metrics = std::make_unique<OperatorMetrics>();
    const graph::OperatorNode& node = spec_.graph->operators[number];
    metrics->name = node.is_source() ? "Source: " + node.name : node.name;
    metrics->is_source = node.is_source();
    metrics->watermark_in.set(kMinWatermark);
    metrics->watermark_out.set(kMinWatermark);
    metrics->event_time.set(kMinWatermark);
    for (const graph::OperatorEdge& edge : spec_.graph->edges) {
      if (edge.to == number) metrics->inputs = std::max(metrics->inputs, edge.input + 1);
    }
    OperatorMetrics* head = operator_metrics_.empty() ? nullptr : operator_metrics_[0].get();
    if (node.traits.gives_event_time && head != nullptr && head->is_source && head->event_times == nullptr)
      head->event_times = metrics.get();
    operator_metrics_.push_back(std::move(metrics));
  }
  meter_ = std::make_unique<TaskMeter>(*this);
}

Task::~Task() {
  {
    std::lock_guard lock(link_->mutex);
    link_->task = nullptr;
  }
  chain_.clear();
}

void Task::set_waker(std::function<void()> wake) {
  std::lock_guard lock(waker_mutex_);
  waker_ = std::move(wake);
}

std::function<void()> Task::Runner::waker() {
  return [link = task_.link_] { link->wake(); };
}

void Task::post(Mail letter) { link_->post(std::move(letter)); }

void Task::trigger_checkpoint(control::Barrier barrier) {
  post({.kind = Mail::Kind::kTrigger, .barrier = std::move(barrier)});
}
void Task::checkpoint_complete(std::int64_t checkpoint_id, bool is_final) {
  post({.kind = Mail::Kind::kComplete, .barrier = {.checkpoint_id = checkpoint_id}, .is_final = is_final});
}
void Task::checkpoint_aborted(std::int64_t checkpoint_id) {
  post({.kind = Mail::Kind::kAborted, .barrier = {.checkpoint_id = checkpoint_id}});
}
void Task::cancel() { post({.kind = Mail::Kind::kCancel}); }
void Task::finish() { post({.kind = Mail::Kind::kFinish}); }
void Task::fail_from_outside(Status why) { post({.kind = Mail::Kind::kFail, .why = std::move(why)}); }

void Task::enter(TaskState state, const Status& why) {
  state_.store(state, std::memory_order_release);
  around_.listener.on_state(*this, state, why);
}

void Task::end(TaskState state, Status why) {
  if (state == TaskState::kFailed) env::log_warn("runtime", "{} failed: {}", name_, why.to_string());
  // Operators go before the channels they emit to; what user code does in destructors must not reach them.
  chain_.clear();
  held_snapshots_.clear();
  if (restore_is_unwanted_ != nullptr) restore_is_unwanted_->store(true, std::memory_order_relaxed);
  Item item;
  item.kind = Item::Kind::kEndOfChannel;
  if (state == TaskState::kFinished) {
    for (auto& output : outputs_) output->broadcast(item);
  }
  enter(state, why);
}

Status Task::start_initializing() {
  metrics_.initializing_since.set(around_.env.clock.ticks().nanos);
  enter(TaskState::kInitializing);
  task_state_ = std::make_shared<state::TaskState>(
      state::TaskStateOptions{spec_.subtask, static_cast<std::uint32_t>(spec_.vertex.parallelism),
                              static_cast<std::uint32_t>(spec_.vertex.max_parallelism), name_},
      around_.pages, around_.budget);
  if (spec_.restore.empty()) return build_chain();
  std::vector<OperatorId> operators;
  for (const std::uint32_t number : spec_.vertex.operators)
    operators.push_back(graph::operator_id_of(*spec_.graph, number));
  restore_is_unwanted_ = std::make_shared<std::atomic<bool>>(false);
  restore_deadline_ = around_.env.clock.ticks() + kRestoreDeadline;
  // The state's pages go back to the pool, so the pool goes last.
  struct Restoring {
    std::shared_ptr<void> pools;
    std::shared_ptr<state::TaskState> state;
    std::vector<state::TaskStateHandle> handles;
    std::vector<OperatorId> operators;
  };
  auto restoring =
      std::make_shared<Restoring>(Restoring{around_.pools, task_state_, spec_.restore, std::move(operators)});
  around_.env.io.post(
      [link = link_, restoring = std::move(restoring), unwanted = restore_is_unwanted_, own = spec_.restore_own,
       files = &around_.env.files,
       context = fmt::format("while restoring {} from checkpoint {}", name_, spec_.restored_checkpoint)]() mutable {
        Status restored = restoring->state->restore(restoring->handles, restoring->operators, own, *files, *unwanted)
                              .with_context(context);
        restoring.reset();
        link->post({.kind = Mail::Kind::kRestored, .why = std::move(restored)});
      });
  return {};
}

Status Task::build_chain() {
  const graph::JobGraph& graph = *spec_.graph;
  // The lowest watermark that subtasks of this vertex had reached.
  const OperatorId head = graph::operator_id_of(graph, spec_.vertex.operators[0]);
  DREY_TRY_ASSIGN(state::OperatorList * marks, task_state_->operator_list(head, kWatermarkState, true));
  if (!marks->elements().empty()) {
    watermark_ = kMaxWatermark;
    for (const std::string& mark : marks->elements()) watermark_ = std::min<std::int64_t>(watermark_, std::stoll(mark));
  }
  std::vector<InputChannel> channels;
  const auto wake = [link = link_] { link->wake(); };
  const auto producer = std::make_shared<const Channel::Wake>([link = link_](std::uint32_t) { link->wake(); });
  for (const TaskInputEdge& edge : spec_.inputs) {
    for (const auto& channel : edge.channels) {
      const std::size_t number = static_cast<std::size_t>(&channel - edge.channels.data());
      channels.push_back(
          {channel, graph.edges[edge.edge].input, edge.edge, !edge.is_remote.empty() && edge.is_remote[number]});
    }
  }
  if (!channels.empty()) {
    gate_ = std::make_unique<Gate>(std::move(channels), spec_.exactly_once, wake);
    gate_->restore_watermark(watermark_);
  }
  std::map<std::uint32_t, Runner*> runners;
  for (std::uint32_t i = 0; i < spec_.vertex.operators.size(); ++i) {
    const std::uint32_t number = spec_.vertex.operators[i];
    chain_.push_back(std::make_unique<Runner>(*this, i, number, *operator_metrics_[i]));
    runners[number] = chain_.back().get();
  }
  DREY_TRY_ASSIGN(const auto pipeline, config::read<graph::PipelineOptions>(graph.settings));
  for (const TaskOutputEdge& out : spec_.outputs) {
    const graph::OperatorEdge& edge = graph.edges[out.edge];
    Runner* from = runners.at(edge.from);
    OutputOptions options;
    options.partitioner = edge.partitioner;
    options.key_columns = data::key_columns(from->output_schema(edge.output), edge.key_columns);
    options.subtask = spec_.subtask;
    options.consumer_parallelism = out.consumer_parallelism;
    options.max_parallelism = static_cast<std::uint32_t>(graph.operators[edge.to].max_parallelism);
    options.batches = &metrics_.batches_out;
    if (pipeline.has_buffer_timeout) options.buffer_timeout = pipeline.buffer_timeout;
    if (edge.partitioner == graph::Partitioner::kCustom) options.custom = spec_.code->edges.at(out.edge);
    for (const auto& channel : out.channels) channel->set_producer(producer);
    outputs_.push_back(
        std::make_unique<Output>(from->output_schema(edge.output), options, out.channels, around_.blocks));
    if (options.custom.functions != nullptr) DREY_TRY(outputs_.back()->open_custom(*from));
    from->routes.push_back({edge.output, nullptr, outputs_.back().get(), 0});
  }
  std::vector<bool> crosses(graph.edges.size());
  for (const TaskInputEdge& in : spec_.inputs) crosses[in.edge] = true;
  for (const TaskOutputEdge& out : spec_.outputs) crosses[out.edge] = true;
  for (std::size_t e = 0; e < graph.edges.size(); ++e) {
    const graph::OperatorEdge& edge = graph.edges[e];
    if (crosses[e] || !runners.contains(edge.from) || !runners.contains(edge.to)) continue;
    runners[edge.from]->routes.push_back({edge.output, runners[edge.to], nullptr, edge.input});
  }
  // Tail first: whoever emits in open() finds its consumers open.
  for (auto it = chain_.rbegin(); it != chain_.rend(); ++it) DREY_TRY((*it)->open());
  return {};
}

Status Task::start_running() {
  if (spec_.restored_checkpoint >= 0) {
    for (auto& runner : chain_) {
      if (runner->op() != nullptr) DREY_TRY(runner->op()->on_checkpoint_complete(spec_.restored_checkpoint));
    }
  }
  const std::int64_t took = around_.env.clock.ticks().nanos - metrics_.initializing_since.get();
  metrics_.initialization_nanos.set(std::max<std::int64_t>(took, 1));
  enter(TaskState::kRunning);
  return {};
}

bool Task::outputs_have_credit() const {
  return std::all_of(outputs_.begin(), outputs_.end(), [](const auto& o) { return o->has_credit(); });
}

std::int64_t Task::next_wake() const {
  std::int64_t wake = INT64_MAX;
  for (const auto& runner : chain_) wake = std::min(wake, runner->wake());
  return wake;
}

bool Task::has_work() const {
  return std::any_of(chain_.begin(), chain_.end(), [](const auto& runner) { return runner->has_work(); });
}

bool Task::is_at_bound() const {
  return std::any_of(chain_.begin(), chain_.end(), [](const auto& runner) { return runner->is_at_bound(); });
}

bool Task::takes_input() const {
  return state_ == TaskState::kRunning && stops_after_ < 0 && !finishes_ && (!ending_ || data_ended_);
}

Status Task::look_at_work() {
  const Ticks now = around_.env.clock.ticks();
  if (restore_is_unwanted_ != nullptr && now >= restore_deadline_) {
    return fail(Code::kTimeout, fmt::format("{} could not be restored from checkpoint {} within {} minutes", name_,
                                            spec_.restored_checkpoint, kRestoreDeadline.count()));
  }
  for (auto& runner : chain_) {
    if (runner->has_work()) DREY_TRY(runner->look_at_work(now));
  }
  return {};
}

// When look_at_work has something to do.
Ticks Task::next_look() const {
  Ticks next = restore_is_unwanted_ != nullptr ? restore_deadline_ : Ticks{INT64_MAX};
  for (const auto& runner : chain_) next = std::min(next, runner->next_look());
  return next;
}

Ticks Task::wake_of_timers() const {
  const std::int64_t wake = takes_input() ? next_wake() : INT64_MAX;
  if (wake == INT64_MAX) return Ticks{INT64_MAX};
  const std::int64_t wait_ms = std::max<std::int64_t>(wake - around_.env.clock.wall().millis, 0);
  return around_.env.clock.ticks() + Millis(std::min<std::int64_t>(wait_ms, 3'600'000));
}

Task::Step Task::step() {
  woken_.store(false, std::memory_order_release);
  bool did = state_ == TaskState::kCreated;
  Status status = did ? start_initializing() : Status();
  if (status.ok()) status = drain_mail(&did);
  if (status.ok() && (restore_is_unwanted_ != nullptr || has_work())) status = look_at_work();
  if (status.ok() && state_ == TaskState::kInitializing && restore_is_unwanted_ == nullptr && !has_work()) {
    did = true;
    status = start_running();
  }
  if (status.ok() && ending_ && !data_ended_ && state_ == TaskState::kRunning) status = go_on_ending();
  if (status.ok() && takes_input()) status = fire_wakes(&did);
  for (int i = 0; status.ok() && takes_input() && i < kBatchesPerStep; ++i) {
    if (has_mail_.load(std::memory_order_acquire)) {
      did = true;
      break;
    }
    if (is_at_bound()) {
      if (!did) return {Progress::kWorking, next_look()};
      break;
    }
    if (!outputs_have_credit()) {
      bool waits = false;
      for (auto& output : outputs_) waits = output->wait_for_credit() || waits;
      if (waits && !did) return {Progress::kBlocked, next_look()};
      if (waits) break;
    }
    bool progressed = false;
    if (is_firing()) {
      did = true;
      status = chain_[0]->fire_more();
      if (!status.ok()) break;
    }
    status = gate_ != nullptr ? process_one(&progressed) : poll_source(&progressed);
    did = did || progressed;
    if (!progressed && !is_firing()) break;
  }
  if (!status.ok() && state_ < TaskState::kFinished) end(TaskState::kFailed, status);
  if (finishes_ && state_ == TaskState::kRunning && !has_work()) end(TaskState::kFinished, {});
  if (state_ >= TaskState::kFinished) return {Progress::kDone};
  if (did) {
    for (auto& output : outputs_) {
      if (output->holds_rows()) output->flush_if_due(around_.env.clock.ticks());
    }
    return {Progress::kBusy};
  }
  // Nothing left to do: rows that wait for company go now.
  for (auto& output : outputs_) output->on_idle();
  if (woken_.load(std::memory_order_acquire)) return {Progress::kBusy};
  return {Progress::kIdle, std::min(wake_of_timers(), next_look())};
}

Status Task::drain_mail(bool* did) {
  if (!has_mail_.exchange(false, std::memory_order_acq_rel)) return {};
  std::vector<Mail> mail;
  const Ticks now = around_.env.clock.ticks();
  {
    std::lock_guard lock(mail_mutex_);
    mail.swap(mail_);
    for (const Mail& letter : mail) {
      if (waits_.size() == kWaitsKept) waits_.pop_front();
      waits_.push_back(std::max(now - letter.posted, Nanos(0)));
    }
  }
  metrics_.letters_taken.add(static_cast<std::int64_t>(mail.size()));
  for (Mail& letter : mail) {
    if (state_ >= TaskState::kFinished) return {};
    *did = true;
    DREY_TRY(take_letter(letter));
  }
  return {};
}

Status Task::take_letter(Mail& letter) {
  const std::int64_t checkpoint = letter.barrier.checkpoint_id;
  switch (letter.kind) {
    case Mail::Kind::kCancel:
      end(TaskState::kCanceled, {});
      break;
    case Mail::Kind::kFail:
      return letter.why;
    case Mail::Kind::kRestored:
      restore_is_unwanted_.reset();
      DREY_TRY(std::move(letter.why));
      return build_chain();
    case Mail::Kind::kWork:
      DREY_TRY(chain_[letter.position]->on_work_over(letter.number, letter.why));
      write_free_snapshots();
      break;
    case Mail::Kind::kFinish:
      finishes_ = finishes_ || data_ended_;
      break;
    case Mail::Kind::kTrigger:
      // Checkpoints begin when all tasks run.
      if (checkpoint <= last_checkpoint_ || state_ != TaskState::kRunning) break;
      if (letter.barrier.after == control::AfterSnapshot::kDrain) {
        DREY_TRY(drain());
        if (!data_ended_) {
          checkpoint_after_data_ = letter.barrier;
          break;
        }
      }
      return start_checkpoint(letter.barrier, {});
    case Mail::Kind::kComplete:
      if (state_ != TaskState::kRunning) break;
      for (auto& runner : chain_) {
        if (runner->op() != nullptr) DREY_TRY(runner->op()->on_checkpoint_complete(checkpoint));
      }
      finishes_ = finishes_ || stops_after_ == checkpoint || (letter.is_final && checkpoint >= ended_before_);
      break;
    case Mail::Kind::kAborted:
      if (state_ != TaskState::kRunning) break;
      if (stops_after_ == checkpoint) stops_after_ = -1;
      if (checkpoint_after_data_ && checkpoint_after_data_->checkpoint_id == checkpoint) checkpoint_after_data_.reset();
      if (gate_ != nullptr) gate_->aligner().abort(checkpoint);
      std::erase_if(held_snapshots_, [&](const auto& held) { return held.barrier.checkpoint_id == checkpoint; });
      task_state_->discard(checkpoint);
      break;
  }
  return {};
}

Status Task::fire_wakes(bool* did) {
  if (next_wake() == INT64_MAX) return {};
  const std::int64_t now = around_.env.clock.wall().millis;
  for (auto& runner : chain_) {
    if (runner->wake() > now || runner->is_firing()) continue;
    *did = true;
    DREY_TRY(runner->fire_wake(now));
  }
  return {};
}

Status Task::poll_source(bool* did) {
  if (source_done_) return {};
  operators::Source* source = chain_[0]->source();
  if (source == nullptr) return fail(Code::kInternal, fmt::format("{} has neither input nor source", name_));
  if (chain_[0]->wake() != INT64_MAX) return {};  // parked until then
  DREY_TRY_ASSIGN(const operators::Progress progress, source->poll(*chain_[0], operators::Budget{}));
  if (progress == operators::Progress::kBusy) {
    *did = true;
    metrics_.source_idle_since.set(0);
  } else if (metrics_.source_idle_since.get() == 0) {
    metrics_.source_idle_since.set(around_.env.clock.ticks().nanos);
  }
  if (progress == operators::Progress::kDone) {
    *did = true;
    DREY_TRY(drain());
  }
  return {};
}

// The end of a source's data, its own or a wanted one.
Status Task::drain() {
  if (source_done_) return {};
  source_done_ = true;
  DREY_TRY(chain_[0]->advance(kMaxWatermark));
  ending_ = 0;
  return go_on_ending();
}

Status Task::on_watermark(std::int64_t watermark) {
  watermark_ = watermark;
  metrics_.watermark.set(watermark);
  return chain_[0]->on_watermark(watermark);
}

bool Task::is_firing() const { return chain_[0]->is_firing(); }

// While the head fires, rows and times wait; barriers do not, as long as none of these came before them.
Status Task::process_one(bool* did) {
  using Kind = Gate::Event::Kind;
  const auto is_input = [](const Gate::Event& event) {
    return event.kind == Kind::kBatch || event.kind == Kind::kWatermark || event.kind == Kind::kIdle ||
           (event.kind == Kind::kBarrier && event.barrier.complete &&
            event.barrier.complete->after == control::AfterSnapshot::kDrain);
  };
  if (!held_.empty()) {
    if (!is_firing()) {
      *did = true;
      const Gate::Event event = std::move(held_.front());
      held_.pop_front();
      return process_event(event);
    }
    if (is_input(held_.back())) return {};
  }
  // The clock is read only while a checkpoint is being aligned or a barrier may come: once per event at most.
  const Ticks now = gate_->aligner().pending() ? around_.env.clock.ticks() : Ticks{};
  Gate::Event event = gate_->next(now);
  if (event.kind == Kind::kNone) return {};
  *did = true;
  if (is_firing() && (is_input(event) || event.kind == Kind::kInputEnd)) {
    held_.push_back(std::move(event));
    return {};
  }
  return process_event(event);
}

Status Task::process_event(const Gate::Event& event) {
  using Kind = Gate::Event::Kind;
  Runner& head = *chain_[0];
  switch (event.kind) {
    case Kind::kBatch: {
      metrics_.records_in.add(event.batch->rows());
      TaskMetrics::Input& in = metrics_.in[gate_->channels()[event.channel].is_remote ? 1 : 0];
      in.bytes.add(static_cast<std::int64_t>(event.batch->bytes()));
      in.batches.add(1);
      Status status = head.process(event.input, event.batch);
      gate_->finish(event);
      return status;
    }
    case Kind::kWatermark:
      return on_watermark(event.watermark);
    case Kind::kIdle:
      // Channels downstream take no watermark of an idle one.
      if (!event.idle) DREY_TRY(head.on_idle(false));
      if (event.watermark > watermark_) DREY_TRY(on_watermark(event.watermark));
      return event.idle ? head.on_idle(true) : Status();
    case Kind::kBarrier:
      if (event.barrier.complete) {
        DREY_TRY(start_checkpoint(*event.barrier.complete, event.barrier.alignment));
      }
      return {};
    case Kind::kInputEnd: {
      DREY_TRY(head.op()->on_input_end(event.input, head));
      ended_inputs_ |= 1u << event.input;
      bool all = true;
      for (const InputChannel& channel : gate_->channels()) all = all && (ended_inputs_ >> channel.input & 1) != 0;
      if (!all) return {};
      ending_ = 0;
      return go_on_ending();
    }
    case Kind::kEnd:
    case Kind::kNone:
      return {};
  }
  return {};
}

// All input has ended: operators finish in turn, each when the work of those before it, which may emit, is over.
Status Task::go_on_ending() {
  while (*ending_ < chain_.size()) {
    if (has_work()) return {};
    const std::size_t at = (*ending_)++;
    Runner& runner = *chain_[at];
    if (runner.op() == nullptr) continue;
    // Inner operators of a chain have one input each, which ends with the chain's.
    if (at != 0) DREY_TRY(runner.op()->on_input_end(0, runner));
    DREY_TRY(runner.op()->finish(runner));
  }
  if (has_work()) return {};
  data_ended_ = true;
  Item item;
  item.kind = Item::Kind::kEndOfData;
  for (auto& output : outputs_) output->broadcast(item);
  if (!spec_.waits_at_end_of_data) {
    finishes_ = true;
    return {};
  }
  around_.listener.on_end_of_data(*this);
  if (!checkpoint_after_data_) return {};
  const control::Barrier barrier = *std::exchange(checkpoint_after_data_, std::nullopt);
  return start_checkpoint(barrier, {});
}

Status Task::start_checkpoint(const control::Barrier& barrier, const control::Alignment& alignment) {
  CheckpointNumbers numbers;
  numbers.start_delay_nanos =
      std::max<std::int64_t>(around_.env.clock.wall().millis - barrier.trigger_time, 0) * 1'000'000;
  numbers.alignment_nanos = alignment.duration.count();
  numbers.processed_bytes = alignment.processed_bytes;
  metrics_.checkpoint_start_delay_nanos.set(numbers.start_delay_nanos);
  metrics_.alignment_nanos.set(numbers.alignment_nanos);
  last_checkpoint_ = barrier.checkpoint_id;
  if (barrier.after != control::AfterSnapshot::kGoOn) stops_after_ = barrier.checkpoint_id;
  if (data_ended_) ended_before_ = std::min(ended_before_, barrier.checkpoint_id);
  for (auto& runner : chain_) {
    if (runner->op() != nullptr) DREY_TRY(runner->op()->prepare_barrier(barrier.checkpoint_id, *runner));
  }
  // The barrier goes before the snapshot is taken: those behind can align meanwhile (engine.md, trap 7).
  Item item;
  item.kind = Item::Kind::kBarrier;
  item.barrier = std::make_shared<const control::Barrier>(barrier);
  for (auto& output : outputs_) output->broadcast(item);

  const Ticks started = around_.env.clock.ticks();
  for (auto& runner : chain_) {
    DREY_TRY(runner->op() != nullptr ? runner->op()->snapshot(barrier.checkpoint_id)
                                     : runner->source()->snapshot(barrier.checkpoint_id));
    runner->note_barrier(barrier.checkpoint_id);
  }
  const OperatorId head = graph::operator_id_of(*spec_.graph, spec_.vertex.operators[0]);
  DREY_TRY_ASSIGN(state::OperatorList * marks, task_state_->operator_list(head, kWatermarkState, true));
  marks->assign({fmt::format("{}", watermark_)});
  const std::string& directory = barrier.directory.empty() ? spec_.state_directory : barrier.directory;
  HeldSnapshot snapshot{barrier, numbers, nullptr, {}};
  if (!directory.empty()) {
    const std::string path = fmt::format("{}/{}-{}-{}-{}.state", directory, spec_.vertex.id.to_string().substr(0, 8),
                                         spec_.subtask, barrier.checkpoint_id, spec_.attempt);
    snapshot.job = task_state_->snapshot(barrier.checkpoint_id, path, barrier.form);
  }
  snapshot.since = around_.env.clock.ticks();
  snapshot.numbers.sync_nanos = (snapshot.since - started).count();
  held_snapshots_.push_back(std::move(snapshot));
  write_free_snapshots();
  return {};
}

bool Task::is_held(std::int64_t checkpoint_id) const {
  return std::any_of(chain_.begin(), chain_.end(),
                     [&](const auto& runner) { return runner->holds_checkpoint(checkpoint_id); });
}

void Task::write_free_snapshots() {
  for (auto held = held_snapshots_.begin(); held != held_snapshots_.end();) {
    if (is_held(held->barrier.checkpoint_id)) {
      ++held;
    } else {
      write(std::move(*held));
      held = held_snapshots_.erase(held);
    }
  }
}

void Task::write(HeldSnapshot snapshot) {
  // The job's pages go back to the pool, so the pool goes last.
  struct Writing {
    std::shared_ptr<void> pools;
    HeldSnapshot snapshot;
  };
  auto writing = std::make_shared<Writing>(Writing{around_.pools, std::move(snapshot)});
  // The listener outlives the job; the task may not.
  around_.env.io.post([link = link_, writing, env = &around_.env] {
    Result<state::TaskStateHandle> handle = state::TaskStateHandle();
    if (writing->snapshot.job != nullptr) handle = writing->snapshot.job->run(env->files);
    writing->snapshot.job.reset();
    CheckpointNumbers numbers = writing->snapshot.numbers;
    numbers.async_nanos = (env->clock.ticks() - writing->snapshot.since).count();
    std::lock_guard lock(link->mutex);
    if (link->task != nullptr)
      link->task->around_.listener.on_snapshot(*link->task, writing->snapshot.barrier, std::move(handle), numbers);
  });
}

void Task::read_own_metrics(
    const std::function<void(const OperatorMetrics&, const std::string&, drey_metric_kind, std::int64_t)>& visit) {
  std::lock_guard lock(registry_mutex_);
  for (const auto& metrics : operator_metrics_) {
    for (const auto& [name, cell] : metrics->own) {
      visit(*metrics, name, cell.first, __atomic_load_n(cell.second.get(), __ATOMIC_RELAXED));
    }
  }
}

std::map<std::string, AccumulatorValue> Task::accumulators() {
  std::lock_guard lock(registry_mutex_);
  return accumulators_;
}

// Once the task runs its gate and its state are what they will be.
std::int64_t Task::input_watermark(std::uint32_t input) const {
  return state() >= TaskState::kRunning && gate_ != nullptr ? gate_->input_watermark(input) : kMinWatermark;
}

std::int64_t Task::fired_timers() const {
  return state() >= TaskState::kRunning && task_state_ != nullptr ? task_state_->fired_timers() : 0;
}

Task::Mailbox Task::mailbox() {
  std::lock_guard lock(mail_mutex_);
  return {static_cast<std::int64_t>(mail_.size()), {waits_.begin(), waits_.end()}};
}

}  // namespace drey::runtime
