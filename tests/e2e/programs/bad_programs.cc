// Programs that misbehave, for tests/e2e: each entry in its own way.
#include <drey/datastream.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace drey::literals;

namespace {

struct Row {
  std::int64_t n = 0;
  DREY_FIELDS(Row, n)
};

auto rows(drey::Environment& env) {
  return env.from(drey::generator<Row>(100'000, [](std::int64_t i) { return Row{i}; }));
}

}  // namespace

DREY_JOB("exits", env, args) {
  std::puts("this program leaves early");
  std::fflush(stdout);
  std::exit(7);
}

DREY_JOB("throws", env, args) { throw std::runtime_error("this program throws"); }

DREY_JOB("loops", env, args) {
  std::puts("this program loops");
  std::fflush(stdout);
  for (volatile int i = 0;; i = i + 1) {
  }
}

DREY_JOB("shouts", env, args) {
  for (int i = 0; i < 100'000'000; ++i) std::puts("a line of a gigabyte of lines, each as dull as the one before it");
}

DREY_JOB("eats", env, args) {
  std::puts("this program eats");
  std::vector<std::string> eaten;
  for (;;) eaten.emplace_back(std::size_t{64} << 20, 'x');
}

DREY_JOB("nosink", env, args) {
  rows(env).map([](Row r) { return r; });
}

DREY_JOB("twins", env, args) {
  rows(env).map([](Row r) { return r; }).uid("same").map([](Row r) { return r; }).uid("same").to(drey::discard());
}

struct Timed {
  drey::Timestamp time;
  std::int64_t n = 0;
  DREY_FIELDS(Timed, time, n)
};

// An operator with an argument that makes no sense: --argument NAME.
DREY_JOB("senseless", env, args) {
  const std::string argument = args.get("argument", "");
  const auto is = [&](const char* name) { return argument == name; };
  if (is("watch") || is("passes")) {
    auto lines = drey::text_lines("/nowhere");
    if (is("watch")) lines.watch(-1ms);
    if (is("passes")) lines.passes(0);
    env.from(lines).name("lines").to(drey::discard());
    return;
  }
  auto source = drey::generator<Timed>(is("rows") ? -5 : 10, [](std::int64_t i) { return Timed{{i}, i}; });
  if (is("rate")) source.rate(-1);
  if (is("nan")) source.rate(std::numeric_limits<double>::quiet_NaN());
  if (is("half")) source.rate(0.5);
  if (is("two and a half")) source.rate(2.5);
  if (is("huge")) source.rate(1e17);
  auto times = drey::bounded_out_of_orderness(&Timed::time, is("disorder") ? -5s : 0s);
  if (is("idle")) times.idle_after(-1s);
  auto keyed = env.from(source).name("numbers").watermarks(times).name("times").key_by(&Timed::n);
  if (is("session")) {
    keyed.window(drey::session(drey::Millis::max())).count().name("counts").to(drey::discard());
    return;
  }
  auto hours = drey::tumbling(1h);
  if (is("offset")) hours.offset(drey::Millis::min());
  if (is("whole offset")) hours.offset(1h);
  auto windows = keyed.window(hours);
  if (is("lateness")) windows.allowed_lateness(-1h);
  windows.count().name("counts").to(drey::discard());
}

// Neither is in the dynamic table: one is inlined, one is static.
[[gnu::always_inline]] inline void writes_to_nowhere() { *reinterpret_cast<volatile int*>(8) = 1; }
[[gnu::noinline]] static void goes_wrong(std::int64_t n) {
  if (n == 50'000) writes_to_nowhere();
}

DREY_JOB("crashes", env, args) {
  rows(env)
      .map([](Row r) {
        goes_wrong(r.n);
        return r;
      })
      .to(drey::discard());
}

DREY_JOB("fails", env, args) {
  rows(env)
      .map([](Row r) {
        if (r.n == 50'000) throw std::out_of_range("row fifty thousand");
        return r;
      })
      .to(drey::discard());
}

// Does not give its thread back, whatever it is told.
DREY_JOB("holds", env, args) {
  rows(env)
      .map([](Row r) {
        if (r.n == 1000) {
          std::puts("this program holds on");
          std::fflush(stdout);
          for (volatile int i = 0;; i = i + 1) {
          }
        }
        return r;
      })
      .to(drey::discard());
}

// Says something on both streams of its process and fails.
DREY_JOB("talks", env, args) {
  rows(env)
      .map([](Row r) {
        if (r.n == 10) std::puts("what user code prints");
        if (r.n == 11) std::fputs("what user code complains of\n", stderr);
        if (r.n == 12) throw std::runtime_error("enough said");
        return r;
      })
      .to(drey::discard());
}

// State without end.
struct Hoard : drey::Process<Row, Row> {
  drey::ValueState<std::int64_t> seen{"seen"};
  void process(const Row& r, Context&, Out& out) {
    seen.ref() = r.n;
    out.pass();
  }
};
DREY_JOB("hoards", env, args) {
  env.from(drey::generator<Row>(50'000'000, [](std::int64_t i) { return Row{i}; }))
      .key_by(&Row::n)
      .process(Hoard{})
      .name("hoard")
      .to(drey::discard());
}

// A main that takes its time.
DREY_JOB("slow_main", env, args) {
  ::sleep(static_cast<unsigned>(args.get<std::int64_t>("seconds")));
  rows(env).to(drey::discard());
}

DREY_JOB("sleeps", env, args) {
  const auto seconds = static_cast<unsigned>(args.get<std::int64_t>("seconds"));
  rows(env)
      .map([seconds](Row r) {
        ::sleep(seconds);
        return r;
      })
      .to(drey::discard());
}

// One that does no harm, beside the others: n rows from `base` on, at a rate.
DREY_JOB("writes", env, args) {
  const std::int64_t base = args.get<std::int64_t>("base", 0);
  env.from(drey::generator<Row>(args.get<std::int64_t>("rows"), [base](std::int64_t i) { return Row{base + i}; })
               .rate(static_cast<double>(args.get<std::int64_t>("rate", 1'000'000))))
      .to(drey::csv_files(args.path("output")));
}

DREY_JOB("writes_twice", env, args) {
  auto all = rows(env);
  all.filter([](const Row& r) { return r.n % 2 == 0; }).to(drey::csv_files(args.path("output")));
  all.filter([](const Row& r) { return r.n % 2 == 1; }).to(drey::csv_files(args.path("output") + "/../out/"));
}
