#include "runtime/runner.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::runtime {

Task::Runner::Runner(Task& task, std::uint32_t position, std::uint32_t number, OperatorMetrics& metrics)
    : task_(task),
      position_(position),
      node_(task.spec_.graph->operators[number]),
      id_(graph::operator_id_of(*task.spec_.graph, number)),
      metrics_(metrics),
      gives_event_times_(&metrics == task.operator_metrics_[0]->event_times) {
  if (task.spec_.code != nullptr) code_ = task.spec_.code->operators.at(number);
  for (const std::string& schema : node_.outputs) outputs_.push_back(*data::Schema::parse(schema));
  inputs_.resize(2);
  keys_.resize(2);
  for (const graph::OperatorEdge& edge : task.spec_.graph->edges) {
    if (edge.to != number) continue;
    inputs_[edge.input] = *data::Schema::parse(task.spec_.graph->operators[edge.from].outputs[edge.output]);
    if (edge.partitioner == graph::Partitioner::kHash) {
      keys_[edge.input] = data::key_columns(inputs_[edge.input], edge.key_columns);
    }
  }
  abi_.user.context = this;
}

Task::Runner::~Runner() { is_gone_->store(true, std::memory_order_relaxed); }

Status Task::Runner::open() {
  const operators::OperatorKind* kind = task_.around_.registry.find(node_.kind);
  if (kind == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("Operator '{}' has an unknown kind: {}", node_.name, node_.kind));
  }
  watermark_in_ = task_.watermark_;
  if (kind->make_source) {
    DREY_TRY_ASSIGN(source_, kind->make_source(*this));
    return source_->open(*this).with_context(fmt::format("opening operator '{}'", node_.name));
  }
  DREY_TRY_ASSIGN(operator_, kind->make_operator(*this));
  return operator_->open(*this).with_context(fmt::format("opening operator '{}'", node_.name));
}

Status Task::Runner::process(std::uint32_t input, const data::BatchRef& batch) {
  metrics_.records_in.add(batch->rows());
  metrics_.bytes_in.add(static_cast<std::int64_t>(batch->bytes()));
  return operator_->process(input, batch, *this);
}

Status Task::Runner::on_watermark(std::int64_t watermark) {
  if (watermark <= watermark_in_) return {};
  // Rows that are late by this watermark are those that come after it; so it counts for what its timers emit, too.
  watermark_in_ = watermark;
  metrics_.watermark_in.set(watermark);
  DREY_TRY(operator_->on_watermark(watermark, *this));
  return fire_to_the_end();
}

Status Task::Runner::fire_to_the_end() {
  if (this == task_.chain_[0].get()) return {};
  while (operator_->is_firing()) DREY_TRY(operator_->fire_more(*this));
  return {};
}

Status Task::Runner::on_idle(bool idle) { return set_idle(idle); }

Status Task::Runner::fire_wake(std::int64_t now_ms) {
  if (now_ms < wake_at_) return {};
  wake_at_ = INT64_MAX;
  if (operator_ == nullptr) return {};
  DREY_TRY(operator_->on_processing_time(now_ms, *this));
  return fire_to_the_end();
}

void Task::Runner::start(operators::AsyncWork work) {
  const Ticks now = task_.around_.env.clock.ticks();
  const std::uint64_t id = next_work_++;
  Work& started = works_[id];
  started.starts = now + work.delay;
  started.gives_up = started.starts + work.deadline;
  started.work = std::move(work);
  if (started.starts <= now) put_on_pool(id, started);
}

void Task::Runner::put_on_pool(std::uint64_t id, Work& work) {
  auto job = [link = task_.link_, pools = task_.around_.pools, is_gone = is_gone_, position = position_, id,
              run = std::exchange(work.work.run, nullptr)]() mutable {
    if (is_gone->load(std::memory_order_relaxed)) return;
    Status result = run();
    run = nullptr;  // what it owns goes before the operator hears of it
    link->post({.kind = Mail::Kind::kWork, .why = std::move(result), .position = position, .number = id});
  };
  if (!work.work.in_order) return task_.around_.env.io.post(std::move(job));
  if (lane_ == nullptr) lane_ = std::make_unique<env::IoLane>(task_.around_.env.io);
  lane_->post(std::move(job));
}

bool Task::Runner::holds_checkpoint(std::int64_t checkpoint_id) const {
  return std::any_of(works_.begin(), works_.end(), [&](const auto& entry) {
    return std::find(entry.second.held.begin(), entry.second.held.end(), checkpoint_id) != entry.second.held.end();
  });
}

void Task::Runner::note_barrier(std::int64_t checkpoint_id) {
  for (auto& [id, work] : works_) {
    if (work.work.holds_checkpoints) work.held.push_back(checkpoint_id);
  }
}

