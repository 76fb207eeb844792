#include "control/slots/slot_matching.h"

#include <gtest/gtest.h>

namespace drey::control {
namespace {

using Slots = std::vector<ChosenSlot>;

TEST(SlotMatching, SpreadsOverTaskManagersByTheShareThatIsTaken) {
  EXPECT_EQ(choose_slots({{true, true}, {true, true}}, 3, LoadBalance::kSlots), (Slots{{0, 0}, {1, 0}, {0, 1}}));
  // One of two is taken here, none of four there.
  EXPECT_EQ(choose_slots({{false, true}, {true, true, true, true}}, 3, LoadBalance::kTasks),
            (Slots{{1, 0}, {1, 1}, {0, 1}}));
}

TEST(SlotMatching, TakesFewTaskManagersWhenNotBalanced) {
  EXPECT_EQ(choose_slots({{true, true, true}, {true, true}}, 2, LoadBalance::kNone), (Slots{{1, 0}, {1, 1}}));
  EXPECT_EQ(choose_slots({{true}, {true, true, true}, {true, true}}, 5, LoadBalance::kNone),
            (Slots{{1, 0}, {1, 1}, {1, 2}, {2, 0}, {2, 1}}));
}

TEST(SlotMatching, AllOrNothing) {
  EXPECT_TRUE(choose_slots({{true, false}, {true}}, 3, LoadBalance::kSlots).empty());
  EXPECT_TRUE(choose_slots({}, 1, LoadBalance::kNone).empty());
  EXPECT_EQ(choose_slots({{true, false}, {true}}, 2, LoadBalance::kSlots).size(), 2u);
}

}  // namespace
}  // namespace drey::control
