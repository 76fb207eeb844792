// Job state: every key once, as fast as it goes, and beside it updates without end. The cases
// recover and checkpoint run it on a cluster.
#include "rows.h"

namespace bench {
namespace {

struct Key {
  std::int64_t key = 0;
  DREY_FIELDS(Key, key)
};

// A count and 96 bytes that do not compress.
struct Payload {
  std::int64_t n = 0, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, j = 0, k = 0;
  std::int32_t l = 0;
  DREY_FIELDS(Payload, n, a, b, c, d, e, f, g, h, i, j, k, l)
};

struct Touch : drey::KeyedProcess<Key, Key> {
  drey::ValueState<Payload> payload{"payload"};
  void process(const Key& r, Context&, Out& out) {
    Payload& p = payload.ref();
    if (p.n++ == 0) {
      auto x = static_cast<std::uint64_t>(r.key) * 16;
      for (std::int64_t* word : {&p.a, &p.b, &p.c, &p.d, &p.e, &p.f, &p.g, &p.h, &p.i, &p.j, &p.k})
        *word = static_cast<std::int64_t>(mix(++x));
      p.l = static_cast<std::int32_t>(mix(++x));
    }
    out.pass();
  }
};

// Row n of subtask s: the numbers of subtask s begin at s << 40. `together`: the first hundredth of
// what load's subtask s has loaded, over and over; so it lies together in the state.
struct TouchKey {
  std::int64_t keys, subtasks;
  bool together;
  Key operator()(std::int64_t number) const {
    if (!together) {
      return {
          static_cast<std::int64_t>((mix(static_cast<std::uint64_t>(number)) >> 1) % static_cast<std::uint64_t>(keys))};
    }
    const std::int64_t subtask = number >> 40;
    const std::int64_t row = number & ((std::int64_t{1} << 40) - 1);
    return {keys * subtask / subtasks + row % std::max<std::int64_t>(keys / subtasks / 100, 1)};
  }
};

}  // namespace

// --keys, --touch together|random, --rate (updates/s in all; 0: as fast as it goes).
DREY_JOB("state", env, args) {
  Case c(env, args);
  const auto keys = args.get<std::int64_t>("keys", 8'000'000);
  const auto rate = args.get<std::int64_t>("rate", 16'000);
  const auto touch = args.get<std::string>("touch", "random");
  if (keys < c.parallelism || rate < 0 || (touch != "together" && touch != "random"))
    throw drey::ArgumentError("--keys N, --rate N, --touch together|random");
  auto load = env.from(drey::generator<Key>(keys, [](std::int64_t n) { return Key{n}; })).name("load").uid("load");
  auto updates = env.from(drey::generator<Key>(-1, TouchKey{keys, c.parallelism, touch == "together"})
                              .rate(static_cast<double>(rate)))
                     .name("updates")
                     .uid("updates");
  load.union_with(updates).key_by(&Key::key).process(Touch{}).name("touch").uid("touch").to(drey::discard());
  args.done();
}

}  // namespace bench
