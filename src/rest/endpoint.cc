#include "rest/endpoint.h"

#include <fmt/format.h>

#include <algorithm>

namespace drey::rest::detail {
namespace {

bool parse_row(const Row& row, const char* kind, const std::string& text, void* into, const Refuse& refuse) {
  if (read_parameter(*row.shape, text, static_cast<char*>(into) + row.offset)) return true;
  refuse({fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot "
                                                   "resolve {} parameter ({}) from value \"{}\".",
                                                   kind, row.name, text))});
  return false;
}

}  // namespace

bool parse_call(const Endpoint& endpoint, const RawCall& raw, void* path, void* query, void* body,
                const Refuse& refuse) {
  if (endpoint.request_shape != nullptr) {
    const Shape& shape = *endpoint.request_shape;
    const bool whole = !shape.needs_all || std::all_of(shape.rows().begin(), shape.rows().end(),
                                                       [&](const Row& row) { return !raw.body[row.name].is_null(); });
    if (!whole && raw.body.is_null()) {
      refuse({fail(Code::kInvalidArgument, "Bad request received. Request did not conform to expected format.")});
      return false;
    }
    if (!whole || !read_json(shape, raw.body, body)) {
      refuse({fail(Code::kInvalidArgument,
                   fmt::format("Request did not match expected format {}.", endpoint.request_name))});
      return false;
    }
  }
  for (const Row& row : endpoint.path_shape->rows()) {
    if (!parse_row(row, "path", raw.path.at(std::string(row.name)), path, refuse)) return false;
  }
  for (const Row& row : endpoint.query_shape->rows()) {
    const auto [begin, end] = raw.query.equal_range(std::string(row.name));
    if (begin == end) continue;
    std::string text = begin->second;
    // Repeated keys of a list are one list; of a single value the first counts.
    const Shape& shape = *row.shape;
    const bool list = shape.kind == Shape::Kind::kArray ||
                      (shape.kind == Shape::Kind::kOptional && shape.element->kind == Shape::Kind::kArray);
    for (auto it = std::next(begin); list && it != end; ++it) text += "," + it->second;
    if (!list && shape.kind != Shape::Kind::kText) text.resize(std::min(text.find(','), text.size()));
    if (!parse_row(row, "query", text, query, refuse)) return false;
  }
  return true;
}

}  // namespace drey::rest::detail
