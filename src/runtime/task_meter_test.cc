#include "runtime/task_meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>

#include "runtime/local_job.h"

namespace drey::runtime {
namespace {

using metrics::text_of;

class HandClock final : public env::Clock {
 public:
  Instant wall() override { return {5'000'000 + nanos_ / 1'000'000}; }
  Ticks ticks() override { return {nanos_}; }
  void pass(Nanos time) { nanos_ += time.count(); }

 private:
  std::atomic<std::int64_t> nanos_ = 1'000'000'000;
};

struct TestRow {
  std::int64_t key = 0;
  std::int64_t time = 0;
};
constexpr const char* kSchema = "key:l;at:tsm:UTC";

// Emits what lies in its box, a batch a poll.
using Boxes = std::map<std::uint32_t, std::deque<std::vector<TestRow>>>;  // by subtask
class BoxSource final : public operators::Source {
 public:
  BoxSource(operators::OperatorContext& context, Boxes& boxes) : context_(context), boxes_(boxes) {}
  Result<operators::Progress> poll(operators::Emitter& out, operators::Budget) override {
    auto& box = boxes_[context_.subtask()];
    if (box.empty()) return operators::Progress::kIdle;
    data::BatchBuilder builder(context_.output_schema(0), static_cast<std::uint32_t>(box.front().size()),
                               context_.pool());
    for (const TestRow& row : box.front()) {
      builder.values<std::int64_t>(0)[builder.rows()] = row.key;
      builder.values<std::int64_t>(1)[builder.rows()] = row.time;
      ++builder.abi().rows;
    }
    box.pop_front();
    DREY_TRY(out.emit(builder.build()));
    return operators::Progress::kBusy;
  }
  Status snapshot(std::int64_t) override { return {}; }

 private:
  operators::OperatorContext& context_;
  Boxes& boxes_;
};

// Sets a timer for each row, at its key; counts rows with a meter. Takes 12 ms to open.
class Timed final : public operators::Operator {
 public:
  explicit Timed(HandClock& clock) : clock_(clock) {}
  Status open(operators::OperatorContext& context) override {
    clock_.pass(Millis(12));
    meter_ = context.metric("rows", DREY_METER);
    gauge_ = context.metric("last", DREY_GAUGE);
    DREY_TRY_ASSIGN(timers_, context.state().timers(context.operator_id()));
    return {};
  }
  Status process(std::uint32_t, const data::BatchRef& batch, operators::Emitter& out) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::int64_t key = batch->values<std::int64_t>(0)[batch->physical(i)];
      const std::string text = std::to_string(key);
      const data::View view = data::make_view(text);
      DREY_TRY(timers_->set(state::TimeKind::kEvent, view, data::hash_of(view), key));
      operators::OperatorContext::add(meter_, 1);
      operators::OperatorContext::set(gauge_, key);
    }
    return out.emit(batch);
  }
  Status on_watermark(std::int64_t watermark, operators::Emitter& out) override {
    std::vector<drey_timer> due;
    timers_->pop_due(state::TimeKind::kEvent, watermark, 1000, due);
    return out.advance(watermark);
  }

 private:
  HandClock& clock_;
  std::int64_t* meter_ = nullptr;
  std::int64_t* gauge_ = nullptr;
  state::Timers* timers_ = nullptr;
};

class Forget final : public operators::Operator {
 public:
  Status process(std::uint32_t, const data::BatchRef&, operators::Emitter&) override { return {}; }
};

class TaskMeterTest : public testing::Test, public TaskListener {
 protected:
  void SetUp() override {
    operators::add_builtin_kinds(registry_);
    registry_.add(operators::declare<operators::NoOptions>({
        .name = "test.box",
        .doc = "",
        .traits = {.role = graph::Role::kSource},
        .make_source = [this](operators::OperatorContext& context,
                              const operators::NoOptions&) { return std::make_unique<BoxSource>(context, boxes_); },
    }));
    registry_.add(operators::declare<operators::NoOptions>({
        .name = "test.two_inputs",
        .doc = "",
        .traits = {.role = graph::Role::kSink},
        .inputs = 2,
        .make_operator = [](operators::OperatorContext&,
                            const operators::NoOptions&) { return std::make_unique<Forget>(); },
    }));
    registry_.add(operators::declare<operators::NoOptions>({
        .name = "test.timed",
        .doc = "",
        .inputs = 2,
        .make_operator = [this](operators::OperatorContext&,
                                const operators::NoOptions&) { return std::make_unique<Timed>(clock_); },
    }));
  }
  void on_state(Task&, TaskState, const Status& why) override { EXPECT_TRUE(why.ok()) << why.to_string(); }
  void on_end_of_data(Task&) override {}
  void on_snapshot(Task&, const control::Barrier&, Result<state::TaskStateHandle>, const CheckpointNumbers&) override {}

