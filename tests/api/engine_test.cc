// Jobs of the API on the engine itself, through drey/testing.h: the same programs as
// streams_test.cc has on the fake host, at several parallelisms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "drey/testing.h"

using namespace drey::literals;
using drey::testing::Failure;
using drey::testing::Job;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

namespace {

struct Event {
  std::int64_t key = 0;
  std::int64_t value = 0;
  drey::Timestamp time;
  drey::Text text;
  DREY_FIELDS(Event, key, value, time, text)
};
struct PerKey {
  std::int64_t key = 0;
  drey::Timestamp start;
  std::int64_t n = 0, sum = 0;
  DREY_FIELDS(PerKey, key, start, n, sum)
  friend bool operator==(const PerKey&, const PerKey&) = default;
};
struct Sum {
  std::int64_t n = 0, sum = 0;
  void add(const Event& e) {
    ++n;
    sum += e.value;
  }
  void merge(const Sum& o) {
    n += o.n;
    sum += o.sum;
  }
};
struct Texts {  // an accumulator that is not kept in place
  std::string longest;
  std::int64_t n = 0;
  DREY_FIELDS(Texts, longest, n)
  void add(const Event& e) {
    ++n;
    if (e.text.size() > longest.size()) longest = e.text.str();
  }
  void merge(const Texts& o) {
    n += o.n;
    if (o.longest.size() > longest.size()) longest = o.longest;
  }
};

constexpr std::int64_t kRows = 5000;
constexpr const char* kLong = "a text that does not fit into twelve bytes";

Event event(std::int64_t i) { return {i % 7, i, {i * 10}, i % 3 == 0 ? drey::Text(kLong) : drey::Text("short")}; }

drey::DataStream<Event> events(drey::Environment& env) {
  return env.from(drey::generator<Event>(kRows, event)).watermarks(drey::bounded_out_of_orderness(&Event::time, 60s));
}
PerKey per_key(std::int64_t key, drey::Window w, const Sum& s) { return {key, w.start, s.n, s.sum}; }

std::vector<PerKey> windows(std::int64_t size, std::int64_t slide) {
  std::map<std::pair<std::int64_t, std::int64_t>, Sum> all;
  for (std::int64_t i = 0; i < kRows; ++i) {
    const Event e = event(i);
    const std::int64_t last = e.time.ms - e.time.ms % slide;
    for (std::int64_t start = last; start > e.time.ms - size; start -= slide) all[{e.key, start}].add(e);
  }
  std::vector<PerKey> rows;
  for (const auto& [k, s] : all) rows.push_back({k.first, {k.second}, s.n, s.sum});
  return rows;
}

class Engine : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Parallelism, Engine, testing::Values(1, 2, 3));

}  // namespace

DREY_JOB("engine_chain", env, args) {
  env.from(drey::generator<Event>(kRows, event))
      .map([](Event e) {
        e.value *= 2;
        return e;
      })
      .filter([](const Event& e) { return e.text == kLong; })
      .map([](const Event& e) {
        return std::pair{e.text, e.value};
      })
      .to(drey::collect("rows"));
}
TEST_P(Engine, Chain) {
  Job job("engine_chain");
  auto& rows = job.collect<std::pair<drey::Text, std::int64_t>>("rows");
  job.parallelism(GetParam()).run();
  ASSERT_EQ(rows.size(), (kRows + 2) / 3);
  std::int64_t sum = 0;
  for (const auto& [text, value] : rows) {
    EXPECT_EQ(text, kLong);
    sum += value;
  }
  EXPECT_EQ(sum, 2 * 3 * ((kRows - 1) / 3) * ((kRows - 1) / 3 + 1) / 2);
}

