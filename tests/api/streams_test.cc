// Jobs of the DataStream API on the fake host: what each operation computes, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drey/datastream.h"
#include "fake_host.h"

using namespace drey::literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

namespace {

struct Row {
  std::int64_t key = 0, value = 0;
  DREY_FIELDS(Row, key, value)
};
struct Word {
  drey::Text word;
  std::int64_t n = 0;
  DREY_FIELDS(Word, word, n)
};
struct Hit {
  drey::Text page;
  drey::Timestamp time;
  std::optional<std::int32_t> size;
  DREY_FIELDS(Hit, page, time, size)
};
struct Sizes {
  std::int64_t n = 0, sum = 0;
  void add(const Hit& h) {
    ++n;
    sum += h.size.value_or(0);
  }
  void merge(const Sizes& o) {
    n += o.n;
    sum += o.sum;
  }
};
struct LastPage {  // not fixed: text inside
  std::string page;
  std::int64_t n = 0;
  void add(const Hit& h) {
    page = h.page.str();
    ++n;
  }
  void merge(const LastPage& o) {
    n += o.n;
    page = o.page;
  }
  DREY_FIELDS(LastPage, page, n)
};
struct PerPage {
  drey::Text page;
  drey::Timestamp start;
  std::int64_t n = 0, sum = 0;
  DREY_FIELDS(PerPage, page, start, n, sum)
};

const char* const kLong = "a text that is longer than twelve bytes";

drey::DataStream<Hit> hits(drey::Environment& env) {
  return env
      .from<Hit>(
          {{"a", {1000}, 1}, {"b", {1500}, 2}, {kLong, {61'000}, 3}, {"a", {2500}, std::nullopt}, {"a", {65'000}, 5}})
      .watermarks(drey::bounded_out_of_orderness(&Hit::time, 5s));
}

}  // namespace

DREY_JOB("chain", env, args) {
  env.from(drey::generator<Row>(10,
                                [](std::int64_t i) {
                                  return Row{i, i * 10};
                                }))
      .map([](const Row& r) {
        return Row{r.key, r.value * 3 + 1};
      })
      .filter([](const Row& r) { return r.key % 3 == 0; })
      .map([add = args.get<std::int64_t>("add", 0)](const Row& r) {
        return std::pair{r.key, r.value + add};
      })
      .to(drey::collect("out"));
}
TEST(Streams, MapFilterMap) {
  EXPECT_THAT(fake::run("chain", {"--add", "5"}).rows["out"], ElementsAre("0|6", "3|96", "6|186", "9|276"));
}

DREY_JOB("word_sums", env, args) {
  env.from<drey::Text>({"to be or not", "to be a-word-longer-than-twelve a-word-longer-than-twelve"})
      .flat_map([](const drey::Text& line, drey::Out<Word>& out) {
        std::string_view s = line;
        while (!s.empty()) {
          const auto n = std::min(s.find(' '), s.size());
          out.emit({s.substr(0, n), 1});
          s.remove_prefix(std::min(n + 1, s.size()));
        }
      })
      .key_by(&Word::word)
      .sum(&Word::n)
      .to(drey::collect("out"));
}
TEST(Streams, FlatMapAndKeyedSum) {
  EXPECT_THAT(fake::run("word_sums").rows["out"],
              ElementsAre("to|1", "be|1", "or|1", "not|1", "to|2", "be|2", "a-word-longer-than-twelve|1",
                          "a-word-longer-than-twelve|2"));
}

DREY_JOB("flat_map_forms", env, args) {
  auto rows = env.from(drey::generator<Row>(4, [](std::int64_t i) { return Row{i, i}; }));
  rows.flat_map([](const Row& r) {
        return r.key % 2 == 0 ? std::optional(Row{r.key, -1}) : std::nullopt;
      })
      .to(drey::collect("maybe"));
  rows.flat_map([](const Row& r) { return std::vector<Row>(static_cast<std::size_t>(r.key), r); })
      .to(drey::collect("many"));
  rows.flat_map<Row>([](const auto& r, auto& out) { out.emit(r); }).to(drey::collect("generic"));
}
TEST(Streams, FlatMapReturnsOptionalOrRange) {
  auto r = fake::run("flat_map_forms").rows;
  EXPECT_THAT(r["maybe"], ElementsAre("0|-1", "2|-1"));
  EXPECT_THAT(r["many"], ElementsAre("1|1", "2|2", "2|2", "3|3", "3|3", "3|3"));
  EXPECT_EQ(r["generic"].size(), 4u);
}

