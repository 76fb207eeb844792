// A worker whose step is held by user code, and where the time of tasks goes.
#include "runtime/worker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "operators/operator.h"
#include "runtime/local_job.h"

namespace drey::runtime {
namespace {

using operators::Emitter;
using operators::OperatorContext;

class Rows final : public operators::Source {
 public:
  Rows(OperatorContext& context, std::int64_t rows, std::function<bool()> goes_on)
      : context_(context), rows_(rows), goes_on_(std::move(goes_on)) {}
  Result<operators::Progress> poll(Emitter& out, operators::Budget) override {
    if (next_ >= rows_ || !goes_on_()) return operators::Progress::kDone;
    data::BatchBuilder builder(context_.output_schema(0), 1, context_.pool());
    builder.values<std::int64_t>(0)[0] = next_++;
    builder.abi().rows = 1;
    DREY_TRY(out.emit(builder.build()));
    return operators::Progress::kBusy;
  }
  Status snapshot(std::int64_t) override { return {}; }

 private:
  OperatorContext& context_;
  const std::int64_t rows_;
  const std::function<bool()> goes_on_;
  std::int64_t next_ = 0;
};

class Each final : public operators::Operator {
 public:
  Each(OperatorContext& context, std::function<void(std::int64_t)> on_row)
      : context_(context), on_row_(std::move(on_row)) {}
  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) on_row_(batch->values<std::int64_t>(0)[batch->physical(i)]);
    return context_.node().outputs.empty() ? Status() : out.emit(batch);
  }

 private:
  OperatorContext& context_;
  const std::function<void(std::int64_t)> on_row_;
};

class WorkerTest : public testing::Test {
 protected:
  std::uint32_t source(
      const std::string& name, std::int64_t rows, std::function<bool()> goes_on = [] { return true; }) {
    registry_.add(operators::declare<operators::NoOptions>({
        .name = names_.emplace_back("test.source." + name),
        .doc = "",
        .traits = {.role = graph::Role::kSource},
        .make_source = [rows, goes_on](
                           OperatorContext& c,
                           const operators::NoOptions&) { return std::make_unique<Rows>(c, rows, goes_on); },
    }));
    return node(names_.back(), name, true);
  }
  std::uint32_t each(const std::string& name, bool emits, std::function<void(std::int64_t)> on_row) {
    registry_.add(operators::declare<operators::NoOptions>({
        .name = names_.emplace_back("test.each." + name),
        .doc = "",
        .traits = {.role = emits ? graph::Role::kOperator : graph::Role::kSink},
        .make_operator = [on_row](OperatorContext& c,
                                  const operators::NoOptions&) { return std::make_unique<Each>(c, on_row); },
    }));
    return node(names_.back(), name, emits);
  }
  void connect(std::uint32_t from, std::uint32_t to) {
    code_->graph.edges.push_back({from, 0, to, 0, graph::Partitioner::kRebalance, {}});
  }
  Result<LocalJobResult> run(LocalJobOptions options) {
    code_->operators.resize(code_->graph.operators.size());
    code_->edges.resize(code_->graph.edges.size());
    return run_local_job(code_, options, env::posix(), registry_);
  }

 private:
  std::uint32_t node(const std::string& kind, const std::string& name, bool emits) {
    graph::OperatorNode made;
    made.number = static_cast<std::uint32_t>(code_->graph.operators.size());
    made.kind = kind;
    made.name = name;
    made.chaining = graph::Chaining::kNever;
    if (emits) made.outputs = {"n:l"};
    code_->graph.operators.push_back(made);
    return made.number;
  }
  std::deque<std::string> names_;
  operators::Registry registry_;
  std::shared_ptr<JobCode> code_ = std::make_shared<JobCode>();
};

TEST_F(WorkerTest, TasksBesideUserCodeThatSleepsGoOn) {
  // One worker, and ten tasks that sleep until the other job is done, which the worker alone would never come to.
  std::atomic<int> rows{0};
  std::atomic<int> gave_up{0};
  for (int i = 0; i < 10; ++i) {
    const std::string name = "sleeper" + std::to_string(i);
    connect(source("of_" + name, 1), each(name, false, [&](std::int64_t) {
              for (int waited = 0; rows < 200; ++waited) {
                if (waited == 2000) {
                  ++gave_up;
                  return;
                }
                ::usleep(5'000);
              }
            }));
  }
  connect(source("quick", 200), each("counts", false, [&](std::int64_t) { ++rows; }));
  LocalJobOptions options;
  options.workers = 1;
  ASSERT_TRUE(run(options).ok());
  EXPECT_EQ(rows, 200);
  EXPECT_EQ(gave_up, 0);
}

TEST_F(WorkerTest, ATaskComesBackToItsWorkerWhenItBehaves) {
  // Holds its thread again and again: threads are reused, and the job ends.
  std::atomic<int> rows{0};
  connect(source("slow", 20), each("sleeps", false, [&](std::int64_t) { ::usleep(40'000); }));
  connect(source("quick", 100), each("counts", false, [&](std::int64_t) { ++rows; }));
  LocalJobOptions options;
  options.workers = 1;
  ASSERT_TRUE(run(options).ok());
  EXPECT_EQ(rows, 100);
}

TEST_F(WorkerTest, TasksThatWaitForTheirWorkerAreNotBusy) {
  // All tasks share a worker. The slow one sleeps 2 ms a row, too short a hold to be relieved.
  const Ticks end = env::posix().clock.ticks() + Millis(1500);
  const auto goes_on = [end] { return env::posix().clock.ticks() < end; };
  const std::uint32_t slow = each("slow", true, [](std::int64_t) { ::usleep(2'000); });
  connect(source("fast", INT64_MAX, goes_on), slow);
  connect(slow, each("writer", false, [](std::int64_t) {}));
  std::map<std::string, TaskTimes::Totals> times;
  LocalJobOptions options;
  options.workers = 1;
  options.on_tasks_ended = [&](const std::vector<std::shared_ptr<Task>>& tasks) {
    for (const auto& task : tasks) times[task->spec().vertex.name] = task->times().totals(env::posix().clock.ticks());
  };
  ASSERT_TRUE(run(options).ok());
  ASSERT_EQ(times.size(), 3u);
  const auto of = [&](const std::string& name) {
    for (const auto& [vertex, totals] : times) {
      if (vertex.find(name) != std::string::npos) return totals;
    }
    ADD_FAILURE() << name;
    return TaskTimes::Totals{};
  };
  EXPECT_GT(of("slow").busy, Millis(1000));
  EXPECT_LT(of("fast").busy, Millis(200));
  EXPECT_LT(of("writer").busy, Millis(200));
}

}  // namespace
}  // namespace drey::runtime