DREY_JOB("engine_reduce", env, args) {
  auto rows = env.from(drey::generator<Event>(kRows, event));
  rows.key_by(&Event::key)
      .reduce([](const Event& a, const Event& b) {
        return Event{b.key, a.value + 1, b.time, b.text};
      })
      .to(drey::collect("text"));
  rows.map([](const Event& e) {
        return std::pair{e.key, e.value};
      })
      .key_by([](const auto& p) { return p.first; })
      .reduce([](const auto& a, const auto& b) {
        return std::pair{a.first, a.second + b.second};
      })
      .to(drey::collect("fixed"));
  rows.key_by(&Event::text, &Event::key).count().to(drey::collect("count"));
}
TEST_P(Engine, Reduce) {
  Job job("engine_reduce");
  auto& text = job.collect<Event>("text");
  auto& fixed = job.collect<std::pair<std::int64_t, std::int64_t>>("fixed");
  using Key = std::tuple<drey::Text, std::int64_t>;
  auto& count = job.collect<std::pair<Key, std::int64_t>>("count");
  job.parallelism(GetParam()).run();
  EXPECT_EQ(text.size(), static_cast<std::size_t>(kRows));
  std::map<std::int64_t, std::int64_t> last;
  for (const auto& [k, v] : fixed) last[k] = std::max(last[k], v);
  std::map<std::int64_t, std::int64_t> expected;
  for (std::int64_t i = 0; i < kRows; ++i) expected[i % 7] += i;
  EXPECT_EQ(last, expected);
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> groups;
  for (const auto& [k, n] : count) {
    auto& most = groups[{std::get<0>(k).str(), std::get<1>(k)}];
    most = std::max(most, n);
  }
  std::int64_t total = 0;
  for (const auto& [k, n] : groups) total += n;
  EXPECT_EQ(groups.size(), 14u);
  EXPECT_EQ(total, kRows);
}

TEST_P(Engine, ReduceWhileCheckpointsAreMade) {
  char directory[] = "/tmp/drey-api-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  Job job("engine_reduce");
  using Sum = std::pair<std::int64_t, std::int64_t>;
  auto& fixed = job.collect<Sum>("fixed");
  job.parallelism(GetParam()).checkpoints(directory, 1ms).run();
  ASSERT_EQ(fixed.size(), static_cast<std::size_t>(kRows));
  std::map<std::int64_t, std::int64_t> last;
  for (const auto& [k, v] : fixed) last[k] = std::max(last[k], v);
  std::int64_t total = 0;
  for (const auto& [k, v] : last) total += v;
  EXPECT_EQ(total, kRows * (kRows - 1) / 2);
  std::filesystem::remove_all(directory);
}

DREY_JOB("engine_windows", env, args) {
  auto keyed = events(env).key_by(&Event::key);
  keyed.window(drey::tumbling(1s)).aggregate<Sum>(per_key).to(drey::collect("tumbling"));
  keyed.window(drey::sliding(3s, 1s)).aggregate<Sum>(per_key).to(drey::collect("sliding"));
  keyed.window(drey::session(60ms)).aggregate<Sum>(per_key).to(drey::collect("sessions"));
  keyed.window(drey::session(100ms)).aggregate<Sum>(per_key).to(drey::collect("one_session"));
  keyed.window(drey::tumbling(10s))
      .aggregate<Texts>([](std::int64_t key, drey::Window w, const Texts& t) {
        return PerKey{key, w.start, t.n, static_cast<std::int64_t>(t.longest.size())};
      })
      .to(drey::collect("texts"));
  keyed.window(drey::tumbling(1s))
      .process([](std::int64_t key, drey::Window w, const std::vector<Event>& rows, drey::Out<PerKey>& out) {
        PerKey r{key, w.start, 0, 0};
        for (const Event& e : rows) {
          ++r.n;
          r.sum += e.value;
        }
        out.emit(r);
      })
      .to(drey::collect("process"));
  keyed.count_window(10).count().to(drey::collect("counted"));
}
TEST_P(Engine, Windows) {
  Job job("engine_windows");
  auto& tumbling = job.collect<PerKey>("tumbling");
  auto& sliding = job.collect<PerKey>("sliding");
  auto& sessions = job.collect<PerKey>("sessions");
  auto& one_session = job.collect<PerKey>("one_session");
  auto& texts = job.collect<PerKey>("texts");
  auto& process = job.collect<PerKey>("process");
  auto& counted = job.collect<drey::WindowCount<std::int64_t>>("counted");
  job.parallelism(GetParam()).run();
  EXPECT_THAT(tumbling, UnorderedElementsAreArray(windows(1000, 1000)));
  EXPECT_THAT(sliding, UnorderedElementsAreArray(windows(3000, 1000)));
  EXPECT_EQ(sessions.size(), static_cast<std::size_t>(kRows));  // a key's rows are 70 ms apart
  EXPECT_EQ(one_session.size(), 7u);
  EXPECT_EQ(texts.size(), 7u * 5u);
  for (const PerKey& t : texts) EXPECT_EQ(t.sum, static_cast<std::int64_t>(std::string_view(kLong).size()));
  EXPECT_THAT(process, UnorderedElementsAreArray(windows(1000, 1000)));
  EXPECT_EQ(counted.size(), 7u * (kRows / 7 / 10));
}

