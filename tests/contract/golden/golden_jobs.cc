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
    if (slow_ms > 0)
      ::poll(nullptr, 0,
             static_cast<int>(slow_ms));  // user code that blocks, as the recorded one did
    if (every > 0 && ++rows % every == 0)
      throw std::runtime_error("planned failure at record " + std::to_string(row.n));
    passed.add(1);
    sum.add(0.5);
    out.emit(row);
  }
};

auto numbers(std::int64_t rows, std::int64_t keys, double rate) {
  return drey::generator<Row>(rows,
                              [keys](std::int64_t i) {
                                return Row{i, i % keys, {i}};
                              })
      .rate(rate);
}

void restart(drey::Environment& env, const std::string& kind, int attempts, std::int64_t delay) {
  if (kind == "none") env.restart(drey::no_restart());
  if (kind == "fixed-delay")
    env.restart(drey::fixed_delay(attempts, std::chrono::milliseconds(delay)));
}

void of_two(drey::Environment& env, drey::ProgramArgs& args) {
  if (args.has("throw-in-main")) throw std::runtime_error("boom in main");
  if (args.has("no-job")) return;
  restart(env, args.get("restart", "none"), args.get<int>("attempts", 2),
          args.get<std::int64_t>("delay", 1000));
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

}  // namespace

DREY_JOB("drey.Job", env, args) { of_two(env, args); }
DREY_JOB("drey.Second", env, args) { of_two(env, args); }
DREY_JOB("TopSpeedWindowing", env, args) { example(env, -1, "CarTopSpeedWindowingExample"); }
DREY_JOB("WordCount", env, args) { example(env, 100, "WordCount"); }
DREY_JOB("org.apache.flink.streaming.examples.statemachine.StateMachineExample", env, args) {
  example(env, -1, "State machine job");
}