DREY_JOB("reduce", env, args) {
  auto rows = env.from(drey::generator<Row>(6, [](std::int64_t i) { return Row{i % 2, i}; }));
  rows.key_by(&Row::key)
      .reduce([](const Row& a, const Row& b) {
        return Row{a.key, a.value + b.value};
      })
      .to(drey::collect("reduce"));
  rows.key_by(&Row::key).max(&Row::value).to(drey::collect("max"));
  rows.key_by(&Row::key).count().to(drey::collect("count"));
  rows.key_by([](const Row& r) { return r.value / 3; }).count().to(drey::collect("lambda"));
  rows.key_by(&Row::key, &Row::value).count().to(drey::collect("two"));
  env.from<Word>({{"x", 1}, {kLong, 2}, {kLong, 3}})
      .key_by(&Word::word)
      .reduce([](const Word& a, const Word& b) {
        return Word{b.word, a.n * 10 + b.n};
      })
      .to(drey::collect("text"));
}
TEST(Streams, Reduce) {
  auto r = fake::run("reduce").rows;
  EXPECT_THAT(r["reduce"], ElementsAre("0|0", "1|1", "0|2", "1|4", "0|6", "1|9"));
  EXPECT_THAT(r["max"], ElementsAre("0|0", "1|1", "0|2", "1|3", "0|4", "1|5"));
  EXPECT_THAT(r["count"], ElementsAre("0|1", "1|1", "0|2", "1|2", "0|3", "1|3"));
  EXPECT_THAT(r["lambda"], ElementsAre("0|1", "0|2", "0|3", "1|1", "1|2", "1|3"));
  EXPECT_THAT(r["two"], testing::Contains("{1,5}|1"));
  EXPECT_THAT(r["text"], ElementsAre("x|1", std::string(kLong) + "|2", std::string(kLong) + "|23"));
}

DREY_JOB("all_windows", env, args) {
  auto keyed = hits(env).key_by(&Hit::page);
  auto make = [](const drey::Text& page, drey::Window w, const Sizes& s) { return PerPage{page, w.start, s.n, s.sum}; };
  keyed.window(drey::tumbling(1min)).aggregate<Sizes>(make).to(drey::collect("tumbling"));
  keyed.window(drey::sliding(1min, 30s)).aggregate<Sizes>(make).to(drey::collect("sliding"));
  keyed.window(drey::session(2s)).aggregate<Sizes>(make).to(drey::collect("session"));
  keyed.window(drey::session(2s))
      .aggregate<LastPage>([](const drey::Text&, drey::Window w, const LastPage& p) {
        return PerPage{p.page, w.start, p.n, 0};
      })
      .to(drey::collect("encoded"));
  keyed.window(drey::tumbling(1min))
      .reduce([](const Hit& a, const Hit& b) {
        return Hit{a.page, std::max(a.time, b.time), b.size};
      })
      .to(drey::collect("reduce"));
  keyed.window(drey::tumbling(1min))
      .process([](const drey::Text& page, drey::Window w, const std::vector<Hit>& rows, drey::Out<PerPage>& out) {
        for (const Hit& h : rows) out.emit({h.page, w.end, h.time.ms, static_cast<std::int64_t>(page.size())});
      })
      .to(drey::collect("process"));
  keyed.count_window(2).count().to(drey::collect("counted"));
  keyed.window(drey::global())
      .trigger([](const Hit& h, drey::Window, std::int64_t) {
        return h.size == 5 ? drey::TriggerResult::kFireAndPurge : drey::TriggerResult::kContinue;
      })
      .aggregate<Sizes>(make)
      .to(drey::collect("trigger"));
}
TEST(Streams, Windows) {
  auto result = fake::run("all_windows");
  EXPECT_EQ(result.failed, "");
  auto& r = result.rows;
  const std::string text = kLong;
  EXPECT_THAT(r["tumbling"], UnorderedElementsAre("a|0|2|1", "b|0|1|2", text + "|60000|1|3", "a|60000|1|5"));
  EXPECT_THAT(r["sliding"],
              testing::IsSupersetOf({std::string("a|-30000|2|1"), std::string("a|0|2|1"), text + "|30000|1|3"}));
  EXPECT_THAT(r["session"], UnorderedElementsAre("a|1000|2|1", "b|1500|1|2", text + "|61000|1|3", "a|65000|1|5"));
  EXPECT_THAT(r["encoded"], UnorderedElementsAre("a|1000|2|0", "b|1500|1|0", text + "|61000|1|0", "a|65000|1|0"));
  EXPECT_THAT(r["reduce"], UnorderedElementsAre("a|2500|null", "b|1500|2", text + "|61000|3", "a|65000|5"));
  EXPECT_THAT(r["process"], testing::IsSupersetOf({"a|60000|1000|1", "a|60000|2500|1", "b|60000|1500|1"}));
  EXPECT_EQ(r["counted"].size(), 1u);
  EXPECT_THAT(r["trigger"], ElementsAre("a|-9223372036854775808|3|6"));
}

