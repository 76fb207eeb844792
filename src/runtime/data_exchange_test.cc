// Remote channels between two DataExchanges over real sockets.
#include "runtime/data_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>

#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

using testing::HasSubstr;
constexpr auto kDeadline = std::chrono::seconds(20);

// Waits for what other threads do.
class Signal {
 public:
  void raise() {
    std::lock_guard lock(mutex_);
    condition_.notify_all();
  }
  void set(const Status& why) {
    std::lock_guard lock(mutex_);
    why_.push_back(why);
    condition_.notify_all();
  }
  bool until(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    const Ticks end = env::posix().clock.ticks() + kDeadline;
    while (!holds()) {
      // Not every change raises: a look now and then is the fallback.
      condition_.wait_for(lock, std::chrono::milliseconds(1));
      if (env::posix().clock.ticks() > end) return false;
    }
    return true;
  }
  Status wait() {
    until([this] { return !why_.empty(); });
    std::lock_guard lock(mutex_);
    return why_.empty() ? Status() : why_.front();
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  std::vector<Status> why_;
};

struct Side {
  explicit Side(const std::string& secret = "secret", Nanos peer_timeout = std::chrono::seconds(120)) {
    DataExchangeOptions options;
    options.secret = secret;
    options.channel_bytes = 64 << 10;
    options.connect_timeout = std::chrono::seconds(2);
    options.peer_timeout = peer_timeout;
    exchange = std::make_unique<DataExchange>(options, env::posix(), blocks, *blocks);
    EXPECT_TRUE(exchange->listen().ok());
  }
  std::shared_ptr<data::BlockPool> blocks = std::make_shared<data::BlockPool>();
  std::unique_ptr<DataExchange> exchange;
};

class DataExchangeTest : public testing::Test {
 protected:
  using Kind = Item::Kind;
  const JobId job_ = JobId::from_halves(1, 2);
  std::shared_ptr<const data::Schema> schema_ = std::make_shared<data::Schema>(*data::Schema::parse("n:l;text:vu"));
  Signal lost_a_, lost_b_;  // outlive the exchanges that raise them
  Side a_, b_;

