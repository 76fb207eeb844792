// A TaskManager beside a JobManager that the test plays.
#include "runtime/task_manager.h"

#include <gmock/gmock.h>

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

using control::AttemptState;
using testing::HasSubstr;

constexpr Millis kTestDeadline{20'000};

class Latch {
 public:
  void open() {
    env::MutexLock lock(mutex_);
    is_open_ = true;
    condition_.notify_all();
  }
  void wait() {
    env::MutexLock lock(mutex_);
    while (!is_open_ && condition_.wait_for(mutex_, kTestDeadline)) {
    }
  }

 private:
  env::Mutex mutex_;
  env::CondVar condition_;
  bool is_open_ DREY_GUARDED_BY(mutex_) = false;
};

class OneRow final : public operators::Source {
 public:
  Result<operators::Progress> poll(operators::Emitter&, operators::Budget) override {
    return operators::Progress::kIdle;
  }
  Status snapshot(std::int64_t) override { return {}; }
};

class TaskManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    operators::add_builtin_kinds(registry_);
    registry_.add(operators::declare<operators::NoOptions>({
        .name = "test.idle",
        .doc = "",
        .traits = {.role = graph::Role::kSource},
        .make_source = [](operators::OperatorContext&,
                          const operators::NoOptions&) { return std::make_unique<OneRow>(); },
    }));
    auto listener = env::posix().network.listen(*loop_, "127.0.0.1", 0, [this](env::ConnectionRef connection) {
      connection_ = connection;
      connection->set_handler({[this](std::string_view frame) { on_frame(frame); }});
    });
    ASSERT_TRUE(listener.ok());
    listener_ = std::move(*listener);
  }
  void TearDown() override {
    manager_.reset();
    listener_.reset();
    run_on_loop([this] { connection_.reset(); });
  }

  void start(TaskManagerOptions options) {
    options.id = "tm";
    options.job_manager_port = listener_->port();
    manager_ = std::make_unique<TaskManager>(options, env::posix(), registry_);
    ASSERT_TRUE(manager_->start([](const std::string&) {}).ok());
    ASSERT_TRUE(wait([this] { return is_registered_; }));
  }

  // A job of a source and a sink, chained; with code it needs a program.
  control::Deploy deployment(std::uint64_t job, bool has_code) {
    control::Deploy message;
    message.job = JobId::from_halves(7, job);
    message.incarnation = 1;
    graph::OperatorNode node;
    node.kind = "test.idle";
    node.traits.role = graph::Role::kSource;
    node.name = "idle";
    node.parallelism = 1;
    node.max_parallelism = 1;
    node.outputs = {"n:l"};
    node.has_code = has_code;
    graph::OperatorNode sink;
    sink.number = 1;
    sink.kind = DREY_KIND_DISCARD;
    sink.name = "out";
    sink.traits.role = graph::Role::kSink;
    message.graph.operators = {node, sink};
    message.graph.edges = {{0, 0, 1, 0, graph::Partitioner::kForward, {}}};
    const Status resolved = graph::resolve(message.graph, 1, 0);
    EXPECT_TRUE(resolved.ok()) << resolved.to_string();
    message.plan = graph::plan_of(message.graph);
    message.digest = message.graph.digest();
    message.tasks = {{}};
    message.placement.hosts = {{"127.0.0.1", 1}};
    message.placement.task_managers = {{0}};
    message.module = has_code ? "program" : "";
    return message;
  }
  static control::TaskAddress task_of(const control::Deploy& message) {
    return {message.job, message.incarnation, 0, 0, 0};
  }

  void send(const control::ToTaskManager& message) {
    run_on_loop([&] { connection_->send(wire::encode(message)); });
  }
  bool wait(const std::function<bool()>& holds) {
    env::MutexLock lock(mutex_);
    const Ticks end = env::posix().clock.ticks() + kTestDeadline;
    while (!holds()) {
      if (env::posix().clock.ticks() > end) return false;
      condition_.wait_for(mutex_, Millis(50));
    }
    return true;
  }
  bool wait_for(const control::TaskAddress& task, AttemptState state) {
    return wait([&] { return states_.contains(task) && states_[task].state == state; });
  }
  std::int64_t heartbeats() {
    env::MutexLock lock(mutex_);
    return heartbeats_;
  }

  env::Mutex mutex_;
  env::CondVar condition_;
  bool is_registered_ = false;  // guarded by mutex_, as those below
  std::int64_t heartbeats_ = 0;
  std::map<control::TaskAddress, control::TaskStateChanged> states_;  // the last ones

 private:
  void on_frame(std::string_view frame) {
    auto message = wire::decode<control::ToJobManager>(frame);
    if (!message.ok()) return;
    env::MutexLock lock(mutex_);
    if (std::holds_alternative<control::Register>(*message)) {
      control::RegisterAnswer answer;
      answer.accepted = true;
      answer.heartbeat_ms = 10;
      connection_->send(wire::encode(control::ToTaskManager(answer)));
      is_registered_ = true;
    } else if (std::holds_alternative<control::Heartbeat>(*message)) {
      ++heartbeats_;
      connection_->send(wire::encode(control::ToTaskManager(control::HeartbeatAnswer{})));
    } else if (auto* changed = std::get_if<control::TaskStateChanged>(&*message)) {
      states_[changed->task] = *changed;
    }
    condition_.notify_all();
  }
  void run_on_loop(const std::function<void()>& function) {
    Latch done;
    loop_->post([&] {
      function();
      done.open();
    });
    done.wait();
  }

  operators::Registry registry_;
  env::ConnectionRef connection_;
  std::unique_ptr<env::Loop> loop_ = env::posix().threads.make_loop("test");
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<TaskManager> manager_;
};