  std::uint32_t add(const std::string& kind, const std::string& name, std::map<std::string, std::string> options = {}) {
    graph::OperatorNode node;
    node.number = static_cast<std::uint32_t>(graph_->operators.size());
    node.kind = kind;
    node.name = name;
    node.options = std::move(options);
    if (registry_.find(kind)->traits.role != graph::Role::kSink) node.outputs = {kSchema};
    graph_->operators.push_back(node);
    return node.number;
  }
  void connect(std::uint32_t from, std::uint32_t to, graph::Partitioner partitioner, std::uint32_t input = 0) {
    graph::OperatorEdge edge{from, 0, to, input, partitioner, {}};
    if (partitioner == graph::Partitioner::kHash) edge.key_columns = {0};
    graph_->edges.push_back(edge);
  }
  // source -> watermarks, in one chain.
  std::uint32_t add_source(const std::string& name) {
    const std::uint32_t source = add("test.box", name);
    const std::uint32_t times = add(DREY_KIND_WATERMARKS, "times of " + name, {{"time_column", "1"}});
    connect(source, times, graph::Partitioner::kForward);
    return times;
  }
  // Vertices in the order of their sources; the tasks are opened.
  void start(std::int32_t parallelism, const std::function<bool(std::uint32_t, std::uint32_t)>& is_remote = {},
             std::uint64_t channel_bytes = 1 << 20) {
    const Status checked = registry_.check(*graph_);
    ASSERT_TRUE(checked.ok()) << checked.to_string();
    const Status resolved = graph::resolve(*graph_, parallelism, 0);
    ASSERT_TRUE(resolved.ok()) << resolved.to_string();
    plan_ = graph::plan_of(*graph_);
    channels_ = std::make_unique<ChannelTable>(*graph_, plan_, channel_bytes);
    auto code = std::make_shared<JobCode>();
    code->operators.resize(graph_->operators.size());
    code->edges.resize(graph_->edges.size());
    for (std::uint32_t v = 0; v < plan_.vertices.size(); ++v) {
      for (std::int32_t s = 0; s < plan_.vertices[v].parallelism; ++s) {
        TaskSpec spec;
        spec.vertex_index = v;
        spec.vertex = plan_.vertices[v];
        spec.subtask = static_cast<std::uint32_t>(s);
        spec.graph = graph_;
        spec.code = code;
        channels_->connect(spec, v, is_remote);
        tasks_.push_back(std::make_unique<Task>(std::move(spec),
                                                TaskSurroundings{env_, registry_, blocks_, pages_, budget_, *this}));
      }
    }
    for (auto& task : tasks_) task->step();
  }
  void run() {
    for (int i = 0; i < 20; ++i) {
      for (auto& task : tasks_) {
        if (task->state() == TaskState::kRunning) task->step();
      }
    }
  }
  metrics::Metrics read(std::size_t task) {
    TaskMeter::Reading reading = tasks_.at(task)->meter().read(clock_.ticks(), clock_.wall());
    EXPECT_EQ(reading.names->size(), reading.values.size());
    return {reading.names, reading.values};
  }
  std::string text(std::size_t task, const std::string& name) {
    const auto value = read(task).find(name);
    return value ? text_of(*value) : "none";
  }
  std::int64_t sum(std::initializer_list<std::size_t> tasks, const std::string& name) {
    std::int64_t all = 0;
    for (const std::size_t task : tasks) all += read(task).whole(name);
    return all;
  }