  std::vector<std::pair<std::string, std::int32_t>> hosts() const {
    return {{"127.0.0.1", a_.exchange->port()}, {"127.0.0.1", b_.exchange->port()}};
  }
  RemoteDeployment deployment(std::uint64_t incarnation, std::uint32_t me) const {
    return {job_, incarnation, me, hosts(), {}, {}};
  }
  RemoteEnd end(std::uint32_t peer, Signal& lost, std::uint32_t to = 0) {
    return {
        {7, 0, to}, peer, std::make_shared<Channel>(64 << 10), schema_, [&lost](const Status& why) { lost.set(why); }};
  }
  // One channel from a to b.
  std::pair<std::shared_ptr<Channel>, std::shared_ptr<Channel>> connected(std::uint64_t incarnation = 1) {
    RemoteDeployment from = deployment(incarnation, 0);
    from.outputs.push_back(end(1, lost_a_));
    RemoteDeployment to = deployment(incarnation, 1);
    to.inputs.push_back(end(0, lost_b_));
    const auto pair = std::pair(from.outputs[0].channel, to.inputs[0].channel);
    a_.exchange->add(std::move(from));
    b_.exchange->add(std::move(to));
    return pair;
  }
  Item batch(std::int64_t first, std::uint32_t rows, std::size_t text_size = 4) {
    data::BatchBuilder b(*schema_, rows, *a_.blocks);
    for (std::uint32_t i = 0; i < rows; ++i) {
      b.values<std::int64_t>(0)[i] = first + i;
      b.values<data::View>(1)[i] = b.copy_text(std::string(text_size, 'x'));
    }
    b.abi().rows = rows;
    Item item;
    item.batch = b.build();
    return item;
  }
  static Item control(Kind kind, std::int64_t value = 0) {
    Item item;
    item.kind = kind;
    item.value = value;
    item.barrier = std::make_shared<control::Barrier>(control::Barrier{.checkpoint_id = value, .trigger_time = 99});
    return item;
  }
  static Item next(Channel& channel, Signal& signal) {
    Item item;
    EXPECT_TRUE(signal.until([&] { return !channel.is_empty(); }));
    EXPECT_TRUE(channel.pop(item));
    return item;
  }
};

TEST_F(DataExchangeTest, EverythingComesInOrder) {
  const auto [from, to] = connected();
  from->push(batch(0, 10));
  from->push(control(Kind::kWatermark, 42));
  from->push(control(Kind::kIdle, 1));
  from->push(control(Kind::kBarrier, 5));
  from->push(batch(10, 1, 100));
  from->push(control(Kind::kEndOfData));
  from->push(control(Kind::kEndOfChannel));
  Item item = next(*to, lost_b_);
  ASSERT_TRUE(item.batch);
  EXPECT_EQ(item.batch->rows(), 10u);
  EXPECT_EQ(item.batch->values<std::int64_t>(0)[9], 9);
  to->finish(item.batch->bytes());
  item = next(*to, lost_b_);
  EXPECT_EQ(item.kind, Kind::kWatermark);
  EXPECT_EQ(item.value, 42);
  EXPECT_EQ(next(*to, lost_b_).kind, Kind::kIdle);
  item = next(*to, lost_b_);
  EXPECT_EQ(item.kind, Kind::kBarrier);
  EXPECT_EQ(item.barrier->checkpoint_id, 5);
  EXPECT_EQ(item.barrier->trigger_time, 99);
  item = next(*to, lost_b_);
  EXPECT_EQ(data::text_of(item.batch->values<data::View>(1)[0]).size(), 100u);
  to->finish(item.batch->bytes());
  EXPECT_EQ(next(*to, lost_b_).kind, Kind::kEndOfData);
  EXPECT_EQ(next(*to, lost_b_).kind, Kind::kEndOfChannel);
}

TEST_F(DataExchangeTest, CreditIsOneBoundOverBothProcesses) {
  const auto [from, to] = connected();
  Signal credit;
  from->set_producer(std::make_shared<const Channel::Wake>([&](std::uint32_t) { credit.raise(); }));
  std::int64_t sent = 0;
  std::int64_t seen = 0;
  std::uint64_t most = 0;
  // The producer sends whenever it may, the consumer takes one batch now and then.
  while (seen < 3000) {
    ASSERT_TRUE(credit.until([&, &sender = *from, &receiver = *to] {
      while (sent < 3000 && sender.has_credit()) sender.push(batch(sent++, 1, 1000));
      most = std::max(most, sender.queued_bytes());
      return !receiver.is_empty();
    }));
    Item item;
    ASSERT_TRUE(to->pop(item));
    ASSERT_EQ(item.batch->values<std::int64_t>(0)[0], seen++);
    to->finish(item.batch->bytes());
  }
  EXPECT_LT(most, (64u << 10) + 1100u);
  // All but what is less than a lot comes back.
  EXPECT_TRUE(credit.until([&] { return from->queued_bytes() < (8u << 10); }));
}

TEST_F(DataExchangeTest, AProducerThatWaitsIsWokenByTheFarConsumer) {
  const auto [from, to] = connected();
  Signal credit;
  std::atomic<bool> is_woken{false};
  from->set_producer(std::make_shared<const Channel::Wake>([&](std::uint32_t) {
    is_woken = true;
    credit.raise();
  }));
  while (from->has_credit()) from->push(batch(0, 1, 1000));
  ASSERT_TRUE(from->wait_for_credit());
  for (std::uint64_t left = from->queued_bytes(); left > 0;) {
    Item item = next(*to, lost_b_);
    left -= item.batch->bytes();
    to->finish(item.batch->bytes());
  }
  EXPECT_TRUE(credit.until([&] { return is_woken.load(); }));
  EXPECT_TRUE(from->has_credit());
}

TEST_F(DataExchangeTest, ABatchLargerThanTheBoundPasses) {
  const auto [from, to] = connected();
  from->push(batch(0, 3, 5 << 20));
  EXPECT_FALSE(from->has_credit());
  Item item = next(*to, lost_b_);
  EXPECT_EQ(item.batch->rows(), 3u);
  to->finish(item.batch->bytes());
  EXPECT_TRUE(lost_a_.until([&, &sender = *from] { return sender.queued_bytes() == 0; }));
}

TEST_F(DataExchangeTest, AVeryLargeBatchGoesInPartsThatAddUp) {
  const auto [from, to] = connected();
  Item large = batch(0, 5, 30 << 20);
  const std::uint64_t bytes = large.batch->bytes();
  from->push(std::move(large));
  std::uint64_t got = 0;
  std::int64_t rows = 0;
  while (rows < 5) {
    Item item = next(*to, lost_b_);
    EXPECT_EQ(item.batch->values<std::int64_t>(0)[0], rows);
    rows += item.batch->rows();
    got += item.batch->bytes();
    to->finish(item.batch->bytes());
  }
  EXPECT_EQ(got, bytes);
  EXPECT_TRUE(lost_a_.until([&, &sender = *from] { return sender.queued_bytes() == 0; }));
}

TEST_F(DataExchangeTest, RowsOfAJobThatHasEndedStillArrive) {
  const auto [from, to] = connected();
  for (int i = 0; i < 40; ++i) from->push(batch(i, 1));
  from->push(control(Kind::kEndOfChannel));
  a_.exchange->finish(job_, 1);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(next(*to, lost_b_).batch);
  EXPECT_EQ(next(*to, lost_b_).kind, Kind::kEndOfChannel);
}

TEST_F(DataExchangeTest, ALostConnectionTellsTheProducer) {
  auto [from, to] = connected();
  from->push(batch(0, 1));
  next(*to, lost_b_);
  b_.exchange.reset();
  EXPECT_THAT(lost_a_.wait().message(), HasSubstr("is lost"));
}

TEST_F(DataExchangeTest, APeerThatCannotBeReachedIsNamed) {
  RemoteDeployment from = deployment(1, 0);
  from.hosts[1] = {"127.0.0.1", 1};
  from.outputs.push_back(end(1, lost_a_));
  a_.exchange->add(std::move(from));
  EXPECT_THAT(lost_a_.wait().message(), HasSubstr("127.0.0.1:1"));
}

TEST_F(DataExchangeTest, AProducerThatEndsInTheMiddleFailsTheConsumer) {
  auto [from, to] = connected();
  from->push(batch(0, 1));
  next(*to, lost_b_);
  a_.exchange->finish(job_, 1);
  EXPECT_THAT(lost_b_.wait().message(), HasSubstr(std::to_string(a_.exchange->port())));
}

TEST_F(DataExchangeTest, AnEarlyPeerIsWaitedForAndAStaleOneRefused) {
  RemoteDeployment early = deployment(2, 0);
  early.outputs.push_back(end(1, lost_a_));
  const auto from = early.outputs[0].channel;
  from->push(batch(3, 1));
  a_.exchange->add(std::move(early));
  RemoteDeployment to = deployment(2, 1);
  to.inputs.push_back(end(0, lost_b_));
  const auto channel = to.inputs[0].channel;
  b_.exchange->add(std::move(to));
  EXPECT_EQ(next(*channel, lost_b_).batch->values<std::int64_t>(0)[0], 3);
  // One of before.
  RemoteDeployment stale = deployment(1, 0);
  stale.outputs.push_back(end(1, lost_a_));
  a_.exchange->add(std::move(stale));
  EXPECT_THAT(lost_a_.wait().message(), HasSubstr("incarnation 1"));
  EXPECT_EQ(b_.exchange->stale(), 1);
}

TEST_F(DataExchangeTest, APeerThatDoesNotComeIsNamed) {
  Side impatient("secret", std::chrono::milliseconds(50));
  RemoteDeployment to = deployment(1, 1);
  to.inputs.push_back(end(0, lost_b_));
  impatient.exchange->add(std::move(to));
  EXPECT_THAT(lost_b_.wait().message(), HasSubstr("has not connected"));
}

TEST_F(DataExchangeTest, AnotherSecretIsRefused) {
  Side stranger("guess");
  RemoteDeployment from = deployment(1, 0);
  from.outputs.push_back(end(1, lost_a_));
  stranger.exchange->add(std::move(from));
  EXPECT_THAT(lost_a_.wait().message(), HasSubstr("secret"));
  EXPECT_EQ(b_.exchange->refused(), 1);
}

// Sends raw frames to b and tells when b has closed.
class Stranger {
 public:
  Stranger(std::uint16_t port, std::vector<std::string> frames) : loop_(env::posix().threads.make_loop("stranger")) {
    env::posix().network.connect(
        *loop_, "127.0.0.1", port, kDeadline, [this, frames](Result<env::ConnectionRef> connection) {
          connection_ = *connection;
          connection_->set_handler({[](std::string_view) {}, [this](const Status& why) { closed.set(why); }});
          for (const std::string& frame : frames) connection_->send(frame);
        });
  }
  Signal closed;

 private:
  env::ConnectionRef connection_;
  std::unique_ptr<env::Loop> loop_;
};

TEST_F(DataExchangeTest, GarbageIsRefusedAndCounted) {
  Stranger stranger(b_.exchange->port(), {"what is this"});
  EXPECT_FALSE(stranger.closed.wait().ok());
  EXPECT_EQ(b_.exchange->refused(), 1);
}

}  // namespace
}  // namespace drey::runtime
