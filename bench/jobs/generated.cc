// The cases over generated rows: generate, exchange, keyed_sum, chain, window.
#include <unordered_map>

#include "rows.h"

namespace bench {
namespace {

// Counts the running sums and adds up mix(key) * the largest sum of each key. Values are never
// negative, so the largest is the last, in whatever order a key's rows came.
struct FinalSums : drey::Process<Row, Row> {
  std::unordered_map<std::int64_t, std::int64_t> largest;
  drey::LongCounter count{"results"};
  drey::LongCounter digest{"digest"};
  void process(const Row& r, Context&, Out& out) {
    count.add(1);
    std::int64_t& most = largest.try_emplace(r.key, 0).first->second;
    if (r.value > most) {
      digest.add(static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(r.key)) *
                                           static_cast<std::uint64_t>(r.value - most)));
      most = r.value;
    }
    out.pass();
  }
};

struct Pass : drey::KeyedProcess<Row, Row> {
  void process(const Row&, Context&, Out& out) { out.pass(); }
};

struct Count {
  std::int64_t n = 0;
  void add(const Row&) { ++n; }
  void merge(const Count& o) { n += o.n; }
};

struct PerSecond {
  std::int64_t key = 0;
  drey::Timestamp end;
  std::int64_t n = 0;
  DREY_FIELDS(PerSecond, key, end, n)
};

}  // namespace

// The generator and the sink alone: what the other cases pay before they begin.
DREY_JOB("generate", env, args) {
  Case c(env, args);
  c.discard(c.rows(1'000'000), [](const Row& r) { return static_cast<std::uint64_t>(r.value); });
}

// A hash exchange; the keyed function passes rows on and keeps no state.
DREY_JOB("exchange", env, args) {
  Case c(env, args);
  c.discard(c.rows(1'000'000).key_by(&Row::key).process(Pass{}),
            [](const Row& r) { return mix(static_cast<std::uint64_t>(r.seq)); });
}

// Running sum by key; one result a row.
DREY_JOB("keyed_sum", env, args) {
  Case c(env, args);
  auto sums = c.rows(1'000'000).key_by(&Row::key).reduce([](const Row& a, const Row& b) {
    return Row{a.key, a.value + b.value, b.ts, b.seq};
  });
  if (c.verify) {
    sums.process(FinalSums{}).to(drey::discard());
  } else {
    sums.to(drey::discard());
  }
  args.done();
}

// Map, filter (half of the rows pass), map: one chain, no exchange.
DREY_JOB("chain", env, args) {
  Case c(env, args);
  c.discard(c.rows(1'000'000)
                .map([](Row r) {
                  r.value = r.value * 3 + 1;
                  return r;
                })
                .filter([](const Row& r) { return (r.value & 1) != 0; })
                .map([](Row r) {
                  r.value += r.key;
                  return r;
                }),
            [](const Row& r) { return static_cast<std::uint64_t>(r.value); });
}

// Count by key in tumbling windows of one second of event time.
DREY_JOB("window", env, args) {
  Case c(env, args);
  c.discard(c.rows(10'000)
                .watermarks(drey::monotonous(&Row::ts))
                .key_by(&Row::key)
                .window(drey::tumbling(1s))
                .aggregate<Count>([](std::int64_t key, drey::Window w, const Count& n) {
                  return PerSecond{key, w.end, n.n};
                }),
            [](const PerSecond& r) {
              return mix(static_cast<std::uint64_t>(r.key * 31 + r.end.ms)) * static_cast<std::uint64_t>(r.n);
            });
}

}  // namespace bench
