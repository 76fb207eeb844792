#include "base/time.h"

#include <array>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "base/date.h"

namespace drey {
namespace {

constexpr std::int64_t kDayMillis = 86'400'000;
__extension__ using Wide = __int128;

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

struct Unit {
  std::string_view name;
  std::int64_t nanos;
};
// Flink's labels: singular, plural and short forms.
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::array kUnits{
    Unit{"", 1'000'000},
    Unit{"ns", 1},
    Unit{"nano", 1},
    Unit{"nanosecond", 1},
    Unit{"µs", 1'000},
    Unit{"micro", 1'000},
    Unit{"microsecond", 1'000},
    Unit{"us", 1'000},
    Unit{"ms", 1'000'000},
    Unit{"milli", 1'000'000},
    Unit{"millisecond", 1'000'000},
    Unit{"s", kSecond},
    Unit{"sec", kSecond},
    Unit{"second", kSecond},
    Unit{"m", 60 * kSecond},
    Unit{"min", 60 * kSecond},
    Unit{"minute", 60 * kSecond},
    Unit{"h", 3600 * kSecond},
    Unit{"hour", 3600 * kSecond},
    Unit{"d", 86400 * kSecond},
    Unit{"day", 86400 * kSecond},
};

std::optional<Nanos> parse_iso(std::string_view text) {
  // P[nD][T[nH][nM][n.nS]]
  bool in_time = false;
  double total = 0;
  std::size_t i = 1;
  bool any = false;
  while (i < text.size()) {
    if (text[i] == 'T' || text[i] == 't') {
      in_time = true;
      ++i;
      continue;
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), value);
    if (error != std::errc() || end == text.data() + text.size()) return std::nullopt;
    double scale = 0;
    switch (std::toupper(static_cast<unsigned char>(*end))) {
      case 'D':
        scale = 86400;
        break;
      case 'H':
        scale = 3600;
        break;
      case 'M':
        scale = in_time ? 60 : 0;
        break;
      case 'S':
        scale = 1;
        break;
      default:
        return std::nullopt;
    }
    if (scale == 0) return std::nullopt;
    total += value * scale;
    any = true;
    i = static_cast<std::size_t>(end - text.data()) + 1;
  }
  if (!any) return std::nullopt;
  return Nanos(static_cast<std::int64_t>(total * 1e9 + (total < 0 ? -0.5 : 0.5)));
}

}  // namespace

std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  // Howard Hinnant's calendar algorithm (chrono-Compatible Low-Level Date Algorithms).
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t yoe = year - era * 400;
  const std::int64_t doy = (153 * (static_cast<std::int64_t>(month) + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

CivilDate civil_from_days(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t doe = days - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const auto day = static_cast<unsigned>(doy - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<unsigned>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2), month, day};
}

namespace {

// As ISO 8601 has them: four digits, or a sign and as many as needed.
std::string format_year(std::int64_t year) {
  if (year > 9999) return fmt::format("+{}", year);
  return year < 0 ? fmt::format("-{:04}", -year) : fmt::format("{:04}", year);
}

// Reads a year, a month and a day; `at` goes behind them.
std::optional<std::int64_t> parse_days(std::string_view text, std::size_t& at) {
  const bool is_signed = !text.empty() && (text[0] == '+' || text[0] == '-');
  std::size_t count = 4;
  if (is_signed) {
    at = 1;
    while (at + count < text.size() && text[at + count] != '-') ++count;
    if (count > 9) return std::nullopt;
  }
  auto year = digits(text, at, count);
  at += count;
  const auto month = digits(text, at + 1, 2);
  const auto day = digits(text, at + 4, 2);
  if (!year || !month || !day || text[at] != '-' || text[at + 3] != '-') return std::nullopt;
  if (*month < 1 || *month > 12 || *day < 1 || *day > 31) return std::nullopt;
  if (text[0] == '-') year = -*year;
  const std::int64_t days = days_from_civil(*year, static_cast<unsigned>(*month), static_cast<unsigned>(*day));
  if (civil_from_days(days).day != static_cast<unsigned>(*day)) return std::nullopt;
  at += 6;
  return days;
}

// "Z", "+02:00", "+0200", "+02" or nothing: minutes east of UTC.
std::optional<std::int64_t> parse_offset(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0;
  if (text[0] != '+' && text[0] != '-') return std::nullopt;
  const auto hours = digits(text, 1, 2);
  const std::size_t colon = text.size() > 3 && text[3] == ':' ? 1 : 0;
  const bool has_minutes = text.size() == 5 + colon;
  const auto minutes = has_minutes ? digits(text, 3 + colon, 2) : std::optional(0);
  if (!hours || !minutes || *hours > 18 || *minutes > 59 || (!has_minutes && text.size() != 3)) return std::nullopt;
  const std::int64_t total = *hours * 60 + *minutes;
  return text[0] == '-' ? -total : total;
}

}  // namespace

std::string format_date(std::int64_t days) {
  const CivilDate date = civil_from_days(days);
  return fmt::format("{}-{:02}-{:02}", format_year(date.year), date.month, date.day);
}

std::optional<std::int32_t> parse_date(std::string_view text) {
  std::size_t at = 0;
  const auto days = parse_days(text, at);
  if (!days || at != text.size() || *days < INT32_MIN || *days > INT32_MAX) return std::nullopt;
  return static_cast<std::int32_t>(*days);
}

std::string format_instant(std::int64_t epoch_millis) {
  std::int64_t days = epoch_millis / kDayMillis;
  std::int64_t rest = epoch_millis % kDayMillis;
  if (rest < 0) {
    rest += kDayMillis;
    --days;
  }
  const auto text =
      fmt::format("{}T{:02}:{:02}:{:02}", format_date(days), rest / 3'600'000, rest / 60'000 % 60, rest / 1000 % 60);
  return rest % 1000 == 0 ? text + "Z" : fmt::format("{}.{:03}Z", text, rest % 1000);
}

std::optional<std::int64_t> parse_instant(std::string_view text) {
  std::size_t at = 0;
  const auto days = parse_days(text, at);
  if (!days) return std::nullopt;
  std::int64_t millis = 0;
  if (at != text.size()) {
    const char separator = text[at];
    const auto hour = digits(text, at + 1, 2);
    const auto minute = digits(text, at + 4, 2);
    if (!hour || !minute || (separator != 'T' && separator != 't' && separator != ' ')) return std::nullopt;
    if (text[at + 3] != ':' || *hour > 23 || *minute > 59) return std::nullopt;
    millis = *hour * 3'600'000LL + *minute * 60'000LL;
    at += 6;
    if (at < text.size() && text[at] == ':') {
      const auto second = digits(text, at + 1, 2);
      if (!second || *second > 59) return std::nullopt;
      millis += *second * 1000LL;
      at += 3;
      if (at < text.size() && text[at] == '.') {
        const std::size_t first = ++at;
        for (std::int64_t scale = 100; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
          millis += (text[at] - '0') * scale;
        }
        if (at == first) return std::nullopt;
      }
    }
    const auto offset = parse_offset(text.substr(at));
    if (!offset) return std::nullopt;
    millis -= *offset * 60'000;
  }
  // The least instant lies within a day that begins before it.
  const auto wide = static_cast<Wide>(*days) * kDayMillis + millis;
  if (wide < INT64_MIN || wide > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(wide);
}

std::optional<Nanos> parse_duration(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  if (text.front() == 'P' || text.front() == 'p') return parse_iso(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  std::string unit(end, text.data() + text.size());
  while (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Unit& row : kUnits) {
    if (unit == row.name || (row.name.size() > 2 && unit == std::string(row.name) + "s")) {
      std::int64_t nanos = 0;
      if (__builtin_mul_overflow(value, row.nanos, &nanos)) return std::nullopt;
      return Nanos(nanos);
    }
  }
  return std::nullopt;
}

std::string format_iso_duration(Millis duration) {
  std::int64_t ms = duration.count();
  if (ms == 0) return "PT0S";
  std::string out = "PT";
  if (ms / 3'600'000 != 0) out += fmt::format("{}H", ms / 3'600'000);
  ms %= 3'600'000;
  if (ms / 60'000 != 0) out += fmt::format("{}M", ms / 60'000);
  ms %= 60'000;
  if (ms % 1000 == 0) {
    if (ms != 0) out += fmt::format("{}S", ms / 1000);
    return out;
  }
  auto fraction = fmt::format("{:03}", ms % 1000);
  while (fraction.back() == '0') fraction.pop_back();
  return out + fmt::format("{}.{}S", ms / 1000, fraction);
}

}  // namespace drey
