#include "control/checkpoint/coordinator.h"

#include <gtest/gtest.h>

namespace drey::control {
namespace {

template <typename T>
const T* find(const CheckpointDecisions& decisions) {
  for (const auto& d : decisions) {
    if (const T* found = std::get_if<T>(&d)) return found;
  }
  return nullptr;
}

SnapshotAck ack(std::int64_t id, std::uint32_t subtask, std::vector<std::string> files) {
  SnapshotAck a;
  a.task.subtask = subtask;
  a.checkpoint_id = id;
  a.ok = true;
  for (auto& f : files) a.files.emplace_back(f, 1);
  return a;
}

CheckpointOptions every_second() {
  CheckpointOptions options;
  options.interval = Millis(1000);
  options.timeout = Millis(5000);
  return options;
}

TEST(CheckpointCoordinator, TellsOnlyAfterTheMetadataIsStored) {
  CheckpointCoordinator c(every_second(), {2}, 1);
  c.on_running({0});
  EXPECT_TRUE(c.on_time({999}).empty());
  ASSERT_NE(find<TriggerCheckpoint>(c.on_time({1000})), nullptr);
  EXPECT_TRUE(c.on_ack(ack(1, 0, {"a"}), {1001}).empty());
  const auto complete = c.on_ack(ack(1, 1, {"b"}), {1002});
  EXPECT_NE(find<StoreCheckpoint>(complete), nullptr);
  EXPECT_EQ(find<TellComplete>(complete), nullptr);
  EXPECT_NE(find<TellComplete>(c.on_stored(1, true, "", {1003})), nullptr);
  EXPECT_EQ(c.completed().front().id, 1);
}

TEST(CheckpointCoordinator, KeepsFilesThatARetainedCheckpointNames) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.trigger_now({0}, false);
  c.on_ack(ack(1, 0, {"one", "base"}), {1});
  c.on_stored(1, true, "", {2});
  c.trigger_now({3}, false);
  c.on_ack(ack(2, 0, {"two", "base"}), {4});
  const auto decisions = c.on_stored(2, true, "", {5});
  ASSERT_NE(find<DeleteFiles>(decisions), nullptr);
  EXPECT_EQ(find<DeleteFiles>(decisions)->files, std::vector<std::string>{"one"});
}

TEST(CheckpointCoordinator, ExpiredOnesAreAbortedAndLateAcksCleanUp) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.on_time({1000});
  const auto late = c.on_time({6000});
  EXPECT_NE(find<TellAborted>(late), nullptr);
  EXPECT_NE(find<FailJob>(late), nullptr);
  const auto decisions = c.on_ack(ack(1, 0, {"late"}), {6001});
  ASSERT_NE(find<DeleteFiles>(decisions), nullptr);
  EXPECT_EQ(find<DeleteFiles>(decisions)->files[0], "late");
}

TEST(CheckpointCoordinator, AFinalOneFollowsTheOneUnderWay) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.on_time({1000});
  EXPECT_TRUE(c.trigger_now({1001}, true).empty());
  c.on_ack(ack(1, 0, {}), {1002});
  const auto decisions = c.on_stored(1, true, "", {1003});
  ASSERT_NE(find<TriggerCheckpoint>(decisions), nullptr);
  EXPECT_TRUE(c.pending()->is_final);
}

}  // namespace
}  // namespace drey::control
