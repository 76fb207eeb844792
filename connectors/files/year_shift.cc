#include "connectors/files/year_shift.h"

#include "base/time.h"

namespace drey::connectors::files {

std::int64_t YearShift::apply(std::int64_t millis, std::int64_t years) {
  constexpr std::int64_t kDay = 86'400'000;
  if (years == 0) return millis;
  const std::int64_t day = millis >= 0 ? millis / kDay : (millis - kDay + 1) / kDay;
  if (day != day_ || years != years_) {
    const CivilDate date = civil_from_days(day);
    std::int64_t moved = days_from_civil(date.year + years, date.month, date.day);
    if (civil_from_days(moved).day != date.day) --moved;
    day_ = day;
    years_ = years;
    by_ = (moved - day) * kDay;
  }
  return millis + by_;
}

}  // namespace drey::connectors::files
