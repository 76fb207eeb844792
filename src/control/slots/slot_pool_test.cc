#include "control/slots/slot_pool.h"

#include <gtest/gtest.h>

namespace drey::control {
namespace {

const JobId kFirst = JobId::from_halves(0, 1);
const JobId kSecond = JobId::from_halves(0, 2);

SlotPool two_by_two() {
  SlotPool pool(LoadBalance::kSlots);
  pool.add_task_manager("a", 2);
  pool.add_task_manager("b", 2);
  return pool;
}

TEST(SlotPool, RequestsAreMetWholeInTheirOrder) {
  SlotPool pool = two_by_two();
  pool.request(kFirst, 5, {10});
  pool.request(kSecond, 3, {20});
  auto grants = pool.grant();
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].job, kSecond);
  EXPECT_EQ(grants[0].slots.size(), 3u);
  ASSERT_EQ(pool.waiting().size(), 1u);
  EXPECT_EQ(pool.waiting()[0].since, Ticks{10});
  EXPECT_EQ(pool.free(), 1);
  EXPECT_EQ(pool.within_reach(kSecond), 4);
  EXPECT_EQ(pool.within_reach(kFirst), 1);
  // A later request of the same job takes the place of the first.
  pool.request(kFirst, 1, {30});
  grants = pool.grant();
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].job, kFirst);
  EXPECT_TRUE(pool.waiting().empty());
  EXPECT_EQ(pool.free(), 0);
}

TEST(SlotPool, ReleasedSlotsAreFreeAndLostOnesGone) {
  SlotPool pool = two_by_two();
  pool.request(kFirst, 4, {0});
  ASSERT_EQ(pool.grant().size(), 1u);
  pool.request(kSecond, 2, {1});
  EXPECT_TRUE(pool.grant().empty());
  EXPECT_EQ(pool.remove_task_manager("b"), std::set<JobId>{kFirst});
  EXPECT_EQ(pool.remove_task_manager("b"), std::set<JobId>{});
  EXPECT_EQ(pool.total(), 2);
  pool.release(kFirst);
  EXPECT_EQ(pool.free(), 2);
  ASSERT_EQ(pool.grant().size(), 1u);
  EXPECT_EQ(pool.owners("a"), (std::vector<JobId>{kSecond, kSecond}));
  // Whoever releases waits for nothing any more.
  pool.request(kSecond, 1, {2});
  pool.release(kSecond);
  EXPECT_TRUE(pool.waiting().empty());
}

}  // namespace
}  // namespace drey::control
