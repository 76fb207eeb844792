#include "runtime/task_meter.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "runtime/task.h"

namespace drey::runtime {
namespace {

using metrics::Also;
using metrics::Form;
using metrics::Number;
using metrics::Row;

// Of all channels of one direction.
struct Queue {
  std::int64_t items = 0;
  std::int64_t bytes = 0;
  std::int64_t bytes_max = 0;

  template <typename Edges>
  static Queue of(const Edges& edges) {
    Queue all;
    for (const auto& edge : edges) {
      for (const auto& channel : edge.channels) {
        all.items += static_cast<std::int64_t>(channel->queued_items());
        all.bytes += static_cast<std::int64_t>(channel->queued_bytes());
        all.bytes_max += static_cast<std::int64_t>(channel->bytes_max());
      }
    }
    return all;
  }
  float usage() const { return bytes_max == 0 ? 0.0f : static_cast<float>(bytes) / static_cast<float>(bytes_max); }
};

struct TaskView {
  Task& task;
  Ticks now;
  TaskTimes::Totals times;
  // Milliseconds per second.
  double busy = 0, idle = 0, back_pressured = 0, delay = 0;
  double letters = 0;  // per second
  Queue in, out;
  Task::Mailbox mailbox;  // waits are sorted
  const TaskMetrics& cells() const { return task.metrics(); }
  std::int64_t both(Cell TaskMetrics::Input::*cell) const {
    return (cells().in[0].*cell).get() + (cells().in[1].*cell).get();
  }
};

constexpr std::int64_t millis(Nanos time) { return time.count() / 1'000'000; }
std::int64_t whole(double value) { return static_cast<std::int64_t>(value); }

bool has_input(const TaskView& v) { return !v.task.is_source(); }
bool has_two_inputs(const TaskView& v) { return v.task.operator_metrics()[0]->inputs == 2; }
bool has_letters(const TaskView& v) { return !v.mailbox.waits.empty(); }

double wait_ms(const TaskView& v, double quantile) {
  const auto& waits = v.mailbox.waits;
  if (waits.empty()) return 0;
  const auto at = static_cast<std::size_t>(quantile * static_cast<double>(waits.size()));
  return static_cast<double>(waits[std::min(at, waits.size() - 1)].count()) / 1e6;
}
double mean_wait_ms(const TaskView& v) {
  double sum = 0;
  for (const Nanos wait : v.mailbox.waits) sum += static_cast<double>(wait.count()) / 1e6;
  return v.mailbox.waits.empty() ? 0 : sum / static_cast<double>(v.mailbox.waits.size());
}
double deviation_ms(const TaskView& v) {
  if (v.mailbox.waits.size() < 2) return 0;
  const double mean = mean_wait_ms(v);
  double squares = 0;
  for (const Nanos wait : v.mailbox.waits) {
    const double d = static_cast<double>(wait.count()) / 1e6 - mean;
    squares += d * d;
  }
  return std::sqrt(squares / static_cast<double>(v.mailbox.waits.size() - 1));
}

using T = const TaskView&;
constexpr Row<TaskView> kTaskRows[] = {
    {"numRecordsIn", [](T v) -> Number { return v.cells().records_in.get(); },
     "Rows that came in over the task's input channels; of a source 0.", Also::kPerSecond},
    {"numRecordsOut", [](T v) -> Number { return v.cells().records_out.get(); },
     "Rows that left over its output edges, once for each edge.", Also::kPerSecond},
    {"numBytesIn", [](T v) -> Number { return v.both(&TaskMetrics::Input::bytes); },
     "Bytes of the batches that came in, as they lie in memory.", Also::kPerSecond},
    {"numBytesOut", [](T v) -> Number { return v.cells().bytes_out.get(); },
     "Bytes of the batches that left, as they lie in memory.", Also::kPerSecond},
    {"numBuffersOut", [](T v) -> Number { return v.cells().batches_out.get(); }, "Batches put into output channels.",
     Also::kPerSecond},
    {"numBuffersIn", [](T v) -> Number { return v.both(&TaskMetrics::Input::batches); },
     "Batches taken from input channels. Not Flink's."},
    {"numBytesInLocal", [](T v) -> Number { return v.cells().in[0].bytes.get(); },
     "The part of numBytesIn from tasks of this TaskManager.", Also::kPerSecond, "Shuffle.Netty.Input.numBytesInLocal"},
    {"numBytesInRemote", [](T v) -> Number { return v.cells().in[1].bytes.get(); }, "The part from other TaskManagers.",
     Also::kPerSecond, "Shuffle.Netty.Input.numBytesInRemote"},
    {"numBuffersInLocal", [](T v) -> Number { return v.cells().in[0].batches.get(); },
     "Batches from tasks of this TaskManager.", Also::kPerSecond, "Shuffle.Netty.Input.numBuffersInLocal"},
    {"numBuffersInRemote", [](T v) -> Number { return v.cells().in[1].batches.get(); },
     "Batches from other TaskManagers.", Also::kPerSecond, "Shuffle.Netty.Input.numBuffersInRemote"},
    {"busyTimeMsPerSecond", [](T v) -> Number { return v.busy; },
     "How much of the last minute it stepped: ms per second."},
    {"idleTimeMsPerSecond", [](T v) -> Number { return whole(v.idle); }, "The same of the time it had nothing to do."},
    {"backPressuredTimeMsPerSecond", [](T v) -> Number { return whole(v.back_pressured); },
     "The same of the time an output lacked credit, until it stepped again."},
    {"softBackPressuredTimeMsPerSecond", [](T v) -> Number { return whole(v.back_pressured); },
     "As backPressuredTimeMsPerSecond: a task takes no input while an output lacks credit, which "
     "is Flink's soft back-pressure."},
    {"maxSoftBackPressureTimeMs", [](T v) -> Number { return millis(v.times.longest_back_pressure); },
     "The longest back-pressure without a break in the last 5 to 10 s."},
    {"isBackPressured", [](T v) -> Number { return v.back_pressured >= 1; },
     "Whether it was in the last minute, by a millisecond per second."},
    {"accumulateBusyTimeMs", [](T v) -> Number { return static_cast<double>(millis(v.times.busy)); },
     "Busy since the attempt began, ms."},
    {"accumulateIdleTimeMs", [](T v) -> Number { return millis(v.times.idle); }, "Idle since the attempt began, ms."},
    {"accumulateBackPressuredTimeMs", [](T v) -> Number { return millis(v.times.back_pressured); },
     "Back-pressured since the attempt began, ms."},
    {"schedDelayTimeMsPerSecond", [](T v) -> Number { return whole(v.delay); },
     "The same of the time it could have stepped and its worker was busy with others: neither busy nor idle. Not "
     "Flink's."},
    {"currentInputWatermark",
     [](T v) -> Number { return v.cells().watermark.get(); },
     "Event time that has come in, the least of all channels.",
     Also::kNothing,
     {},
     has_input},
    {"currentInput1Watermark",
     [](T v) -> Number { return v.task.input_watermark(0); },
     "That of its first input; of tasks with two.",
     Also::kNothing,
     {},
     has_two_inputs},
    {"currentInput2Watermark",
     [](T v) -> Number { return v.task.input_watermark(1); },
     "That of its second input; of tasks with two.",
     Also::kNothing,
     {},
     has_two_inputs},
    {"checkpointAlignmentTime", [](T v) -> Number { return v.cells().alignment_nanos.get(); },
     "How long the last checkpoint's barriers took from the first to the last channel, ns."},
    {"checkpointStartDelayNanos", [](T v) -> Number { return v.cells().checkpoint_start_delay_nanos.get(); },
     "From the last checkpoint's trigger to its start here, ns."},
    {"initializationTime",
     [](T v) -> Number {
       const std::int64_t done = v.cells().initialization_nanos.get(), began = v.cells().initializing_since.get();
       return (done != 0 ? done : began != 0 ? v.now.nanos - began : 0) / 1'000'000;
     },
     "How long it took to restore its state and open its operators, ms; so far, while it goes on."},
    {"numFiredTimers", [](T v) -> Number { return v.task.fired_timers(); },
     "Timers that fired; of windows a key and its window count as one, as Flink's would.", Also::kPerSecond},
    {"mailboxMailsPerSecond", [](T v) -> Number { return v.letters; },
     "Letters to the task that it took, per second of the last minute."},
    {"mailboxQueueSize", [](T v) -> Number { return v.mailbox.waiting; },
     "Letters to the task (checkpoints, cancellation) that it has not taken."},
    {"mailboxLatencyMs_min",
     [](T v) -> Number { return whole(wait_ms(v, 0)); },
     "How long the last 60 letters waited, ms: the least; from the first letter on.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_max",
     [](T v) -> Number { return whole(wait_ms(v, 1)); },
     "The most.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_mean",
     [](T v) -> Number { return mean_wait_ms(v); },
     "Their mean.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_median",
     [](T v) -> Number { return wait_ms(v, 0.5); },
     "Their median.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_stddev",
     [](T v) -> Number { return deviation_ms(v); },
     "Their standard deviation.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p75",
     [](T v) -> Number { return wait_ms(v, 0.75); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p90",
     [](T v) -> Number { return wait_ms(v, 0.9); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p95",
     [](T v) -> Number { return wait_ms(v, 0.95); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p98",
     [](T v) -> Number { return wait_ms(v, 0.98); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p99",
     [](T v) -> Number { return wait_ms(v, 0.99); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"mailboxLatencyMs_p999",
     [](T v) -> Number { return wait_ms(v, 0.999); },
     "A percentile.",
     Also::kNothing,
     {},
     has_letters},
    {"Shuffle.Netty.Input.Buffers.inputQueueLength", [](T v) -> Number { return v.in.items; },
     "Batches, watermarks and barriers that wait in input channels.", Also::kNothing, "buffers.inputQueueLength"},
    {"Shuffle.Netty.Input.Buffers.inputQueueSize", [](T v) -> Number { return v.in.bytes; },
     "Bytes of batches in input channels, with those that the task works on."},
    {"Shuffle.Netty.Input.Buffers.inPoolUsage", [](T v) -> Number { return v.in.usage(); },
     "inputQueueSize as a share of what the input channels' credit allows; above 1 by the last "
     "batch.",
     Also::kNothing, "buffers.inPoolUsage"},
    {"Shuffle.Netty.Input.Buffers.inputExclusiveBuffersUsage", [](T v) -> Number { return v.in.usage(); },
     "As inPoolUsage: all credit belongs to a channel of its own.", Also::kNothing,
     "buffers.inputExclusiveBuffersUsage"},
    {"Shuffle.Netty.Output.Buffers.outputQueueLength", [](T v) -> Number { return v.out.items; },
     "Batches, watermarks and barriers that wait in output channels.", Also::kNothing, "buffers.outputQueueLength"},
    {"Shuffle.Netty.Output.Buffers.outputQueueSize", [](T v) -> Number { return v.out.bytes; },
     "Bytes of batches that consumers have not finished."},
    {"Shuffle.Netty.Output.Buffers.outPoolUsage", [](T v) -> Number { return v.out.usage(); },
     "outputQueueSize as a share of what the output channels' credit allows; above 1 by the last "
     "batch.",
     Also::kNothing, "buffers.outPoolUsage"},
};
struct OperatorView {
  const OperatorMetrics& op;
  Task& task;
  Ticks now;
  Instant wall;
  bool is_head;
  // When the source emitted last: now, or when it became idle.
  std::int64_t last_emit() const {
    const std::int64_t idle_since = task.metrics().source_idle_since.get();
    return wall.millis - (idle_since == 0 ? 0 : std::max<std::int64_t>(now.nanos - idle_since, 0) / 1'000'000);
  }
  // -1: no such time yet.
  std::int64_t lag(std::int64_t event_time) const {
    return event_time == kMinWatermark ? -1 : last_emit() - event_time;
  }
};

using O = const OperatorView&;
bool is_source(O v) { return v.op.is_source; }
bool is_no_source(O v) { return !v.op.is_source; }
bool has_event_times(O v) { return v.op.event_times != nullptr; }
bool is_head_of_two(O v) { return v.is_head && v.op.inputs == 2; }

constexpr Row<OperatorView> kOperatorRows[] = {
    {"numRecordsIn", [](O v) -> Number { return v.op.is_source ? v.op.records_out.get() : v.op.records_in.get(); },
     "Rows that came in; of a source those that it emitted.", Also::kPerSecond},
    {"numRecordsOut", [](O v) -> Number { return v.op.records_out.get(); }, "Rows that it emitted.", Also::kPerSecond},
    {"numBytesIn", [](O v) -> Number { return v.op.is_source ? v.op.bytes_out.get() : v.op.bytes_in.get(); },
     "Bytes of the batches that came in, as they lie in memory; of a source of those that it "
     "emitted.",
     Also::kPerSecond},
    {"numBytesOut", [](O v) -> Number { return v.op.bytes_out.get(); }, "Bytes of the batches that it emitted.",
     Also::kPerSecond},
    {"currentInputWatermark",
     [](O v) -> Number { return v.op.watermark_in.get(); },
     "Event time that has come in.",
     Also::kNothing,
     {},
     is_no_source},
    {"currentInput1Watermark",
     [](O v) -> Number { return v.task.input_watermark(0); },
     "That of its first input; of operators with two.",
     Also::kNothing,
     {},
     is_head_of_two},
    {"currentInput2Watermark",
     [](O v) -> Number { return v.task.input_watermark(1); },
     "That of its second input; of operators with two.",
     Also::kNothing,
     {},
     is_head_of_two},
    {"currentOutputWatermark", [](O v) -> Number { return v.op.watermark_out.get(); },
     "Event time that it told those behind."},
    {"sourceIdleTime",
     [](O v) -> Number {
       const std::int64_t since = v.task.metrics().source_idle_since.get();
       return since == 0 ? 0 : std::max<std::int64_t>(v.now.nanos - since, 0) / 1'000'000;
     },
     "For how long a source has had nothing to emit, ms; 0: it has.",
     Also::kNothing,
     {},
     is_source},
    {"currentEmitEventTimeLag",
     [](O v) -> Number { return v.lag(v.op.event_times->event_time.get()); },
     "Of a source whose chain gives rows their event time: from the event time of its last row to "
     "when it emitted last, ms.",
     Also::kNothing,
     {},
     has_event_times},
    {"watermarkLag",
     [](O v) -> Number { return v.lag(v.op.event_times->watermark_out.get()); },
     "The same from its watermark.",
     Also::kNothing,
     {},
     has_event_times},
};

}  // namespace

// One look at all rows: values, and names when they are wanted.
class TaskMeter::Walk {
 public:
  explicit Walk(bool wants_names) : wants_names_(wants_names) {}
  void put(std::string_view scope, std::string_view name, std::string_view suffix, const Number& number) {
    values.push_back(metrics::raw_of(number));
    if (!wants_names_) return;
    std::string text(scope);
    text.append(name).append(suffix);
    names.push_back({std::move(text), static_cast<std::uint32_t>(scope.size()), static_cast<Form>(number.index())});
  }
  template <typename View>
  void put_rows(std::string_view scope, std::span<const Row<View>> rows, const View& view, RateWindow& window) {
    totals_.clear();
    const auto is_had = [&](const Row<View>& row) { return row.is_had == nullptr || row.is_had(view); };
    for (const Row<View>& row : rows) {
      if (row.also == Also::kPerSecond && is_had(row)) totals_.push_back(std::get<std::int64_t>(row.of(view)));
    }
    const std::vector<double>& rates = window.update(view.now, totals_);
    std::size_t rate = 0;
    for (const Row<View>& row : rows) {
      if (!is_had(row)) continue;
      const Number number = row.of(view);
      put(scope, row.name, "", number);
      if (!row.twin.empty()) put(scope, row.twin, "", number);
      if (row.also != Also::kPerSecond) continue;
      put(scope, row.name, "PerSecond", rates[rate]);
      if (!row.twin.empty()) put(scope, row.twin, "PerSecond", rates[rate]);
      ++rate;
    }
  }
  std::vector<std::int64_t> values;
  metrics::Names names;

 private:
  const bool wants_names_;
  std::vector<std::int64_t> totals_;
};

TaskMeter::Reading TaskMeter::read(Ticks now, Instant wall) {
  TaskView view{task_,
                now,
                task_.times().totals(now),
                0,
                0,
                0,
                0,
                0,
                Queue::of(task_.spec().inputs),
                Queue::of(task_.spec().outputs),
                task_.mailbox()};
  std::sort(view.mailbox.waits.begin(), view.mailbox.waits.end());
  struct Own {
    const OperatorMetrics* op;
    const std::string* name;
    drey_metric_kind kind;
    std::int64_t value;
  };
  std::vector<Own> own;
  task_.read_own_metrics(
      [&](const OperatorMetrics& op, const std::string& name, drey_metric_kind kind, std::int64_t value) {
        own.push_back({&op, &name, kind, value});
      });
  std::lock_guard lock(mutex_);
  const TaskTimes::Totals& times = view.times;
  const auto& t = times_.update(now, {times.busy.count(), times.idle.count(), times.back_pressured.count(),
                                      times.waiting.count(), task_.metrics().letters_taken.get()});
  const auto ms = [](double nanos) { return std::clamp(nanos / 1e6, 0.0, 1000.0); };
  view.busy = ms(t[0]);
  view.idle = ms(t[1]);
  view.back_pressured = ms(t[2]);
  view.delay = ms(t[3]);
  view.letters = t[4];
  RateWindow::Values counted;
  for (const Own& o : own) {
    if (o.kind == DREY_METER) counted.push_back(o.value);
  }
  const std::vector<double>& metered = meters_.update(now, counted);
  operators_.resize(task_.operator_metrics().size());
  const auto walk = [&](bool names) {
    Walk out(names);
    out.put_rows<TaskView>("", kTaskRows, view, rates_);
    std::size_t meter = 0, next = 0;
    for (std::size_t i = 0; i < operators_.size(); ++i) {
      const OperatorMetrics& op = *task_.operator_metrics()[i];
      std::string scope = names ? metrics::scope_of(op.name) + "." : "";
      out.put_rows<OperatorView>(scope, kOperatorRows, {op, task_, now, wall, i == 0}, operators_[i].rates);
      for (; next < own.size() && own[next].op == &op; ++next) {
        const bool is_meter = own[next].kind == DREY_METER;
        out.put(scope, *own[next].name, "", is_meter ? Number(metered[meter++]) : Number(own[next].value));
      }
    }
    return out;
  };
  Walk seen = walk(false);
  // Metrics only ever come: with as many as before they are the same.
  if (names_ == nullptr || names_->size() != seen.values.size())
    names_ = std::make_shared<const metrics::Names>(walk(true).names);
  Reading reading;
  reading.names = names_;
  reading.values = std::move(seen.values);
  const TaskMetrics& cells = task_.metrics();
  reading.totals = {cells.records_in.get(),      cells.records_out.get(), view.both(&TaskMetrics::Input::bytes),
                    cells.bytes_out.get(),       millis(times.busy),      millis(times.idle),
                    millis(times.back_pressured)};
  return reading;
}

void TaskMeter::document(std::vector<metrics::Documented>& out) {
  metrics::document<TaskView>("Subtasks", kTaskRows, out);
  metrics::document<OperatorView>("Operators", kOperatorRows, out);
  // What kinds of operators register themselves.
  static constexpr metrics::Documented kOfKinds[] = {
      {"Operators of some kinds", "numLateRecordsDropped", "Windows: rows that came after their last window had gone."},
      {"Operators of some kinds", "numRecordsInErrors",
       "Files, sockets: malformed rows that were passed over (`on_error`)."},
      {"Operators of some kinds", "pendingRecords", "Generators with an end: rows that are left to this subtask."},
      {"Operators of some kinds", "split.<n>.watermark.currentWatermark",
       "Sources whose chain gives rows their event time: the watermark of each part of the input "
       "that the subtask reads in turn."},
      {"Operators of some kinds", "numRecordsSend", "Sinks: rows handed on: written to a file, printed, dropped."},
      {"Operators of some kinds", "numBytesSend", "Sinks: their bytes, as they were handed on."},
      {"Operators of some kinds", "currentSendTime", "Files: how long the last write took, ms."},
      {"Operators of some kinds", "pendingCommittables", "Sinks that commit: committables that are not committed yet."},
      {"Operators of some kinds", "successfulCommittables", "Sinks that commit: those that are."},
      {"Operators of some kinds", "retriedCommittables", "Sinks that commit: those that had to be tried again."},
  };
  out.insert(out.end(), std::begin(kOfKinds), std::end(kOfKinds));
}

}  // namespace drey::runtime
