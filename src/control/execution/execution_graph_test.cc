#include "control/execution/execution_graph.h"

#include <gtest/gtest.h>

namespace drey::control {
namespace {

graph::Plan two_vertices() {
  graph::Plan plan;
  plan.vertices.resize(2);
  plan.vertices[0].name = "a";
  plan.vertices[1].name = "b";
  plan.vertices[1].parallelism = 2;
  plan.edges.push_back({0, 1, 0});
  return plan;
}

ExecutionGraph make(const std::map<std::string, std::string>& settings) {
  return ExecutionGraph(two_vertices(), make_restart_strategy(settings, false, 1).value(), Instant{1});
}

const std::vector<std::vector<ExecutionGraph::Place>> kPlaces{{{"tm", "h", 1}}, {{"tm", "h", 1}, {"tm", "h", 1}}};

template <typename T>
std::size_t count(const Actions& actions) {
  std::size_t n = 0;
  for (const Action& a : actions) n += std::holds_alternative<T>(a) ? 1 : 0;
  return n;
}

void run_all(ExecutionGraph& g, AttemptState state, std::uint32_t attempt = 0) {
  g.on_task_state(0, 0, attempt, state, {}, {5});
  g.on_task_state(1, 0, attempt, state, {}, {5});
  g.on_task_state(1, 1, attempt, state, {}, {5});
}

TEST(ExecutionGraph, RunsToFinished) {
  auto g = make({});
  EXPECT_EQ(count<RequestSlots>(g.start({2})), 1u);
  EXPECT_EQ(count<DeployTasks>(g.on_slots(kPlaces, {3})), 1u);
  run_all(g, AttemptState::kRunning);
  EXPECT_TRUE(g.all_running());
  run_all(g, AttemptState::kFinished);
  EXPECT_EQ(g.state(), JobState::kFinished);
}

TEST(ExecutionGraph, AFailureCancelsTheRestAndRestartsWithNewAttempts) {
  auto g = make({{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "1"}});
  g.start({2});
  g.on_slots(kPlaces, {3});
  run_all(g, AttemptState::kRunning);
  const Actions failed = g.on_task_state(0, 0, 0, AttemptState::kFailed, {1, "boom", "", ""}, {6});
  EXPECT_EQ(count<CancelAttempt>(failed), 2u);
  EXPECT_EQ(g.state(), JobState::kRestarting);
  g.on_task_state(1, 0, 0, AttemptState::kCanceled, {}, {7});
  EXPECT_EQ(count<RestartAfter>(g.on_task_state(1, 1, 0, AttemptState::kCanceled, {}, {7})), 1u);
  EXPECT_EQ(count<RequestSlots>(g.on_restart_timer({9})), 1u);
  EXPECT_EQ(g.executions()[1][1].current().number, 1u);
  // A late word of the old attempt changes nothing.
  EXPECT_TRUE(g.on_task_state(1, 1, 0, AttemptState::kFailed, {}, {10}).empty());
  g.on_slots(kPlaces, {10});
  run_all(g, AttemptState::kRunning, 1);
  g.on_task_state(0, 0, 1, AttemptState::kFailed, {1, "boom again", "", ""}, {11});
  EXPECT_EQ(g.state(), JobState::kFailing);
  g.on_task_state(1, 0, 1, AttemptState::kCanceled, {}, {12});
  g.on_task_state(1, 1, 1, AttemptState::kCanceled, {}, {12});
  EXPECT_EQ(g.state(), JobState::kFailed);
  EXPECT_EQ(g.exceptions().front().concurrent.front().failure.message, "boom again");
}

TEST(ExecutionGraph, ALostTaskManagerFailsItsTasksOnce) {
  auto g = make({{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "5"}});
  g.start({2});
  g.on_slots(kPlaces, {3});
  run_all(g, AttemptState::kRunning);
  EXPECT_EQ(count<RestartAfter>(g.on_task_manager_lost("tm", {1, "gone", "", ""}, {4})), 1u);
  EXPECT_EQ(g.exceptions().size(), 1u);
}

TEST(ExecutionGraph, CancelsFromEveryState) {
  auto waiting = make({});
  waiting.start({2});
  waiting.cancel({3});
  EXPECT_EQ(waiting.state(), JobState::kCanceled);
  auto running = make({});
  running.start({2});
  running.on_slots(kPlaces, {3});
  run_all(running, AttemptState::kRunning);
  EXPECT_EQ(count<CancelAttempt>(running.cancel({4})), 3u);
  EXPECT_EQ(running.state(), JobState::kCancelling);
  run_all(running, AttemptState::kCanceled);
  EXPECT_EQ(running.state(), JobState::kCanceled);
}

TEST(ExecutionGraph, RedeploysWithAnotherParallelismAndCountsNoRestart) {
  auto g = make({{"restart-strategy.type", "none"}});
  EXPECT_TRUE(g.redeploy({1, 3}, {1}).empty());  // not running yet
  g.start({2});
  g.on_slots(kPlaces, {3});
  run_all(g, AttemptState::kRunning);
  const auto actions = g.redeploy({2, 1}, {4});
  EXPECT_EQ(count<CancelAttempt>(actions), 3u);
  EXPECT_EQ(g.state(), JobState::kRestarting);
  run_all(g, AttemptState::kCanceled);
  const auto again = g.on_restart_timer({5});
  EXPECT_EQ(count<RequestSlots>(again), 1u);
  EXPECT_EQ(g.state(), JobState::kRunning);
  EXPECT_EQ(g.executions()[0].size(), 2u);
  EXPECT_EQ(g.executions()[1].size(), 1u);
  EXPECT_EQ(g.plan().vertices[0].parallelism, 2);
  EXPECT_EQ(g.executions()[0][1].current().number, 1u);
  EXPECT_EQ(g.executions()[0][1].current().state, AttemptState::kScheduled);
  EXPECT_EQ(g.restarts(), 0);
  EXPECT_TRUE(g.exceptions().empty());
}

TEST(RestartStrategy, ExponentialDelayGrowsAndNamesBadOptions) {
  auto strategy = make_restart_strategy({{"restart-strategy.exponential-delay.jitter-factor", "0"}}, true, 1);
  ASSERT_TRUE(strategy.ok());
  EXPECT_EQ((*strategy)->on_failure({1})->count(), 1000);
  EXPECT_EQ((*strategy)->on_failure({2000})->count(), 1500);
  const auto bad = make_restart_strategy({{"restart-strategy.type", "sometimes"}}, true, 1);
  EXPECT_NE(bad.status().message().find("sometimes"), std::string::npos);
}

}  // namespace
}  // namespace drey::control
