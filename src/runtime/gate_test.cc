#include "runtime/gate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "env/env.h"
#include "env/notifier.h"

namespace drey::runtime {
namespace {

using Kind = Gate::Event::Kind;

Item item_of(Item::Kind kind, std::int64_t value) {
  Item item;
  item.kind = kind;
  item.value = value;
  return item;
}

Item barrier(std::int64_t checkpoint) {
  Item item;
  item.kind = Item::Kind::kBarrier;
  item.barrier = std::make_shared<control::Barrier>(control::Barrier{.checkpoint_id = checkpoint});
  return item;
}

class GateTest : public testing::Test {
 protected:
  void make(std::size_t channels, bool exactly_once = true) {
    std::vector<InputChannel> inputs;
    for (std::size_t i = 0; i < channels; ++i) {
      if (channels_.size() == i) channels_.push_back(std::make_shared<Channel>(1 << 20));
      inputs.push_back({channels_[i], 0, 0});
    }
    gate_ = std::make_unique<Gate>(std::move(inputs), exactly_once, [this] { ++wakes_; });
  }
  void push_rows(std::size_t channel, std::int64_t value) {
    static const data::Schema schema = *data::Schema::parse("v:l");
    data::BatchBuilder builder(schema, 1, pool_);
    builder.values<std::int64_t>(0)[0] = value;
    builder.abi().rows = 1;
    Item item;
    item.batch = builder.build();
    channels_[channel]->push(std::move(item));
  }
  // Values of the batches up to the next event of another kind, which ends up in last_.
  std::vector<std::int64_t> rows() {
    std::vector<std::int64_t> out;
    while ((last_ = gate_->next({})).kind == Kind::kBatch) {
      out.push_back(last_.batch->values<std::int64_t>(0)[0]);
      gate_->finish(last_);
    }
    return out;
  }

  data::BlockPool pool_;
  std::vector<std::shared_ptr<Channel>> channels_;
  std::unique_ptr<Gate> gate_;
  Gate::Event last_;
  int wakes_ = 0;
};

using Values = std::vector<std::int64_t>;

TEST_F(GateTest, TakesChannelsInTurn) {
  make(3);
  for (const std::int64_t v : {1, 2, 3}) push_rows(0, v);
  push_rows(2, 30);
  push_rows(2, 31);
  EXPECT_EQ(rows(), (Values{1, 30, 2, 31, 3}));
  EXPECT_EQ(last_.kind, Kind::kNone);
}

TEST_F(GateTest, FindsWhatWasPushedBeforeItWasMade) {
  channels_ = {std::make_shared<Channel>(1 << 20), std::make_shared<Channel>(1 << 20)};
  push_rows(1, 5);
  make(2);
  EXPECT_EQ(rows(), Values{5});
}

TEST_F(GateTest, WakesOnceForWhatItHasNotSeenYet) {
  make(2);
  push_rows(0, 1);
  push_rows(0, 2);
  EXPECT_EQ(wakes_, 1);
  push_rows(1, 3);
  EXPECT_EQ(wakes_, 2);
  EXPECT_EQ(rows().size(), 3u);
  push_rows(1, 4);
  EXPECT_EQ(wakes_, 3);
  EXPECT_EQ(rows(), Values{4});
}

TEST_F(GateTest, AChannelWhoseBarrierHasComeWaitsForTheOthers) {
  make(3);
  channels_[0]->push(barrier(1));
  for (const std::int64_t v : {10, 11}) push_rows(0, v);
  push_rows(1, 20);
  EXPECT_EQ(rows(), Values{20});
  channels_[1]->push(barrier(1));
  push_rows(2, 30);
  push_rows(1, 21);
  EXPECT_EQ(rows(), Values{30});
  EXPECT_EQ(last_.kind, Kind::kNone);
  channels_[2]->push(barrier(1));
  push_rows(2, 31);
  EXPECT_EQ(rows(), Values{});
  ASSERT_EQ(last_.kind, Kind::kBarrier);
  EXPECT_EQ(last_.barrier.complete->checkpoint_id, 1);
  Values after = rows();
  std::sort(after.begin(), after.end());
  EXPECT_EQ(after, (Values{10, 11, 21, 31}));
}

TEST_F(GateTest, AnAbortedCheckpointFreesItsChannels) {
  make(2);
  channels_[0]->push(barrier(1));
  push_rows(0, 10);
  EXPECT_EQ(rows(), Values{});
  gate_->aligner().abort(1);
  EXPECT_EQ(rows(), Values{10});
}

TEST_F(GateTest, ANewerBarrierFreesTheChannelsOfTheOlderOne) {
  make(3);
  channels_[0]->push(barrier(1));
  push_rows(0, 10);
  EXPECT_EQ(rows(), Values{});
  channels_[1]->push(barrier(2));
  push_rows(1, 20);
  EXPECT_EQ(rows(), Values{});
  ASSERT_EQ(last_.kind, Kind::kBarrier);
  EXPECT_EQ(last_.barrier.abandoned, 1);
  EXPECT_EQ(rows(), Values{10});
  channels_[0]->push(barrier(2));
  channels_[2]->push(barrier(2));
  EXPECT_EQ(rows(), Values{});
  ASSERT_EQ(last_.kind, Kind::kBarrier);
  EXPECT_EQ(last_.barrier.complete->checkpoint_id, 2);
  EXPECT_EQ(rows(), Values{20});
}

TEST_F(GateTest, AtLeastOnceBlocksNothing) {
  make(2, false);
  channels_[0]->push(barrier(1));
  push_rows(0, 10);
  EXPECT_EQ(rows(), Values{10});
}

TEST_F(GateTest, TheWatermarkIsThatOfTheSlowestChannelThatIsNotIdle) {
  make(2);
  channels_[0]->push(item_of(Item::Kind::kWatermark, 100));
  EXPECT_EQ(gate_->next({}).kind, Kind::kNone);
  channels_[1]->push(item_of(Item::Kind::kWatermark, 50));
  Gate::Event event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kWatermark);
  EXPECT_EQ(event.watermark, 50);
  channels_[1]->push(item_of(Item::Kind::kIdle, 1));
  event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kWatermark);
  EXPECT_EQ(event.watermark, 100);
}

