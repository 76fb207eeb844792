// drey/testing.h: functions alone, with rows, watermarks and time as given.
#include "drey/testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace drey::literals;
using drey::Timestamp;
using drey::testing::Failure;
using drey::testing::Harness;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct Hit {
  drey::Text page;
  std::optional<drey::Text> user;
  drey::Timestamp time;
  DREY_FIELDS(Hit, page, user, time)
};
struct Total {
  std::string user;
  std::int64_t hits = 0;
  DREY_FIELDS(Total, user, hits)
  friend bool operator==(const Total&, const Total&) = default;
};

const drey::SideOutput<Hit> kAnonymous{"anonymous"};

struct Sessions : drey::KeyedProcess<Hit, Total> {
  drey::ValueState<std::int64_t> hits{"hits"};
  drey::MapState<drey::Text, std::int64_t> pages{"pages"};
  drey::OperatorListState<std::string> log{"log"};
  drey::LongCounter rows{"rows"};
  drey::Gauge gauge{"last"};

  void process(const Hit& h, Context& ctx) {
    rows.add(1);
    gauge.set(h.time.ms);
    if (!h.user) return ctx.emit(kAnonymous, h);
    if (h.page == "/fail") throw std::invalid_argument("no such page");
    ++hits.ref();
    pages.put(h.page, pages.get(h.page).value_or(0) + 1);
    log.add(h.page.str());
    ctx.timers().event(h.time + 30min);
    ctx.timers().processing(ctx.processing_time() + 1h);
  }
  void on_timer(Timestamp at, Context& ctx, Out& out) {
    const auto user = ctx.key<drey::Text>();
    if (at == ctx.processing_time()) return out.emit({user.str(), -1});
    out.emit({user.str(), hits.value_or(0)});
    hits.clear();
  }
};

struct Numbers : drey::CoProcess<std::int64_t, Total, Total> {
  drey::ListState<std::int64_t> all{"all"};
  void process1(std::int64_t v, Context&) { all.add(v); }
  void process2(const Total& t, Context& ctx, Out& out) {
    std::int64_t sum = 0;
    all.each([&](std::int64_t v) { sum += v; });
    out.emit({t.user, sum + ctx.key<std::int64_t>() * 1000});
  }
};

const char* const kLong = "a user with a very long name";

}  // namespace

TEST(Testing, RowsWatermarksAndTimers) {
  Harness h(Sessions{}, &Hit::user);
  h.process({"/a", "ann", {0}}, Timestamp{0});
  h.process({"/b", kLong, {60'000}}, Timestamp{60'000});
  h.process({"/a", "ann", {120'000}}, Timestamp{120'000});
  h.process({"/a", std::nullopt, {5}}, Timestamp{5});
  EXPECT_EQ(h.timers(), 5u);
  EXPECT_TRUE(h.take().empty());
  h.watermark(Timestamp{0} + 31min);
  EXPECT_THAT(h.take(), ElementsAre(Total{"ann", 2}, Total{kLong, 1}));
  h.watermark(Timestamp{0} + 1h);
  const auto late = h.take_timed();
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].first, (Total{"ann", 0}));
  EXPECT_EQ(late[0].second, Timestamp{120'000} + 30min);
  ASSERT_EQ(h.take(kAnonymous).size(), 1u);
  h.processing_time(Timestamp{0} + 1h);
  EXPECT_THAT(h.take(), testing::UnorderedElementsAre(Total{"ann", -1}, Total{kLong, -1}));
  EXPECT_EQ(h.accumulator("rows"), 4);
  EXPECT_EQ(h.metric("last"), 5);
}

TEST(Testing, SnapshotAndRestore) {
  Harness h(Sessions{}, &Hit::user);
  h.process({"/a", "ann", {0}}, Timestamp{0});
  const auto saved = h.snapshot();
  h.process({"/a", "ann", {1}}, Timestamp{1});
  h.restore(saved);
  h.process({"/a", "ann", {2}}, Timestamp{2});
  h.watermark(Timestamp::max());
  EXPECT_EQ(h.take().at(0), (Total{"ann", 2}));
}

TEST(Testing, Failures) {
  Harness h(Sessions{}, &Hit::user);
  try {
    h.process({"/fail", "ann", {0}}, Timestamp{0});
    FAIL();
  } catch (const Failure& e) {
    EXPECT_EQ(e.type, "std::invalid_argument");
    EXPECT_THAT(e.what(), HasSubstr("no such page"));
  }
  Harness without(Sessions{});
  EXPECT_THROW(without.process({"/a", "ann", {0}}), Failure);
}

TEST(Testing, TwoInputs) {
  Harness h(
      Numbers{}, [](std::int64_t v) { return v % 10; }, &Total::hits);
  h.process(13);
  h.process(23);
  h.process(14);
  h.process2(Total{"three", 3});
  h.process2(Total{"five", 5});
  EXPECT_THAT(h.take(), ElementsAre(Total{"three", 3036}, Total{"five", 5000}));
}

namespace {
struct Measured : drey::Process<std::int64_t, std::int64_t> {
  drey::Histogram sizes{"sizes"};
  drey::Counter rows{"rows"};
  drey::Meter meter{"rate"};
  drey::LongMaximum largest{"largest"};
  drey::LongMinimum smallest{"smallest"};
  drey::DoubleCounter halves{"halves"};
  void process(std::int64_t n, Context&) {
    sizes.update(n);
    rows.add();
    meter.add();
    largest.add(n);
    smallest.add(n);
    halves.add(0.5);
  }
};
}  // namespace

TEST(Harness, MetricsAndAccumulatorsOfEveryKind) {
  Harness h(Measured{});
  h.process(-5);
  h.processing_time(Timestamp{10'000});  // a histogram is brought up to date once a second
  for (std::int64_t n = 1; n <= 1999; ++n) h.process(n);
  h.processing_time(Timestamp{11'000});
  h.process(2000);
  EXPECT_EQ(h.metric("rows"), 2001);
  EXPECT_EQ(h.metric("rate"), 2001);
  EXPECT_EQ(h.metric("sizes_count"), 2001);
  EXPECT_EQ(h.metric("sizes_min"), 1001);  // of the last thousand
  EXPECT_EQ(h.metric("sizes_max"), 2000);
  EXPECT_EQ(h.metric("sizes_mean"), 1500);
  EXPECT_EQ(h.metric("sizes_stddev"), 288);
  EXPECT_EQ(h.metric("sizes_median"), 1501);
  EXPECT_EQ(h.metric("sizes_p99"), 1991);
  EXPECT_EQ(h.accumulator("largest"), 2000);
  EXPECT_EQ(h.accumulator("smallest"), -5);
}
