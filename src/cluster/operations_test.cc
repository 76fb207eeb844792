#include "cluster/operations.h"

#include <gtest/gtest.h>

namespace drey::cluster {
namespace {

gateway::OperationModel operation(std::uint64_t id) {
  gateway::OperationModel out;
  out.job = JobId::from_halves(1, 1);
  out.id = TriggerId::from_halves(0, id);
  return out;
}

TEST(Operations, AKnownIdStartsNothingHoweverItEnded) {
  auto store = make_memory_store(std::make_shared<StoreMemory>());
  Operations operations(*store);
  EXPECT_TRUE(*operations.begin(operation(1)));
  EXPECT_FALSE(*operations.begin(operation(1)));
  gateway::OperationModel failed = operation(1);
  failed.failure_class = "x";
  operations.end(failed, {5});
  EXPECT_FALSE(*operations.begin(operation(1)));
  EXPECT_EQ(operations.find(failed.kind, failed.job, failed.id)->failure_class, "x");
  // The same id of another kind or another job is another operation.
  gateway::OperationModel other = operation(1);
  other.kind = gateway::OperationKind::kCheckpoint;
  EXPECT_TRUE(*operations.begin(other));
  other.job = JobId::from_halves(2, 2);
  EXPECT_EQ(operations.find(other.kind, other.job, other.id), nullptr);
}

TEST(Operations, ResultsOutliveTheJobManagerAndWhatWasUnderWayHasFailed) {
  const auto memory = std::make_shared<StoreMemory>();
  {
    auto store = make_memory_store(memory);
    Operations operations(*store);
    ASSERT_TRUE(*operations.begin(operation(1)));
    ASSERT_TRUE(*operations.begin(operation(2)));
    gateway::OperationModel done = operation(1);
    done.location = "file:/s/1";
    operations.end(done, {5});
  }
  auto store = make_memory_store(memory);
  Operations operations(*store);
  ASSERT_TRUE(operations.load({9}).ok());
  const gateway::OperationModel wanted = operation(1);
  EXPECT_EQ(operations.find(wanted.kind, wanted.job, wanted.id)->location, "file:/s/1");
  const auto* lost = operations.find(wanted.kind, wanted.job, operation(2).id);
  EXPECT_TRUE(lost->done);
  EXPECT_NE(lost->failure.find("JobManager was restarted"), std::string::npos);
}

TEST(Operations, OfManyResultsTheOldestGo) {
  const auto memory = std::make_shared<StoreMemory>();
  auto store = make_memory_store(memory);
  Operations operations(*store);
  for (std::uint64_t i = 1; i <= 10'001; ++i) {
    ASSERT_TRUE(*operations.begin(operation(i)));
    operations.end(operation(i), {1});
  }
  EXPECT_EQ(memory->operations.size(), 10'000u);
  EXPECT_EQ(operations.find(gateway::OperationKind::kSavepoint, operation(1).job, operation(1).id), nullptr);
  EXPECT_NE(operations.find(gateway::OperationKind::kSavepoint, operation(1).job, operation(2).id), nullptr);
}

}  // namespace
}  // namespace drey::cluster
