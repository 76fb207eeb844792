// The shell of a job against a JobManager and tasks that the test plays.
#include "cluster/job_master.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>

namespace drey::cluster {
namespace {

using control::AttemptState;
using testing::ElementsAre;

// Keeps what tasks were told, and what is to happen later until run_later().
class FakeHost final : public JobMasterHost {
 public:
  void send(const std::string&, const control::ToTaskManager& message) override {
    if (const auto* deploy = std::get_if<control::Deploy>(&message)) {
      for (const control::TaskDeployment& task : deploy->tasks)
        deployed[task.subtask] = {deploy->restored_checkpoint, deploy->incarnation, task.attempt};
    }
    if (const auto* cancel = std::get_if<control::CancelTask>(&message)) cancelled.push_back(cancel->task);
  }
  void request_slots(JobId, std::int32_t slots) override { wanted_slots = slots; }
  void release_slots(JobId) override {}
  Status store(const StoredJob&) override { return {}; }
  const ClusterOptions& cluster_options() const override { return options; }
  std::vector<gateway::ConfigEntry> configuration() override { return {}; }
  const gateway::ClusterFacts& facts() const override { return cluster_facts; }
  void on_ended(JobId, bool) override {}
  void publish(gateway::EventModel) override {}
  void after(Nanos, std::function<void()> function) override { later.push_back(std::move(function)); }
  void run_blocking(std::string, std::function<Status()> work, std::function<void(Status)> done) override {
    later.push_back([status = work(), done = std::move(done)] { done(status); });
  }
  void run_later() {
    while (!later.empty()) {
      const auto now = std::exchange(later, {});
      for (const auto& function : now) function();
    }
  }

  struct Deployed {
    std::int64_t checkpoint = -1;
    std::uint64_t incarnation = 0;
    std::uint32_t attempt = 0;
  };
  std::map<std::uint32_t, Deployed> deployed;  // the last of each subtask
  std::vector<control::TaskAddress> cancelled;
  std::vector<std::function<void()>> later;
  std::int32_t wanted_slots = 0;
  ClusterOptions options;
  gateway::ClusterFacts cluster_facts;
};

// One vertex without edges: each of its three subtasks is a region of its own.
class RestoreTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fmt::format("{}/scratch/job-master-{}", DREY_BINARY_DIR, getpid());
    ASSERT_TRUE(env::posix().files.make_directories(directory_).ok());
  }
  void TearDown() override { ASSERT_TRUE(env::posix().files.remove_tree(directory_).ok()); }

  // A job at parallelism 3 with checkpoints 1 and 2, both taken at `width`.
  void start(std::uint32_t width) {
    StoredJob job;
    job.id = JobId::from_halves(0, 1);
    graph::OperatorNode node;
    node.traits.role = graph::Role::kSource;
    node.name = "numbers";
    node.parallelism = 3;
    job.graph.operators = {node};
    job.graph.settings = {{"restart-strategy.type", "fixed-delay"}, {"restart-strategy.fixed-delay.attempts", "10"}};
    ASSERT_TRUE(graph::resolve(job.graph, 3, 128).ok());
    for (std::int64_t id = 1; id <= 2; ++id) {
      control::Checkpoint checkpoint;
      checkpoint.id = id;
      checkpoint.status = control::CheckpointStatus::kCompleted;
      checkpoint.path = fmt::format("{}/chk-{}", directory_, id);
      for (std::uint32_t s = 0; s < width; ++s) {
        checkpoint.tasks.emplace_back();
        checkpoint.tasks.back().subtask = s;
        checkpoint.tasks.back().acknowledged = true;
      }
      job.checkpoints.push_back(std::move(checkpoint));
    }
    job.next_checkpoint = 3;
    auto made = JobMaster::make(std::move(job), directory_, env::posix(), host_);
    ASSERT_TRUE(made.ok()) << made.status().to_string();
    master_ = *made;
    master_->start();
    ASSERT_EQ(host_.wanted_slots, 3);
    master_->on_slots({{"tm", "host", 1, 0}, {"tm", "host", 1, 1}, {"tm", "host", 1, 2}});
    ASSERT_THAT(restored_from(), ElementsAre(2, 2, 2));
  }

  void tell(std::uint32_t subtask, AttemptState state, Code code = Code::kOk) {
    const FakeHost::Deployed& task = host_.deployed.at(subtask);
    control::TaskStateChanged message;
    message.task = {master_->id(), task.incarnation, 0, subtask, task.attempt};
    message.state = state;
    if (code != Code::kOk) message.failure = {static_cast<std::int32_t>(code), "the file is damaged", "", ""};
    master_->on_message(message);
  }
  // Until nothing is left to be cancelled or to happen.
  void settle() {
    while (!host_.cancelled.empty() || !host_.later.empty()) {
      for (const control::TaskAddress& task : std::exchange(host_.cancelled, {})) {
        control::TaskStateChanged message;
        message.task = task;
        message.state = AttemptState::kCanceled;
        master_->on_message(message);
      }
      host_.run_later();
    }
  }

  std::vector<std::int64_t> restored_from() const {
    std::vector<std::int64_t> all;
    for (const auto& [subtask, task] : host_.deployed) all.push_back(task.checkpoint);
    return all;
  }
  std::vector<std::uint32_t> attempts() const {
    std::vector<std::uint32_t> all;
    for (const auto& [subtask, task] : host_.deployed) all.push_back(task.attempt);
    return all;
  }

  FakeHost host_;
  std::string directory_;
  std::shared_ptr<JobMaster> master_;
};

TEST_F(RestoreTest, AfterARescalingADamagedCheckpointIsPassedOverByAllRegions) {
  start(2);
  tell(0, AttemptState::kRunning);
  tell(1, AttemptState::kFailed, Code::kCorrupt);
  settle();
  EXPECT_EQ(master_->state(), control::JobState::kRunning);
  EXPECT_THAT(restored_from(), ElementsAre(1, 1, 1));
  EXPECT_THAT(attempts(), ElementsAre(1, 1, 1));
}

TEST_F(RestoreTest, AtTheSameParallelismOnlyTheRegionThatCannotReadItGoesBack) {
  start(3);
  tell(0, AttemptState::kRunning);
  tell(1, AttemptState::kFailed, Code::kCorrupt);
  settle();
  EXPECT_THAT(restored_from(), ElementsAre(2, 1, 2));
  EXPECT_THAT(attempts(), ElementsAre(0, 1, 0));
}

TEST_F(RestoreTest, AFailureOfAnotherKindGoesBackToTheSameCheckpoint) {
  start(2);
  tell(0, AttemptState::kRunning);
  tell(1, AttemptState::kFailed, Code::kIo);
  settle();
  EXPECT_THAT(restored_from(), ElementsAre(2, 2, 2));
  EXPECT_THAT(attempts(), ElementsAre(0, 1, 0));
}

TEST_F(RestoreTest, WithoutACheckpointThatCanBeReadTheJobFailsInsteadOfBeginningAnew) {
  start(2);
  for (int checkpoint = 0; checkpoint < 2; ++checkpoint) {
    tell(1, AttemptState::kFailed, Code::kCorrupt);
    settle();
  }
  EXPECT_EQ(master_->state(), control::JobState::kFailed);
  EXPECT_THAT(restored_from(), ElementsAre(1, 1, 1));
}

}  // namespace
}  // namespace drey::cluster
