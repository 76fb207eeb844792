// The cases over files: wordcount (--path DIR/words), flights (--path DIR/flights).
#include <cmath>

#include "rows.h"

namespace bench {
namespace {

struct Word {
  drey::Text word;
  std::int64_t n = 0;
  DREY_FIELDS(Word, word, n)
};

// Eight of the nineteen columns of flights.csv.
struct Flight {
  std::int32_t year = 0, month = 0, day = 0;
  std::optional<double> dep_delay;
  drey::Text carrier, origin;
  std::int32_t distance = 0, hour = 0;
  DREY_FIELDS(Flight, year, month, day, dep_delay, carrier, origin, distance, hour)

  drey::Timestamp time() const {
    return drey::Date::of(year, static_cast<unsigned>(month), static_cast<unsigned>(day)).start() +
           std::chrono::hours(hour);
  }
};

struct Mean {
  std::int64_t flights = 0, delayed = 0;
  double minutes = 0;
  DREY_FIELDS(Mean, flights, delayed, minutes)
  void add(const Flight& f) {
    ++flights;
    if (!f.dep_delay) return;
    ++delayed;
    minutes += *f.dep_delay;
  }
  void merge(const Mean& o) {
    flights += o.flights;
    delayed += o.delayed;
    minutes += o.minutes;
  }
};

struct Hourly {
  drey::Text origin;
  drey::Timestamp end;
  std::int64_t flights = 0;
  double mean = 0;
  DREY_FIELDS(Hourly, origin, end, flights, mean)
};

}  // namespace

// Running count by word; words are separated by single spaces.
DREY_JOB("wordcount", env, args) {
  Case c(env, args);
  auto words = env.from(drey::text_lines(args.path("path"))).flat_map([](const drey::Text& line, drey::Out<Word>& out) {
    const char* at = line.begin();
    const char* const end = line.end();
    while (at < end) {
      const auto* space = static_cast<const char*>(std::memchr(at, ' ', static_cast<std::size_t>(end - at)));
      if (space == nullptr) space = end;
      if (space > at) out.emit({std::string_view(at, static_cast<std::size_t>(space - at)), 1});
      at = space + 1;
    }
  });
  c.discard(words.key_by(&Word::word).sum(&Word::n), [](const Word& w) { return static_cast<std::uint64_t>(w.n); });
}

// Count and mean departure delay by origin and hour; a day of disorder.
DREY_JOB("flights", env, args) {
  Case c(env, args);
  c.discard(
      env.from(drey::csv<Flight>(args.path("path")).null("NA"))
          .watermarks(drey::bounded_out_of_orderness([](const Flight& f) { return f.time(); }, 24h))
          .key_by(&Flight::origin)
          .window(drey::tumbling(1h))
          .aggregate<Mean>([](const drey::Text& origin, drey::Window w, const Mean& m) {
            return Hourly{origin, w.end, m.flights, m.delayed == 0 ? 0.0 : m.minutes / static_cast<double>(m.delayed)};
          }),
      [](const Hourly& h) {
        const auto group =
            static_cast<std::uint64_t>(h.origin[0]) * 1'000'003 + static_cast<std::uint64_t>(h.end.ms / 3'600'000);
        return mix(group) * static_cast<std::uint64_t>(h.flights) +
               static_cast<std::uint64_t>(
                   static_cast<std::int64_t>(std::floor(h.mean * static_cast<double>(h.flights) + 0.5)));
      });
}

}  // namespace bench
