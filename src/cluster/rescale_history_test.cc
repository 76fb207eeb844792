#include "cluster/rescale_history.h"

#include <gtest/gtest.h>

namespace drey::cluster {
namespace {

using gateway::RescaleCause;
using gateway::RescaleEnd;

class RescaleHistoryTest : public testing::Test {
 protected:
  RescaleHistoryTest() {
    model.history_max = 3;
    plan.vertices.resize(2);
    for (graph::Vertex& vertex : plan.vertices) vertex.parallelism = 2;
  }
  void begin(RescaleCause cause, std::int64_t at, bool runs = true) {
    history.begin(cause, plan, {{1, 4}, {1, 4}}, runs, Instant{at});
  }
  void end(RescaleEnd how, std::int64_t at, const std::string& exception = "") {
    history.end(how, plan, exception, Instant{at});
  }

  gateway::RescalesModel model;
  graph::Plan plan;
  RescaleHistory history{model, env::posix().random};
};

TEST_F(RescaleHistoryTest, SaysHowWideAJobWasToBeWasAndBecame) {
  begin(RescaleCause::kInitialSchedule, 100, false);
  end(RescaleEnd::kSucceeded, 150);
  begin(RescaleCause::kUpdateRequirement, 200);
  ASSERT_TRUE(history.is_open());
  EXPECT_EQ(model.history[0].vertices[1].desired, 4);
  EXPECT_EQ(model.history[0].vertices[1].sufficient, 1);
  EXPECT_EQ(model.history[0].vertices[1].before, 2);
  EXPECT_EQ(model.history[0].vertices[1].after, 0);
  plan.vertices[1].parallelism = 4;
  end(RescaleEnd::kSucceeded, 230);
  EXPECT_FALSE(history.is_open());
  EXPECT_EQ(model.history[0].vertices[1].after, 4);
  EXPECT_EQ(model.history[1].vertices[1].before, 0);
  EXPECT_EQ(model.completed.count, 2);
  EXPECT_EQ(model.completed.min, 30);
  EXPECT_EQ(model.completed.max, 50);
}

TEST_F(RescaleHistoryTest, WhatIsAskedForReplacesAnOpenOneAndOtherCausesGoOnWithIt) {
  begin(RescaleCause::kInitialSchedule, 100, false);
  begin(RescaleCause::kFailover, 110);
  EXPECT_EQ(model.history.size(), 1u);
  begin(RescaleCause::kUpdateRequirement, 120);
  ASSERT_EQ(model.history.size(), 2u);
  EXPECT_EQ(model.history[1].end, RescaleEnd::kRequirementsUpdated);
  EXPECT_TRUE(model.history[1].is_ignored());
  EXPECT_EQ(model.ignored.count, 1);
}

TEST_F(RescaleHistoryTest, AttemptsCountWithinOneSetOfRequirements) {
  begin(RescaleCause::kUpdateRequirement, 1);
  end(RescaleEnd::kSucceeded, 2);
  begin(RescaleCause::kNewResource, 3);
  end(RescaleEnd::kSucceeded, 4);
  EXPECT_EQ(model.history[0].attempt, 2);
  EXPECT_EQ(model.history[0].requirements, model.history[1].requirements);
  EXPECT_NE(model.history[0].id, model.history[1].id);
  begin(RescaleCause::kUpdateRequirement, 5);
  EXPECT_EQ(model.history[0].attempt, 1);
  EXPECT_NE(model.history[0].requirements, model.history[1].requirements);
}

TEST_F(RescaleHistoryTest, StagesFollowOneAnotherAndTheLastOneBearsTheException) {
  begin(RescaleCause::kUpdateRequirement, 10);
  history.enter("Executing", Instant{10});
  history.enter("Executing", Instant{11});
  history.enter("Restarting", Instant{15});
  end(RescaleEnd::kException, 20, "no slots");
  const auto& stages = model.history[0].stages;
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].left, 15);
  EXPECT_EQ(stages[0].exception, "");
  EXPECT_EQ(stages[1].left, 20);
  EXPECT_EQ(stages[1].exception, "no slots");
  EXPECT_EQ(model.failed.count, 1);
}

TEST_F(RescaleHistoryTest, OnlyWhatIsWorkedOnIsCarried) {
  history.carry();
  EXPECT_FALSE(history.is_carried());
  begin(RescaleCause::kUpdateRequirement, 1);
  EXPECT_FALSE(history.is_carried());
  history.carry();
  EXPECT_TRUE(history.is_carried());
  begin(RescaleCause::kUpdateRequirement, 2);
  EXPECT_FALSE(history.is_carried());
}

TEST_F(RescaleHistoryTest, KeepsSoManyAndCountsAll) {
  for (std::int64_t i = 0; i < 5; ++i) {
    begin(RescaleCause::kUpdateRequirement, 10 * i);
    end(RescaleEnd::kSucceeded, 10 * i + 1);
  }
  EXPECT_EQ(model.history.size(), 3u);
  EXPECT_EQ(model.history[0].began, 40);
  EXPECT_EQ(model.all.count, 5);
  gateway::RescalesModel none;
  RescaleHistory off(none, env::posix().random);
  off.begin(RescaleCause::kInitialSchedule, plan, {{1, 1}, {1, 1}}, false, Instant{1});
  EXPECT_FALSE(off.is_open());
  EXPECT_TRUE(none.history.empty());
}

}  // namespace
}  // namespace drey::cluster
