// The snippets of docs/datastream.md, in its order and layout; examples_test.cc checks that they are the same.
// clang-format off
#include <drey/testing.h>
#include <gtest/gtest.h>

#include <drey/datastream.h>

using namespace drey::literals;

struct Hit {
  drey::Text page;
  drey::Text user;
  std::optional<std::int32_t> bytes;
  drey::Timestamp time;
  DREY_FIELDS(Hit, page, user, bytes, time)
};

struct PerPage {
  drey::Text page;
  drey::Timestamp hour;
  std::int64_t hits = 0;
  DREY_FIELDS(PerPage, page, hour, hits)
};

struct Count {
  std::int64_t n = 0;
  void add(const Hit&) { ++n; }
  void merge(const Count& other) { n += other.n; }
};

DREY_JOB("hits", env, args) {
  env.from(drey::csv<Hit>(args.path("input")))
      .watermarks(drey::bounded_out_of_orderness(&Hit::time, 5min))
      .key_by(&Hit::page)
      .window(drey::tumbling(1h))
      .aggregate<Count>([](const drey::Text& page, drey::Window w, const Count& c) {
        return PerPage{page, w.start, c.n};
      })
      .uid("hits-per-page")
      .to(drey::csv_files(args.path("output")));
}

struct Point {
  double x = 0, y = 0;
  DREY_FIELDS(Point, x, y)
};
struct Reading {
  std::string sensor;                      // owned text: copied in and out
  drey::Decimal<12, 2> price;
  std::optional<drey::Date> day;
  Point at;                                // nested
  drey::List<std::int64_t> values;         // a view, like Text
  static constexpr auto fields() {         // as DREY_FIELDS, with names of one's own
    using R = Reading;
    return drey::Fields{drey::field("sensor-id", &R::sensor), drey::field("price", &R::price),
                      drey::field("day", &R::day), drey::field("at", &R::at), drey::field("values", &R::values)};
  }
};

struct Word {
  drey::Text word;
  std::int64_t n = 0;
  DREY_FIELDS(Word, word, n)
};

DREY_JOB("words", env, args) {
  env.from(drey::text_lines(args.path("input")))
      .flat_map([](const drey::Text& line, drey::Out<Word>& out) {
        std::string_view rest = line;
        while (!rest.empty()) {
          const auto n = std::min(rest.find(' '), rest.size());
          if (n > 0) out.emit({rest.substr(0, n), 1});
          rest.remove_prefix(std::min(n + 1, rest.size()));
        }
      })
      .key_by(&Word::word)
      .sum(&Word::n)
      .print();
}

DREY_JOB("lambdas", env, args) {
  auto hits = env.from(drey::json_lines<Hit>(args.path("input")));
  auto sizes = hits.filter([](const Hit& h) { return h.bytes.has_value(); })
                   .map([factor = args.get<std::int64_t>("factor", 1)](const Hit& h) {
                     return std::pair{h.page, *h.bytes * factor};   // columns f0, f1
                   });
  sizes.key_by([](const auto& s) { return s.second / 1024; })       // a computed key
      .count()                                                      // columns key, count
      .to(drey::json_files(args.path("output")));
}

const drey::SideOutput<Hit> kHuge{"huge"};

struct Sessions : drey::KeyedProcess<Hit, PerPage> {
  drey::ValueState<Count> count{"count"};
  drey::ValueState<drey::Timestamp> last{"last"};
  drey::LongCounter huge{"hugeHits"};

  void process(const Hit& hit, Context& ctx) {
    if (hit.bytes.value_or(0) > 1'000'000) {
      huge.add(1);
      ctx.emit(kHuge, hit);
    }
    count.ref().add(hit);                                      // in place
    last.set(std::max(last.value_or({}), hit.time));
    ctx.timers().event(hit.time + 30min);
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    if (last.value_or({}) + 30min != at) return;               // a newer hit came
    out.emit({ctx.key<drey::Text>(), at, count.get()->n});
    count.clear();
    last.clear();
  }
};

DREY_JOB("sessions", env, args) {
  auto sessions = env.from(drey::csv<Hit>(args.path("input")))
                      .watermarks(drey::bounded_out_of_orderness(&Hit::time, 1min).idle_after(30s))
                      .key_by(&Hit::user)
                      .process(Sessions{})
                      .uid("sessions");
  sessions.to(drey::csv_files(args.path("output")));
  sessions.side_output(kHuge).print("huge");
}

const drey::SideOutput<Hit> kLate{"late"};

