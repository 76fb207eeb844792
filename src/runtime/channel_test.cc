#include "runtime/channel.h"

#include <gtest/gtest.h>

#include "env/env.h"
#include "env/notifier.h"

namespace drey::runtime {
namespace {

const data::Schema& one_column() {
  static const data::Schema schema = *data::Schema::parse("v:l");
  return schema;
}

// `rows` times `value`, 8 bytes each.
Item batch(std::int64_t value, std::uint32_t rows, data::BlockPool& pool) {
  data::BatchBuilder builder(one_column(), rows, pool);
  for (std::uint32_t i = 0; i < rows; ++i) builder.values<std::int64_t>(0)[i] = value;
  builder.abi().rows = rows;
  Item item;
  item.batch = builder.build();
  return item;
}

Channel::SharedWake told(std::function<void()> wake) {
  return std::make_shared<const Channel::Wake>([wake = std::move(wake)](std::uint32_t) { wake(); });
}

Item watermark(std::int64_t value) {
  Item item;
  item.kind = Item::Kind::kWatermark;
  item.value = value;
  return item;
}

TEST(Channel, KeepsTheOrderAroundTheEndOfTheRingAndInRingsThatGrow) {
  Channel channel(1000);
  std::int64_t pushed = 0;
  std::int64_t popped = 0;
  // Rises above the slots three times (16, then 32, then 64), and is empty in between.
  for (const int queued : {3, 16, 1, 20, 0, 60, 5, 200, 0}) {
    while (pushed - popped < queued) channel.push(watermark(pushed++));
    EXPECT_EQ(channel.queued_items(), static_cast<std::size_t>(pushed - popped));
    while (pushed - popped > queued / 2) {
      Item item;
      ASSERT_TRUE(channel.pop(item));
      ASSERT_EQ(item.value, popped++);
    }
  }
  Item item;
  while (channel.pop(item)) ASSERT_EQ(item.value, popped++);
  EXPECT_EQ(popped, pushed);
  EXPECT_TRUE(channel.is_empty());
}

TEST(Channel, DropsWhatNobodyTookWithItsRings) {
  data::BlockPool pool;  // checks at its end that all blocks are back
  Channel channel(1000);
  for (int i = 0; i < 50; ++i) channel.push(batch(i, 4, pool));
  Item item = batch(50, 4, pool);
  EXPECT_TRUE(channel.push_ahead(item));
}

TEST(Channel, BytesCountUntilTheConsumerHasFinishedThem) {
  data::BlockPool pool;
  Channel channel(100);
  int wakes = 0;
  channel.set_producer(told([&] { ++wakes; }));
  channel.push(batch(1, 10, pool));
  EXPECT_TRUE(channel.has_credit());
  EXPECT_FALSE(channel.wait_for_credit());
  channel.push(batch(2, 10, pool));
  EXPECT_EQ(channel.queued_bytes(), 160u);
  EXPECT_FALSE(channel.has_credit());
  EXPECT_TRUE(channel.wait_for_credit());
  Item item;
  ASSERT_TRUE(channel.pop(item));
  EXPECT_FALSE(channel.has_credit());
  channel.finish(80);
  EXPECT_TRUE(channel.has_credit());
  EXPECT_EQ(wakes, 0);  // not before half of the bound is free
  ASSERT_TRUE(channel.pop(item));
  channel.finish(80);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(channel.queued_bytes(), 0u);
}

TEST(Channel, SlotsAreABoundOfTheirOwn) {
  Channel channel(1000);
  int wakes = 0;
  channel.set_producer(told([&] { ++wakes; }));
  for (std::size_t i = 0; i < Channel::kSlots; ++i) {
    EXPECT_TRUE(channel.has_credit());
    channel.push(watermark(0));
  }
  EXPECT_FALSE(channel.has_credit());
  EXPECT_TRUE(channel.wait_for_credit());
  Item item;
  for (std::size_t left = Channel::kSlots; left > Channel::kSlots / 2; --left) {
    EXPECT_EQ(wakes, 0);
    ASSERT_TRUE(channel.pop(item));
  }
  EXPECT_EQ(wakes, 1);
}

TEST(Channel, AnEmptyOneTakesABatchOfAnySize) {
  data::BlockPool pool;
  Channel channel(1);
  EXPECT_TRUE(channel.has_credit());
  channel.push(batch(1, 10'000, pool));
  EXPECT_FALSE(channel.has_credit());
  Item item;
  ASSERT_TRUE(channel.pop(item));
  channel.finish(item.batch->bytes());
  EXPECT_TRUE(channel.has_credit());
}

TEST(Channel, WaitsForALevelOfBytes) {
  data::BlockPool pool;
  Channel channel(1000);
  int wakes = 0;
  channel.set_producer(told([&] { ++wakes; }));
  for (int i = 0; i < 3; ++i) channel.push(batch(i, 10, pool));
  EXPECT_FALSE(channel.wait_for_level(240));
  EXPECT_TRUE(channel.wait_for_level(80));
  channel.finish(80);
  EXPECT_EQ(wakes, 0);
  channel.finish(80);
  EXPECT_EQ(wakes, 1);
  channel.finish(80);
  EXPECT_EQ(wakes, 1);  // asked for once
}

TEST(Channel, WakesTheConsumerOnlyWhenItWasEmpty) {
  Channel channel(1000);
  int wakes = 0;
  channel.set_consumer(told([&] { ++wakes; }));
  channel.push(watermark(1));
  channel.push(watermark(2));
  EXPECT_EQ(wakes, 1);
  Item item;
  ASSERT_TRUE(channel.pop(item));
  channel.push(watermark(3));
  EXPECT_EQ(wakes, 1);
  while (channel.pop(item)) {
  }
  channel.push(watermark(4));
  EXPECT_EQ(wakes, 2);
}

TEST(Channel, TheLaneForBarriersOvertakesTheRingAndHoldsOne) {
  data::BlockPool pool;
  Channel channel(1000);
  int wakes = 0;
  channel.set_consumer(told([&] { ++wakes; }));
  channel.push(batch(1, 1, pool));
  Item barrier;
  barrier.kind = Item::Kind::kBarrier;
  barrier.barrier = std::make_shared<control::Barrier>(control::Barrier{.checkpoint_id = 7});
  EXPECT_TRUE(channel.push_ahead(barrier));
  EXPECT_EQ(wakes, 2);
  Item second;
  second.kind = Item::Kind::kBarrier;
  second.barrier = std::make_shared<control::Barrier>(control::Barrier{.checkpoint_id = 8});
  EXPECT_FALSE(channel.push_ahead(second));
  EXPECT_EQ(second.barrier->checkpoint_id, 8);
  Item item;
  ASSERT_TRUE(channel.pop(item));
  EXPECT_EQ(item.kind, Item::Kind::kBarrier);
  EXPECT_EQ(item.barrier->checkpoint_id, 7);
  ASSERT_TRUE(channel.pop(item));
  EXPECT_EQ(item.kind, Item::Kind::kBatch);
  EXPECT_TRUE(channel.is_empty());
  EXPECT_TRUE(channel.push_ahead(second));
  EXPECT_FALSE(channel.is_empty());
}

// Both sides sleep whenever they can; a wake-up that got lost would hang the test.
TEST(Channel, TwoThreadsThatSleepMissNothing) {
  constexpr std::int64_t kItems = 200'000;
  data::BlockPool pool;
  Channel channel(64);  // eight rows
  env::Notifier producer;
  env::Notifier consumer;
  channel.set_producer(told([&] { producer.wake(); }));
  channel.set_consumer(told([&] { consumer.wake(); }));
  std::int64_t wrong = 0;
  auto reads = env::start_thread("consumer", [&] {
    Item item;
    for (std::int64_t next = 0; next < kItems;) {
      if (!channel.pop(item)) {
        consumer.wait(Nanos(3'600'000'000'000));
        continue;
      }
      if (item.kind == Item::Kind::kBatch) {
        wrong += item.batch->values<std::int64_t>(0)[0] != next ? 1 : 0;
        channel.finish(item.batch->bytes());
      } else {
        wrong += item.value != next ? 1 : 0;
      }
      ++next;
    }
  });
  for (std::int64_t i = 0; i < kItems; ++i) {
    while (!channel.has_credit()) {
      if (channel.wait_for_credit()) producer.wait(Nanos(3'600'000'000'000));
    }
    channel.push(i % 3 == 0 ? batch(i, static_cast<std::uint32_t>(i % 20 + 1), pool) : watermark(i));
  }
  reads.reset();  // joins
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(channel.queued_bytes(), 0u);
}

}  // namespace
}  // namespace drey::runtime