// Code for the graph above, which has none to run.
std::shared_ptr<JobCode> code_of(const control::Deploy& message) {
  auto code = std::make_shared<JobCode>();
  code->graph = message.graph;
  code->operators.resize(2);
  code->edges.resize(1);
  return code;
}

TEST_F(TaskManagerTest, NobodyWaitsForAProgramsMain) {
  const auto main = std::make_shared<Latch>();
  TaskManagerOptions options;
  options.load_code = [main](const control::Deploy& message) -> Result<std::shared_ptr<JobCode>> {
    main->wait();
    return code_of(message);
  };
  start(options);
  const control::Deploy slow = deployment(1, true);
  const control::Deploy cancelled = deployment(2, true);
  const control::Deploy other = deployment(3, false);
  send(slow);
  send(cancelled);
  const std::int64_t before = heartbeats();
  // Heartbeats, another job, and a cancellation go on.
  EXPECT_TRUE(wait([&] { return heartbeats_ > before + 5; }));
  send(other);
  EXPECT_TRUE(wait_for(task_of(other), AttemptState::kRunning));
  send(control::CancelTask{task_of(cancelled)});
  EXPECT_TRUE(wait_for(task_of(cancelled), AttemptState::kCanceled));
  EXPECT_FALSE(states_.contains(task_of(slow)));
  main->open();
  EXPECT_TRUE(wait_for(task_of(slow), AttemptState::kRunning));
  EXPECT_TRUE(wait_for(task_of(cancelled), AttemptState::kCanceled)) << "it is not started after all";
}

TEST_F(TaskManagerTest, AMainThatDoesNotReturnFailsItsTasks) {
  const auto main = std::make_shared<Latch>();
  TaskManagerOptions options;
  options.program_timeout = Millis(50);
  options.load_code = [main](const control::Deploy& message) -> Result<std::shared_ptr<JobCode>> {
    main->wait();
    return code_of(message);
  };
  start(options);
  const control::Deploy slow = deployment(1, true);
  send(slow);
  EXPECT_TRUE(wait_for(task_of(slow), AttemptState::kFailed));
  EXPECT_THAT(states_[task_of(slow)].failure.message, HasSubstr("main has not returned within 50 ms"));
  main->open();
}

}  // namespace
}  // namespace drey::runtime
