#include "control/checkpoint/barrier_aligner.h"

#include <gtest/gtest.h>

namespace drey::control {
namespace {

TEST(BarrierAligner, HoldsAnInputUntilEveryBarrierArrived) {
  BarrierAligner aligner(3, true);
  EXPECT_FALSE(aligner.on_barrier(1, {5, 0}, {100}).complete);
  EXPECT_TRUE(aligner.is_blocked(1));
  EXPECT_FALSE(aligner.is_blocked(0));
  aligner.on_bytes(10);
  EXPECT_FALSE(aligner.on_barrier(0, {5, 0}, {150}).complete);
  const auto last = aligner.on_barrier(2, {5, 0}, {170});
  ASSERT_TRUE(last.complete);
  EXPECT_EQ(last.alignment.duration.count(), 70);
  EXPECT_EQ(last.alignment.processed_bytes, 10u);
  EXPECT_FALSE(aligner.is_blocked(1));
}

TEST(BarrierAligner, AnEndedChannelCountsAsABarrier) {
  BarrierAligner aligner(2, true);
  aligner.on_barrier(0, {1, 0}, {});
  EXPECT_TRUE(aligner.on_end(1, {}).complete);
  EXPECT_TRUE(aligner.on_barrier(0, {2, 0}, {}).complete);
}

TEST(BarrierAligner, ANewerBarrierGivesTheOlderOneUp) {
  BarrierAligner aligner(2, true);
  aligner.on_barrier(0, {1, 0}, {});
  EXPECT_EQ(aligner.on_barrier(1, {2, 0}, {}).abandoned, 1);
  EXPECT_FALSE(aligner.is_blocked(0));
  EXPECT_FALSE(aligner.on_barrier(1, {1, 0}, {}).complete);
  EXPECT_TRUE(aligner.on_barrier(0, {2, 0}, {}).complete);
}

TEST(BarrierAligner, AbortUnblocksAndLateBarriersAreIgnored) {
  BarrierAligner aligner(2, true);
  aligner.on_barrier(0, {1, 0}, {});
  aligner.abort(1);
  EXPECT_FALSE(aligner.is_blocked(0));
  EXPECT_FALSE(aligner.on_barrier(1, {1, 0}, {}).complete);
  EXPECT_FALSE(aligner.pending());
}

TEST(BarrierAligner, AtLeastOnceBlocksNothing) {
  BarrierAligner aligner(2, false);
  aligner.on_barrier(0, {1, 0}, {});
  EXPECT_FALSE(aligner.is_blocked(0));
  EXPECT_TRUE(aligner.on_barrier(1, {1, 0}, {}).complete);
}

}  // namespace
}  // namespace drey::control
