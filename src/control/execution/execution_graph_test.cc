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

FailureReport failure(Code code, std::string message) {
  return {static_cast<std::int32_t>(code), std::move(message), "", ""};
}
const FailureReport kBoom = failure(Code::kUserCode, "boom");
const FailureReport kBoomAgain = failure(Code::kUserCode, "boom again");
const FailureReport kGone = failure(Code::kIo, "gone");

template <typename T>
std::size_t count(const Actions& actions) {
  std::size_t n = 0;
  for (const Action& a : actions) n += std::holds_alternative<T>(a) ? 1 : 0;
  return n;
}

template <typename T>
const T* find(const Actions& actions) {
  for (const Action& a : actions) {
    if (const T* found = std::get_if<T>(&a)) return found;
  }
  return nullptr;
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
  const Actions failed = g.on_task_state(0, 0, 0, AttemptState::kFailed, kBoom, {6});
  EXPECT_EQ(count<CancelAttempt>(failed), 2u);
  EXPECT_EQ(g.state(), JobState::kRestarting);
  g.on_task_state(1, 0, 0, AttemptState::kCanceled, {}, {7});
  const Actions ended = g.on_task_state(1, 1, 0, AttemptState::kCanceled, {}, {7});
  ASSERT_EQ(count<RestartAfter>(ended), 1u);
  EXPECT_EQ(count<RequestSlots>(g.on_restart_timer(find<RestartAfter>(ended)->number, {9})), 1u);
  EXPECT_EQ(g.executions()[1][1].current().number, 1u);
  // A late word of the old attempt changes nothing.
  EXPECT_TRUE(g.on_task_state(1, 1, 0, AttemptState::kFailed, {}, {10}).empty());
  g.on_slots(kPlaces, {10});
  run_all(g, AttemptState::kRunning, 1);
  g.on_task_state(0, 0, 1, AttemptState::kFailed, kBoomAgain, {11});
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
  EXPECT_EQ(count<RestartAfter>(g.on_task_manager_lost("tm", kGone, {4})), 1u);
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
  g.on_task_state(0, 0, 0, AttemptState::kCanceled, {}, {5});
  g.on_task_state(1, 0, 0, AttemptState::kCanceled, {}, {5});
  const auto ended = g.on_task_state(1, 1, 0, AttemptState::kCanceled, {}, {5});
  ASSERT_EQ(count<RestartAfter>(ended), 1u);
  EXPECT_EQ(find<RestartAfter>(ended)->delay, Millis(0));
  const auto again = g.on_restart_timer(find<RestartAfter>(ended)->number, {5});
  EXPECT_EQ(count<ReleaseSlots>(again), 1u);
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

TEST(ExecutionGraph, WhatCannotHealIsNotTriedAgain) {
  auto g = make({{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "5"}});
  g.start({2});
  g.on_slots(kPlaces, {3});
  run_all(g, AttemptState::kRunning);
  g.on_task_state(0, 0, 0, AttemptState::kFailed, failure(Code::kInvalidArgument, "row 7 is no number"), {6});
  EXPECT_EQ(g.state(), JobState::kFailing);
  EXPECT_EQ(g.exceptions().front().failure.message, "row 7 is no number");
  // A file may still come.
  auto other = make({{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "5"}});
  other.start({2});
  other.on_slots(kPlaces, {3});
  other.on_task_state(0, 0, 0, AttemptState::kFailed, failure(Code::kNotFound, "no such file"), {6});
  EXPECT_EQ(other.state(), JobState::kRestarting);
}

std::vector<std::vector<std::uint32_t>> per_subtask(const graph::Plan& plan) {
  std::vector<std::vector<std::uint32_t>> regions;
  for (const graph::Vertex& vertex : plan.vertices) {
    regions.emplace_back();
    for (std::int32_t s = 0; s < vertex.parallelism; ++s) regions.back().push_back(static_cast<std::uint32_t>(s));
  }
  return regions;
}

// Two subtasks a -> b each, joined by forward edges: two regions, each on a TaskManager of its own.
ExecutionGraph two_regions(bool restarts_finished = true) {
  graph::Plan plan;
  plan.vertices.resize(2);
  for (graph::Vertex& vertex : plan.vertices) vertex.parallelism = 2;
  plan.edges.push_back({0, 1, 0});
  auto strategy = make_restart_strategy(
      {{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "5"}}, false, 1);
  ExecutionGraph g(plan, std::move(*strategy), Instant{1}, {per_subtask, restarts_finished});
  g.start({2});
  g.on_slots({{{"tm0", "h", 1}, {"tm1", "h", 1}}, {{"tm0", "h", 1}, {"tm1", "h", 1}}}, {3});
  return g;
}

void enter(ExecutionGraph& g, std::uint32_t region, AttemptState state, std::uint32_t attempt = 0) {
  g.on_task_state(0, region, attempt, state, {}, {5});
  g.on_task_state(1, region, attempt, state, {}, {5});
}

TEST(ExecutionGraph, OnlyTheRegionOfAFailureStartsAgain) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  const Actions failed = g.on_task_state(0, 1, 0, AttemptState::kFailed, kBoom, {6});
  ASSERT_EQ(count<CancelAttempt>(failed), 1u);
  EXPECT_EQ(find<CancelAttempt>(failed)->subtask, 1u);
  EXPECT_EQ(g.state(), JobState::kRestarting);
  EXPECT_EQ(g.executions()[0][0].current().state, AttemptState::kRunning);
  // What comes of its end belongs to the failure, and costs no other try.
  const Actions ended = g.on_task_state(1, 1, 0, AttemptState::kFailed, kGone, {7});
  ASSERT_EQ(count<RestartAfter>(ended), 1u);
  EXPECT_EQ(g.exceptions().size(), 1u);
  EXPECT_EQ(g.exceptions().front().concurrent.size(), 1u);
  EXPECT_EQ(count<RequestSlots>(g.on_restart_timer(find<RestartAfter>(ended)->number, {8})), 1u);
  EXPECT_EQ(g.state(), JobState::kRunning);
  const Actions deployed = g.on_slots({{{"tm0", "h", 1}, {"tm2", "h", 1}}, {{"tm0", "h", 1}, {"tm2", "h", 1}}}, {9});
  ASSERT_EQ(count<DeployTasks>(deployed), 1u);
  EXPECT_EQ(find<DeployTasks>(deployed)->regions, std::vector<std::uint32_t>{1});
  EXPECT_EQ(g.executions()[0][0].current().number, 0u);
  EXPECT_EQ(g.executions()[0][1].current().number, 1u);
  EXPECT_EQ(g.executions()[0][1].current().task_manager, "tm2");
  EXPECT_FALSE(g.all_running());
  enter(g, 1, AttemptState::kRunning, 1);
  EXPECT_TRUE(g.all_running());
}