namespace {
struct Bursts : drey::KeyedProcess<Hit, PerPage> {
  drey::ListState<Hit> all{"all"};
  drey::ValueState<Sizes> sizes{"sizes"};
  drey::MapState<drey::Text, std::int64_t> seen{"seen"};
  drey::ReducingState<std::int64_t> newest{"newest",
                                           [](const std::int64_t& a, const std::int64_t& b) { return std::max(a, b); }};
  drey::LongCounter rows{"rows"};
  drey::Counter metric{"hits"};

  void process(const Hit& h, Context& ctx) {
    all.add(h);
    sizes.ref().add(h);
    seen.put(h.page, seen.get(h.page).value_or(0) + 1);
    newest.add(h.time.ms);
    rows.add(1);
    metric.add();
    ctx.timers().event(h.time + 10s);
  }
  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    const auto page = ctx.key<drey::Text>();
    for (const Hit& h : all.get()) {
      if (h.page != page) throw std::logic_error("rows of another key");
    }
    if (at.ms < *newest.get() + 10'000) return;
    out.emit({page, at, static_cast<std::int64_t>(all.get().size()), sizes.get()->sum * 100 + *seen.get(page)});
    all.clear();
    sizes.clear();
    if (sizes.has() || !all.empty()) throw std::logic_error("still there");
  }
};
}  // namespace
DREY_JOB("keyed_process", env, args) { hits(env).key_by(&Hit::page).process(Bursts{}).to(drey::collect("out")); }
TEST(Streams, KeyedProcessWithStateAndTimers) {
  auto r = fake::run("keyed_process");
  EXPECT_EQ(r.failed, "");
  EXPECT_THAT(r.rows["out"], ElementsAre("b|11500|1|201", std::string(kLong) + "|71000|1|301", "a|75000|3|603"));
  EXPECT_EQ(r.accumulators["rows"], 5);
}

namespace {
const drey::SideOutput<Hit> kLate{"late"};
}
DREY_JOB("sides", env, args) {
  auto split = hits(env).process([](const Hit& h, drey::Context& ctx, drey::Out<Hit>& out) {
    if (h.page == "a") {
      ctx.emit(kLate, h);
      ctx.accumulator("late").add(1);
    } else {
      out.emit(h);
    }
  });
  split.to(drey::collect("main"));
  split.side_output(kLate).map([](const Hit& h) { return h.time; }).to(drey::collect("late"));
}
TEST(Streams, SideOutputs) {
  auto r = fake::run("sides");
  EXPECT_THAT(r.rows["main"], ElementsAre("b|1500|2", std::string(kLong) + "|61000|3"));
  EXPECT_THAT(r.rows["late"], ElementsAre("1000", "2500", "65000"));
  EXPECT_EQ(r.accumulators["late"], 3);
}

