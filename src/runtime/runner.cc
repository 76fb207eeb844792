#include "runtime/runner.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::runtime {

Task::Runner::Runner(Task& task, std::uint32_t number, OperatorMetrics& metrics)
    : task_(task),
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

Task::Runner::~Runner() = default;

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
  return operator_->on_watermark(watermark, *this);
}

Status Task::Runner::on_idle(bool idle) { return set_idle(idle); }

Status Task::Runner::fire_wake(std::int64_t now_ms) {
  if (now_ms < wake_at_) return {};
  wake_at_ = INT64_MAX;
  return operator_ != nullptr ? operator_->on_processing_time(now_ms, *this) : Status();
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