DREY_JOB("windows", env, args) {
  auto pages = env.from(drey::csv<Hit>(args.path("input")))
                   .watermarks(drey::monotonous(&Hit::time))
                   .key_by(&Hit::page);
  auto hourly = pages.window(drey::sliding(1h, 10min)).allowed_lateness(1min).late_to(kLate).count();
  hourly.print("hourly");
  hourly.side_output(kLate).print("late");
  pages.window(drey::session(30min))
      .reduce([](const Hit& a, const Hit& b) { return a.time < b.time ? b : a; })
      .print("last of session");
  pages.window(drey::tumbling(24h).offset(-2h))
      .process([](const drey::Text& page, drey::Window w, const std::vector<Hit>& hits, drey::Out<PerPage>& out) {
        if (hits.size() > 100) out.emit({page, w.start, static_cast<std::int64_t>(hits.size())});
      })
      .print("busy days");
  pages.count_window(1000).count().print("every thousand");
}

struct AtPauses {                                             // a trigger of one's own
  using State = drey::Timestamp;                              // one for each key and window
  drey::TriggerResult on_element(const Hit& hit, drey::Window w, drey::TriggerContext& ctx) {
    auto& newest = ctx.state<State>();
    newest = std::max(newest, hit.time);
    ctx.event_timer(std::min(newest + 5s, w.last()));
    return drey::TriggerResult::kContinue;
  }
  drey::TriggerResult on_event_time(drey::Timestamp, drey::Window, drey::TriggerContext&) {
    return drey::TriggerResult::kFireAndPurge;
  }
};

DREY_JOB("triggers", env, args) {
  auto pages = env.from(drey::csv<Hit>(args.path("input")))
                   .watermarks(drey::monotonous(&Hit::time))
                   .key_by(&Hit::page);
  pages.window(drey::tumbling(24h)).trigger(drey::continuous_event_time_trigger(1h)).count().print("so far");
  pages.window(drey::tumbling(1h)).trigger(drey::purging(drey::count_trigger(100))).count().print("hundreds");
  pages.window(drey::tumbling(1h)).trigger(AtPauses{}).count().print("bursts");
  pages.window(drey::global())
      .trigger([](const Hit& hit, drey::Window, std::int64_t) {
        return hit.bytes.value_or(0) > 1'000'000 ? drey::TriggerResult::kFire : drey::TriggerResult::kContinue;
      })
      .count()
      .print("up to each huge one");
}

struct Title {
  drey::Text page, title;
  DREY_FIELDS(Title, page, title)
};
struct Titled {
  std::string title;
  drey::Timestamp time;
  DREY_FIELDS(Titled, title, time)
};

struct AddTitle : drey::BroadcastProcess<Hit, Title, Titled> {
  drey::BroadcastState<drey::Text, std::string> titles{"titles"};

  void process(const Hit& hit, Context&, Out& out) {
    out.emit({titles.get(hit.page).value_or("?"), hit.time});
  }
  void process_broadcast(const Title& t, Context&) { titles.put(t.page, t.title.str()); }
};

DREY_JOB("two_streams", env, args) {
  auto hits = env.from(drey::csv<Hit>(args.path("hits"))).watermarks(drey::monotonous(&Hit::time));
  auto titles = env.from(drey::csv<Title>(args.path("titles")));
  hits.connect(titles.broadcast()).process(AddTitle{}).print();

  auto other = env.from(drey::csv<Hit>(args.path("other"))).watermarks(drey::monotonous(&Hit::time));
  hits.union_with(other).rebalance().map([](const Hit& h) { return h.page; }).print();
  hits.key_by(&Hit::user)
      .interval_join(other.key_by(&Hit::user))
      .between(-5s, 5s)
      .process([](const Hit& a, const Hit& b) { return std::pair{a.page, b.page}; })
      .print();
}

DREY_JOB("settings", env, args) {
  env.name("settings of a job").parallelism(args.get<int>("parallelism", 2)).max_parallelism(256);
  env.checkpointing(args.duration("interval", 10s)).restart(drey::fixed_delay(3, 10s));
  env.set("execution.checkpointing.timeout", "5 min");             // any option by Flink's name
  args.done();                                                     // other options are errors

  env.from(drey::generator<std::int64_t>(1'000'000, [](std::int64_t n) { return n; }).rate(50'000))
      .name("numbers")
      .uid("numbers")
      .filter([](std::int64_t n) { return n % 7 == 0; })
      .parallelism(1)
      .disable_chaining()
      .to(drey::discard());
}

TEST(Sessions, EndAfterHalfAnHour) {
  drey::testing::Harness sessions(Sessions{}, &Hit::user);
  sessions.process({"/a", "ann", 10, {0}}, drey::Timestamp{0});      // a row and its event time
  sessions.process({"/b", "ann", 10, {60'000}}, drey::Timestamp{60'000});
  const auto saved = sessions.snapshot();
  sessions.restore(saved);                                          // a new instance, as after a failure
  sessions.watermark(drey::Timestamp{60'000} + 30min);               // fires timers
  EXPECT_EQ(sessions.take().at(0).hits, 2);
}