namespace {
struct LastOfBurst : drey::KeyedProcess<Event, PerKey> {
  drey::ListState<Event> rows{"rows"};
  drey::ValueState<std::int64_t> newest{"newest"};
  drey::MapState<drey::Text, std::int64_t> texts{"texts"};
  drey::LongCounter seen{"seen"};
  void process(const Event& e, Context& ctx) {
    seen.add(1);
    rows.add(e);
    newest.set(std::max(newest.value_or(0), e.time.ms));
    texts.put(e.text, texts.get(e.text).value_or(0) + 1);
    if (e.value % 100 == 0) ctx.timers().event(e.time + 1s);
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    std::int64_t n = 0;
    for (const auto& [text, count] : texts.entries()) n += count;
    const auto all = rows.get();
    if (static_cast<std::int64_t>(all.size()) != n) throw std::logic_error("list and map differ");
    out.emit({ctx.key<std::int64_t>(), at, n, newest.value_or(0)});
    rows.clear();
    texts.clear();
  }
};
struct Attach : drey::BroadcastProcess<Event, Event, std::pair<std::int64_t, std::string>> {
  drey::BroadcastState<std::int64_t, std::string> names{"names"};
  drey::OperatorListState<std::int64_t> waiting{"waiting"};
  bool ready = false;
  void process(const Event& e, Context&, Out& out) {
    if (!ready) return waiting.add(e.key);
    out.emit({e.key, names.get(e.key).value_or("?")});
  }
  void process_broadcast(const Event& e, Context&) { names.put(e.key, e.text.str() + std::to_string(e.key)); }
  void on_input_end(int input, Context&, Out& out) {
    if (input != 1) return;
    ready = true;
    waiting.each([&](std::int64_t k) { out.emit({k, names.get(k).value_or("?")}); });
    waiting.clear();
  }
};
const drey::SideOutput<Event> kOdd{"odd"};
}  // namespace
DREY_JOB("engine_process", env, args) {
  auto rows = events(env);
  rows.key_by(&Event::key).process(LastOfBurst{}).to(drey::collect("bursts"));
  auto names = env.from(drey::generator<Event>(5, event));
  rows.connect(names.broadcast()).process(Attach{}).to(drey::collect("names"));
  auto split = rows.process([](const Event& e, drey::Context& ctx, drey::Out<Event>& out) {
    if (e.key % 2 == 1) return ctx.emit(kOdd, e);
    out.pass();
  });
  split.to(drey::collect("even"));
  split.side_output(kOdd).to(drey::collect("odd"));
  rows.key_by(&Event::value)
      .interval_join(
          rows.filter([](const Event& e) { return e.key == 0; }).key_by([](const Event& e) { return e.value + 1; }))
      .between(-1s, 1s)
      .process([](const Event& a, const Event& b) {
        return std::pair{a.value, b.value};
      })
      .to(drey::collect("joined"));
  rows.union_with(rows).rebalance().map([](const Event& e) { return e.value; }).to(drey::collect("union"));
}
TEST_P(Engine, ProcessFunctions) {
  Job job("engine_process");
  auto& bursts = job.collect<PerKey>("bursts");
  auto& names = job.collect<std::pair<std::int64_t, std::string>>("names");
  auto& even = job.collect<Event>("even");
  auto& odd = job.collect<Event>("odd");
  auto& joined = job.collect<std::pair<std::int64_t, std::int64_t>>("joined");
  auto& both = job.collect<std::int64_t>("union");
  job.parallelism(GetParam()).run();
  EXPECT_EQ(job.accumulator("seen"), kRows);
  EXPECT_EQ(bursts.size(), static_cast<std::size_t>(kRows / 100));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kRows));
  for (const auto& [key, name] : names)
    EXPECT_EQ(name, key >= 5 ? "?" : (key % 3 == 0 ? kLong : "short") + std::to_string(key));
  EXPECT_EQ(even.size() + odd.size(), static_cast<std::size_t>(kRows));
  EXPECT_TRUE(std::all_of(odd.begin(), odd.end(), [](const Event& e) { return e.key % 2 == 1; }));
  EXPECT_EQ(joined.size(), static_cast<std::size_t>((kRows - 1 + 6) / 7));
  for (const auto& [a, b] : joined) EXPECT_EQ(a, b + 1);
  EXPECT_EQ(both.size(), static_cast<std::size_t>(2 * kRows));
}

