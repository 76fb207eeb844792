// Case latency: rows at a fixed rate through two hash exchanges, each with a count in state.
#include "latency.h"

#include <chrono>

#include "rows.h"

namespace bench {

Latencies& latencies() {
  static Latencies all;
  return all;
}

namespace {

std::int64_t now_nanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// made and due: nanoseconds of the steady clock.
struct Stamped {
  std::int64_t key = 0, made = 0, due = 0, seq = 0;
  DREY_FIELDS(Stamped, key, made, due, seq)
};

struct MakeStamped {
  std::int64_t keys, rate;  // rows per second of this subtask
  std::int64_t start = 0, rows = 0;
  Stamped operator()(std::int64_t number) {
    const std::int64_t now = now_nanos();
    if (start == 0) start = now;
    std::int64_t due = start + rows * 1'000'000'000 / rate;
    if (now - due > 100'000'000) {  // the source gives up what it is more than 100 ms behind
      start += now - due;
      due = now;
    }
    ++rows;
    const auto h = mix(static_cast<std::uint64_t>(number));
    return {static_cast<std::int64_t>((h >> 1) % static_cast<std::uint64_t>(keys)), now, due, number};
  }
};

// Running count by key; replaces the row's key.
struct CountRows : drey::KeyedProcess<Stamped, Stamped> {
  drey::ValueState<std::int64_t> count{"count"};
  void process(const Stamped& r, Context&, Out& out) {
    Stamped next = r;
    next.key = ++count.ref();
    out.emit(next);
  }
};

// Notes the age of the rows made after the warm-up; passes none.
struct Measure : drey::Process<Stamped, Stamped> {
  std::int64_t warmup_nanos;
  std::int64_t start = 0;
  drey::LongCounter results{"results"};
  explicit Measure(std::int64_t nanos) : warmup_nanos(nanos) {}
  void process(const Stamped& r, Context&, Out&) {
    const std::int64_t now = now_nanos();
    if (start == 0) start = now;
    results.add(1);
    if (r.made - start < warmup_nanos) return;
    latencies().since_made.add(now - r.made);
    latencies().since_due.add(now - r.due);
  }
};

}  // namespace

// --rows, --rate (rows/s in all), --keys, --warmup-s.
DREY_JOB("latency", env, args) {
  Case c(env, args);
  const auto rows = args.get<std::int64_t>("rows");
  const auto rate = args.get<std::int64_t>("rate", 10'000);
  const auto keys = args.get<std::int64_t>("keys", 100'000);
  const auto warmup = args.get<std::int64_t>("warmup-s", 3);
  if (rows < 1 || rate < c.parallelism || keys < 1) {
    throw drey::ArgumentError("--rows, --rate and --keys must be at least 1, --rate one a subtask");
  }
  env.from(drey::generator<Stamped>(rows, MakeStamped{keys, rate / c.parallelism}).rate(static_cast<double>(rate)))
      .key_by(&Stamped::key)
      .process(CountRows{})
      .key_by([keys](const Stamped& r) {
        return static_cast<std::int64_t>((mix(~static_cast<std::uint64_t>(r.seq)) >> 1) %
                                         static_cast<std::uint64_t>(keys));
      })
      .process(CountRows{})
      .process(Measure{warmup * 1'000'000'000})
      .to(drey::discard());
  args.done();
}

}  // namespace bench
