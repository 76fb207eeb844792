#include "control/checkpoint/coordinator.h"

#include <gtest/gtest.h>

#include <set>

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

TEST(CheckpointCoordinator, AnAckSaidTwiceWhileTheMetadataIsStoredDeletesNothing) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.on_time({1000});
  c.on_ack(ack(1, 0, {"a"}), {1001});
  ASSERT_TRUE(c.is_storing(1));
  EXPECT_TRUE(c.on_ack(ack(1, 0, {"a"}), {1002}).empty());
  SnapshotAck stale = ack(-1, 0, {"a"});
  EXPECT_TRUE(c.on_ack(stale, {1003}).empty());
  EXPECT_EQ(find<DeleteFiles>(c.on_ack(ack(-1, 0, {"late"}), {1004}))->files, std::vector<std::string>{"late"});
  EXPECT_NE(find<TellComplete>(c.on_stored(1, true, "", {1005})), nullptr);
}

TEST(CheckpointCoordinator, StoringOutlastsTheTasksButNotTheTimeoutNorTheJob) {
  for (const bool job_ends : {false, true}) {
    CheckpointCoordinator c(every_second(), {1}, 1);
    c.on_running({0});
    c.on_time({1000});
    c.on_ack(ack(1, 0, {"a"}), {1001});
    EXPECT_TRUE(c.on_stopped("The job is RESTARTING", {1002}).empty());
    EXPECT_TRUE(c.is_storing());
    EXPECT_EQ(c.next_time(), Instant{6000});
    EXPECT_TRUE(c.on_time({5999}).empty());
    const auto given_up = job_ends ? c.on_ended("The job is CANCELED", {3000}) : c.on_time({6000});
    EXPECT_NE(find<TellAborted>(given_up), nullptr);
    ASSERT_NE(find<DeleteFiles>(given_up), nullptr);
    EXPECT_EQ(find<DeleteFiles>(given_up)->files, std::vector<std::string>{"a"});
    EXPECT_EQ(find<FailJob>(given_up), nullptr) << "the job restarts or ends anyway";
    EXPECT_FALSE(c.is_storing());
    EXPECT_TRUE(c.on_stored(1, true, "", {7000}).empty());
    EXPECT_TRUE(c.completed().empty());
    EXPECT_EQ(c.history().front().status, CheckpointStatus::kFailed);
  }
}

TEST(CheckpointCoordinator, MetadataThatCannotBeStoredIsAFailedCheckpointWithItsCause) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.on_time({1000});
  c.on_ack(ack(1, 0, {"a"}), {1001});
  const auto failed = c.on_stored(1, false, "disk full", {1002});
  EXPECT_NE(find<FailJob>(failed), nullptr);
  EXPECT_EQ(find<DeleteFiles>(failed)->files, std::vector<std::string>{"a"});
  EXPECT_NE(c.history().front().failure_message.find("disk full"), std::string::npos);
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

SnapshotRequest savepoint(std::uint64_t ticket, AfterSnapshot after = AfterSnapshot::kGoOn) {
  return {ticket, SnapshotForm::kCanonical, after, "/savepoints/s"};
}

// Runs the pending snapshot of a job with one task to its end.
CheckpointDecisions finish(CheckpointCoordinator& c, std::int64_t id, std::vector<std::string> files, std::int64_t at) {
  EXPECT_NE(find<StoreCheckpoint>(c.on_ack(ack(id, 0, std::move(files)), {at})), nullptr);
  return c.on_stored(id, true, "", {at});
}

TEST(CheckpointCoordinator, ASavepointIsNotToldNotRestoredFromAndNeverDeleted) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.trigger_now({0}, false);
  finish(c, 1, {"one"}, 1);
  const auto triggered = c.request(savepoint(7), {2});
  ASSERT_NE(find<TriggerCheckpoint>(triggered), nullptr);
  EXPECT_EQ(find<TriggerCheckpoint>(triggered)->barrier.directory, "/savepoints/s");
  EXPECT_EQ(find<TriggerCheckpoint>(triggered)->barrier.form, SnapshotForm::kCanonical);
  const auto done = finish(c, 2, {"/savepoints/s/a"}, 3);
  EXPECT_EQ(find<TellComplete>(done), nullptr);
  EXPECT_EQ(find<DeleteFiles>(done), nullptr);
  ASSERT_NE(find<SnapshotRequestEnded>(done), nullptr);
  EXPECT_EQ(find<SnapshotRequestEnded>(done)->ticket, 7u);
  EXPECT_TRUE(find<SnapshotRequestEnded>(done)->ok);
  EXPECT_EQ(find<SnapshotRequestEnded>(done)->path, "/savepoints/s");
  EXPECT_EQ(c.completed().front().id, 1);
  const auto all = c.discard_all();
  EXPECT_EQ(find<DeleteFiles>(all)->files, std::vector<std::string>{"one"});
}

