// The jobs that were recorded on Flink, natively: same operators, names and options, so that
// golden_test.py can ask a cluster of Drey what was asked then.
#include <drey/datastream.h>
#include <poll.h>

#include <chrono>
#include <stdexcept>
#include <string>

using namespace drey::literals;

namespace {

struct Row {
  std::int64_t n = 0;
  std::int64_t key = 0;
  drey::Timestamp time;
  DREY_FIELDS(Row, n, key, time)
};

// Counts per key.
struct Count : drey::KeyedProcess<Row, Row> {
  drey::ValueState<std::int64_t> seen_of_key{"n"};
  drey::LongCounter seen{"seen"};
  drey::DoubleCounter half{"half"};
  drey::Counter hits{"mine.hits"};
  void process(const Row& row, Context&, Out& out) {
    seen_of_key.ref() += 1;
    seen.add(1);
    half.add(0.5);
    hits.add();
    out.emit(row);
  }
};

// Passes rows on, slowly or not at all if told so.
struct Fail : drey::Process<Row, Row> {
  drey::LongCounter passed{"passed"};
  drey::DoubleCounter sum{"sum"};
  std::int64_t every = 0, slow_ms = 0, rows = 0;
  void process(const Row& row, Context&, Out& out) {
    if (slow_ms > 0) ::poll(nullptr, 0,
                            static_cast<int>(slow_ms));  // user code that blocks, as the recorded one did
    if (every > 0 && ++rows % every == 0)
      throw std::runtime_error("planned failure at record " + std::to_string(row.n));
    passed.add(1);
    sum.add(0.5);
    out.emit(row);
  }
};

auto numbers(std::int64_t rows, std::int64_t keys, double rate) {
  return drey::generator<Row>(rows, [keys](std::int64_t i) { return Row{i, i % keys, {i}}; }).rate(rate);
}

void restart(drey::Environment& env, const std::string& kind, int attempts, std::int64_t delay) {
  if (kind == "none") env.restart(drey::no_restart());
  if (kind == "fixed-delay") env.restart(drey::fixed_delay(attempts, std::chrono::milliseconds(delay)));
}

void of_two(drey::Environment& env, drey::ProgramArgs& args) {
  if (args.has("throw-in-main")) throw std::runtime_error("boom in main");
  if (args.has("no-job")) return;
  restart(env, args.get("restart", "none"), args.get<int>("attempts", 2), args.get<std::int64_t>("delay", 1000));
  if (args.has("p")) env.parallelism(args.get<int>("p"));
  if (const auto interval = args.get<std::int64_t>("checkpoint", 0); interval > 0) {
    env.checkpointing(std::chrono::milliseconds(interval));
    env.set("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
  }
  env.name(args.get("name", "drey job"));
  Fail fail;
  fail.every = args.get<std::int64_t>("fail-every", 0);
  fail.slow_ms = args.get<std::int64_t>("slow-ms", 0);
  env.from(numbers(args.get<std::int64_t>("records", -1), args.get<std::int64_t>("keys", 16),
                   args.get<double>("rate", 100)))
      .name("numbers")
      .uid("src")
      .watermarks(drey::monotonous(&Row::time))
      .key_by(&Row::key)
      .process(Count{})
      .name("count per key")
      .uid("count")
      .rebalance()
      .process(std::move(fail))
      .name("fail <every> & n")
      .uid("fail")
      .to(drey::discard())
      .name("discard")
      .uid("sink");
}

// Two vertices and one hash edge, like Flink's examples TopSpeedWindowing (without end) and
// WordCount.
void example(drey::Environment& env, std::int64_t rows, const char* name) {
  env.name(name);
  env.from(numbers(rows, 16, 1000))
      .name("numbers")
      .uid("src")
      .watermarks(drey::monotonous(&Row::time))
      .key_by(&Row::key)
      .process(Count{})
      .name("count per key")
      .uid("count")
      .to(drey::discard())
      .name("discard")
      .uid("sink");
}

// Counts per key, with the accumulators and metrics of the job that 1.12 and 1.11 were asked about.
struct Totals : drey::KeyedProcess<Row, Row> {
  drey::ValueState<std::int64_t> seen_of_key{"n"};
  drey::LongCounter whole{"my-int"}, sum{"my-long"};
  drey::DoubleCounter half{"my-double"};
  drey::Counter hits{"my_group.my_counter"};
  std::int64_t fail_at = -1, fails = 0, block_ms = 0;
  void process(const Row& row, Context& ctx, Out& out) {
    if (block_ms > 0) ::poll(nullptr, 0, static_cast<int>(block_ms));
    if (fail_at >= 0 && row.n >= fail_at && ctx.subtask() == 0 && ctx.attempt() < fails)
      throw std::runtime_error("planned failure at " + std::to_string(row.n));
    seen_of_key.ref() += 1;
    whole.add(1);
    sum.add(row.n);
    half.add(0.5);
    hits.add();
    out.emit(row);
  }
};

// The job of the recordings of 1.12 and 1.11, a few times as fast.
void of_old(drey::Environment& env, drey::ProgramArgs& args) {
  const std::string mode = args.get("mode", "stream");
  if (mode == "throw") throw std::runtime_error("planned failure in main");
  if (mode == "nojob") return;
  const int restarts = args.get<int>("restarts", 0);
  restart(env, restarts > 0 ? "fixed-delay" : "none", restarts, args.get<std::int64_t>("delay", 1000) / 10);
  if (const auto interval = args.get<std::int64_t>("cp", 2000); interval > 0) {
    env.checkpointing(std::chrono::milliseconds(args.has("failAt") ? interval / 20 : interval));
    if (args.has("retain"))
      env.set("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
  }
  env.name(args.get("name", "golden"));
  const auto sleep_ms = args.get<std::int64_t>("sleep", 10);
  Totals totals;
  totals.fail_at = args.get<std::int64_t>("failAt", -1);
  totals.fails = args.get<std::int64_t>("fails", 1000);
  // Flink's job blocked in its snapshot or its sink. Here user code that blocks holds up the
  // barrier, and what is upstream, just the same.
  if (args.has("snap") || args.has("sink")) totals.block_ms = 1000;
  env.from(numbers(args.get<std::int64_t>("max", -1), 3, sleep_ms > 0 ? 2'000 / static_cast<double>(sleep_ms) : 5000))
      .name("my src")
      .uid("src")
      .watermarks(drey::monotonous(&Row::time))
      .key_by(&Row::key)
      .process(std::move(totals))
      .name("count & <sum>")
      .uid("count")
      .to(drey::discard())
      .name("Sink: slow sink")
      .uid("sink")
      .disable_chaining();
}

}  // namespace

DREY_JOB("golden.Jobs", env, args) { of_old(env, args); }
DREY_JOB("golden.Batch", env, args) { of_old(env, args); }
DREY_JOB("drey.Job", env, args) { of_two(env, args); }
DREY_JOB("drey.Second", env, args) { of_two(env, args); }
DREY_JOB("TopSpeedWindowing", env, args) { example(env, -1, "CarTopSpeedWindowingExample"); }
DREY_JOB("WordCount", env, args) { example(env, 100, "WordCount"); }
DREY_JOB("org.apache.flink.streaming.examples.statemachine.StateMachineExample", env, args) {
  example(env, -1, "State machine job");
}
