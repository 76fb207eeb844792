#include "operators/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drey::operators {
namespace {

using graph::Changes;
using graph::Partitioner;
using graph::Role;
using testing::AllOf;
using testing::HasSubstr;

// rows -> times -(hash)-> hourly -> out
class KindsTest : public testing::Test {
 protected:
  void SetUp() override {
    add_builtin_kinds(registry_);
    registry_.add(declare<NoOptions>({
        .name = "test.upserts",
        .doc = "",
        .traits = {.produces = Changes::kAll},
        .make_operator = [](OperatorContext&, const NoOptions&) { return std::unique_ptr<Operator>(); },
    }));
    add(DREY_KIND_GENERATOR, "rows", {"k:l;t:tsm:UTC"});
    add(DREY_KIND_WATERMARKS, "times", {"k:l;t:tsm:UTC"}, {{"time_column", "1"}});
    add(DREY_KIND_WINDOW, "hourly", {"k:l;n:l"}, {{"size_ms", "3600000"}});
    add(DREY_KIND_PRINT, "out", {});
    graph_.operators[0].has_code = graph_.operators[2].has_code = true;
    graph_.edges = {{0, 0, 1, 0, Partitioner::kForward, {}},
                    {1, 0, 2, 0, Partitioner::kHash, {0}},
                    {2, 0, 3, 0, Partitioner::kForward, {}}};
  }
  void add(const char* kind, const char* name, std::vector<std::string> outputs,
           std::map<std::string, std::string> options = {}) {
    graph::OperatorNode node;
    node.number = static_cast<std::uint32_t>(graph_.operators.size());
    node.kind = kind;
    node.name = name;
    node.outputs = std::move(outputs);
    node.options = std::move(options);
    graph_.operators.push_back(std::move(node));
  }
  graph::OperatorNode& node(std::size_t number) { return graph_.operators[number]; }
  // What is wrong with it; empty: nothing.
  std::string problem() {
    graph::JobGraph graph = graph_;
    const Status status = registry_.check(graph);
    EXPECT_TRUE(status.ok() || status.code() == Code::kInvalidArgument);
    return status.message();
  }
  std::string problem_with(std::size_t number, const char* option, const char* value) {
    const auto before = node(number).options;
    node(number).options[option] = value;
    const std::string found = problem();
    node(number).options = before;
    return found;
  }