TEST(ExecutionGraph, TheJobRestartsUntilEveryRegionHasStarted) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  const Actions first = g.on_task_manager_lost("tm0", kGone, {6});
  ASSERT_EQ(count<RestartAfter>(first), 1u);
  EXPECT_EQ(count<CancelAttempt>(first), 0u);
  const Actions second = g.on_task_manager_lost("tm1", kGone, {7});
  ASSERT_EQ(count<RestartAfter>(second), 1u);
  EXPECT_EQ(g.exceptions().size(), 2u);
  g.on_restart_timer(find<RestartAfter>(first)->number, {8});
  EXPECT_EQ(g.state(), JobState::kRestarting);
  EXPECT_TRUE(g.on_restart_timer(find<RestartAfter>(first)->number, {8}).empty());
  g.on_restart_timer(find<RestartAfter>(second)->number, {9});
  EXPECT_EQ(g.state(), JobState::kRunning);
  EXPECT_EQ(g.restarts(), 2);
}

TEST(ExecutionGraph, FinishedRegionsStartAgainWhereACheckpointNeedsThem) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  enter(g, 0, AttemptState::kFinished);
  const Actions lost = g.on_task_manager_lost("tm1", kGone, {6});
  ASSERT_EQ(count<RestartAfter>(lost), 1u);
  g.on_restart_timer(find<RestartAfter>(lost)->number, {7});
  EXPECT_EQ(g.executions()[0][0].current().number, 1u);

  auto without = two_regions(false);
  enter(without, 0, AttemptState::kRunning);
  enter(without, 1, AttemptState::kRunning);
  enter(without, 0, AttemptState::kFinished);
  const Actions gone = without.on_task_manager_lost("tm1", kGone, {6});
  without.on_restart_timer(find<RestartAfter>(gone)->number, {7});
  EXPECT_EQ(without.executions()[0][0].current().state, AttemptState::kFinished);
  EXPECT_EQ(without.executions()[0][1].current().number, 1u);
}