namespace {
struct Meet : drey::CoProcess<Event, PerKey, PerKey> {
  drey::ValueState<std::int64_t> sum{"sum"};
  drey::ReducingState<std::int64_t> most{"most",
                                         [](const std::int64_t& a, const std::int64_t& b) { return std::max(a, b); }};
  void process1(const Event& e, Context& ctx) {
    sum.ref() += e.value;
    most.add(e.value);
    ctx.timers().event(drey::Timestamp{1'000'000});
  }
  void process2(const PerKey& p, Context& ctx) {
    sum.ref() += p.sum;
    ctx.timers().event(drey::Timestamp{1'000'000});
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    out.emit({ctx.key<std::int64_t>(), at, most.value_or(0), sum.value_or(0)});
    sum.clear();
  }
};
}  // namespace
DREY_JOB("engine_more", env, args) {
  auto rows = events(env);
  auto extra = env.from(drey::generator<PerKey>(70,
                                                [](std::int64_t i) {
                                                  return PerKey{i % 7, {i}, 1, 1000};
                                                }))
                   .watermarks(drey::monotonous(&PerKey::start));
  rows.key_by(&Event::key).connect(extra.key_by(&PerKey::key)).process(Meet{}).to(drey::collect("meet"));
  rows.partition_custom([](const Event& e, std::uint32_t n) { return e.key % n; })
      .process([](const Event& e, drey::Context& ctx, drey::Out<std::pair<std::int64_t, std::int64_t>>& out) {
        out.emit({e.key, static_cast<std::int64_t>(ctx.subtask())});
      })
      .to(drey::collect("custom"));
  rows.process_batch([](const drey::Rows<Event>& batch, drey::Out<std::int64_t>& out) {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < batch.size(); ++k) sum += batch[k].value;
        out.emit(sum);
      })
      .to(drey::collect("batches"));
  // Every tenth row is a minute late; one subtask, so that all see one watermark.
  auto late = env.from(drey::generator<Event>(kRows,
                                              [](std::int64_t i) {
                                                Event e = event(i);
                                                if (i % 10 == 9) e.time = e.time - 60s;
                                                return e;
                                              }))
                  .parallelism(1)
                  .watermarks(drey::monotonous(&Event::time))
                  .parallelism(1)
                  .key_by([](const Event& e) { return e.text.str(); })
                  .window(drey::tumbling(100ms))
                  .late_to(kOdd)
                  .count();
  late.to(drey::collect("windows"));
  late.side_output(kOdd).to(drey::collect("late"));
}
TEST_P(Engine, TwoInputsPartitionersLateRows) {
  Job job("engine_more");
  auto& meet = job.collect<PerKey>("meet");
  auto& custom = job.collect<std::pair<std::int64_t, std::int64_t>>("custom");
  auto& batches = job.collect<std::int64_t>("batches");
  auto& in_windows = job.collect<drey::WindowCount<drey::Text>>("windows");
  auto& late = job.collect<Event>("late");
  job.parallelism(GetParam()).run();
  std::vector<PerKey> expected;
  for (std::int64_t k = 0; k < 7; ++k) expected.push_back({k, {1'000'000}, 0, 10'000});
  for (std::int64_t i = 0; i < kRows; ++i) {
    auto& e = expected[static_cast<std::size_t>(i % 7)];
    e.n = std::max(e.n, i);
    e.sum += i;
  }
  EXPECT_THAT(meet, UnorderedElementsAreArray(expected));
  ASSERT_EQ(custom.size(), static_cast<std::size_t>(kRows));
  for (const auto& [key, subtask] : custom) EXPECT_EQ(subtask, key % GetParam());
  std::int64_t sum = 0;
  for (std::int64_t b : batches) sum += b;
  EXPECT_EQ(sum, kRows * (kRows - 1) / 2);
  std::int64_t counted = 0;
  for (const auto& w : in_windows) counted += w.count;
  EXPECT_EQ(counted + static_cast<std::int64_t>(late.size()), kRows);
  EXPECT_GT(late.size(), 0u);
  for (const Event& e : late) EXPECT_EQ(e.value % 10, 9);
}

namespace {
struct Item {
  drey::Text name;
  std::optional<std::int32_t> n;
  DREY_FIELDS(Item, name, n)
};
struct Order {
  std::int64_t number = 0;
  Item first;
  drey::List<Item> items;
  std::vector<std::int64_t> sizes;
  std::optional<drey::Decimal<10, 2>> price;
  bool paid = false;
  DREY_FIELDS(Order, number, first, items, sizes, price, paid)
};
}  // namespace
DREY_JOB("engine_nested", env, args) {
  env.from(drey::generator<std::int64_t>(kRows, [](std::int64_t n) { return n; }))
      .map([](std::int64_t n) {
        static const std::vector<Item> items{{"one", 1}, {kLong, std::nullopt}, {"three", 3}};
        Order o;
        o.number = n;
        o.first = items[static_cast<std::size_t>(n) % 3];
        o.items = std::span<const Item>(items.data(), static_cast<std::size_t>(n) % 4);
        o.sizes.assign(static_cast<std::size_t>(n) % 3, n);
        if (n % 2 == 0) o.price = drey::Decimal<10, 2>{n};
        o.paid = n % 5 == 0;
        return o;
      })
      .key_by(&Order::number)  // through an exchange
      .process([](const Order& o, drey::Context&, drey::Out<Order>& out) { out.emit(o); })
      .map([](const Order& o) {
        std::int64_t sum = o.paid ? 1 : 0;
        for (const Item& i : o.items) sum += static_cast<std::int64_t>(i.name.size()) + i.n.value_or(100);
        for (std::int64_t s : o.sizes) sum += s;
        return std::tuple{o.number, sum, o.first.name, o.price.has_value()};
      })
      .to(drey::collect("rows"));
}
TEST_P(Engine, NestedRecordsAndLists) {
  Job job("engine_nested");
  auto& rows = job.collect<std::tuple<std::int64_t, std::int64_t, drey::Text, bool>>("rows");
  job.parallelism(GetParam()).run();
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kRows));
  const auto far = static_cast<std::int64_t>(std::string_view(kLong).size());
  const std::int64_t items[] = {0, 4, 4 + far + 100, 4 + far + 100 + 8};
  for (const auto& [n, sum, name, priced] : rows) {
    EXPECT_EQ(sum, (n % 5 == 0 ? 1 : 0) + items[n % 4] + n % 3 * n) << n;
    EXPECT_EQ(name, n % 3 == 0 ? "one" : n % 3 == 1 ? kLong : "three");
    EXPECT_EQ(priced, n % 2 == 0);
  }
}

