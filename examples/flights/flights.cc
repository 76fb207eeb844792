// Flights that left New York: hourly departures by origin, daily punctuality by carrier, and
// streaks of each plane, in event time. The file is out of order by up to a day; README.md has the
// options and the columns.
#include <drey/datastream.h>

using namespace drey::literals;

namespace {

// --- Input: the columns that the job reads
// ----------------------------------------------------------------

struct Flight {
  std::optional<std::int32_t> dep_time;   // null: cancelled
  std::optional<std::int32_t> dep_delay;  // minutes
  drey::Text carrier;
  std::int32_t flight = 0;
  std::optional<drey::Text> tailnum;
  drey::Text origin, dest;
  drey::Timestamp time_hour;  // scheduled hour of departure
  DREY_FIELDS(Flight, dep_time, dep_delay, carrier, flight, tailnum, origin, dest, time_hour)

  bool left() const { return dep_time.has_value(); }
};

struct Airline {
  drey::Text carrier, name;
  DREY_FIELDS(Airline, carrier, name)
};

// C's %.3f, as the files have it.
std::string three_digits(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}
double quotient(std::int64_t a, std::int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

// --- Late rows
// ----------------------------------------------------------------------------------------------

const drey::SideOutput<Flight> kLate{"late"};

struct OnTime : drey::Process<Flight, Flight> {
  drey::LongCounter late{"lateRows"};
  drey::Counter late_metric{"lateRows"};

  void process(const Flight& f, Context& ctx, Out& out) {
    if (ctx.time() > ctx.watermark()) return out.pass();
    late.add(1);
    late_metric.add(1);
    ctx.emit(kLate, f);
  }
};

// --- Departures: by origin and hour
// -----------------------------------------------------------------------

struct Delays {
  std::int64_t scheduled = 0, left = 0, minutes = 0;
  std::int32_t most = INT32_MIN;
  DREY_FIELDS(Delays, scheduled, left, minutes, most)

  void add(const Flight& f) {
    ++scheduled;
    if (!f.left()) return;
    ++left;
    const std::int32_t delay = f.dep_delay.value_or(0);
    minutes += delay;
    most = std::max(most, delay);
  }
  void merge(const Delays& o) {
    scheduled += o.scheduled;
    left += o.left;
    minutes += o.minutes;
    most = std::max(most, o.most);
  }
};

struct Departures {
  drey::Text origin;
  drey::Timestamp start;
  std::int64_t scheduled = 0, cancelled = 0;
  std::optional<std::string> mean_delay;
  std::optional<std::int32_t> max_delay;
  DREY_FIELDS(Departures, origin, start, scheduled, cancelled, mean_delay, max_delay)
};

Departures departures(const drey::Text& origin, drey::Window w, const Delays& d) {
  Departures row{origin, w.start, d.scheduled, d.scheduled - d.left, {}, {}};
  if (d.left > 0) {
    row.mean_delay = three_digits(quotient(d.minutes, d.left));
    row.max_delay = d.most;
  }
  return row;
}

// --- Punctuality: by carrier and day, with the carrier's name
// -----------------------------------------------

struct OnTimeCount {
  std::int64_t flights = 0, on_time = 0;
  DREY_FIELDS(OnTimeCount, flights, on_time)

  void add(const Flight& f) {
    ++flights;
    if (f.dep_delay.value_or(0) <= 15) ++on_time;
  }
  void merge(const OnTimeCount& o) {
    flights += o.flights;
    on_time += o.on_time;
  }
};

struct Day {
  drey::Text carrier;
  drey::Timestamp start;
  std::int64_t flights = 0, on_time = 0;
  DREY_FIELDS(Day, carrier, start, flights, on_time)
};

struct Punctuality {
  drey::Text carrier;
  std::optional<std::string> name;
  drey::Timestamp start;
  std::int64_t flights = 0, on_time = 0;
  std::string share;
  DREY_FIELDS(Punctuality, carrier, name, start, flights, on_time, share)
};

// Days wait in state until all airlines are known. That they are is broadcast state, too: a job
// that is restored after the end of the airlines goes on at once.
struct NameCarriers : drey::BroadcastProcess<Day, Airline, Punctuality> {
  drey::BroadcastState<drey::Text, std::string> names{"names"};
  drey::BroadcastState<std::int32_t, bool> complete{"complete"};
  drey::OperatorListState<Day> waiting{"waiting"};
  drey::LongCounter unknown{"unknownCarriers"};
  bool ready = false;

  void open(Context&) { ready = complete.contains(0); }
  void process(const Day& day, Context&, Out& out) {
    if (ready) {
      name(day, out);
    } else {
      waiting.add(day);
    }
  }
  void process_broadcast(const Airline& a, Context&) { names.put(a.carrier, a.name.str()); }
  void on_input_end(int input, Context&, Out& out) {
    if (input != 1) return;
    complete.put(0, true);
    ready = true;
    waiting.each([&](const Day& day) { name(day, out); });
    waiting.clear();
  }

 private:
  void name(const Day& day, Out& out) {
    auto name = names.get(day.carrier);
    if (!name) unknown.add(1);
    out.emit({day.carrier, std::move(name), day.start, day.flights, day.on_time,
              three_digits(quotient(day.on_time, day.flights))});
  }
};

// --- Streaks: by plane
// ----------------------------------------------------------------------------------------

struct Leg {
  drey::Timestamp time;
  std::int32_t flight = 0;
  drey::Text origin, dest;
  DREY_FIELDS(Leg, time, flight, origin, dest)
};

struct Streak {
  drey::Text tailnum;
  drey::Timestamp first, last;
  std::int64_t legs = 0;
  std::string route;
  DREY_FIELDS(Streak, tailnum, first, last, legs, route)
};

// A run ends when no leg has followed for twelve hours. Legs come out of order: when the timer of a
// run's last leg fires, legs of the next one may be here already, and they stay.
struct Streaks : drey::KeyedProcess<Flight, Streak> {
  static constexpr auto kGap = 12h;
  static constexpr std::size_t kFewest = 3;
  drey::ListState<Leg> legs{"legs"};

  void process(const Flight& f, Context& ctx) {
    legs.add({f.time_hour, f.flight, f.origin, f.dest});
    ctx.timers().event(f.time_hour + kGap);
  }

  void on_timer(drey::Timestamp at, Context& ctx, Out& out) {
    std::vector<Leg> all = legs.get();
    std::sort(all.begin(), all.end(),
              [](const Leg& a, const Leg& b) { return std::tie(a.time, a.flight) < std::tie(b.time, b.flight); });
    auto run = all.begin();
    while (run != all.end()) {
      auto end = run + 1;
      while (end != all.end() && end->time - (end - 1)->time < kGap) ++end;
      if ((end - 1)->time + kGap > at) break;  // may still grow; so may all that follow
      if (static_cast<std::size_t>(end - run) >= kFewest) emit({run, end}, ctx, out);
      run = end;
    }
    if (run != all.begin()) legs.assign(std::span(run, all.end()));
  }

 private:
  static void emit(std::span<const Leg> run, Context& ctx, Out& out) {
    std::string route;
    for (const Leg& leg : run) {
      route.append(route.empty() ? "" : " ").append(leg.origin).append(">").append(leg.dest);
    }
    out.emit({ctx.key<drey::Text>(), run.front().time, run.back().time, static_cast<std::int64_t>(run.size()), route});
  }
};

}  // namespace

DREY_JOB("flights", env, args) {
  const std::string output = args.path("output");
  const bool overwrite = args.flag("overwrite");
  if (args.has("parallelism")) env.parallelism(args.get<int>("parallelism"));
  env.checkpointing(args.duration("checkpoint-interval", 1s));
  auto files = [&](const char* name) {
    return drey::csv_files(output + "/" + name).header(false).overwrite(overwrite);
  };

  auto airlines = env.from(drey::csv<Airline>(args.path("airlines"))).uid("airlines");

  auto flights =
      env.from(drey::csv<Flight>(args.path("input"))
                   .null("NA")
                   .passes(args.get<std::int64_t>("years", 1), &Flight::time_hour)
                   .rate(args.get<double>("rate", 0)))
          .uid("flights")
          .watermarks(drey::bounded_out_of_orderness(&Flight::time_hour, args.duration("out-of-orderness", 24h)))
          .process(OnTime{})
          .name("on time")
          .uid("on-time");
  flights.side_output(kLate).to(drey::discard()).name("late rows").uid("late-rows");
  auto left = flights.filter([](const Flight& f) { return f.left(); }).name("left");

  flights.key_by(&Flight::origin)
      .window(drey::tumbling(1h))
      .aggregate<Delays>(departures)
      .name("departures by hour")
      .uid("departures")
      .to(files("departures"))
      .uid("departures-files");

  left.key_by(&Flight::carrier)
      .window(drey::tumbling(24h))
      .aggregate<OnTimeCount>([](const drey::Text& carrier, drey::Window w, const OnTimeCount& c) {
        return Day{carrier, w.start, c.flights, c.on_time};
      })
      .name("flights by day")
      .uid("punctuality")
      .connect(airlines.broadcast())
      .process(NameCarriers{})
      .name("carriers' names")
      .uid("names")
      .to(files("punctuality"))
      .uid("punctuality-files");

  left.filter([](const Flight& f) { return f.tailnum.has_value(); })
      .name("known planes")
      .key_by(&Flight::tailnum)
      .process(Streaks{})
      .name("streaks")
      .uid("streaks")
      .to(files("streaks"))
      .uid("streaks-files");

  args.done();
}
