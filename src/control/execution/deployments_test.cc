#include "control/execution/deployments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drey::control {
namespace {

using testing::ElementsAre;

// A source and a sink without an edge in the plan: each subtask is a region of its own.
class DeploymentsTest : public testing::Test {
 protected:
  DeploymentsTest() {
    for (const char* name : {"source", "sink"}) {
      graph::Vertex vertex;
      vertex.name = name;
      vertex.parallelism = 2;
      vertex.slot_sharing_group = "default";
      vertex.operators = {static_cast<std::uint32_t>(plan_.vertices.size())};
      plan_.vertices.push_back(vertex);
      graph::OperatorNode node;
      node.uid = name;
      job_.operators.push_back(node);
    }
    ExecutionOptions options;
    options.regions = [](const graph::Plan&) { return std::vector<std::vector<std::uint32_t>>{{0, 1}, {0, 1}}; };
    auto strategy = make_restart_strategy({}, false, 1);
    graph_ = std::make_unique<ExecutionGraph>(plan_, std::move(strategy).value(), Instant{1}, options);
    static_cast<void>(graph_->start(Instant{2}));
    static_cast<void>(
        graph_->on_slots({{{"tm1", "h1", 1}, {"tm2", "h2", 2}}, {{"tm1", "h1", 1}, {"tm2", "h2", 2}}}, Instant{3}));
    deployments_.resize(*graph_);
  }

  std::map<std::string, Deploy> deploy(std::uint64_t incarnation, std::vector<std::uint32_t> regions,
                                       const Checkpoint* checkpoint = nullptr) {
    Deployment deployment;
    deployment.common.incarnation = incarnation;
    deployment.common.graph = job_;
    deployment.regions = std::move(regions);
    deployment.checkpoint = checkpoint;
    deployment.slot_of = [](std::uint32_t, std::uint32_t subtask) { return 10 + subtask; };
    return deployments_.deploy(*graph_, deployment);
  }

  graph::JobGraph job_;
  graph::Plan plan_;
  std::unique_ptr<ExecutionGraph> graph_;
  Deployments deployments_;
};

TEST_F(DeploymentsTest, EachTaskManagerGetsItsTasksAndKnowsWhereAllOthersAre) {
  const auto messages = deploy(1, {0, 1});
  ASSERT_EQ(messages.size(), 2u);
  const Deploy& second = messages.at("tm2");
  ASSERT_EQ(second.tasks.size(), 2u);
  EXPECT_EQ(second.tasks[1].vertex, 1u);
  EXPECT_EQ(second.tasks[1].subtask, 1u);
  EXPECT_EQ(second.tasks[1].slot, 11u);
  EXPECT_EQ(second.placement.hosts[second.me].first, "h2");
  EXPECT_THAT(second.placement.task_managers, ElementsAre(ElementsAre(0u, 1u), ElementsAre(0u, 1u)));
}

TEST_F(DeploymentsTest, ARegionHasItsOwnIncarnationAndTheOthersKeepTheirs) {
  EXPECT_EQ(deployments_.incarnation_of(0, 0), 0u);
  deploy(1, {0, 1});
  const auto messages = deploy(2, {1});
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_THAT(messages.at("tm2").placement.task_managers[0], ElementsAre(Placement::kNotHere, 0u));
  EXPECT_TRUE(deployments_.is_current({{}, 1, 0, 0, 0}));
  EXPECT_FALSE(deployments_.is_current({{}, 1, 0, 1, 0}));
  EXPECT_TRUE(deployments_.is_current({{}, 2, 1, 1, 0}));
  EXPECT_FALSE(deployments_.is_current({{}, 2, 7, 0, 0}));
  EXPECT_THAT(deployments_.targets(*graph_), ElementsAre(std::pair<std::string, std::uint64_t>("tm1", 1),
                                                         std::pair<std::string, std::uint64_t>("tm2", 2)));
}

TEST_F(DeploymentsTest, TheCheckpointIsRememberedWhileTasksOfTheDeploymentAreThere) {
  Checkpoint checkpoint;
  checkpoint.id = 7;
  checkpoint.operators = {{graph::operator_id_of(job_, 0).to_string(), "source", "", 0, 2, 128, "", true}};
  for (std::uint32_t s = 0; s < 2; ++s) {
    TaskCheckpoint part;
    part.subtask = s;
    part.ack.handle = "part " + std::to_string(s);
    checkpoint.tasks.push_back(part);
  }
  const auto messages = deploy(1, {0, 1}, &checkpoint);
  EXPECT_THAT(messages.at("tm2").tasks[0].restore, ElementsAre("part 1"));
  EXPECT_THAT(messages.at("tm2").tasks[1].restore, ElementsAre());
  EXPECT_EQ(deployments_.restored_from(1), 7);
  deploy(2, {0, 1});
  EXPECT_EQ(deployments_.restored_from(2), std::nullopt);
  deploy(3, {0, 1});
  EXPECT_EQ(deployments_.restored_from(1), std::nullopt);
}

TEST(SlotsOfSubtasks, GroupsComeOneAfterAnother) {
  graph::Plan plan;
  for (const auto& [group, width] : {std::pair("a", 2), std::pair("b", 1), std::pair("a", 3)}) {
    graph::Vertex vertex;
    vertex.slot_sharing_group = group;
    vertex.parallelism = width;
    plan.vertices.push_back(vertex);
  }
  EXPECT_THAT(slots_of_subtasks(plan), ElementsAre(ElementsAre(0u, 1u), ElementsAre(3u), ElementsAre(0u, 1u, 2u)));
}

}  // namespace
}  // namespace drey::control