  Registry registry_;
  graph::JobGraph graph_;
};

TEST_F(KindsTest, CodeThatHearsOfCompleteCheckpointsGetsAFinalOne) {
  graph::JobGraph graph = graph_;
  ASSERT_TRUE(registry_.check(graph).ok());
  EXPECT_FALSE(graph::commits_on_completion(graph));
  graph = graph_;
  graph.operators[2].traits.commits_on_completion = true;  // as the program's functions say
  ASSERT_TRUE(registry_.check(graph).ok());
  EXPECT_TRUE(graph::commits_on_completion(graph));
  registry_.note_traits(graph);
  EXPECT_TRUE(graph::commits_on_completion(graph));
}

TEST_F(KindsTest, TraitsAreNotedInTheNodes) {
  ASSERT_EQ(problem(), "");
  ASSERT_TRUE(registry_.check(graph_).ok());
  EXPECT_EQ(node(0).traits.role, Role::kSource);
  EXPECT_TRUE(node(1).traits.gives_event_time);
  EXPECT_TRUE(node(2).traits.is_keyed);
  EXPECT_EQ(node(3).traits.role, Role::kSink);
}

TEST_F(KindsTest, AKindThatIsUnknownIsRefusedWithTheNearest) {
  node(3).kind = "sink.prints";
  EXPECT_THAT(problem(), AllOf(HasSubstr("'out'"), HasSubstr("sink.prints"), HasSubstr("did you mean sink.print?")));
}

TEST_F(KindsTest, AnOptionThatIsUnknownIsRefusedWithTheNearest) {
  EXPECT_THAT(problem_with(2, "size", "1"),
              AllOf(HasSubstr("'hourly' (window)"), HasSubstr("size"), HasSubstr("did you mean size_ms?")));
  EXPECT_THAT(problem_with(0, "row", "1"), HasSubstr("did you mean rows?"));
}

TEST_F(KindsTest, NegativeTimesAndCountsAreRefusedByOperatorAndValue) {
  const auto refused = [&](std::size_t number, const char* option, const char* value) {
    EXPECT_THAT(problem_with(number, option, value), AllOf(HasSubstr("'" + node(number).name + "'"), HasSubstr(option),
                                                           HasSubstr(std::string("value=") + value)));
  };
  refused(0, "rows", "-5");
  refused(0, "rate", "-1");
  refused(0, "rate", "nan");
  refused(0, "rate", "inf");
  refused(1, "out_of_orderness_ms", "-5000");
  refused(1, "idle_timeout_ms", "-1");
  refused(1, "time_column", "-2");
  refused(2, "allowed_lateness_ms", "-3600000");
  refused(2, "size_ms", "0");
  refused(2, "trigger", "count:0");
  refused(2, "trigger", "continuous_event_time:-1");
  refused(2, "accumulate", "lists");
}

TEST_F(KindsTest, RatesMayBeFractionsAndHuge) {
  for (const char* rate : {"0.5", "2.5", "1e17", "1e+17", "100000000000000000", "1e300", "0"})
    EXPECT_EQ(problem_with(0, "rate", rate), "") << rate;
}

TEST_F(KindsTest, WindowsWithoutAMeaningAreRefused) {
  EXPECT_THAT(problem_with(2, "size_ms", "9223372036854775807"), HasSubstr("size_ms must be within"));
  EXPECT_THAT(problem_with(2, "offset_ms", "-9223372036854775808"), HasSubstr("offset_ms must be within"));
  EXPECT_THAT(problem_with(2, "offset_ms", "3600000"), HasSubstr("smaller than the slide"));
  EXPECT_THAT(problem_with(2, "offset_ms", "-3600000"), HasSubstr("smaller than the slide"));
  EXPECT_EQ(problem_with(2, "offset_ms", "-7200"), "");
  EXPECT_EQ(problem_with(2, "allowed_lateness_ms", "9223372036854775807"), "");  // a window that stays for ever
  node(2).options = {{"assigner", "session"}, {"gap_ms", "9223372036854775807"}};
  EXPECT_THAT(problem(), HasSubstr("gap_ms must be within"));
  node(2).options = {{"assigner", "session"}};
  EXPECT_THAT(problem(), HasSubstr("gap_ms is required"));
  node(2).options = {{"assigner", "global"}};
  EXPECT_THAT(problem(), HasSubstr("never fires without a trigger"));
  node(2).options = {};
  EXPECT_THAT(problem(), HasSubstr("size_ms is required"));
}

TEST_F(KindsTest, WhatAKindNeedsIsThere) {
  node(0).has_code = false;
  EXPECT_THAT(problem(), AllOf(HasSubstr("'rows'"), HasSubstr("no code")));
  node(0).has_code = true;
  graph_.edges[1].partitioner = Partitioner::kRebalance;
  EXPECT_THAT(problem(), AllOf(HasSubstr("'hourly'"), HasSubstr("call key_by first")));
}

TEST_F(KindsTest, OutputsFitRoleAndKind) {
  node(3).outputs = {"k:l"};
  EXPECT_THAT(problem(), AllOf(HasSubstr("'out'"), HasSubstr("a sink has no outputs")));
  node(3).outputs.clear();
  node(0).outputs.clear();
  EXPECT_THAT(problem(), AllOf(HasSubstr("'rows'"), HasSubstr("a source has an output")));
  node(0).outputs = {"k:l;t:l"};
  EXPECT_THAT(problem(), AllOf(HasSubstr("'times'"), HasSubstr("time_column")));
  node(0).outputs = {"k:l;t:tsm:UTC;more:l"};
  EXPECT_THAT(problem(),
              AllOf(HasSubstr("'times'"), HasSubstr("is declared as k:l;t:tsm:UTC and is k:l;t:tsm:UTC;more:l")));
  node(1).outputs.clear();  // left to the kind
  ASSERT_EQ(problem(), "");
  ASSERT_TRUE(registry_.check(graph_).ok());
  EXPECT_THAT(node(1).outputs, testing::ElementsAre("k:l;t:tsm:UTC;more:l"));
  node(0).outputs = {"no schema"};
  EXPECT_THAT(problem(), AllOf(HasSubstr("'rows'"), HasSubstr("output 0")));
}

TEST_F(KindsTest, LateRowsNeedTheirSideOutput) {
  EXPECT_THAT(problem_with(2, "late_output", "1"), HasSubstr("late_output names no side output: value=1"));
  node(2).outputs = {"k:l;n:l", "k:l"};
  EXPECT_THAT(problem_with(2, "late_output", "1"), HasSubstr("output 1 is declared as k:l"));
  node(2).outputs = {"k:l;n:l", "k:l;t:tsm:UTC"};
  EXPECT_EQ(problem_with(2, "late_output", "1"), "");
}

TEST_F(KindsTest, InputsThatAKindDoesNotHaveAreRefused) {
  graph_.edges.push_back({0, 0, 3, 1, Partitioner::kForward, {}});
  EXPECT_THAT(problem(), AllOf(HasSubstr("'out'"), HasSubstr("no input 1")));
}

// Retractions pass watermarks and end at a sink that takes them; a window would count them as rows.
TEST_F(KindsTest, RetractionsGoOnlyWhereTheyAreTaken) {
  add("test.upserts", "upserts", {"k:l;t:tsm:UTC"});
  graph_.edges = {{0, 0, 4, 0, Partitioner::kForward, {}},
                  {4, 0, 1, 0, Partitioner::kForward, {}},
                  {1, 0, 3, 0, Partitioner::kForward, {}},
                  {0, 0, 2, 0, Partitioner::kHash, {0}}};
  EXPECT_EQ(problem(), "");
  graph_.edges.push_back({1, 0, 2, 0, Partitioner::kHash, {0}});
  EXPECT_THAT(problem(), AllOf(HasSubstr("'hourly'"), HasSubstr("'times' also retracts rows")));
}

TEST_F(KindsTest, ABrokenGraphIsNoReasonToCrash) {
  add(DREY_KIND_WATERMARKS, "alone", {"k:l;t:tsm:UTC"});
  graph_.edges.push_back({4, 0, 3, 0, Partitioner::kForward, {}});  // from an operator without an input
  graph_.edges.push_back({17, 0, 1, 0, Partitioner::kForward, {}});
  graph_.edges.push_back({1, 3, 99, 0, Partitioner::kForward, {}});
  graph_.edges.push_back({1, 3, 3, 0, Partitioner::kForward, {}});
  graph_.edges.push_back({2, 0, 1, 0, Partitioner::kForward, {}});  // a cycle
  EXPECT_EQ(problem(), "");                                         // graph::resolve() names them
}

}  // namespace
}  // namespace drey::operators
