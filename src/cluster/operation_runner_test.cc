#include "cluster/operation_runner.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "cluster/snapshot_files.h"

namespace drey::cluster {
namespace {

using gateway::OperationKind;
using testing::HasSubstr;

// A cluster without jobs; work beside the loop waits for run().
class FakeHost final : public OperationRunner::Host {
 public:
  std::shared_ptr<JobMaster> running(JobId) const override { return nullptr; }
  std::optional<JobId> job_that_needs(const std::string& snapshot) const override {
    return snapshot == needed ? std::optional(JobId::from_halves(7, 7)) : std::nullopt;
  }
  std::int32_t slots_within_reach(JobId) const override { return 4; }
  std::string savepoint_directory(JobId) const override { return savepoints; }
  void run_blocking(std::string, std::function<Status()> work, std::function<void(Status)> done) override {
    waiting.emplace_back(std::move(work), std::move(done));
  }
  void changed() override { ++changes; }
  void run() {
    for (const auto& [work, done] : std::exchange(waiting, {})) {
      done(work());
    }
  }

  std::string needed;
  std::string savepoints;
  int changes = 0;
  std::vector<std::pair<std::function<Status()>, std::function<void(Status)>>> waiting;
};

class OperationRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fmt::format("{}/scratch/operation-runner-{}", DREY_BINARY_DIR, getpid());
    ASSERT_TRUE(env::posix().files.make_directories(directory_).ok());
  }
  void TearDown() override { ASSERT_TRUE(env::posix().files.remove_tree(directory_).ok()); }

  // A savepoint of no tasks. Its path.
  std::string savepoint() {
    control::Checkpoint checkpoint;
    checkpoint.id = 1;
    checkpoint.form = control::SnapshotForm::kCanonical;
    checkpoint.path = directory_ + "/savepoint";
    EXPECT_TRUE(write_metadata(env::posix().files, checkpoint).ok());
    return checkpoint.path;
  }
  const gateway::OperationModel* found(OperationKind kind, TriggerId id, JobId job = {}) {
    return operations_.find(kind, job, id);
  }

  std::string directory_;
  FakeHost host_;
  std::unique_ptr<JobStore> store_ = make_memory_store(std::make_shared<StoreMemory>());
  Operations operations_{*store_};
  OperationRunner runner_{operations_, env::posix(), host_};
};

TEST_F(OperationRunnerTest, ASavepointWithoutAPlaceGoesWhereOptionsSayOrIsRefused) {
  const JobId job = JobId::from_halves(0, 5);
  for (const bool stop : {false, true}) {
    gateway::SavepointRequest nowhere;
    nowhere.stop = stop;
    const auto refused = runner_.trigger({job, {}, nowhere});
    ASSERT_EQ(refused.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(
        refused.status().message(),
        fmt::format("Config key [execution.checkpointing.savepoint-dir] is not set. Property [{}] must be provided.",
                    stop ? "targetDirectory" : "target-directory"));
  }
  host_.savepoints = directory_;
  EXPECT_TRUE(runner_.trigger({job, {}, gateway::SavepointRequest{}}).ok());
}

TEST_F(OperationRunnerTest, WithoutItsJobAnOperationIsTriggeredAndHasFailed) {
  const JobId job = JobId::from_halves(0, 5);
  const std::vector<std::pair<OperationKind, gateway::OperationRequest>> all{
      {OperationKind::kSavepoint, {job, {}, gateway::SavepointRequest{directory_}}},
      {OperationKind::kCheckpoint, {job, {}, gateway::CheckpointRequest{}}},
      {OperationKind::kRescaling, {job, {}, gateway::RescaleRequest{2}}}};
  for (const auto& [kind, request] : all) {
    const auto id = runner_.trigger(request);
    ASSERT_TRUE(id.ok());
    const gateway::OperationModel* operation = found(kind, *id, job);
    ASSERT_NE(operation, nullptr);
    EXPECT_TRUE(operation->done);
    EXPECT_THAT(operation->failure,
                HasSubstr(fmt::format("FlinkJobNotFoundException: Could not find Flink job ({})", job.to_string())));
  }
  EXPECT_TRUE(host_.waiting.empty());
}

TEST_F(OperationRunnerTest, DisposalRunsBesideTheLoopAndRemovesTheSavepoint) {
  const std::string path = savepoint();
  const auto id = runner_.trigger({{}, {}, gateway::DisposalRequest{"file:" + path}});
  ASSERT_TRUE(id.ok());
  EXPECT_FALSE(found(OperationKind::kDisposal, *id)->done);
  EXPECT_TRUE(env::posix().files.stat(path).ok());
  const int before = host_.changes;
  host_.run();
  EXPECT_TRUE(found(OperationKind::kDisposal, *id)->done);
  EXPECT_EQ(found(OperationKind::kDisposal, *id)->failure, "");
  EXPECT_FALSE(env::posix().files.stat(path).ok());
  EXPECT_GT(host_.changes, before);
}

TEST_F(OperationRunnerTest, WhatAJobMayGoBackToIsNotDisposedOf) {
  host_.needed = savepoint();
  const auto id = runner_.trigger({{}, {}, gateway::DisposalRequest{host_.needed}});
  ASSERT_TRUE(id.ok());
  EXPECT_THAT(found(OperationKind::kDisposal, *id)->failure,
              testing::AllOf(HasSubstr("Could not dispose savepoint " + host_.needed),
                             HasSubstr(JobId::from_halves(7, 7).to_string())));
  EXPECT_TRUE(host_.waiting.empty());
  EXPECT_TRUE(env::posix().files.stat(host_.needed).ok());
}

TEST_F(OperationRunnerTest, AKnownIdStartsNothing) {
  const TriggerId mine = TriggerId::from_halves(1, 2);
  ASSERT_EQ(*runner_.trigger({{}, mine, gateway::DisposalRequest{directory_ + "/none"}}), mine);
  EXPECT_EQ(*runner_.trigger({{}, mine, gateway::DisposalRequest{savepoint()}}), mine);
  EXPECT_EQ(host_.waiting.size(), 1u);
  host_.run();
  EXPECT_THAT(found(OperationKind::kDisposal, mine)->failure,
              HasSubstr("Cannot find checkpoint or savepoint file/directory"));
  EXPECT_TRUE(env::posix().files.stat(directory_ + "/savepoint").ok());
}

}  // namespace
}  // namespace drey::cluster
