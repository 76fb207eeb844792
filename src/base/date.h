// Dates as text. Threading: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drey {

// Days since 1970-01-01 as "2013-01-01"; years of other than four digits have a sign ("+12345-01-02").
std::string format_date(std::int64_t days);
// The inverse.
std::optional<std::int32_t> parse_date(std::string_view text);

}  // namespace drey
