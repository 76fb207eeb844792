#include "runtime/output.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "base/prng.h"
#include "env/env.h"

namespace drey::runtime {
namespace {

class OutputTest : public testing::Test {
 protected:
  Output make(std::uint32_t targets, std::optional<Nanos> timeout = Millis(100), std::uint32_t max_parallelism = 128) {
    for (std::uint32_t i = 0; i < targets; ++i) channels_.push_back(std::make_shared<Channel>(1 << 30));
    OutputOptions options;
    options.partitioner = graph::Partitioner::kHash;
    const std::uint32_t key[] = {0};
    options.key_columns = data::key_columns(schema_, key);
    options.consumer_parallelism = targets;
    options.max_parallelism = max_parallelism;
    options.buffer_timeout = timeout;
    return Output(schema_, options, channels_, pool_);
  }
  data::BatchRef batch(const std::vector<std::int64_t>& keys) {
    data::BatchBuilder builder(schema_, static_cast<std::uint32_t>(keys.size()), pool_);
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      builder.values<std::int64_t>(0)[i] = keys[i];
      builder.values<std::int64_t>(1)[i] = number_++;
    }
    builder.abi().rows = static_cast<std::uint32_t>(keys.size());
    return builder.build();
  }
  // (key, number) of all rows that have arrived at a target.
  std::vector<std::pair<std::int64_t, std::int64_t>> arrived(std::uint32_t target) {
    std::vector<std::pair<std::int64_t, std::int64_t>> rows;
    Item item;
    while (channels_[target]->pop(item)) {
      if (!item.batch) continue;
      for (std::uint32_t i = 0; i < item.batch->rows(); ++i) {
        const std::uint32_t row = item.batch->physical(i);
        rows.emplace_back(item.batch->values<std::int64_t>(0)[row], item.batch->values<std::int64_t>(1)[row]);
      }
      channels_[target]->finish(item.batch->bytes());
    }
    return rows;
  }
  static std::uint32_t target_of(std::int64_t key, std::uint32_t targets) {
    const std::uint64_t hash = data::hash_of(data::make_view(reinterpret_cast<const char*>(&key), 8));
    return data::subtask_of(data::key_group_of(hash, 128), targets, 128);
  }
  std::size_t arrived_anywhere() {
    std::size_t rows = 0;
    for (std::uint32_t t = 0; t < channels_.size(); ++t) rows += arrived(t).size();
    return rows;
  }

