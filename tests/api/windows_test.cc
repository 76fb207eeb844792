// Windows of every kind on the engine, row by row against a model that follows the rules in the plainest way: each
// row is put into each of its windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <utility>

#include "drey/testing.h"

using namespace drey::literals;
using drey::testing::Job;
using testing::UnorderedElementsAreArray;

namespace {

struct Row {
  std::int64_t key = 0;
  std::int64_t value = 0;
  drey::Timestamp time;
  DREY_FIELDS(Row, key, value, time)
  friend bool operator==(const Row&, const Row&) = default;
};
struct Result {
  std::int64_t key = 0;
  drey::Timestamp start, end;
  std::int64_t n = 0, sum = 0;
  DREY_FIELDS(Result, key, start, end, n, sum)
  friend auto operator<=>(const Result&, const Result&) = default;
};
std::ostream& operator<<(std::ostream& out, const Result& r) {
  return out << r.key << " [" << r.start.ms << ", " << r.end.ms << ") n=" << r.n << " sum=" << r.sum;
}
std::ostream& operator<<(std::ostream& out, const Row& r) {
  return out << r.key << " " << r.value << " @" << r.time.ms;
}

struct Sum {
  std::int64_t n = 0, sum = 0;
  void add(const Row& r) {
    ++n;
    sum += r.value;
  }
  void merge(const Sum& o) {
    n += o.n;
    sum += o.sum;
  }
};
struct Texts {  // not kept in place
  std::string all;
  DREY_FIELDS(Texts, all)
  void add(const Row& r) { all += std::to_string(r.value) + " "; }
  void merge(const Texts& o) { all += o.all; }
};
Result of(std::int64_t key, drey::Window w, const Sum& s) { return {key, w.start, w.end, s.n, s.sum}; }
Result of_texts(std::int64_t key, drey::Window w, const Texts& t) {
  Result r{key, w.start, w.end, 0, 0};
  std::size_t at = 0;
  while (at < t.all.size()) {
    const std::size_t space = t.all.find(' ', at);
    ++r.n;
    r.sum += std::stoll(t.all.substr(at, space - at));
    at = space + 1;
  }
  return r;
}
Result of_rows(std::int64_t key, drey::Window w, const std::vector<Row>& rows) {
  Sum s;
  for (const Row& r : rows) s.add(r);
  return of(key, w, s);
}

const drey::SideOutput<Row> kLate{"late"};

struct Case {
  std::int64_t size = 10, slide = 10, offset = 0, lateness = 0;
  std::uint32_t seed = 1;
};
constexpr std::int64_t kDisorder = 15;
constexpr std::int64_t kBatch = 2048;  // rows a source makes at once

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::int64_t up_to(std::int64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int64_t>(state_ >> 33) % n;
  }

 private:
  std::uint64_t state_;
};

// Rows in and out of order, with holes, some of them late. Each is a batch, with a watermark, of its own.
std::vector<Row> script(std::uint32_t seed) {
  Random random(seed);
  const auto up_to = [&](std::int64_t n) { return random.up_to(n); };
  std::vector<Row> rows;
  std::int64_t now = -40;
  for (std::int64_t i = 0; i < 120; ++i) {
    now += up_to(20) == 0 ? 60 : up_to(5);
    rows.push_back({up_to(3), i, {now - up_to(up_to(8) == 0 ? 70 : 20)}});
  }
  return rows;
}
template <class T>
drey::DataStream<T> one_by_one(drey::Environment& env, std::vector<T> rows) {
  return env
      .from(drey::generator<std::int64_t>(static_cast<std::int64_t>(rows.size()) * kBatch,
                                          [](std::int64_t n) { return n; }))
      .parallelism(1)
      .filter([](std::int64_t n) { return n % kBatch == 0; })
      .parallelism(1)
      .map([rows](std::int64_t n) { return rows[static_cast<std::size_t>(n / kBatch)]; })
      .parallelism(1);
}

struct Expected {
  std::vector<Result> results;
  std::vector<Row> late;
};
std::int64_t floor_to(std::int64_t t, std::int64_t step) { return t - ((t % step) + step) % step; }