  HandClock clock_;
  env::Env& real_ = env::posix();
  env::Env env_{clock_, real_.random, real_.files, real_.network, real_.processes, real_.io, real_.threads};
  operators::Registry registry_;
  Boxes boxes_;
  std::shared_ptr<graph::JobGraph> graph_ = std::make_shared<graph::JobGraph>();
  graph::Plan plan_;
  data::BlockPool blocks_;
  state::PagePool pages_;
  state::Budget budget_;
  std::unique_ptr<ChannelTable> channels_;
  std::vector<std::unique_ptr<Task>> tasks_;
};

TEST_F(TaskMeterTest, WhatOneSideSendsTheOtherTakesAndFromWhereIsTold) {
  connect(add_source("a b"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kHash);
  start(2, [](std::uint32_t, std::uint32_t subtask) { return subtask == 1; });
  ASSERT_EQ(tasks_.size(), 4u);  // two sources, two sinks
  EXPECT_EQ(text(2, "numRecordsInPerSecond"), "0.0");
  for (const std::uint32_t subtask : {0u, 1u}) {
    std::vector<TestRow> rows;
    for (std::int64_t i = 0; i < 500; ++i) rows.push_back({i, i});
    boxes_[subtask] = {rows, rows};
  }
  run();
  EXPECT_EQ(sum({0, 1}, "numRecordsOut"), 2000);
  EXPECT_EQ(sum({0, 1}, "Source__a_b.numRecordsIn"), 2000);
  EXPECT_EQ(sum({0, 1}, "numRecordsIn"), 0);
  EXPECT_EQ(sum({2, 3}, "numRecordsIn"), 2000);
  EXPECT_EQ(sum({2, 3}, "out.numRecordsSend"), 2000);
  EXPECT_EQ(sum({2, 3}, "out.numBytesSend"), 2000 * 16);
  EXPECT_EQ(sum({2, 3}, "numBytesIn"), sum({0, 1}, "numBytesOut"));
  EXPECT_EQ(sum({0, 1}, "numBuffersOut"), 8) << "each batch is sent to both";
  EXPECT_EQ(sum({2, 3}, "numBuffersIn"), 8);
  for (const std::size_t task : {2u, 3u}) {
    EXPECT_EQ(sum({task}, "numBuffersInLocal"), 2);
    EXPECT_EQ(sum({task}, "numBuffersInRemote"), 2);
    EXPECT_GT(sum({task}, "numBytesInLocal"), 0);
    EXPECT_EQ(sum({task}, "numBytesInLocal") + sum({task}, "numBytesInRemote"), sum({task}, "numBytesIn"));
    EXPECT_EQ(text(task, "Shuffle.Netty.Input.numBytesInRemote"), text(task, "numBytesInRemote"));
  }
  clock_.pass(Millis(8000));
  const std::int64_t of_two = sum({2}, "numRecordsIn");
  EXPECT_EQ(text(2, "numRecordsInPerSecond"), text_of(static_cast<double>(of_two) / 8)) << "a real number";
  EXPECT_EQ(text(2, "numBuffersInRemotePerSecond"), "0.25");
  EXPECT_EQ(text(2, "Shuffle.Netty.Input.numBuffersInRemotePerSecond"), "0.25");
  EXPECT_EQ(text(2, "busyTimeMsPerSecond"), "0.0") << "nobody told the times: a worker does";
}

TEST_F(TaskMeterTest, QueuesAreMeasuredWhereTheyAre) {
  connect(add_source("a"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kRebalance);
  start(1, {}, 64'000);
  std::vector<TestRow> rows(500);
  boxes_[0] = {rows, rows};
  while (!boxes_[0].empty()) tasks_[0]->step();
  EXPECT_EQ(text(0, "Shuffle.Netty.Output.Buffers.outputQueueSize"), "16000");
  EXPECT_EQ(text(0, "Shuffle.Netty.Output.Buffers.outPoolUsage"), "0.25");
  EXPECT_EQ(text(0, "buffers.outPoolUsage"), "0.25");
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inputQueueSize"), "16000");
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inPoolUsage"), "0.25");
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inputExclusiveBuffersUsage"), "0.25");
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inputQueueLength"),
            text(0, "Shuffle.Netty.Output.Buffers.outputQueueLength"));
  EXPECT_GE(sum({1}, "Shuffle.Netty.Input.Buffers.inputQueueLength"), 2);
  run();
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inputQueueLength"), "0");
  EXPECT_EQ(text(1, "Shuffle.Netty.Input.Buffers.inPoolUsage"), "0.0");
  EXPECT_EQ(text(0, "Shuffle.Netty.Output.Buffers.outputQueueSize"), "0");
}

TEST_F(TaskMeterTest, ASourceTellsHowFarBehindItIsAndForHowLongItHasHadNothing) {
  connect(add_source("a"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kRebalance);
  start(1);
  EXPECT_EQ(text(0, "Source__a.currentEmitEventTimeLag"), "-1");
  EXPECT_EQ(text(0, "Source__a.currentInputWatermark"), "none");
  const std::int64_t now = clock_.wall().millis;
  boxes_[0] = {{{1, now - 300}, {2, now - 400}}};
  tasks_[0]->step();
  EXPECT_EQ(text(0, "Source__a.currentEmitEventTimeLag"), "400") << "of the last row";
  EXPECT_EQ(text(0, "Source__a.watermarkLag"), "301");
  EXPECT_EQ(text(0, "Source__a.split.0.watermark.currentWatermark"), std::to_string(now - 301));
  run();
  EXPECT_EQ(text(0, "Source__a.sourceIdleTime"), "0");
  clock_.pass(Millis(70));
  EXPECT_EQ(text(0, "Source__a.sourceIdleTime"), "70");
  EXPECT_EQ(text(0, "Source__a.currentEmitEventTimeLag"), "400") << "it emitted last before it became idle";
  boxes_[0] = {{{3, now}}};
  tasks_[0]->step();
  EXPECT_EQ(text(1, "out.sourceIdleTime"), "none");
  run();
  EXPECT_EQ(text(0, "Source__a.sourceIdleTime"), "0");
}

TEST_F(TaskMeterTest, ATaskWithTwoInputsHasAWatermarkOfEach) {
  const std::uint32_t a = add_source("a"), b = add_source("b"), out = add("test.two_inputs", "both");
  connect(a, out, graph::Partitioner::kRebalance);
  connect(b, out, graph::Partitioner::kRebalance, 1);
  start(1);
  ASSERT_EQ(tasks_.size(), 3u);
  EXPECT_EQ(text(2, "currentInput1Watermark"), "-9223372036854775808");
  boxes_[0] = {{{1, 100}}};  // which one of the two sources takes it is all the same
  run();
  const std::set<std::string> seen{text(2, "currentInput1Watermark"), text(2, "currentInput2Watermark")};
  EXPECT_EQ(seen, (std::set<std::string>{"99", "-9223372036854775808"}));
  EXPECT_EQ(text(2, "both.currentInput1Watermark"), text(2, "currentInput1Watermark"));
  EXPECT_EQ(text(2, "currentInputWatermark"), "-9223372036854775808");
  EXPECT_EQ(text(0, "currentInput1Watermark"), "none");
}

TEST_F(TaskMeterTest, TimersMetersAndOpeningAreMeasured) {
  const std::uint32_t timed = add("test.timed", "timed");
  connect(add_source("a"), timed, graph::Partitioner::kHash);
  connect(timed, add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kForward);
  start(1);
  EXPECT_EQ(text(1, "initializationTime"), "12");
  EXPECT_EQ(text(1, "timed.rows"), "0.0");
  boxes_[0] = {{{1, 10}, {2, 10}, {50, 40}}};
  run();
  EXPECT_EQ(text(1, "numFiredTimers"), "2");
  EXPECT_EQ(text(1, "timed.last"), "50");
  clock_.pass(Millis(2000));
  EXPECT_EQ(text(1, "timed.rows"), "1.5") << "a meter is shown as its rate";
  EXPECT_EQ(text(1, "numFiredTimersPerSecond"), "1.0");
}

TEST_F(TaskMeterTest, LettersAreCountedWhileTheyWaitAndTheirWaitsAfter) {
  connect(add_source("a"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kRebalance);
  start(1);
  EXPECT_EQ(text(1, "mailboxLatencyMs_max"), "none") << "no letter, no latency";
  const metrics::NamesRef before = read(1).names();
  EXPECT_EQ(read(1).names(), before) << "names are made once";
  tasks_[1]->checkpoint_aborted(1);
  clock_.pass(Millis(2));
  tasks_[1]->checkpoint_aborted(2);
  clock_.pass(Micros(500));
  EXPECT_EQ(text(1, "mailboxQueueSize"), "2");
  tasks_[1]->step();
  EXPECT_EQ(text(1, "mailboxQueueSize"), "0");
  EXPECT_EQ(text(1, "mailboxLatencyMs_max"), "2");
  EXPECT_EQ(text(1, "mailboxLatencyMs_min"), "0");
  EXPECT_EQ(text(1, "mailboxLatencyMs_p99"), "2.5");
  EXPECT_EQ(text(1, "mailboxLatencyMs_mean"), "1.5");
  EXPECT_EQ(text(1, "mailboxLatencyMs_stddev"), text_of(std::sqrt(2.0)));
  clock_.pass(Micros(3'997'500));
  EXPECT_EQ(text(1, "mailboxMailsPerSecond"), "0.5");
}

TEST_F(TaskMeterTest, ShareOfTimesAreRealOrWholeAsFlinks) {
  connect(add_source("a"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kRebalance);
  start(1);
  tasks_[0]->times().enter(TaskTimes::State::kBusy, clock_.ticks());
  read(0);
  clock_.pass(Millis(300));
  tasks_[0]->times().enter(TaskTimes::State::kBackPressured, clock_.ticks());
  clock_.pass(Millis(700));
  EXPECT_EQ(text(0, "busyTimeMsPerSecond"), "300.0");
  EXPECT_EQ(text(0, "backPressuredTimeMsPerSecond"), "700");
  EXPECT_EQ(text(0, "accumulateBusyTimeMs"), "300.0");
  EXPECT_EQ(text(0, "accumulateBackPressuredTimeMs"), "700");
  EXPECT_EQ(text(0, "maxSoftBackPressureTimeMs"), "700");
  EXPECT_EQ(text(0, "isBackPressured"), "true");
  EXPECT_EQ(text(1, "isBackPressured"), "false");
}

// For ThreadSanitizer above all: who reads takes nothing from the task.
TEST_F(TaskMeterTest, ThousandsOfMetricsAreReadWhileTheTasksRun) {
  const std::uint32_t a = add_source("a"), b = add_source("b"), timed = add("test.timed", "timed");
  connect(a, timed, graph::Partitioner::kHash);
  connect(b, timed, graph::Partitioner::kHash, 1);
  connect(timed, add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kForward);
  start(1);
  std::atomic<bool> is_over{false};
  std::atomic<std::size_t> seen{0};
  {
    auto reader = env::start_thread("reader", [&] {
      while (!is_over || seen < 10'000) {
        for (std::size_t i = 0; i < tasks_.size(); ++i) seen += read(i).size();
      }
    });
    for (std::int64_t i = 0; i < 2000; ++i) {
      boxes_[0] = {{{i, i}, {i + 1, i}}};
      tasks_[2]->checkpoint_aborted(i);
      for (auto& task : tasks_) task->step();
    }
    run();
    is_over = true;
  }
  EXPECT_GE(seen, 10'000u);
  EXPECT_EQ(sum({0, 1}, "numRecordsOut"), 4000);
  EXPECT_EQ(sum({2}, "numRecordsIn"), 4000);
  EXPECT_EQ(sum({2}, "out.numRecordsSend"), 4000);
}

// Nothing is served under a name that is said to be left out, and no name twice.
TEST_F(TaskMeterTest, NamesAreOnce) {
  connect(add_source("a"), add(DREY_KIND_DISCARD, "out"), graph::Partitioner::kRebalance);
  start(1);
  for (const std::size_t task : {0u, 1u}) {
    std::set<std::string> names;
    const metrics::Metrics all = read(task);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(names.insert(all.name(i).text).second) << all.name(i).text;
      for (const metrics::LeftOut& row : metrics::left_out()) {
        for (std::string_view rest = row.name; !rest.empty();) {
          const auto end = std::min(rest.find(", "), rest.size());
          EXPECT_NE(rest.substr(0, end), all.name(i).text);
          rest.remove_prefix(std::min(end + 2, rest.size()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace drey::runtime