DREY_JOB("pass", env, args) {
  auto rows = env.from(drey::generator<Row>(6, [](std::int64_t i) { return Row{i, i}; }));
  auto some = [](const Row& r, drey::Context&, drey::Out<Row>& out) {
    if (r.key == 3) out.emit({3, 33});
    if (r.key % 2 == 1) out.pass();
  };
  rows.process(some).to(drey::collect("plain"));
  rows.key_by(&Row::key).process(some).to(drey::collect("keyed"));
  rows.key_by([](const Row& r) { return r.key; }).process(some).to(drey::collect("hidden"));
}
TEST(Streams, RowsPassedOnKeepTheirOrder) {
  for (const auto& [name, rows] : fake::run("pass").rows)
    EXPECT_THAT(rows, ElementsAre("1|1", "3|33", "3|3", "5|5")) << name;
}

namespace {
struct Named {
  std::string page, name;
  DREY_FIELDS(Named, page, name)
};
struct Join : drey::BroadcastProcess<Hit, Named, Named> {
  drey::BroadcastState<std::string, std::string> names{"names"};
  drey::OperatorListState<Named> waiting{"waiting"};
  bool done = false;
  void process(const Hit& h, Context&, Out& out) {
    if (!done) return waiting.add({h.page.str(), ""});
    out.emit({h.page.str(), names.get(h.page.str()).value_or("?")});
  }
  void process_broadcast(const Named& n, Context&) { names.put(n.page, n.name); }
  void on_input_end(int input, Context&, Out& out) {
    if (input != 1) return;
    done = true;
    waiting.each([&](const Named& n) { out.emit({n.page, *names.get(n.page)}); });
    waiting.clear();
  }
};
struct Both : drey::CoProcess<Row, Word, Word> {
  drey::ValueState<std::int64_t> sum{"sum"};
  void process1(const Row& r, Context&) { sum.ref() += r.value; }
  void process2(const Word& w, Context& ctx, Out& out) {
    sum.ref() += 1000 * ctx.key<std::int64_t>();
    out.emit({w.word, *sum.get()});
  }
};
}  // namespace
DREY_JOB("connected", env, args) {
  auto names = env.from<Named>({{"a", "Alpha"}, {"b", "Beta and a longer name"}});
  hits(env).connect(names.broadcast()).process(Join{}).to(drey::collect("broadcast"));
  env.from<Row>({{1, 10}, {2, 20}})
      .key_by(&Row::key)
      .connect(env.from<Word>({{"x", 1}, {"y", 2}}).key_by(&Word::n))
      .process(Both{})
      .to(drey::collect("co"));
}
TEST(Streams, Connect) {
  auto r = fake::run("connected");
  EXPECT_EQ(r.failed, "");
  EXPECT_THAT(r.rows["broadcast"],
              ElementsAre("a|Alpha", "b|Beta and a longer name", std::string(kLong) + "|?", "a|Alpha", "a|Alpha"));
  EXPECT_THAT(r.rows["co"], ElementsAre("x|1000", "y|2000"));
}

