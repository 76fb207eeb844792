// Instants and durations. No clock here: whoever needs the time is handed an Instant.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace drey {

using Millis = std::chrono::milliseconds;
using Micros = std::chrono::microseconds;
using Nanos = std::chrono::nanoseconds;

// Wall-clock time, milliseconds since 1970-01-01T00:00:00Z (as Flink's timestamps).
struct Instant {
  std::int64_t millis = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
  friend Instant operator+(Instant a, Millis d) { return {a.millis + d.count()}; }
  friend Instant operator-(Instant a, Millis d) { return {a.millis - d.count()}; }
  friend Millis operator-(Instant a, Instant b) { return Millis(a.millis - b.millis); }
};

// Monotonic time, nanoseconds since an arbitrary point of this process's machine.
struct Ticks {
  std::int64_t nanos = 0;
  friend auto operator<=>(const Ticks&, const Ticks&) = default;
  friend Ticks operator+(Ticks a, Nanos d) { return {a.nanos + d.count()}; }
  friend Nanos operator-(Ticks a, Ticks b) { return Nanos(a.nanos - b.nanos); }
};

// Event-time bounds, Flink's values.
inline constexpr std::int64_t kMinWatermark = std::numeric_limits<std::int64_t>::min();
inline constexpr std::int64_t kMaxWatermark = std::numeric_limits<std::int64_t>::max();

// "2013-01-01T10:00:00Z" or with ".123"; UTC.
std::string format_instant(std::int64_t epoch_millis);
// The inverse; fraction and 'Z' optional, ' ' taken for 'T', date alone is midnight.
std::optional<std::int64_t> parse_instant(std::string_view text);

// Days since 1970-01-01 of a proleptic Gregorian date, and back.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day);
struct CivilDate {
  std::int64_t year;
  unsigned month;
  unsigned day;
};
CivilDate civil_from_days(std::int64_t days);

// Flink's duration texts: "10 s", "500ms", "1 min", "2 h", "1 d", ISO-8601 "PT1S", plain number = ms.
std::optional<Nanos> parse_duration(std::string_view text);
// ISO-8601 as java.time.Duration prints it: "PT1S", "PT0.5S", "PT1M30S".
std::string format_iso_duration(Millis duration);

}  // namespace drey
