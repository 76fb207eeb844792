// Windows of every kind on the engine, row by row against a model that follows the rules in the plainest way: each
// row is put into each of its windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

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
std::ostream& operator<<(std::ostream& out, const Row& r) { return out << r.key << " " << r.value << " @" << r.time.ms; }

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
      .from(drey::generator<std::int64_t>(static_cast<std::int64_t>(rows.size()) * kBatch, [](std::int64_t n) { return n; }))
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
    for (std::int64_t start = floor_to(r.time.ms - c.offset, c.slide) + c.offset; start > r.time.ms - c.size; start -= c.slide) {
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
  const auto windows = [&] { return rows.window(drey::sliding(ms("size"), ms("slide")).offset(ms("offset"))).allowed_lateness(ms("lateness")); };
  auto sums = windows().late_to(kLate).aggregate<Sum>(of);
  sums.to(drey::collect("sums"));
  sums.side_output(kLate).to(drey::collect("late"));
  windows().aggregate<Texts>(of_texts).to(drey::collect("texts"));
  windows().process(of_rows).to(drey::collect("rows"));
  windows()
      .reduce([](const Row& a, const Row& b) { return Row{a.key, a.value + b.value, b.time}; },
              [](std::int64_t key, drey::Window w, const Row& r) { return Result{key, w.start, w.end, 0, r.value}; })
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
  c.offset = random.up_to(3);
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
