// Asynchronous work of operators, and sinks, in a job that runs in this process.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "operators/sink.h"
#include "runtime/local_job.h"
#include "runtime/worker.h"

namespace drey::runtime {
namespace {

using operators::AsyncWork;
using operators::Emitter;
using operators::OperatorContext;
using testing::ElementsAre;
using testing::HasSubstr;

// A latch that gives up, so that a failing test ends.
class Turnstile {
 public:
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    condition_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, std::chrono::seconds(10), [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool is_open_ = false;
};

// Emits 0, 1, 2, ... one row a poll, as long as it is wanted.
struct Counting {
  std::int64_t rows = 100;
  std::atomic<std::int64_t> emitted{0};
  std::function<bool(std::int64_t next)> may_go_on = [](std::int64_t) { return true; };
};

class CountingSource final : public operators::Source {
 public:
  CountingSource(OperatorContext& context, Counting& counting) : context_(context), counting_(counting) {}
  Status open(OperatorContext& context) override {
    DREY_TRY_ASSIGN(position_, context.state().operator_list(context.operator_id(), "position", false));
    if (!position_->elements().empty()) next_ = std::stoll(position_->elements()[0]);
    return {};
  }
  Result<operators::Progress> poll(Emitter& out, operators::Budget) override {
    if (next_ >= counting_.rows) return operators::Progress::kDone;
    if (!counting_.may_go_on(next_)) {
      context_.wake_at(context_.processing_time() + 1);
      return operators::Progress::kIdle;
    }
    data::BatchBuilder builder(context_.output_schema(0), 1, context_.pool());
    builder.values<std::int64_t>(0)[0] = next_++;
    builder.abi().rows = 1;
    counting_.emitted = next_;
    DREY_TRY(out.emit(builder.build()));
    return operators::Progress::kBusy;
  }
  Status snapshot(std::int64_t) override {
    position_->assign({fmt::format("{}", next_)});
    return {};
  }

 private:
  OperatorContext& context_;
  Counting& counting_;
  state::OperatorList* position_ = nullptr;
  std::int64_t next_ = 0;
};

class AsyncWorkTest : public testing::Test {
 protected:
  using MakeOperator = std::function<std::unique_ptr<operators::Operator>(OperatorContext&)>;

  void SetUp() override {
    directory_ = fmt::format("{}/scratch/{}-{}", DREY_BINARY_DIR,
                             testing::UnitTest::GetInstance()->current_test_info()->name(), getpid());
    ASSERT_TRUE(env::posix().files.make_directories(directory_).ok());
  }
  void TearDown() override { ASSERT_TRUE(env::posix().files.remove_tree(directory_).ok()); }

  // source -> operator, at parallelism 1.
  Result<LocalJobResult> run(MakeOperator make, LocalJobOptions options = {}) {
    operators::Registry registry;
    using operators::NoOptions;
    registry.add(operators::declare<NoOptions>({
        .name = "test.counting",
        .doc = "",
        .traits = {.role = graph::Role::kSource},
        .make_source = [this](OperatorContext& c,
                              const NoOptions&) { return std::make_unique<CountingSource>(c, counting_); },
    }));
    registry.add(operators::declare<NoOptions>({
        .name = "test.operator",
        .doc = "",
        .traits = {.role = graph::Role::kSink, .commits_on_completion = true},
        .make_operator = [make](OperatorContext& c, const NoOptions&) -> operators::Made<operators::Operator> {
          return make(c);
        },
    }));
    auto code = std::make_shared<JobCode>();
    graph::OperatorNode from;
    from.kind = "test.counting";
    from.name = "counting";
    from.outputs = {"n:l"};
    graph::OperatorNode to;
    to.number = 1;
    to.kind = "test.operator";
    to.name = "tested";
    code->graph.operators = {from, to};
    code->graph.edges = {{0, 0, 1, 0, graph::Partitioner::kForward, {}}};
    code->operators.resize(2);
    code->edges.resize(1);
    options.state_directory = directory_;
    return run_local_job(code, options, env::posix(), registry);
  }

  Counting counting_;
  std::string directory_;
};

struct Functions {
  std::function<Status(OperatorContext&)> open = [](OperatorContext&) { return Status(); };
  std::function<Status(OperatorContext&, std::int64_t)> process = [](OperatorContext&, std::int64_t) {
    return Status();
  };
  std::function<void()> gone = [] {};
};
class FunctionOperator final : public operators::Operator {
 public:
  FunctionOperator(OperatorContext& context, const Functions& functions) : context_(context), functions_(functions) {}
  ~FunctionOperator() override { functions_.gone(); }
  Status open(OperatorContext& context) override { return functions_.open(context); }
  Status process(std::uint32_t, const data::BatchRef& batch, Emitter&) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i)
      DREY_TRY(functions_.process(context_, batch->values<std::int64_t>(0)[batch->physical(i)]));
    return {};
  }