TEST(CheckpointCoordinator, RequestsWaitForTheCheckpointUnderWayAndComeBeforeThePeriodicOnes) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.trigger_now({0}, false);
  EXPECT_TRUE(c.request(savepoint(1), {1}).empty());
  EXPECT_TRUE(c.request({2, SnapshotForm::kFull, AfterSnapshot::kGoOn, ""}, {1}).empty());
  const auto first = finish(c, 1, {"one"}, 2);
  ASSERT_NE(find<TriggerCheckpoint>(first), nullptr);
  EXPECT_EQ(find<TriggerCheckpoint>(first)->barrier.form, SnapshotForm::kCanonical);
  const auto second = finish(c, 2, {"/savepoints/s/a"}, 3);
  EXPECT_EQ(find<SnapshotRequestEnded>(second)->ticket, 1u);
  EXPECT_EQ(find<TriggerCheckpoint>(second)->barrier.form, SnapshotForm::kFull);
  const auto third = finish(c, 3, {"three"}, 4);
  EXPECT_EQ(find<SnapshotRequestEnded>(third)->ticket, 2u);
  EXPECT_EQ(find<SnapshotRequestEnded>(third)->id, 3);
  EXPECT_NE(find<TellComplete>(third), nullptr);
}

TEST(CheckpointCoordinator, AFailedSavepointLeavesNothingBehindAndDoesNotCountAgainstTheJob) {
  CheckpointCoordinator c(every_second(), {2}, 1);
  c.on_running({0});
  c.request(savepoint(1), {1});
  c.on_ack(ack(1, 0, {"/savepoints/s/a"}), {2});
  SnapshotAck bad = ack(1, 1, {});
  bad.ok = false;
  bad.failure.message = "no space left";
  const auto failed = c.on_ack(bad, {3});
  ASSERT_NE(find<SnapshotRequestEnded>(failed), nullptr);
  EXPECT_FALSE(find<SnapshotRequestEnded>(failed)->ok);
  EXPECT_NE(find<SnapshotRequestEnded>(failed)->why.find("no space left"), std::string::npos);
  EXPECT_NE(find<TellAborted>(failed), nullptr);
  EXPECT_EQ(find<FailJob>(failed), nullptr);
  EXPECT_EQ(find<RollBack>(failed), nullptr);
  EXPECT_EQ(find<DeleteFiles>(failed)->files, std::vector<std::string>{"/savepoints/s/a"});
  EXPECT_EQ(find<DeleteFiles>(failed)->directories, std::vector<std::string>{"/savepoints/s"});
  EXPECT_EQ(c.next_time().millis, 1000);
}

TEST(CheckpointCoordinator, TheSavepointOfAStopIsToldRestoredFromAndKept) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  c.trigger_now({0}, false);
  finish(c, 1, {"one"}, 1);
  c.request(savepoint(1, AfterSnapshot::kStop), {2});
  const auto done = finish(c, 2, {"/savepoints/s/a"}, 3);
  ASSERT_NE(find<TellComplete>(done), nullptr);
  EXPECT_TRUE(find<TellComplete>(done)->is_final);
  EXPECT_EQ(c.completed().front().id, 2);
  EXPECT_EQ(find<TriggerCheckpoint>(done), nullptr);
  EXPECT_TRUE(c.discard_all().empty());
}

TEST(CheckpointCoordinator, AStopThatFailsLetsTheJobGoOnAndADrainThatFailsTakesItBack) {
  for (const auto after : {AfterSnapshot::kStop, AfterSnapshot::kDrain}) {
    CheckpointCoordinator c(every_second(), {1}, 1);
    c.on_running({0});
    c.request(savepoint(1, after), {1});
    const auto expired = c.on_time({6000});
    EXPECT_FALSE(find<SnapshotRequestEnded>(expired)->ok);
    EXPECT_NE(find<TellAborted>(expired), nullptr);
    EXPECT_EQ(find<RollBack>(expired) != nullptr, after == AfterSnapshot::kDrain);
  }
}

TEST(CheckpointCoordinator, EveryWishEndsWhenTheTasksDo) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  EXPECT_FALSE(find<SnapshotRequestEnded>(c.request(savepoint(1), {0}))->ok);  // not running yet
  c.on_running({0});
  c.request(savepoint(2), {1});
  c.request(savepoint(3), {1});
  std::set<std::uint64_t> ended;
  for (const auto& d : c.on_stopped("The job is RESTARTING", {2})) {
    if (const auto* request = std::get_if<SnapshotRequestEnded>(&d)) {
      EXPECT_FALSE(request->ok);
      ended.insert(request->ticket);
    }
  }
  EXPECT_EQ(ended, (std::set<std::uint64_t>{2, 3}));
  c.on_running({3});
  EXPECT_TRUE(c.on_time({4}).empty());
}

TEST(CheckpointCoordinator, ManyWishesAreRefusedAtTheBound) {
  CheckpointCoordinator c(every_second(), {1}, 1);
  c.on_running({0});
  std::uint64_t ticket = 0;
  CheckpointDecisions last;
  while (ticket < 1000 && find<SnapshotRequestEnded>(last) == nullptr) last = c.request(savepoint(++ticket), {1});
  ASSERT_LT(ticket, 1000u);
  EXPECT_EQ(find<SnapshotRequestEnded>(last)->ticket, ticket);
  EXPECT_FALSE(find<SnapshotRequestEnded>(last)->ok);
}

}  // namespace
}  // namespace drey::control
