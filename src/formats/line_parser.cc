#include "formats/line_parser.h"

namespace drey::formats {

RowParser::Outcome LineParser::parse(std::string_view input, bool is_last, data::BatchBuilder& builder) {
  Outcome outcome;
  while (outcome.consumed < input.size() && !builder.is_full()) {
    const std::string_view rest = input.substr(outcome.consumed);
    const auto end = rest.find('\n');
    if (end == std::string_view::npos && !is_last) {
      outcome.needs_more = true;
      break;
    }
    std::string_view line = rest.substr(0, end);
    const std::size_t begin = outcome.consumed;
    outcome.consumed += end == std::string_view::npos ? rest.size() : end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    RowError error;
    if (!store(line, builder, error)) {
      error.offset = begin;
      outcome.error = std::move(error);
      break;
    }
  }
  return outcome;
}

}  // namespace drey::formats
