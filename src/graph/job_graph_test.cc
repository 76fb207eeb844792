#include "graph/job_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/binary/codec.h"

namespace drey::graph {
namespace {

OperatorNode node(std::string kind, std::string name, std::size_t outputs = 1) {
  OperatorNode n;
  n.kind = std::move(kind);
  n.name = std::move(name);
  n.outputs.assign(outputs, "a:l");
  return n;
}

// source -> map -(hash)-> sum -> sink
JobGraph sample() {
  JobGraph g;
  g.operators = {node("source.generator", "rows"), node("user", "map"), node("user", "sum"),
                 node("sink.discard", "out", 0)};
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
  other.operators.insert(other.operators.begin(), node("source.generator", "more"));
  EXPECT_EQ(operator_id_of(g, 2), operator_id_of(other, 3));
  const auto back = wire::decode<JobGraph>(wire::encode(g));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->digest(), g.digest());
}

TEST(JobGraph, RegionsAreWhatEdgesConnect) {
  JobGraph g;
  g.operators = {node("source.generator", "rows"), node("user", "map"), node("sink.discard", "out", 0)};
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

}  // namespace
}  // namespace drey::graph