DREY_JOB("interval", env, args) {
  auto marks = drey::monotonous(&Hit::time);
  auto left = env.from<Hit>({{"a", {10'000}, 1}, {"b", {20'000}, 2}}).watermarks(marks);
  auto right = env.from<Hit>({{"a", {5'000}, 3}, {"a", {11'000}, 4}, {"b", {50'000}, 5}}).watermarks(marks);
  left.key_by(&Hit::page)
      .interval_join(right.key_by(&Hit::page))
      .between(-2s, 2s)
      .process([](const Hit& a, const Hit& b) {
        return Hit{a.page, b.time, *a.size * 10 + *b.size};
      })
      .to(drey::collect("out"));
}
TEST(Streams, IntervalJoin) { EXPECT_THAT(fake::run("interval").rows["out"], ElementsAre("a|11000|14")); }

namespace {
struct Nested {
  Row row;
  drey::List<Word> words;
  std::vector<std::int32_t> numbers;
  drey::Decimal<10, 2> price;
  std::optional<bool> flag;
  drey::Date day;
  std::optional<drey::Text> note;
  DREY_FIELDS(Nested, row, words, numbers, price, flag, day, note)
};
}  // namespace
DREY_JOB("nested", env, args) {
  auto rows = env.from(drey::generator<Row>(3, [](std::int64_t i) { return Row{i, i}; }));
  auto nested = rows.map([](const Row& r) {
    static const std::vector<Word> words{{"one", 1}, {kLong, 2}};
    Nested n;
    n.row = r;
    n.words = std::span<const Word>(words.data(), static_cast<std::size_t>(r.key));
    n.numbers.assign(static_cast<std::size_t>(r.key), 7);
    n.price.unscaled = r.key * 100;
    if (r.key == 1) n.flag = true;
    n.day = drey::Date::of(1970, 1, 2);
    if (r.key == 2) n.note = kLong;
    return n;
  });
  nested.to(drey::collect("out"));
  nested.map([](const Nested& n) { return n; }).to(drey::collect("again"));
  nested.key_by([](const Nested& n) { return n.row.key / 2; })
      .reduce([](const Nested& a, const Nested&) { return a; })
      .to(drey::collect("state"));
}
TEST(Streams, NestedRecordsListsAndOptionals) {
  auto r = fake::run("nested").rows;
  const std::string text = kLong;
  const std::string two = "{2,2}|[{one,1},{" + text + ",2}]|[7,7]|200|null|1|" + text;
  EXPECT_THAT(r["out"], ElementsAre("{0,0}|[]|[]|0|null|1|null", "{1,1}|[{one,1}]|[7]|100|true|1|null", two));
  EXPECT_EQ(r["again"], r["out"]);
  EXPECT_THAT(r["state"], ElementsAre(r["out"][0], r["out"][0], two));
}

DREY_JOB("shapes", env, args) {
  auto a = env.from<std::int64_t>({1, 2})
               .uid("a")
               .name("first")
               .parallelism(2)
               .max_parallelism(64)
               .slot_sharing_group("g")
               .start_new_chain();
  auto b = env.from<std::int64_t>({3}).disable_chaining();
  a.union_with(b.rebalance())
      .filter([](std::int64_t) { return true; })
      .to(drey::csv_files("/out").overwrite())
      .name("Sink!")
      .uid("s");
  a.partition_custom([](std::int64_t v, std::uint32_t n) { return v % n; }).to(drey::discard());
  a.shuffle().print("p");
  env.name("shapes").checkpointing(1s).at_least_once().restart(drey::fixed_delay(3, 10s)).parallelism(2);
}
TEST(Streams, GraphAndSettings) {
  auto g = fake::build("shapes");
  ASSERT_EQ(g->failed, "");
  EXPECT_EQ(g->operators[0].name, "first");
  EXPECT_EQ(g->operators[0].uid, "a");
  EXPECT_EQ(g->operators[0].max_parallelism, 64);
  EXPECT_EQ(g->operators[0].group, "g");
  EXPECT_EQ(g->operators[0].chaining, 1);
  EXPECT_EQ(g->operators[1].chaining, 2);
  EXPECT_EQ(g->operators[3].options["overwrite"], "true");
  EXPECT_EQ(g->operators[3].uid, "s");
  EXPECT_TRUE(g->operators[3].outputs.empty());
  std::vector<drey_partitioner> p;
  for (const auto& e : g->edges) p.push_back(e.partitioner);
  EXPECT_THAT(p, ElementsAre(DREY_FORWARD, DREY_REBALANCE, DREY_FORWARD, DREY_CUSTOM, DREY_SHUFFLE));
  EXPECT_EQ(g->settings["execution.checkpointing.interval"], "1000 ms");
  EXPECT_EQ(g->settings["execution.checkpointing.mode"], "AT_LEAST_ONCE");
  EXPECT_EQ(g->settings["restart-strategy.fixed-delay.attempts"], "3");
}

DREY_JOB("late", env, args) {
  auto r = hits(env)
               .key_by([](const Hit& h) { return h.page.str(); })
               .window(drey::tumbling(1min))
               .allowed_lateness(2s)
               .late_to(kLate)
               .count();
  r.to(drey::collect("out"));
  r.side_output(kLate).to(drey::collect("late"));
}
TEST(Streams, LateOutputOfAWindowDropsTheHiddenKey) {
  auto g = fake::build("late");
  ASSERT_EQ(g->failed, "");
  const auto& w =
      *std::find_if(g->operators.begin(), g->operators.end(), [](auto& o) { return o.kind == DREY_KIND_WINDOW; });
  EXPECT_EQ(w.options.at("late_output"), "1");
  EXPECT_EQ(w.options.at("allowed_lateness_ms"), "2000");
  EXPECT_EQ(w.outputs[1]->n_children, 4);
  EXPECT_EQ(fake::run(*g).rows["out"].size(), 4u);
}

DREY_JOB("throws", env, args) {
  env.from<std::int64_t>({1})
      .map([](std::int64_t v) -> std::int64_t { throw std::out_of_range("row " + std::to_string(v)); })
      .to(drey::discard());
}
DREY_JOB("same_uid", env, args) {
  env.from<std::int64_t>({1}).uid("x").map([](std::int64_t v) { return v; }).uid("x").to(drey::discard());
}
DREY_JOB("no_watermarks", env, args) {
  env.from<Hit>({}).key_by(&Hit::page).window(drey::tumbling(1min)).count().name("counts").to(drey::discard());
}
DREY_JOB("no_trigger", env, args) {
  env.from<Hit>({}).key_by(&Hit::page).window(drey::global()).count().to(drey::discard());
}
DREY_JOB("no_key", env, args) {
  env.from<Hit>({{"a", {}, 1}})
      .process([](const Hit&, drey::Context& ctx, drey::Out<Hit>&) { ctx.timers().event({1}); })
      .to(drey::discard());
}
DREY_JOB("empty", env, args) { args.done(); }
TEST(Streams, Failures) {
  auto r = fake::run("throws");
  EXPECT_EQ(r.failed_type, "std::out_of_range");
  EXPECT_EQ(r.failed, "row 1");
  EXPECT_THAT(fake::run("same_uid").failed, HasSubstr("'collection' and 'Map' have the same uid 'x'"));
  EXPECT_THAT(fake::run("no_watermarks").failed, HasSubstr("operator 'counts'"));
  EXPECT_THAT(fake::run("no_trigger").failed, HasSubstr("never fire"));
  EXPECT_THAT(fake::run("no_key").failed, HasSubstr("no current key"));
  EXPECT_THAT(fake::run("empty", {"--what", "1"}).failed, HasSubstr("unknown option --what"));
}

DREY_JOB("files", env, args) {
  env.from(drey::csv<Hit>("/data/hits.csv").null("NA").on_error_skip().passes(3, &Hit::time).rate(1000))
      .filter([](const Hit& h) { return h.size.has_value(); })
      .to(drey::collect("out"));
}
TEST(Streams, Files) {
  auto g = fake::build("files");
  EXPECT_EQ(g->operators[0].options["pass_shift_years_column"], "1");
  EXPECT_EQ(g->operators[0].options["passes"], "3");
  EXPECT_EQ(g->operators[0].options["rate"], "1000");
  EXPECT_EQ(g->operators[0].options["on_error"], "skip");
  EXPECT_THAT(fake::run(*g, {{"/data/hits.csv", {{"x", "1", "NA"}, {kLong, "2", "7"}}}}).rows["out"],
              ElementsAre(std::string(kLong) + "|2|7"));
}
