#include "control/execution/scaling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drey::control {
namespace {

using testing::HasSubstr;

graph::Plan plan(const std::vector<const char*>& groups) {
  graph::Plan out;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    graph::Vertex vertex;
    vertex.id = VertexId::from_halves(0, i + 1);
    vertex.slot_sharing_group = groups[i];
    out.vertices.push_back(vertex);
  }
  return out;
}

using Widths = std::vector<std::int32_t>;

TEST(Scaling, TakesTheUpperBoundsWhenTheyFitAndShrinksTogether) {
  const graph::Plan one = plan({"a", "a"});
  EXPECT_EQ(parallelism_within(one, {{1, 4}, {1, 2}}, 4), (Widths{4, 2}));
  EXPECT_EQ(parallelism_within(one, {{1, 4}, {1, 2}}, 9), (Widths{4, 2}));
  EXPECT_EQ(parallelism_within(one, {{1, 4}, {1, 2}}, 1), (Widths{1, 1}));
  EXPECT_EQ(parallelism_within(one, {{3, 4}, {1, 2}}, 3), (Widths{3, 2}));
  EXPECT_FALSE(parallelism_within(one, {{3, 4}, {1, 2}}, 2).has_value());
  // Groups add up.
  EXPECT_EQ(parallelism_within(plan({"a", "b"}), {{1, 4}, {1, 4}}, 5), (Widths{2, 2}));
  EXPECT_EQ(parallelism_within(plan({"a", "b"}), {{1, 4}, {1, 1}}, 5), (Widths{4, 1}));
  EXPECT_EQ(slots_for(plan({"a", "b", "a"}), {2, 3, 4}), 7);
}

TEST(Scaling, ObjectsToEveryBoundThatIsWrong) {
  const graph::Plan two = plan({"a", "a"});
  const VertexId first = two.vertices[0].id, second = two.vertices[1].id;
  EXPECT_EQ(objections_to(two, {{first, 1, 4}, {second, -1, -1}}), "");
  EXPECT_THAT(objections_to(two, {{first, 0, 0}, {second, 1, 1}}),
              HasSubstr("lower bound [0] and upper bound [0] for job vertex [" + first.to_string() +
                        "] must be greater than zero."));
  EXPECT_THAT(objections_to(two, {{first, 3, 2}, {second, 1, 1}}),
              HasSubstr("The requested lower bound [3] for job vertex [" + first.to_string() +
                        "] is higher than the upper bound [2]."));
  EXPECT_THAT(objections_to(two, {{first, 1, 129}, {second, 1, 1}}),
              HasSubstr("The newly requested parallelism 129 for the job vertex " + first.to_string() +
                        " exceeds its maximum parallelism 128."));
  EXPECT_THAT(objections_to(two, {{VertexId(), 1, 1}, {first, 1, 1}, {second, 1, 1}}),
              HasSubstr("was not found in the JobGraph."));
  const std::string many = objections_to(two, {{first, 3, 2}});
  EXPECT_THAT(many, HasSubstr("[3]"));
  EXPECT_THAT(many, HasSubstr("\nThe request is incomplete, missing job vertex [" + second.to_string() +
                              "] resource requirements."));
}

}  // namespace
}  // namespace drey::control