DREY_JOB("engine_throws", env, args) {
  env.from(drey::generator<std::int64_t>(10, [](std::int64_t n) { return n; }))
      .map([](std::int64_t n) -> std::int64_t {
        if (n == 7) throw std::out_of_range("seven");
        return n;
      })
      .to(drey::collect("rows"));
}
TEST_P(Engine, ExceptionsFailTheJob) {
  Job job("engine_throws");
  try {
    job.parallelism(GetParam()).run();
    FAIL();
  } catch (const Failure& e) {
    EXPECT_THAT(e.what(), HasSubstr("seven"));
  }
}

// --- after a failure, at another parallelism ---

namespace {
constexpr std::int64_t kSteps = 60'000;
Event step(std::int64_t i) { return {i % 11, i, {i}, i % 3 == 0 ? drey::Text(kLong) : drey::Text("short")}; }

// Fails once on each of the first two starts, well behind the first checkpoints.
struct FailsTwice : drey::Process<Event, Event> {
  void process(const Event& e, Context& ctx, Out& out) {
    if (e.value == kSteps / 2 + 10'000 * static_cast<std::int64_t>(ctx.attempt()) && ctx.attempt() < 2)
      throw std::runtime_error("on purpose");
    out.pass();
  }
};
// Every kind of state and timer; at the end each key says what it holds.
struct Everything : drey::KeyedProcess<Event, std::pair<std::int64_t, std::string>> {
  drey::ValueState<std::int64_t> value{"value"};
  drey::ValueState<std::string> text{"text"};
  drey::ListState<std::int64_t> list{"list"};
  drey::MapState<drey::Text, std::int64_t> map{"map"};
  drey::ReducingState<std::int64_t> most{"most",
                                         [](const std::int64_t& a, const std::int64_t& b) { return std::max(a, b); }};
  drey::AggregatingState<Event, Sum> sum{"sum"};
  void process(const Event& e, Context& ctx) {
    value.ref() += 1;
    text.set(e.text.str());
    if (e.value % 1000 < 11) list.add(e.value);
    map.put(e.text, map.get(e.text).value_or(0) + 1);
    most.add(e.value);
    sum.add(e);
    ctx.timers().event(drey::Timestamp{kSteps * 10});
  }
  void on_timer(drey::Timestamp, Context& ctx, Out& out) {
    std::int64_t of_list = 0, of_map = 0;
    for (const std::int64_t v : list.get()) of_list += v;
    for (const auto& [k, v] : map.entries()) of_map += v * static_cast<std::int64_t>(k.size());
    out.emit({ctx.key<std::int64_t>(), std::to_string(value.value_or(0)) + " " + *text.get() + " " +
                                           std::to_string(of_list) + " " + std::to_string(of_map) + " " +
                                           std::to_string(most.value_or(0)) + " " + std::to_string(sum.get()->n) + " " +
                                           std::to_string(sum.get()->sum)});
  }
};
// Lists of the subtask: divided, and given whole to each.
struct Lists : drey::Process<Event, std::pair<std::string, std::int64_t>> {
  drey::OperatorListState<std::int64_t> divided{"divided"};
  drey::OperatorUnionState<std::int64_t> whole{"whole"};
  std::int64_t seen = 0;
  void open(Context&) {
    seen = static_cast<std::int64_t>(whole.size());
    whole.clear();
  }
  void process(const Event& e, Context&) {
    divided.add(e.value);
    if (whole.empty()) whole.add(1);
  }
  void finish(Context&, Out& out) {
    std::int64_t sum = 0;
    divided.each([&](std::int64_t v) { sum += v; });
    out.emit({"divided", sum});
    out.emit({"seen", seen});
  }
};
}  // namespace
DREY_JOB("engine_restored", env, args) {
  auto rows = env.from(drey::generator<Event>(kSteps, step).rate(300'000))
                  .parallelism(1)
                  .watermarks(drey::monotonous(&Event::time))
                  .parallelism(1)
                  .process(FailsTwice{})
                  .parallelism(1);
  auto keyed = rows.key_by(&Event::key);
  keyed.process(Everything{}).uid("everything").to(drey::collect("everything"));
  keyed.window(drey::tumbling(100ms)).aggregate<Sum>(per_key).uid("tumbling").to(drey::collect("tumbling"));
  keyed.window(drey::sliding(300ms, 100ms)).aggregate<Sum>(per_key).uid("sliding").to(drey::collect("sliding"));
  keyed.window(drey::session(12ms))
      .trigger(drey::purging(drey::count_trigger(10)))
      .aggregate<Sum>(per_key)
      .uid("bursts")
      .to(drey::collect("bursts"));
  keyed.window(drey::tumbling(1s))
      .trigger(drey::continuous_event_time_trigger(250ms))
      .aggregate<Sum>(per_key)
      .uid("early")
      .to(drey::collect("early"));
  keyed.count_window(7).count().uid("counted").to(drey::collect("counted"));
  keyed.interval_join(rows.filter([](const Event& e) { return e.value % 2 == 0; }).key_by(&Event::key))
      .between(-11ms, 11ms)
      .process([](const Event& a, const Event& b) {
        return std::pair{a.value, b.value};
      })
      .uid("joined")
      .to(drey::collect("joined"));
  auto names = env.from(drey::generator<Event>(11, step)).parallelism(1);
  rows.connect(names.broadcast()).process(Attach{}).uid("names").to(drey::collect("names"));
  rows.rebalance().process(Lists{}).uid("lists").to(drey::collect("lists"));
}
TEST(EngineRestored, EveryKindOfStateAtOtherParallelisms) {
  char directory[] = "/tmp/drey-api-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  Job job("engine_restored");
  const auto& tumbling = job.collect<PerKey>("tumbling");
  const auto& sliding = job.collect<PerKey>("sliding");
  const auto& bursts = job.collect<PerKey>("bursts");
  const auto& early = job.collect<PerKey>("early");
  const auto& joined = job.collect<std::pair<std::int64_t, std::int64_t>>("joined");
  const auto& counted = job.collect<drey::WindowCount<std::int64_t>>("counted");
  const auto& everything = job.collect<std::pair<std::int64_t, std::string>>("everything");
  const auto& names = job.collect<std::pair<std::int64_t, std::string>>("names");
  const auto& lists = job.collect<std::pair<std::string, std::int64_t>>("lists");
  job.parallelism(2).checkpoints(directory, 5ms).restart_at({3, 1}).run();  // the first two starts fail
  std::filesystem::remove_all(directory);

  std::map<std::pair<std::int64_t, std::int64_t>, Sum> sums;
  for (std::int64_t i = 0; i < kSteps; ++i) sums[{i % 11, i - i % 100}].add(step(i));
  std::vector<PerKey> expected;
  for (const auto& [k, s] : sums) expected.push_back({k.first, {k.second}, s.n, s.sum});
  EXPECT_THAT(tumbling, UnorderedElementsAreArray(expected));
  EXPECT_EQ(sliding.size(), 11u * (kSteps / 100 + 2));
  std::int64_t slid = 0, burst = 0;
  for (const PerKey& p : sliding) slid += p.n;
  EXPECT_EQ(slid, 3 * kSteps);
  for (const PerKey& p : bursts) burst += p.n;
  std::int64_t in_tens = 0;  // the rest of a session is dropped at its end
  for (std::int64_t key = 0; key < 11; ++key) in_tens += (kSteps - key + 10) / 11 / 10 * 10;
  EXPECT_EQ(burst, in_tens);
  EXPECT_EQ(early.size(), 11u * 4 * (kSteps / 1000));
  std::int64_t sevens = 0;
  for (std::int64_t key = 0; key < 11; ++key) sevens += (kSteps - key + 10) / 11 / 7;
  EXPECT_EQ(counted.size(), static_cast<std::size_t>(sevens));
  std::size_t pairs = 0;
  for (std::int64_t i = 0; i < kSteps; ++i) {
    for (const std::int64_t j : {i - 11, i, i + 11}) pairs += j >= 0 && j < kSteps && j % 2 == 0 ? 1 : 0;
  }
  EXPECT_EQ(joined.size(), pairs);
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kSteps));
  for (const auto& [key, name] : names) EXPECT_EQ(name, (key % 3 == 0 ? kLong : "short") + std::to_string(key));
  ASSERT_EQ(lists.size(), 2u);  // of the one subtask of the last start
  for (const auto& [what, n] : lists) {
    // Each subtask of the start before had put one element into the list that is given whole.
    EXPECT_EQ(n, what == "divided" ? kSteps * (kSteps - 1) / 2 : 3);
  }
  ASSERT_EQ(everything.size(), 11u);
  for (const auto& [key, text] : everything) {
    std::int64_t n = 0, list = 0, map = 0, most = 0, sum = 0;
    for (std::int64_t i = key; i < kSteps; i += 11) {
      ++n;
      if (i % 1000 < 11) list += i;
      map += static_cast<std::int64_t>(step(i).text.size());
      most = i;
      sum += i;
    }
    EXPECT_EQ(text, std::to_string(n) + " " + step(most).text.str() + " " + std::to_string(list) + " " +
                        std::to_string(map) + " " + std::to_string(most) + " " + std::to_string(n) + " " +
                        std::to_string(sum));
  }
}

// A timer in processing time that is due when the job is down fires when it runs again.
namespace {
struct FiresOnce : drey::KeyedProcess<Event, std::pair<std::int64_t, std::int64_t>> {
  drey::ValueState<std::int64_t> set_by{"set-by"};
  void process(const Event&, Context& ctx) {
    if (set_by.value_or(-1) >= 0) return;
    set_by.ref() = ctx.attempt();
    ctx.timers().processing(ctx.processing_time() + 200ms);
  }
  void on_timer(drey::Timestamp, Context& ctx, Out& out) {
    if (ctx.attempt() == 0) throw std::runtime_error("on purpose");
    out.emit({ctx.key<std::int64_t>(), set_by.value_or(-1)});
  }
};
}  // namespace
DREY_JOB("engine_overdue", env, args) {
  env.from(drey::generator<Event>(600, event).rate(1000))
      .key_by(&Event::key)
      .process(FiresOnce{})
      .to(drey::collect("fired"));
}
TEST(EngineRestored, OverdueTimersInProcessingTimeFire) {
  char directory[] = "/tmp/drey-api-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  Job job("engine_overdue");
  const auto& fired = job.collect<std::pair<std::int64_t, std::int64_t>>("fired");
  job.parallelism(1).checkpoints(directory, 5ms).restart_at({2}).run();
  std::filesystem::remove_all(directory);
  std::vector<std::pair<std::int64_t, std::int64_t>> expected;
  for (std::int64_t key = 0; key < 7; ++key) expected.emplace_back(key, 0);  // set by the first attempt
  EXPECT_THAT(fired, UnorderedElementsAreArray(expected));
}

DREY_JOB("engine_at_least_once", env, args) {
  env.at_least_once();
  auto rows =
      env.from(drey::generator<Event>(kSteps, step).rate(300'000)).parallelism(1).process(FailsTwice{}).parallelism(1);
  rows.key_by(&Event::key).count().to(drey::collect("counts"));
}
TEST(EngineRestored, AtLeastOnceLosesNothing) {
  char directory[] = "/tmp/drey-api-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  Job job("engine_at_least_once");
  const auto& counts = job.collect<std::pair<std::int64_t, std::int64_t>>("counts");
  job.parallelism(2).checkpoints(directory, 5ms).restart_at({3, 2}).run();
  std::filesystem::remove_all(directory);
  std::map<std::int64_t, std::int64_t> most;
  for (const auto& [key, n] : counts) most[key] = std::max(most[key], n);
  ASSERT_EQ(most.size(), 11u);
  for (const auto& [key, n] : most) EXPECT_GE(n, (kSteps - key + 10) / 11) << key;
}