 private:
  OperatorContext& context_;
  const Functions& functions_;
};

TEST_F(AsyncWorkTest, ATaskRunsOnceTheWorkOfOpenIsOver) {
  Functions functions;
  std::atomic<bool> is_over{false};
  bool was_over = true;
  functions.open = [&](OperatorContext& context) {
    context.start({.name = "looking",
                   .run = [] { return ::usleep(20'000), Status(); },
                   .done =
                       [&](const Status& result, Emitter&) {
                         is_over = true;
                         return result;
                       }});
    return Status();
  };
  functions.process = [&](OperatorContext&, std::int64_t) {
    was_over = was_over && is_over;
    return Status();
  };
  const auto result = run([&](OperatorContext& c) { return std::make_unique<FunctionOperator>(c, functions); });
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_TRUE(was_over);
}

TEST_F(AsyncWorkTest, WorkThatTakesTooLongIsGivenUpAndNamed) {
  Turnstile gate;
  Functions functions;
  bool has_been_told_late = false;
  functions.process = [&](OperatorContext& context, std::int64_t row) {
    if (row == 3) {
      context.start({.name = "asking the oracle",
                     .run = [&gate] { return gate.wait(), Status(); },
                     .done = [&](const Status& result, Emitter&) { return has_been_told_late = result.ok(), result; },
                     .deadline = Millis(30)});
    }
    return Status();
  };
  functions.gone = [&gate] { gate.open(); };
  const auto result = run([&](OperatorContext& c) { return std::make_unique<FunctionOperator>(c, functions); });
  ASSERT_EQ(result.status().code(), Code::kTimeout);
  EXPECT_THAT(result.status().to_string(), HasSubstr("asking the oracle takes longer than 30 ms"));
  EXPECT_FALSE(has_been_told_late);
}

TEST_F(AsyncWorkTest, AnOperatorThatIsGoneGetsNoMail) {
  Turnstile gate;
  Functions functions;
  std::atomic<bool> is_gone{false};
  bool had_mail_when_gone = false;
  std::atomic<int> ran{0};
  functions.process = [&](OperatorContext& context, std::int64_t row) {
    if (row < 3) {  // the first runs when the task fails, the others have not begun
      context.start({.name = "waiting",
                     .run = [&] { return ++ran, gate.wait(), Status(); },
                     .done = [&](const Status&, Emitter&) { return had_mail_when_gone = is_gone, Status(); },
                     .in_order = true});
    }
    return row == 10 ? fail(Code::kUserCode, "enough") : Status();
  };
  functions.gone = [&] {
    is_gone = true;
    gate.open();
  };
  ASSERT_EQ(run([&](OperatorContext& c) { return std::make_unique<FunctionOperator>(c, functions); }).status().code(),
            Code::kUserCode);
  EXPECT_FALSE(had_mail_when_gone);
  EXPECT_LE(ran, 1);
}

TEST_F(AsyncWorkTest, AtTheBoundATaskTakesNoInputAndInOrderMeansInOrder) {
  Functions functions;
  std::atomic<int> outstanding{0};
  int most = 0;
  std::vector<std::int64_t> order;
  functions.process = [&](OperatorContext& context, std::int64_t row) {
    most = std::max(most, ++outstanding);
    context.start({.name = "writing",
                   .run = [&order, row] { return order.push_back(row), Status(); },
                   .done = [&](const Status& result, Emitter&) { return --outstanding, result; },
                   .in_order = true});
    return Status();
  };
  counting_.rows = 500;
  const auto result = run([&](OperatorContext& c) { return std::make_unique<FunctionOperator>(c, functions); });
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_LE(most, static_cast<int>(AsyncWork::kOutstandingMax));
  ASSERT_EQ(order.size(), 500u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// What a sink's committer writes to.
struct Target {
  std::mutex mutex;
  std::vector<std::string> calls;  // as they came, joined
  std::set<std::string> visible;   // guarded by mutex
  std::function<Status(int call)> answer = [](int) { return Status(); };

  Status commit(const std::vector<std::string>& values) {
    std::lock_guard lock(mutex);
    std::string all;
    for (const std::string& value : values) all += value;
    calls.push_back(all);
    DREY_TRY(answer(static_cast<int>(calls.size())));
    visible.insert(values.begin(), values.end());
    return {};
  }
};

class TargetCommitter final : public operators::Committer {
 public:
  explicit TargetCommitter(Target& target) : target_(target) {}
  Status commit(const std::vector<std::string>& values) override { return target_.commit(values); }

 private:
  Target& target_;
};
class TargetWriter final : public operators::SinkWriter {
 public:
  TargetWriter(OperatorContext& context, std::function<Status(std::int64_t)> on_row, std::function<Status()> to_disk)
      : context_(context), on_row_(std::move(on_row)), to_disk_(std::move(to_disk)) {}
  Status write(const data::BatchRef& batch) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::int64_t row = batch->values<std::int64_t>(0)[batch->physical(i)];
      DREY_TRY(on_row_(row));
      rows_ += fmt::format("{};", row);
    }
    return {};
  }
  Result<std::vector<std::string>> prepare_commit(std::int64_t) override {
    if (rows_.empty()) return std::vector<std::string>();
    if (to_disk_) context_.start({.name = "syncing", .run = to_disk_, .holds_checkpoints = true});
    return std::vector<std::string>{std::exchange(rows_, "")};
  }

 private:
  OperatorContext& context_;
  const std::function<Status(std::int64_t)> on_row_;
  const std::function<Status()> to_disk_;
  std::string rows_;
};

class SinkTest : public AsyncWorkTest {
 protected:
  MakeOperator sink() {
    return [this](OperatorContext& c) {
      return operators::make_sink(c, std::make_unique<TargetWriter>(c, on_row_, to_disk_),
                                  std::make_shared<TargetCommitter>(target_));
    };
  }
  std::string rows(std::int64_t from, std::int64_t to) {
    std::string all;
    for (std::int64_t row = from; row < to; ++row) all += fmt::format("{};", row);
    return all;
  }
  std::string visible() {
    std::string all;
    for (const std::string& value : target_.visible) all += value;
    return all;
  }
  std::size_t calls() {
    std::lock_guard lock(target_.mutex);
    return target_.calls.size();
  }
  Target target_;
  std::function<Status(std::int64_t)> on_row_ = [](std::int64_t) { return Status(); };
  std::function<Status()> to_disk_;
};

TEST_F(SinkTest, CommitsAtTheEndAndTriesAgainWhatMayHeal) {
  target_.answer = [](int call) { return call <= 3 ? fail(Code::kUnavailable, "not now") : Status(); };
  const auto result = run(sink());
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_THAT(target_.calls, ElementsAre(rows(0, 100), rows(0, 100), rows(0, 100), rows(0, 100)));
  EXPECT_EQ(visible(), rows(0, 100));
}

TEST_F(SinkTest, WhatCannotHealFailsTheTaskAtOnce) {
  target_.answer = [](int) { return fail(Code::kInvalidArgument, "no such table"); };
  const auto result = run(sink());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(result.status().to_string(), HasSubstr("no such table"));
  EXPECT_EQ(target_.calls.size(), 1u);
}

TEST_F(SinkTest, CommittablesOfARestoredCheckpointAreCommittedFirst) {
  // The first checkpoint is complete, its commit fails for good; the job goes on from it.
  LocalJobOptions options;
  options.checkpoint_interval = Millis(5);
  options.restarts = {1};
  bool has_failed = false;
  target_.answer = [&](int) {
    if (std::exchange(has_failed, true)) return Status();
    return fail(Code::kConflict, "the target fails once");
  };
  counting_.may_go_on = [this](std::int64_t next) { return next < 50 || calls() > 1; };
  const auto result = run(sink(), options);
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  ASSERT_GE(target_.calls.size(), 3u);
  EXPECT_EQ(target_.calls[1].substr(0, target_.calls[0].size()), target_.calls[0]);
  std::string all;  // as it became visible
  for (std::size_t i = 1; i < target_.calls.size(); ++i) all += target_.calls[i];
  EXPECT_EQ(all, rows(0, 100));
}

TEST_F(SinkTest, ACheckpointWaitsForWhatItsCommittablesNeed) {
  std::atomic<bool> is_on_disk{false};
  to_disk_ = [&] {
    ::usleep(30'000);
    is_on_disk = true;
    return Status();
  };
  bool was_on_disk = false;
  target_.answer = [&](int) {
    was_on_disk = is_on_disk;
    return Status();
  };
  ASSERT_TRUE(run(sink()).ok());
  EXPECT_TRUE(was_on_disk);
}

TEST_F(SinkTest, WhatCannotBeMadeDurableFailsTheTaskAndIsNotCommitted) {
  to_disk_ = [] { return fail(Code::kIo, "the disk is gone"); };
  const auto result = run(sink());
  EXPECT_EQ(result.status().code(), Code::kIo);
  EXPECT_THAT(result.status().to_string(), HasSubstr("syncing: the disk is gone"));
  EXPECT_TRUE(target_.calls.empty());
}

}  // namespace
}  // namespace drey::runtime
