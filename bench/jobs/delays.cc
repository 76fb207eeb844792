// Job delays: a job as users write them. bench/run.py measures how long it takes to compile; that
// it runs is not its point.
#include <drey/datastream.h>
using namespace drey::literals;

namespace {

struct Flight {  // the columns that this job wants; the source reads no others
  drey::Text origin, carrier;
  std::optional<std::int32_t> dep_delay;
  drey::Timestamp time_hour;
  DREY_FIELDS(Flight, origin, carrier, dep_delay, time_hour)
};

struct Delay {
  std::int64_t flown = 0, sum = 0;
  DREY_FIELDS(Delay, flown, sum)
  void add(const Flight& f) {
    if (!f.dep_delay) return;
    ++flown;
    sum += *f.dep_delay;
  }
  void merge(const Delay& o) {
    flown += o.flown;
    sum += o.sum;
  }
};

struct HourlyDelay {
  drey::Text origin;
  drey::Timestamp start;
  std::int64_t flown = 0;
  double mean = 0;
  DREY_FIELDS(HourlyDelay, origin, start, flown, mean)
};

}  // namespace

DREY_JOB("delays", env, args) {
  auto flights = env.from(drey::csv<Flight>(args.path("input")).null("NA"))
                     .watermarks(drey::bounded_out_of_orderness(&Flight::time_hour, 24h));
  flights.filter([](const Flight& f) { return f.origin != "LGA"; })
      .key_by(&Flight::origin)
      .window(drey::tumbling(1h))
      .aggregate<Delay>([](const drey::Text& origin, drey::Window w, const Delay& d) {
        const double mean = d.flown == 0 ? 0 : static_cast<double>(d.sum) / static_cast<double>(d.flown);
        return HourlyDelay{origin, w.start, d.flown, mean};
      })
      .uid("hourly")
      .to(drey::csv_files(args.path("output")).header(false));
}