Status Task::Runner::on_work_over(std::uint64_t id, const Status& result) {
  const auto found = works_.find(id);
  if (found == works_.end()) return {};  // given up
  const operators::AsyncWork work = std::move(found->second.work);
  works_.erase(found);
  if (work.done) return work.done(result, *this);
  return result.ok() ? Status() : Status(result).with_context(fmt::format("operator '{}', {}", node_.name, work.name));
}

Status Task::Runner::look_at_work(Ticks now) {
  std::vector<std::uint64_t> late;
  for (auto& [id, work] : works_) {
    if (work.work.run != nullptr && work.starts <= now) put_on_pool(id, work);
    if (work.gives_up <= now) late.push_back(id);
  }
  for (const std::uint64_t id : late) {
    const auto found = works_.find(id);
    if (found == works_.end()) continue;
    DREY_TRY(on_work_over(id, fail(Code::kTimeout, fmt::format("{} takes longer than {} ms", found->second.work.name,
                                                               found->second.work.deadline.count()))));
  }
  return {};
}

Ticks Task::Runner::next_look() const {
  Ticks next{INT64_MAX};
  for (const auto& [id, work] : works_) {
    next = std::min(next, work.work.run != nullptr ? work.starts : work.gives_up);
  }
  return next;
}

Status Task::Runner::emit(std::uint32_t output, data::BatchRef batch) {
  metrics_.records_out.add(batch->rows());
  metrics_.bytes_out.add(static_cast<std::int64_t>(batch->bytes()));
  if (gives_event_times_ && batch->row_times() != nullptr)
    metrics_.event_time.set(batch->row_times()[batch->physical(batch->rows() - 1)]);
  for (const Route& route : routes) {
    if (route.output != output) continue;
    if (route.next != nullptr) {
      DREY_TRY(route.next->process(route.input, batch));
    } else {
      task_.metrics_.records_out.add(batch->rows());
      task_.metrics_.bytes_out.add(static_cast<std::int64_t>(batch->bytes()));
      DREY_TRY(route.edge->emit(batch));
    }
  }
  return {};
}

Status Task::Runner::advance(std::int64_t watermark) {
  if (watermark <= watermark_out_) return {};
  watermark_out_ = watermark;
  metrics_.watermark_out.set(watermark);
  Item item;
  item.kind = Item::Kind::kWatermark;
  item.value = watermark;
  for (const Route& route : routes) {
    if (route.next != nullptr) {
      DREY_TRY(route.next->on_watermark(watermark));
    } else {
      route.edge->broadcast(item);
    }
  }
  return {};
}

Status Task::Runner::set_idle(bool idle) {
  Item item;
  item.kind = Item::Kind::kIdle;
  item.value = idle ? 1 : 0;
  for (const Route& route : routes) {
    if (route.next != nullptr) {
      DREY_TRY(route.next->on_idle(idle));
    } else {
      route.edge->broadcast(item);
    }
  }
  return {};
}

void Task::Runner::accumulate(std::string_view name, drey_accumulator_kind kind, std::int64_t whole, double real) {
  std::lock_guard lock(task_.registry_mutex_);
  const auto [at, added] = task_.accumulators_.try_emplace(std::string(name), AccumulatorValue{kind, whole, real});
  if (added) return;
  AccumulatorValue& value = at->second;
  switch (kind) {
    case DREY_LONG_COUNTER:
      value.whole += whole;
      break;
    case DREY_DOUBLE_COUNTER:
      value.real += real;
      break;
    case DREY_LONG_MAX:
      value.whole = std::max(value.whole, whole);
      break;
    case DREY_LONG_MIN:
      value.whole = std::min(value.whole, whole);
      break;
  }
}

std::int64_t* Task::Runner::metric(std::string_view name, drey_metric_kind kind) {
  return metric_of(metrics_, name, kind);
}

std::int64_t* Task::Runner::source_metric(std::string_view name, drey_metric_kind kind) {
  OperatorMetrics& head = *task_.operator_metrics_[0];
  return head.is_source ? metric_of(head, name, kind) : nullptr;
}

std::int64_t* Task::Runner::metric_of(OperatorMetrics& metrics, std::string_view name, drey_metric_kind kind) {
  std::lock_guard lock(task_.registry_mutex_);
  auto& slot = metrics.own[std::string(name)];
  if (slot.second == nullptr) slot = {kind, std::make_unique<std::int64_t>(0)};
  return slot.second.get();
}

Status Task::Runner::take_failure() {
  Status failure = abi_.user.failure;
  abi_.user.failure = {};
  return failure;
}

}  // namespace drey::runtime
