#include "graph/job_graph.h"

#include <ctime>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/binary/codec.h"

namespace drey::graph {
namespace {

OperatorNode node(Role role, std::string name, std::size_t outputs = 1) {
  OperatorNode n;
  n.kind = "test";
  n.traits.role = role;
  n.name = std::move(name);
  n.outputs.assign(outputs, "a:l");
  return n;
}

// source -> map -(hash)-> sum -> sink
JobGraph sample() {
  JobGraph g;
  g.operators = {node(Role::kSource, "rows"), node(Role::kOperator, "map"), node(Role::kOperator, "sum"),
                 node(Role::kSink, "out", 0)};
  g.edges = {{0, 0, 1, 0, Partitioner::kForward, {}},
             {1, 0, 2, 0, Partitioner::kHash, {0}},
             {2, 0, 3, 0, Partitioner::kForward, {}}};
  return g;
}

TEST(JobGraph, ChainsForwardEdgesIntoVertices) {
  JobGraph g = sample();
  ASSERT_TRUE(resolve(g, 2, 0).ok());
  const Plan plan = plan_of(g);
  ASSERT_EQ(plan.vertices.size(), 2u);
  EXPECT_EQ(plan.vertices[0].name, "Source: rows -> map");
  EXPECT_EQ(plan.vertices[1].name, "sum -> out: Writer");
  EXPECT_EQ(plan.vertices[1].max_parallelism, 128);
  ASSERT_EQ(plan.edges.size(), 1u);
  EXPECT_EQ(plan.edges[0].edge, 1u);
}

TEST(JobGraph, ForwardBetweenDifferentParallelismsIsRebalance) {
  JobGraph g = sample();
  g.operators[1].parallelism = 3;
  ASSERT_TRUE(resolve(g, 1, 0).ok());
  EXPECT_EQ(g.edges[0].partitioner, Partitioner::kRebalance);
  EXPECT_EQ(plan_of(g).vertices.size(), 3u);
}

TEST(JobGraph, NamesTheOperatorThatIsWrong) {
  const auto problem = [](auto change) {
    JobGraph g = sample();
    change(g);
    return resolve(g, 1, 0).message();
  };
  EXPECT_THAT(problem([](JobGraph& g) { g.operators[1].uid = g.operators[2].uid = "u"; }),
              testing::HasSubstr("'map' and 'sum'"));
  EXPECT_THAT(problem([](JobGraph& g) {
                g.edges.push_back({2, 0, 1, 0, Partitioner::kRebalance, {}});
              }),
              testing::HasSubstr("cycle through operator 'map'"));
  EXPECT_THAT(problem([](JobGraph& g) {
                g.operators.pop_back();
                g.edges.pop_back();
              }),
              testing::HasSubstr("no sink"));
  EXPECT_THAT(problem([](JobGraph& g) {
                g.operators[2].parallelism = 200;
                g.operators[2].max_parallelism = 100;
              }),
              testing::HasSubstr("'sum'"));
  EXPECT_THAT(problem([](JobGraph& g) { g = JobGraph(); }), testing::HasSubstr("no operators"));
}

TEST(JobGraph, IdsFollowUidsAndSurviveEncoding) {
  JobGraph g = sample();
  g.operators[2].uid = "sum";
  ASSERT_TRUE(resolve(g, 1, 0).ok());
  JobGraph other = g;
  other.operators.insert(other.operators.begin(), node(Role::kSource, "more"));
  EXPECT_EQ(operator_id_of(g, 2), operator_id_of(other, 3));
  const auto back = wire::decode<JobGraph>(wire::encode(g));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->digest(), g.digest());
}

TEST(JobGraph, RegionsAreWhatEdgesConnect) {
  JobGraph g;
  g.operators = {node(Role::kSource, "rows"), node(Role::kOperator, "map"), node(Role::kSink, "out", 0)};
  g.operators[1].chaining = Chaining::kHead;
  g.edges = {{0, 0, 1, 0, Partitioner::kForward, {}}, {1, 0, 2, 0, Partitioner::kForward, {}}};
  ASSERT_TRUE(resolve(g, 3, 0).ok());
  EXPECT_EQ(regions_of(g, plan_of(g)), (std::vector<std::vector<std::uint32_t>>{{0, 1, 2}, {0, 1, 2}}));
  g.edges[0].partitioner = Partitioner::kRescale;
  g.operators[0].parallelism = 2;
  g.operators[1].parallelism = g.operators[2].parallelism = 4;
  EXPECT_EQ(regions_of(g, plan_of(g)), (std::vector<std::vector<std::uint32_t>>{{0, 1}, {0, 0, 1, 1}}));
  g.edges[0].partitioner = Partitioner::kHash;
  EXPECT_EQ(regions_of(g, plan_of(g)), (std::vector<std::vector<std::uint32_t>>{{0, 0}, {0, 0, 0, 0}}));
}

// A chain, 5,000 vertices beside each other, a fan: each is a matter of operators plus edges.
TEST(JobGraph, FiveThousandOperatorsAreResolvedAndPlannedWithinASecond) {
  constexpr std::uint32_t kCount = 5000;
  const auto graph_of = [](auto from, Partitioner partitioner) {
    JobGraph g;
    g.operators.push_back(node(Role::kSource, "rows"));
    for (std::uint32_t i = 1; i < kCount; ++i) {
      g.operators.push_back(node(Role::kOperator, "map", i + 1 < kCount ? 1 : 0));
      g.edges.push_back({from(i), 0, i, 0, partitioner, {0}});
    }
    return g;
  };
  const auto chain = [](std::uint32_t i) { return i - 1; };
  const auto fan = [](std::uint32_t) { return 0u; };
  const std::pair<JobGraph, std::size_t> graphs[] = {{graph_of(chain, Partitioner::kForward), 1},
                                                     {graph_of(chain, Partitioner::kHash), kCount},
                                                     {graph_of(fan, Partitioner::kForward), 1},
                                                     {graph_of(fan, Partitioner::kRebalance), kCount}};
  for (auto [graph, vertices] : graphs) {
    const auto before = std::clock();
    ASSERT_TRUE(resolve(graph, 4, 0).ok());
    const Plan plan = plan_of(graph);
    EXPECT_EQ(plan.vertices.size(), vertices);
    EXPECT_EQ(regions_of(graph, plan).size(), vertices);
    EXPECT_EQ(operator_ids_of(graph).size(), kCount);
    EXPECT_EQ(key_schemas_of(graph).back(), graph.edges.back().partitioner == Partitioner::kHash ? "a:l" : "");
    // Processor time, under a sanitizer too. When each operator reads all edges it is a matter of tens of seconds.
    EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC);
    EXPECT_LT(plan.vertices[0].description.size(), kCount * 330);
  }
}

TEST(JobGraph, ForkedChainsHaveFlinksNames) {
  JobGraph g;
  g.operators = {node(Role::kSource, "rows"), node(Role::kOperator, "a"), node(Role::kOperator, "b"),
                 node(Role::kSink, "out", 0), node(Role::kSink, "err", 0)};
  g.edges = {{0, 0, 1, 0, Partitioner::kForward, {}},
             {0, 0, 2, 0, Partitioner::kForward, {}},
             {1, 0, 3, 0, Partitioner::kForward, {}},
             {2, 0, 4, 0, Partitioner::kForward, {}}};
  ASSERT_TRUE(resolve(g, 1, 0).ok());
  const Plan plan = plan_of(g);
  EXPECT_EQ(plan.vertices[0].name, "Source: rows -> (a -> out: Writer, b -> err: Writer)");
  EXPECT_EQ(plan.vertices[0].description, "Source: rows\n+- a\n+- b\n   +- out: Writer\n   +- err: Writer\n");
}

}  // namespace
}  // namespace drey::graph