TEST(ExecutionGraph, WhatFinishesAfterAFailureStartsAgainWithIt) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  // The last checkpoint is complete; region 1 does not live to hear of it.
  const Actions lost = g.on_task_manager_lost("tm1", kGone, {6});
  ASSERT_EQ(count<RestartAfter>(lost), 1u);
  g.on_restart_timer(find<RestartAfter>(lost)->number, {7});
  EXPECT_EQ(g.state(), JobState::kRunning);
  g.on_task_state(0, 0, 0, AttemptState::kFinished, {}, {8});
  EXPECT_EQ(g.state(), JobState::kRestarting);
  const Actions ended = g.on_task_state(1, 0, 0, AttemptState::kFinished, {}, {8});
  ASSERT_EQ(count<RestartAfter>(ended), 1u);
  EXPECT_EQ(count<RequestSlots>(g.on_restart_timer(find<RestartAfter>(ended)->number, {9})), 1u);
  EXPECT_EQ(g.state(), JobState::kRunning);
  EXPECT_EQ(g.restarts(), 1);
  EXPECT_EQ(g.exceptions().size(), 1u);
  g.on_slots({{{"tm0", "h", 1}, {"tm0", "h", 1}}, {{"tm0", "h", 1}, {"tm0", "h", 1}}}, {9});
  enter(g, 0, AttemptState::kRunning, 1);
  enter(g, 1, AttemptState::kRunning, 1);
  EXPECT_TRUE(g.all_running());
  enter(g, 0, AttemptState::kFinished, 1);
  enter(g, 1, AttemptState::kFinished, 1);
  EXPECT_EQ(g.state(), JobState::kFinished);
}

TEST(ExecutionGraph, FewerSlotsThanOfRegionsThatWaitRescalesAll) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  const Actions lost = g.on_task_manager_lost("tm1", kGone, {6});
  EXPECT_TRUE(g.resize({1, 1}, {6}).empty());  // it will ask when the region starts
  g.on_restart_timer(find<RestartAfter>(lost)->number, {7});
  const Actions fewer = g.resize({1, 1}, {8});
  EXPECT_EQ(count<CancelAttempt>(fewer), 2u);
  g.on_task_state(0, 0, 0, AttemptState::kCanceled, {}, {9});
  const Actions ended = g.on_task_state(1, 0, 0, AttemptState::kCanceled, {}, {9});
  ASSERT_EQ(count<RestartAfter>(ended), 1u);
  const Actions again = g.on_restart_timer(find<RestartAfter>(ended)->number, {10});
  EXPECT_EQ(count<ReleaseSlots>(again), 1u);
  EXPECT_EQ(count<RequestSlots>(again), 1u);
  // Now all wait, and none is held.
  const Actions more = g.resize({2, 2}, {11});
  EXPECT_EQ(count<ReleaseSlots>(more), 0u);
  EXPECT_EQ(count<RequestSlots>(more), 1u);
  EXPECT_EQ(g.executions()[0].size(), 2u);
  const Actions deployed = g.on_slots({{{"tm0", "h", 1}, {"tm2", "h", 1}}, {{"tm0", "h", 1}, {"tm2", "h", 1}}}, {12});
  ASSERT_EQ(count<DeployTasks>(deployed), 1u);
  EXPECT_EQ(find<DeployTasks>(deployed)->regions, (std::vector<std::uint32_t>{0, 1}));
}

TEST(ExecutionGraph, CancelsWhileARegionWaitsForItsRestart) {
  auto g = two_regions();
  enter(g, 0, AttemptState::kRunning);
  enter(g, 1, AttemptState::kRunning);
  const Actions lost = g.on_task_manager_lost("tm1", kGone, {6});
  EXPECT_EQ(count<CancelAttempt>(g.cancel({7})), 2u);
  enter(g, 0, AttemptState::kCanceled);
  EXPECT_EQ(g.state(), JobState::kCanceled);
  EXPECT_TRUE(g.on_restart_timer(find<RestartAfter>(lost)->number, {8}).empty());
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