TEST_F(GateTest, WhenAllAreIdleTheOneThatCameFurthestCounts) {
  make(2);
  channels_[0]->push(item_of(Item::Kind::kWatermark, 100));
  channels_[1]->push(item_of(Item::Kind::kWatermark, 50));
  EXPECT_EQ(gate_->next({}).watermark, 50);
  channels_[0]->push(item_of(Item::Kind::kIdle, 1));
  EXPECT_EQ(gate_->next({}).kind, Kind::kNone);
  channels_[1]->push(item_of(Item::Kind::kIdle, 1));
  Gate::Event event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kIdle);
  EXPECT_TRUE(event.idle);
  EXPECT_EQ(event.watermark, 100);
  // Back, but behind: time does not go back.
  channels_[1]->push(item_of(Item::Kind::kIdle, 0));
  event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kIdle);
  EXPECT_FALSE(event.idle);
  EXPECT_EQ(event.watermark, 100);
  channels_[1]->push(item_of(Item::Kind::kWatermark, 120));
  event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kWatermark);
  EXPECT_EQ(event.watermark, 120);
}

TEST_F(GateTest, TheEndOfOneChannelIsNotTheEndOfTimeForAnIdleOne) {
  make(2);
  channels_[0]->push(item_of(Item::Kind::kWatermark, 10));
  channels_[0]->push(item_of(Item::Kind::kIdle, 1));
  EXPECT_EQ(gate_->next({}).kind, Kind::kNone);
  channels_[1]->push(item_of(Item::Kind::kWatermark, 50));
  EXPECT_EQ(gate_->next({}).watermark, 50);
  channels_[1]->push(item_of(Item::Kind::kWatermark, kMaxWatermark));
  Gate::Event event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kIdle);
  EXPECT_TRUE(event.idle);
  EXPECT_EQ(event.watermark, 50);
  channels_[0]->push(item_of(Item::Kind::kIdle, 0));
  channels_[0]->push(item_of(Item::Kind::kWatermark, 60));
  EXPECT_FALSE(gate_->next({}).idle);
  event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kWatermark);
  EXPECT_EQ(event.watermark, 60);
}

TEST_F(GateTest, AnIdleChannelThatEndsEndsTime) {
  make(1);
  channels_[0]->push(item_of(Item::Kind::kIdle, 1));
  EXPECT_TRUE(gate_->next({}).idle);
  channels_[0]->push(item_of(Item::Kind::kWatermark, kMaxWatermark));
  const Gate::Event event = gate_->next({});
  ASSERT_EQ(event.kind, Kind::kIdle);
  EXPECT_FALSE(event.idle);
  EXPECT_EQ(event.watermark, kMaxWatermark);
}

// One consumer that sleeps when it finds nothing, three producers: a lost wake-up would hang the
// test.
TEST_F(GateTest, MissesNothingOfSeveralThreads) {
  constexpr std::int64_t kItems = 30'000;
  env::Notifier notifier;
  for (int i = 0; i < 3; ++i) channels_.push_back(std::make_shared<Channel>(1 << 20));
  std::vector<InputChannel> inputs;
  for (const auto& channel : channels_) inputs.push_back({channel, 0, 0});
  Gate gate(std::move(inputs), true, [&] { notifier.wake(); });
  std::vector<std::unique_ptr<env::Thread>> producers;
  for (const auto& channel : channels_) {
    producers.push_back(env::start_thread("producer", [channel = channel.get()] {
      for (std::int64_t i = 1; i <= kItems; ++i) channel->push(barrier(i));
    }));
  }
  for (std::int64_t complete = 0; complete < kItems;) {
    const Gate::Event event = gate.next({});
    if (event.kind == Kind::kNone) {
      notifier.wait(Nanos(3'600'000'000'000));
    } else if (event.barrier.complete) {
      ASSERT_EQ(event.barrier.complete->checkpoint_id, ++complete);
    }
  }
}

}  // namespace
}  // namespace drey::runtime