Expected model(const Case& c) {
  Expected out;
  std::map<std::pair<std::int64_t, std::int64_t>, Sum> windows;  // (end, key)
  std::int64_t mark = INT64_MIN, largest = INT64_MIN;
  const auto fire = [&](std::int64_t end, std::int64_t key) {
    out.results.push_back(of(key, {{end - c.size}, {end}}, windows.at({end, key})));
  };
  const auto advance = [&](std::int64_t to) {
    for (const auto& [at, sum] : windows) {
      if (at.first - 1 > mark && at.first - 1 <= to) fire(at.first, at.second);
    }
    mark = to;
  };
  for (const Row& r : script(c.seed)) {
    bool taken = false, in_a_window = false;
    for (std::int64_t start = floor_to(r.time.ms - c.offset, c.slide) + c.offset; start > r.time.ms - c.size;
         start -= c.slide) {
      const std::int64_t end = start + c.size;
      in_a_window = true;
      if (mark != INT64_MIN && end - 1 + c.lateness <= mark) continue;
      taken = true;
      windows[{end, r.key}].add(r);
      if (end - 1 <= mark) fire(end, r.key);
    }
    if (in_a_window && !taken) out.late.push_back(r);
    largest = std::max(largest, r.time.ms);
    advance(std::max(mark, largest - kDisorder - 1));
  }
  advance(INT64_MAX);
  return out;
}

std::vector<std::string> arguments(const Case& c) {
  return {"--size",   std::to_string(c.size),   "--slide",    std::to_string(c.slide),
          "--offset", std::to_string(c.offset), "--lateness", std::to_string(c.lateness),
          "--seed",   std::to_string(c.seed)};
}

}  // namespace

DREY_JOB("time_windows", env, args) {
  const auto ms = [&](const char* name) { return drey::Millis(args.get<std::int64_t>(name, 0)); };
  auto rows = one_by_one(env, script(args.get<std::uint32_t>("seed", 1)))
                  .watermarks(drey::bounded_out_of_orderness(&Row::time, drey::Millis(kDisorder)))
                  .parallelism(1)
                  .key_by(&Row::key);
  const auto windows = [&] {
    return rows.window(drey::sliding(ms("size"), ms("slide")).offset(ms("offset"))).allowed_lateness(ms("lateness"));
  };
  auto sums = windows().late_to(kLate).aggregate<Sum>(of);
  sums.to(drey::collect("sums"));
  sums.side_output(kLate).to(drey::collect("late"));
  windows().aggregate<Texts>(of_texts).to(drey::collect("texts"));
  windows().process(of_rows).to(drey::collect("rows"));
  windows()
      .reduce(
          [](const Row& a, const Row& b) {
            return Row{a.key, a.value + b.value, b.time};
          },
          [](std::int64_t key, drey::Window w, const Row& r) {
            return Result{key, w.start, w.end, 0, r.value};
          })
      .to(drey::collect("reduced"));
}

class TimeWindows : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Seed, TimeWindows, testing::Range(1, 25));

TEST_P(TimeWindows, EqualTheModel) {
  Random random(static_cast<std::uint64_t>(GetParam()));
  const std::int64_t sizes[] = {1, 6, 10, 12, 30};
  const std::int64_t slides[] = {1, 4, 5, 10, 17};
  Case c;
  c.size = sizes[random.up_to(5)];
  c.slide = GetParam() % 3 == 0 ? c.size : slides[random.up_to(5)];
  c.offset = random.up_to(std::min<std::int64_t>(3, c.slide));  // as in Flink, smaller than the slide
  c.lateness = GetParam() % 2 == 0 ? 0 : random.up_to(40);
  c.seed = static_cast<std::uint32_t>(random.up_to(1 << 30));
  SCOPED_TRACE(testing::PrintToString(arguments(c)));
  const Expected expected = model(c);
  std::vector<Result> reduced = expected.results;
  for (Result& r : reduced) r.n = 0;

  Job job("time_windows");
  const auto& sums = job.collect<Result>("sums");
  const auto& texts = job.collect<Result>("texts");
  const auto& rows = job.collect<Result>("rows");
  const auto& folded = job.collect<Result>("reduced");
  const auto& late = job.collect<Row>("late");
  job.parallelism(1 + GetParam() % 2).run(arguments(c));
  EXPECT_THAT(sums, UnorderedElementsAreArray(expected.results));
  EXPECT_THAT(texts, UnorderedElementsAreArray(expected.results));
  EXPECT_THAT(rows, UnorderedElementsAreArray(expected.results));
  EXPECT_THAT(folded, UnorderedElementsAreArray(reduced));
  EXPECT_THAT(late, UnorderedElementsAreArray(expected.late));
  if (c.lateness == 0 && c.size == c.slide) {
    EXPECT_FALSE(late.empty());
  }
}