  const data::Schema schema_ = *data::Schema::parse("key:l;number:l");
  data::BlockPool pool_;
  std::vector<std::shared_ptr<Channel>> channels_;
  std::int64_t number_ = 0;
};

TEST_F(OutputTest, EachRowGoesOnceAndInOrderToTheSubtaskOfItsKeyGroup) {
  Prng random(3);
  for (const std::uint32_t targets : {1u, 2u, 3u, 4u, 5u, 17u}) {
    for (const double skew : {0.0, 0.9, 1.0}) {
      channels_.clear();
      number_ = 0;
      Output output = make(targets);
      std::size_t sent = 0;
      for (int b = 0; b < 20; ++b) {
        std::vector<std::int64_t> keys(1 + random.below(1500));
        for (std::int64_t& key : keys) key = random.chance(skew) ? 42 : static_cast<std::int64_t>(random.next());
        data::BatchRef rows = batch(keys);
        if (b % 3 == 2 && keys.size() > 2) {
          std::vector<std::uint32_t> chosen;
          for (std::uint32_t i = 0; i < keys.size(); i += 1 + static_cast<std::uint32_t>(random.below(3)))
            chosen.push_back(i);
          rows = data::RowBatch::select(rows, chosen, pool_);
        }
        sent += rows->rows();
        ASSERT_TRUE(output.emit(rows).ok());
      }
      output.flush();
      std::size_t received = 0;
      for (std::uint32_t t = 0; t < targets; ++t) {
        std::int64_t last = -1;
        for (const auto& [key, number] : arrived(t)) {
          ASSERT_EQ(target_of(key, targets), t);
          ASSERT_GT(number, last);
          last = number;
          ++received;
        }
      }
      EXPECT_EQ(received, sent) << targets;
    }
  }
}

TEST_F(OutputTest, RowsWaitForCompanyUntilTheTimeoutOrUntilTheTaskIsIdle) {
  Output output = make(8);
  const std::vector<std::int64_t> keys = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Ticks begin{1'000'000'000};
  ASSERT_TRUE(output.emit(batch(keys)).ok());
  EXPECT_TRUE(output.holds_rows());
  output.flush_if_due(begin);
  output.flush_if_due(begin + Millis(99));
  EXPECT_EQ(arrived_anywhere(), 0u);
  output.flush_if_due(begin + Millis(100));
  EXPECT_EQ(arrived_anywhere(), 9u);
  EXPECT_FALSE(output.holds_rows());
  // The clock begins anew with the next rows.
  ASSERT_TRUE(output.emit(batch(keys)).ok());
  output.flush_if_due(begin + Millis(150));
  EXPECT_EQ(arrived_anywhere(), 0u);
  output.on_idle();
  EXPECT_EQ(arrived_anywhere(), 9u);
}

TEST_F(OutputTest, VeryManyTargetsShareABatchAndTheTaskWaitsUntilHalfOfThemHaveSeenTheirs) {
  constexpr std::uint32_t kTargets = 300;
  Output output = make(kTargets, Millis(100), 1024);
  std::vector<std::int64_t> keys(4000);
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<std::int64_t>(i);
  EXPECT_TRUE(output.has_credit());
  ASSERT_TRUE(output.emit(batch(keys)).ok());
  EXPECT_FALSE(output.holds_rows());
  EXPECT_FALSE(output.has_credit());
  int wakes = 0;
  const auto wake = std::make_shared<const Channel::Wake>([&](std::uint32_t) { ++wakes; });
  for (const auto& channel : channels_) channel->set_producer(wake);
  EXPECT_TRUE(output.wait_for_credit());
  std::size_t rows = 0;
  std::uint32_t seen = 0;
  while (seen < kTargets && !output.has_credit()) rows += arrived(seen++).size();
  EXPECT_GE(seen, kTargets / 2 - 1);
  EXPECT_EQ(wakes, 1);
  EXPECT_FALSE(output.wait_for_credit());
  while (seen < kTargets) rows += arrived(seen++).size();
  EXPECT_EQ(rows, keys.size());
}

TEST_F(OutputTest, WithATimeoutOfZeroNothingWaits) {
  Output output = make(8, Nanos(0));
  ASSERT_TRUE(output.emit(batch({1, 2, 3})).ok());
  EXPECT_EQ(arrived_anywhere(), 3u);
}

TEST_F(OutputTest, WithoutATimeoutOnlyFullBatchesGoAndWhatMustStayBehindThem) {
  Output output = make(8, std::nullopt);
  ASSERT_TRUE(
      output.emit(batch(std::vector<std::int64_t>(1500, 7))).ok());  // all to one target, which shares the batch
  EXPECT_EQ(arrived_anywhere(), 1500u);
  std::vector<std::int64_t> keys(3000, 7);
  while (target_of(keys[0], 8) == target_of(7, 8)) ++keys[0];
  ASSERT_TRUE(output.emit(batch(keys)).ok());
  const std::size_t full = arrived_anywhere();
  EXPECT_EQ(full % data::kBatchRows, 0u);
  EXPECT_GT(full, 0u);
  output.flush_if_due(Ticks{INT64_MAX / 2});
  output.on_idle();
  EXPECT_EQ(arrived_anywhere(), 0u);
  Item watermark;
  watermark.kind = Item::Kind::kWatermark;
  output.broadcast(watermark);
  EXPECT_EQ(arrived_anywhere(), 3000 - full);
}

// The producer sleeps whenever it is told that it will be woken: a lost wake-up leaves it asleep until the deadline.
TEST_F(OutputTest, WhoIsToldToWaitForCreditIsWoken) {
  constexpr int kWaits = 10'000;
  Output output = make(1);
  std::mutex mutex;
  std::condition_variable condition;
  bool is_woken = false;
  channels_[0]->set_producer(std::make_shared<const Channel::Wake>([&](std::uint32_t) {
    std::lock_guard lock(mutex);
    is_woken = true;
    condition.notify_one();
  }));
  std::atomic<bool> ended{false};
  const auto consumer = env::start_thread("consumer", [&, channel = channels_[0].get()] {
    Item item;
    while (!ended) channel->pop(item);
  });
  Item mark;
  mark.kind = Item::Kind::kWatermark;
  bool in_time = true;
  for (int waits = 0; waits < kWaits && in_time;) {
    // What one step emits goes on past the end of credit.
    for (int i = 0; i < 64; ++i) output.broadcast(mark);
    if (output.has_credit() || !output.wait_for_credit()) continue;
    ++waits;
    std::unique_lock lock(mutex);
    in_time = condition.wait_for(lock, std::chrono::seconds(20), [&] { return is_woken; });
    is_woken = false;
  }
  ended = true;
  EXPECT_TRUE(in_time);
}

}  // namespace
}  // namespace drey::runtime
