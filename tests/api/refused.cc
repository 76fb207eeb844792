// Mistakes that the compiler refuses, and what it says: CASE picks one. tests/api/CMakeLists.txt has the messages.
#include <drey/datastream.h>

using namespace drey::literals;

struct Row {
  std::int64_t key = 0;
  drey::Text text;
  drey::Timestamp time;
  DREY_FIELDS(Row, key, text, time)
};
struct NoTable {
  int a = 0;
};
struct Forgotten {
  std::int64_t a = 0, b = 0;
  DREY_FIELDS(Forgotten, a)
};
struct OnlyAdd {
  std::int64_t n = 0;
  void add(const Row&) { ++n; }
};
struct Other {
  std::int64_t key = 0;
  DREY_FIELDS(Other, key)
};
#if CASE == 13
#define KEYS_4 key, key, key, key
#define KEYS_16 KEYS_4, KEYS_4, KEYS_4, KEYS_4
#define KEYS_64 KEYS_16, KEYS_16, KEYS_16, KEYS_16
struct TooWide {
  std::int64_t key = 0;
  DREY_FIELDS(TooWide, KEYS_64, KEYS_64, KEYS_64, KEYS_64, key)
};
#endif
struct WrongProcess : drey::KeyedProcess<Row, Row> {
  void process(const Other&, Context&, Out&) {}
};

DREY_JOB("refused", env, args) {
  auto rows = env.from(drey::generator<Row>(1, [](std::int64_t n) { return Row{n, "x", {n}}; }));
#if CASE == 0  // nothing wrong
  rows.key_by(&Row::key).window(drey::session(1s)).count().print();
#elif CASE == 1
  rows.map([](const Row&) { return NoTable{}; }).print();
#elif CASE == 2
  rows.map([](const Row&) { return Forgotten{}; }).print();
#elif CASE == 3
  rows.key_by(&Row::key).window(drey::session(1s)).aggregate<OnlyAdd>([](std::int64_t, drey::Window, const OnlyAdd& a) {
    return a.n;
  });
#elif CASE == 4
  rows.filter([](const Row& r) { return r.text; });
#elif CASE == 5
  rows.map([](const Other& o) { return o.key; });
#elif CASE == 6
  rows.key_by(&Row::key).process(WrongProcess{});
#elif CASE == 7
  rows.watermarks(drey::monotonous(&Row::text));
#elif CASE == 8
  rows.flat_map([](const Row&, int) {});
#elif CASE == 9
  rows.key_by(&Row::key)
      .window(drey::tumbling(1s))
      .aggregate<OnlyAdd>([](const drey::Text&, drey::Window, const OnlyAdd& a) { return a.n; });
#elif CASE == 10
  rows.key_by([](const Row&) { return NoTable{}; });
#elif CASE == 11
  rows.key_by(&Row::key).sum(&Row::text);
#elif CASE == 12
  drey::ValueState<std::string> state("name");
  state.ref();
#elif CASE == 13
  rows.map([](const Row&) { return TooWide{}; }).print();
#endif
}