// --- processing time ---

constexpr std::int64_t kPaced = 150'000, kTail = 30'000;  // the tail keeps the job going until all windows have fired

DREY_JOB("processing_time_windows", env, args) {
  const auto size = drey::Millis(args.get<std::int64_t>("size"));
  const auto slide = drey::Millis(args.get<std::int64_t>("slide"));
  auto rows = env.from(drey::generator<Row>(kPaced + kTail,
                                            [](std::int64_t n) {
                                              return Row{n < kPaced ? n % 7 : 99, 1, {}};
                                            })
                           .rate(300'000))
                  .key_by(&Row::key);
  if (args.flag("session")) {
    rows.window(drey::session(size).processing_time()).aggregate<Sum>(of).to(drey::collect("sums"));
  } else if (slide == size) {
    rows.window(drey::tumbling(size).processing_time()).aggregate<Sum>(of).to(drey::collect("sums"));
  } else {
    rows.window(drey::sliding(size, slide).processing_time()).aggregate<Sum>(of).to(drey::collect("sums"));
  }
  args.done();
}

// A window fires when its last millisecond has passed: rows of that millisecond are in it.
TEST(ProcessingTimeWindows, CountEveryRowOnce) {
  struct Shape {
    std::int64_t size, slide;
    bool session;
  };
  for (const Shape& shape : {Shape{1, 1, false}, Shape{3, 3, false}, Shape{10, 2, false}, Shape{1, 1, true}}) {
    SCOPED_TRACE(testing::PrintToString(std::pair(shape.size, shape.slide)));
    Job job("processing_time_windows");
    const auto& sums = job.collect<Result>("sums");
    std::vector<std::string> arguments{"--size", std::to_string(shape.size), "--slide", std::to_string(shape.slide)};
    if (shape.session) arguments.push_back("--session");
    job.parallelism(1).run(arguments);
    std::int64_t rows = 0;
    std::map<std::pair<std::int64_t, std::int64_t>, int> times;
    for (const Result& r : sums) {
      if (r.key == 99) continue;
      rows += r.n;
      EXPECT_EQ(++times[std::pair(r.key, r.end.ms)], 1) << r;
    }
    EXPECT_EQ(rows, kPaced * (shape.size / shape.slide));
  }
}

// --- edges of time ---

const drey::SideOutput<Row> kTooLate{"too_late"};
DREY_JOB("edges_of_time", env, args) {
  std::vector<Row> rows{{1, 1, drey::Timestamp::min()}, {1, 2, {0}}, {1, 3, {100}}, {1, 4, {5}}, {1, 5, {200}}};
  const auto lateness = drey::Millis(args.get<std::int64_t>("lateness"));
  auto windows = one_by_one(env, rows)
                     .watermarks(drey::monotonous(&Row::time))
                     .key_by(&Row::key)
                     .window(drey::tumbling(10ms))
                     .allowed_lateness(lateness)
                     .late_to(kTooLate);
  auto sums =
      args.flag("triggered") ? windows.trigger(drey::count_trigger(1)).aggregate<Sum>(of) : windows.aggregate<Sum>(of);
  sums.to(drey::collect("sums"));
  sums.side_output(kTooLate).to(drey::collect("late"));
  args.done();
}

// Lateness without end keeps windows for ever; a row before all windows is told to be late.
TEST(EdgesOfTime, SumsOfTimesSaturateAndNoRowIsLostWithoutAWord) {
  for (const bool triggered : {false, true}) {
    for (const std::int64_t lateness : {std::int64_t{0}, INT64_MAX}) {
      SCOPED_TRACE(testing::PrintToString(std::pair(triggered, lateness)));
      Job job("edges_of_time");
      const auto& sums = job.collect<Result>("sums");
      const auto& late = job.collect<Row>("late");
      std::vector<std::string> arguments{"--lateness", std::to_string(lateness)};
      if (triggered) arguments.push_back("--triggered");
      job.run(arguments);
      std::vector<Row> expected{{1, 1, drey::Timestamp::min()}};
      if (lateness == 0) expected.push_back({1, 4, {5}});
      EXPECT_THAT(late, UnorderedElementsAreArray(expected));
      std::vector<Result> results{{1, {0}, {10}, 1, 2}, {1, {100}, {110}, 1, 3}, {1, {200}, {210}, 1, 5}};
      if (lateness != 0) results.push_back({1, {0}, {10}, 2, 6});
      EXPECT_THAT(sums, UnorderedElementsAreArray(results));
    }
  }
}

// --- very many windows and timers at once ---

// Fails once, late in what fires at the end of the input.
struct FailsAtOne : drey::Process<Result, Result> {
  drey::LongCounter failed{"failures"};
  std::int64_t seen = 0;
  void process(const Result& r, Context& ctx, Out& out) {
    if (ctx.attempt() == 0 && ++seen == 150'000) {
      failed.add(1);
      throw std::runtime_error("on purpose");
    }
    out.emit(r);
  }
};
struct ManyTimers : drey::KeyedProcess<Row, Result> {
  void process(const Row& row, Context& ctx) {
    for (std::int64_t i = 0; i < 50'000; ++i) ctx.timers().event(row.time + drey::Millis(i));
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) { out.emit({ctx.key<std::int64_t>(), at, at + 1ms, 1, 1}); }
};
DREY_JOB("many_at_once", env, args) {
  auto rows = env.from(drey::generator<Row>(4,
                                            [](std::int64_t n) {
                                              return Row{n, n, {n}};
                                            }))
                  .watermarks(drey::monotonous(&Row::time))
                  .key_by(&Row::key);
  auto fired =
      args.flag("timers") ? rows.process(ManyTimers{}) : rows.window(drey::sliding(50s, 1ms)).aggregate<Sum>(of);
  fired.rebalance().process(FailsAtOne{}).to(drey::collect("fired"));
  args.done();
}

// Firing goes on in parts: checkpoints are taken meanwhile, and a failure repeats only what came after the last one.
TEST(ManyAtOnce, FireInPartsWithCheckpointsInBetween) {
  for (const bool timers : {false, true}) {
    for (const std::uint32_t restart_at : {1u, 2u}) {
      SCOPED_TRACE(testing::PrintToString(std::pair(timers, restart_at)));
      char directory[] = "/tmp/drey-api-XXXXXX";
      ASSERT_NE(mkdtemp(directory), nullptr);
      Job job("many_at_once");
      const auto& fired = job.collect<Result>("fired");
      job.parallelism(1).checkpoints(directory, 5ms).restart_at({restart_at});
      job.run(timers ? std::vector<std::string>{"--timers"} : std::vector<std::string>{});
      std::filesystem::remove_all(directory);
      ASSERT_EQ(fired.size(), 200'000u);
      std::map<std::pair<std::int64_t, std::int64_t>, int> times;
      for (const Result& r : fired) ASSERT_EQ(++times[std::pair(r.key, r.end.ms)], 1) << r;
    }
  }
}

// --- past the range of a decimal ---

using Cents = drey::Decimal<4, 2>;
struct Money {
  std::int64_t key = 0;
  Cents amount;
  drey::Timestamp time;
  DREY_FIELDS(Money, key, amount, time)
};
DREY_JOB("decimal_sums", env, args) {
  auto rows = env.from(drey::generator<Money>(3,
                                              [](std::int64_t n) {
                                                return Money{1, {4999 + n}, {n}};
                                              }))
                  .watermarks(drey::monotonous(&Money::time))
                  .key_by(&Money::key);
  if (args.flag("window")) {
    rows.window(drey::tumbling(1s)).sum(&Money::amount).name("window of money").to(drey::discard());
  } else {
    rows.sum(&Money::amount).name("sum of money").to(drey::discard());
  }
  args.done();
}

TEST(Decimals, ASumThatDoesNotFitFailsWithItsValues) {
  for (const bool window : {false, true}) {
    Job job("decimal_sums");
    try {
      job.run(window ? std::vector<std::string>{"--window"} : std::vector<std::string>{});
      ADD_FAILURE() << "a wrong sum";
    } catch (const std::exception& why) {
      const std::string message = why.what();
      EXPECT_NE(message.find("99.99 + 50.01 does not fit Decimal<4, 2>"), std::string::npos) << message;
    }
  }
}

// --- triggers ---

namespace {

constexpr std::int64_t kPause = 7;
constexpr std::int64_t kNever = INT64_MIN;

// Fires and purges at a pause in event time, and at the end of the window.
struct Pauses {
  using State = drey::Timestamp;
  drey::TriggerResult on_element(const Row& row, drey::Window w, drey::TriggerContext& ctx) {
    auto& newest = ctx.state<State>();  // all times here are above zero
    newest = std::max(newest, row.time);
    if (w.last() <= ctx.watermark()) return drey::TriggerResult::kFireAndPurge;
    ctx.event_timer(std::min(newest + drey::Millis(kPause), w.last()));
    return drey::TriggerResult::kContinue;
  }
  drey::TriggerResult on_event_time(drey::Timestamp, drey::Window, drey::TriggerContext&) {
    return drey::TriggerResult::kFireAndPurge;
  }
  static void merge(State& into, const State& from) { into = std::max(into, from); }
};

struct Triggered {
  std::string assigner = "tumbling", trigger = "count";
  bool purge = false;
  std::int64_t lateness = 0;
  std::uint64_t seed = 1;
};
constexpr std::int64_t kSize = 20, kSlide = 5, kGap = 9, kCount = 3, kInterval = 8;

std::vector<Row> late_script(std::uint64_t seed) {
  auto rows = script(static_cast<std::uint32_t>(seed));
  for (Row& r : rows) r.time.ms += 1000;
  return rows;
}

// The rules of windows and triggers, one row, one window, one timer at a time.
class Model {
 public:
  explicit Model(Triggered c) : c_(std::move(c)) {}

  Expected run() {
    std::int64_t largest = INT64_MIN;
    for (const Row& r : late_script(c_.seed)) {
      row(r);
      largest = std::max(largest, r.time.ms);
      // A timer that is overdue when it is set waits for the next watermark, as in Flink.
      if (largest - kDisorder - 1 > mark_) advance(largest - kDisorder - 1);
    }
    advance(INT64_MAX);
    return std::move(out_);
  }

 private:
  struct Pane {
    std::int64_t key, start, end;
    std::vector<Row> rows;
    std::int64_t count = 0, timer = kNever, next = kNever, newest = 0;
    std::int64_t last() const { return end == INT64_MAX ? end : end - 1; }
  };

  void row(const Row& r) {
    bool taken = false;
    if (c_.assigner == "global") {
      taken = give(r, INT64_MIN, INT64_MAX);
    } else if (c_.assigner == "session") {
      taken = give(r, r.time.ms, r.time.ms + kGap);
    } else {
      const std::int64_t slide = c_.assigner == "sliding" ? kSlide : kSize;
      for (std::int64_t start = floor_to(r.time.ms, slide); start > r.time.ms - kSize; start -= slide) {
        taken = give(r, start, start + kSize) || taken;
      }
    }
    if (!taken) out_.late.push_back(r);
  }

  bool is_gone(std::int64_t end) const {
    return end != INT64_MAX && mark_ != INT64_MIN && end - 1 + c_.lateness <= mark_;
  }

  bool give(const Row& r, std::int64_t start, std::int64_t end) {
    std::vector<Pane> kept;
    Pane pane{r.key, start, end, {}};
    const bool merges = c_.assigner == "session";
    std::vector<Pane> in;
    for (Pane& p : panes_) {
      const bool same = p.key == r.key && (merges ? p.start <= pane.end && p.end >= pane.start : p.end == end);
      (same ? in : kept).push_back(p);
      if (same) {
        pane.start = std::min(pane.start, p.start);
        pane.end = std::max(pane.end, p.end);
      }
    }
    if (is_gone(pane.end)) return false;
    for (const Pane& p : in) {
      pane.rows.insert(pane.rows.end(), p.rows.begin(), p.rows.end());
      pane.count += p.count;
      pane.newest = std::max(pane.newest, p.newest);
      if (p.next != kNever) pane.next = pane.next == kNever ? p.next : std::min(pane.next, p.next);
      if (!merges) pane.timer = p.timer;
    }
    pane.rows.push_back(r);
    ++pane.count;
    pane.newest = std::max(pane.newest, r.time.ms);
    const bool passed = pane.last() <= mark_;
    if (c_.trigger == "count") {
      if (pane.count >= kCount) fire(pane);
    } else if (passed) {
      fire(pane);
    } else if (c_.trigger == "event") {
      pane.timer = pane.last();
    } else if (c_.trigger == "continuous") {
      if (pane.next == kNever) pane.next = floor_to(r.time.ms, kInterval) + kInterval;
      pane.timer = std::min(pane.next, pane.last());
    } else {
      pane.timer = std::min(pane.newest + kPause, pane.last());
    }
    kept.push_back(pane);
    panes_ = kept;
    return true;
  }

  void fire(Pane& p) {
    if (!p.rows.empty()) out_.results.push_back(of_rows(p.key, {{p.start}, {p.end}}, p.rows));
    p.count = 0;
    if (c_.purge || c_.trigger == "custom") p.rows.clear();
  }

  void advance(std::int64_t to) {
    mark_ = to;
    while (true) {
      // The earliest thing that happens: a timer, then the end of a window at the same instant.
      Pane* timed = nullptr;
      for (Pane& p : panes_) {
        if (p.timer != kNever && p.timer <= to && (timed == nullptr || p.timer < timed->timer)) timed = &p;
      }
      const auto ends =
          std::min_element(panes_.begin(), panes_.end(), [](const Pane& a, const Pane& b) { return a.end < b.end; });
      const bool gone = ends != panes_.end() && is_gone(ends->end);
      if (timed != nullptr && (!gone || timed->timer <= ends->end - 1 + c_.lateness)) {
        const std::int64_t at = std::exchange(timed->timer, kNever);
        fire(*timed);
        if (c_.trigger == "continuous") {
          timed->next = kNever;
          if (at < timed->last()) {
            timed->next = floor_to(at, kInterval) + kInterval;
            timed->timer = std::min(timed->next, timed->last());
          }
        }
      } else if (gone) {
        panes_.erase(ends);
      } else {
        return;
      }
    }
  }

  const Triggered c_;
  std::int64_t mark_ = INT64_MIN;
  std::vector<Pane> panes_;
  Expected out_;
};

std::vector<std::string> arguments(const Triggered& c) {
  return {"--assigner", c.assigner,
          "--trigger",  c.trigger,
          "--purge",    c.purge ? "1" : "0",
          "--lateness", std::to_string(c.lateness),
          "--seed",     std::to_string(c.seed)};
}

template <class W>
void add_triggered(W windows, drey::ProgramArgs& args, drey::Millis lateness) {
  const std::string kind = args.get<std::string>("trigger", "");
  const bool purge = args.get<std::string>("purge", "0") == "1";
  windows.allowed_lateness(lateness).late_to(kLate);
  const auto finish = [](const auto& w) {
    auto sums = w.template aggregate<Sum>(of);
    sums.to(drey::collect("sums"));
    sums.side_output(kLate).to(drey::collect("late"));
    w.template aggregate<Texts>(of_texts).to(drey::collect("texts"));
    w.process(of_rows).to(drey::collect("rows"));
  };
  if (kind == "custom") return finish(windows.trigger(Pauses{}));
  const drey::BuiltInTrigger t = kind == "count"        ? drey::count_trigger(kCount)
                                 : kind == "continuous" ? drey::continuous_event_time_trigger(drey::Millis(kInterval))
                                                        : drey::event_time_trigger();
  finish(windows.trigger(purge ? drey::purging(t) : t));
}

}  // namespace

DREY_JOB("triggered_windows", env, args) {
  auto rows = one_by_one(env, late_script(args.get<std::uint64_t>("seed", 1)))
                  .watermarks(drey::bounded_out_of_orderness(&Row::time, drey::Millis(kDisorder)))
                  .parallelism(1)
                  .key_by(&Row::key);
  const std::string assigner = args.get<std::string>("assigner", "");
  const drey::Millis lateness(args.get<std::int64_t>("lateness", 0));
  if (assigner == "tumbling") add_triggered(rows.window(drey::tumbling(drey::Millis(kSize))), args, lateness);
  if (assigner == "sliding")
    add_triggered(rows.window(drey::sliding(drey::Millis(kSize), drey::Millis(kSlide))), args, lateness);
  if (assigner == "session") add_triggered(rows.window(drey::session(drey::Millis(kGap))), args, lateness);
  if (assigner == "global") add_triggered(rows.window(drey::global()), args, lateness);
}

class TriggeredWindows : public testing::TestWithParam<std::tuple<std::string, std::string, bool>> {};
INSTANTIATE_TEST_SUITE_P(Timed, TriggeredWindows,
                         testing::Combine(testing::Values("tumbling", "sliding"),
                                          testing::Values("count", "continuous", "event", "custom"), testing::Bool()));
INSTANTIATE_TEST_SUITE_P(Session, TriggeredWindows,
                         testing::Combine(testing::Values("session"),
                                          testing::Values("count", "continuous", "event", "custom"), testing::Bool()));
INSTANTIATE_TEST_SUITE_P(Global, TriggeredWindows,
                         testing::Combine(testing::Values("global"), testing::Values("count", "custom"),
                                          testing::Bool()));

TEST(TriggeredWindows, ContinuousTriggersAreRefusedOnWindowsThatNeverEnd) {
  Triggered c;
  c.assigner = "global";
  c.trigger = "continuous";
  Job job("triggered_windows");
  EXPECT_THAT([&] { job.run(arguments(c)); }, testing::ThrowsMessage<std::exception>(testing::HasSubstr("never end")));
}

TEST_P(TriggeredWindows, EqualTheModel) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Triggered c;
    std::tie(c.assigner, c.trigger, c.purge) = GetParam();
    c.seed = seed;
    c.lateness = seed % 2 == 0 ? 0 : static_cast<std::int64_t>(seed) * 5;
    SCOPED_TRACE(testing::PrintToString(arguments(c)));
    const Expected expected = Model(c).run();
    Job job("triggered_windows");
    const auto& sums = job.collect<Result>("sums");
    const auto& texts = job.collect<Result>("texts");
    const auto& rows = job.collect<Result>("rows");
    const auto& late = job.collect<Row>("late");
    job.parallelism(1 + static_cast<int>(seed % 2)).run(arguments(c));
    EXPECT_THAT(sums, UnorderedElementsAreArray(expected.results));
    EXPECT_THAT(texts, UnorderedElementsAreArray(expected.results));
    EXPECT_THAT(rows, UnorderedElementsAreArray(expected.results));
    EXPECT_THAT(late, UnorderedElementsAreArray(expected.late));
    EXPECT_GT(expected.results.size(), 10u);
  }
}
