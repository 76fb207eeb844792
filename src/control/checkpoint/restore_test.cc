#include "control/checkpoint/restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drey::control {
namespace {

using testing::HasSubstr;

TEST(PartsFor, MatchesByOperatorWhateverTheChainsWere) {
  Checkpoint c;
  c.operators = {{"a", "", "", 0, 2, 128, "", true}, {"b", "", "", 1, 2, 128, "", true}};
  for (const std::uint32_t v : {0u, 1u}) {
    for (const std::uint32_t s : {0u, 1u}) {
      TaskCheckpoint part;
      part.vertex = v;
      part.subtask = s;
      part.ack.handle = "v" + std::to_string(v) + "s" + std::to_string(s);
      c.tasks.push_back(part);
    }
  }
  using Parts = std::vector<std::string>;
  EXPECT_EQ(RestorePlan(c).parts_for({"b"}, 1, 2), Parts{"v1s1"});
  EXPECT_EQ(RestorePlan(c).parts_for({"b"}, 1, 3), (Parts{"v1s0", "v1s1"}));
  EXPECT_EQ(RestorePlan(c).parts_for({"a", "b"}, 0, 2).size(), 4u);  // chained now
  EXPECT_TRUE(RestorePlan(c).parts_for({"new"}, 0, 2).empty());
  c.tasks[0].ack.has_union = true;
  EXPECT_EQ(RestorePlan(c).parts_for({"a"}, 1, 2), (Parts{"v0s0", "v0s1"}));
}

graph::JobGraph job(std::int32_t max_of_sum) {
  graph::JobGraph graph;
  for (const char* name : {"rows", "sum"}) {
    graph::OperatorNode node;
    node.kind = "test";
    node.traits.role = graph.operators.empty() ? graph::Role::kSource : graph::Role::kSink;
    node.name = node.uid = name;
    graph.operators.push_back(node);
  }
  graph.operators[1].max_parallelism = max_of_sum;
  graph.edges = {{0, 0, 1, 0, graph::Partitioner::kHash, {0}}};
  return graph;
}

Checkpoint savepoint_of(const graph::JobGraph& graph) {
  Checkpoint c;
  c.path = "/savepoints/s";
  for (std::uint32_t i = 0; i < graph.operators.size(); ++i) {
    const graph::OperatorNode& node = graph.operators[i];
    c.operators.push_back({graph::operator_id_of(graph, i).to_string(), node.uid, node.name, i, 2, 64, "", true});
  }
  return c;
}

TEST(Fit, TheMaximumParallelismOfTheStateWins) {
  graph::JobGraph graph = job(0);
  ASSERT_TRUE(fit(graph, savepoint_of(graph), false).ok());
  EXPECT_EQ(graph.operators[0].max_parallelism, 64);
  EXPECT_EQ(graph.operators[1].max_parallelism, 64);
  graph = job(128);
  const Status other = fit(graph, savepoint_of(graph), false);
  EXPECT_EQ(other.code(), Code::kInvalidArgument);
  EXPECT_THAT(other.message(), HasSubstr("'sum' asks for the maximum parallelism 128"));
}

TEST(Fit, StateThatFitsNoOperatorIsNamedAndRefusedUnlessAllowed) {
  graph::JobGraph graph = job(0);
  const Checkpoint savepoint = savepoint_of(graph);
  graph.operators[1].uid = "total";
  const Status refused = fit(graph, savepoint, false);
  EXPECT_THAT(refused.message(), HasSubstr("('sum', uid 'sum')"));
  EXPECT_THAT(refused.message(), HasSubstr("allowNonRestoredState"));
  EXPECT_TRUE(fit(graph, savepoint, true).ok());
  Checkpoint stateless = savepoint;
  stateless.operators[1].has_state = false;
  EXPECT_TRUE(fit(graph, stateless, false).ok());
}

}  // namespace
}  // namespace drey::control
