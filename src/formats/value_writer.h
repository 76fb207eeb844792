// Values as text, for the writers of all formats. Threading: pure functions.
#pragma once

#include <string>

#include "data/row_batch.h"
#include "formats/format.h"

namespace drey::formats {

// A value as JSON; null as "null". Records become objects and lists arrays, bytes base64. NaN and infinities are
// strings ("NaN", "Infinity", "-Infinity"), as Flink's JSON format has them. Text that is no UTF-8 gets U+FFFD where it
// is not.
void append_json(std::string& out, const data::Type& type, const ArrowArray& column, std::uint32_t row,
                 TimeFormat times);
void append_json_string(std::string& out, std::string_view text);

void append_time(std::string& out, std::int64_t millis, TimeFormat times);

// Appends `text`, with U+FFFD in place of each byte that is no UTF-8.
void append_utf8_text(std::string& out, std::string_view text);

inline bool is_null(const ArrowArray& column, std::uint32_t row) {
  return !data::is_valid(static_cast<const std::uint64_t*>(column.buffers[0]), row);
}

}  // namespace drey::formats
