// The programs of README.md, as they stand there.
// clang-format off
#include <drey/datastream.h>
using namespace drey::literals;

struct Row {
  std::int64_t key = 0;
  drey::Timestamp time;
  DREY_FIELDS(Row, key, time)
};
struct Count {
  std::int64_t n = 0;
  DREY_FIELDS(Count, n)
  void add(const Row&) { ++n; }
  void merge(const Count& o) { n += o.n; }
};
struct PerSecond {
  std::int64_t key = 0;
  drey::Timestamp end;
  std::int64_t n = 0;
  DREY_FIELDS(PerSecond, key, end, n)
};

DREY_JOB("count", env, args) {
  env.from(drey::generator<Row>(1'000'000, [](std::int64_t i) { return Row{i % 100, {i / 1000}}; }))
      .watermarks(drey::monotonous(&Row::time))
      .key_by(&Row::key)
      .window(drey::tumbling(1s))
      .aggregate<Count>([](std::int64_t key, drey::Window w, const Count& c) { return PerSecond{key, w.end, c.n}; })
      .to(drey::csv_files(args.path("output")));
}

#include <drey/testing.h>

struct Quiet : drey::KeyedProcess<Row, PerSecond> {   // keys that have been quiet for a second
  drey::ValueState<std::int64_t> rows{"rows"};
  void process(const Row& row, Context& ctx) {
    rows.ref() += 1;
    ctx.timers().event(row.time + 1s);
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    out.emit({ctx.key<std::int64_t>(), at, rows.value_or(0)});
  }
};

int main() {
  drey::testing::Harness quiet(Quiet{}, &Row::key);
  quiet.process({7, {100}}, drey::Timestamp{100});    // a row and its event time
  quiet.watermark(drey::Timestamp{1100});             // fires the timer
  return quiet.take().at(0).n == 1 ? 0 : 1;
}
