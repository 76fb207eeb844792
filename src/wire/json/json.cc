#include "wire/json/json.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/check.h"
#include "base/utf8.h"

namespace drey::wire {
namespace {

const Json kNull;
constexpr int kDepthLimit = 256;

// Whatever a message quotes, the answer is UTF-8: other bytes become U+FFFD.
void print_text(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x80) {
      const std::size_t length = utf8_sequence_bytes(text.substr(i));
      if (length == 0) {
        out += "\xEF\xBF\xBD";
      } else {
        out.append(text, i, length);
        i += length - 1;
      }
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

Json convert(const simdjson::dom::element& element, int depth) {
  using simdjson::dom::element_type;
  if (depth > kDepthLimit) return {};
  switch (element.type()) {
    case element_type::ARRAY: {
      Json::Array out;
      for (const auto& child : simdjson::dom::array(element)) out.push_back(convert(child, depth + 1));
      return Json(std::move(out));
    }
    case element_type::OBJECT: {
      Json::Object out;
      for (const auto& child : simdjson::dom::object(element))
        out.emplace_back(std::string(child.key), convert(child.value, depth + 1));
      return Json(std::move(out));
    }
    case element_type::INT64:
      return Json(std::int64_t(element));
    case element_type::UINT64:
      return Json(static_cast<double>(std::uint64_t(element)));
    case element_type::DOUBLE:
      return Json(double(element));
    case element_type::STRING:
      return Json(std::string_view(element));
    case element_type::BOOL:
      return Json(bool(element));
    case element_type::NULL_VALUE:
      return {};
  }
  return {};
}

}  // namespace

std::string java_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  const double size = std::fabs(value);
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  std::string text;
  if (size >= 1e-3 && size < 1e7) {
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
    text.assign(buffer, end);
    return text.find('.') == std::string::npos ? text + ".0" : text;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  text.assign(buffer, end);
  const auto e = text.find('e');
  std::string digits = text.substr(0, e);
  if (digits.find('.') == std::string::npos) digits += ".0";
  return fmt::format("{}E{}", digits, std::atoi(text.c_str() + e + 1));
}

Json& Json::set(std::string key, Json value) {
  if (is_null()) value_ = Object();
  DREY_CHECK(is_object());
  std::get<Object>(value_).emplace_back(std::move(key), std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  if (is_null()) value_ = Array();
  DREY_CHECK(is_array());
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}

const Json& Json::operator[](std::string_view key) const {
  if (!is_object()) return kNull;
  const Json* found = &kNull;
  for (const auto& [name, value] : entries()) {
    if (name == key) found = &value;
  }
  return *found;
}

std::optional<std::string> Json::text() const {
  if (const auto* s = std::get_if<std::string>(&value_)) return *s;
  if (const auto* i = std::get_if<std::int64_t>(&value_)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&value_)) return java_double(*d);
  if (const auto* b = std::get_if<bool>(&value_)) return *b ? "true" : "false";
  return std::nullopt;
}

std::optional<std::int64_t> Json::whole() const {
  if (const auto* i = std::get_if<std::int64_t>(&value_)) return *i;
  if (const auto* d = std::get_if<double>(&value_)) {
    if (std::fabs(*d) < 9e18) return static_cast<std::int64_t>(*d);
    return std::nullopt;
  }
  if (const auto* s = std::get_if<std::string>(&value_)) {
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(s->data(), s->data() + s->size(), out);
    if (error == std::errc() && end == s->data() + s->size()) return out;
  }
  return std::nullopt;
}

std::optional<double> Json::real() const {
  if (const auto* d = std::get_if<double>(&value_)) return *d;
  if (const auto i = whole()) return static_cast<double>(*i);
  return std::nullopt;
}

std::optional<bool> Json::boolean() const {
  if (const auto* b = std::get_if<bool>(&value_)) return *b;
  if (const auto* i = std::get_if<std::int64_t>(&value_)) return *i != 0;
  if (const auto* s = std::get_if<std::string>(&value_)) {
    if (*s == "true" || *s == "True" || *s == "TRUE") return true;
    if (*s == "false" || *s == "False" || *s == "FALSE" || s->empty()) return false;
  }
  return std::nullopt;
}

void Json::print(std::string& out) const {
  if (is_null()) {
    out += "null";
  } else if (const auto* s = std::get_if<std::string>(&value_)) {
    print_text(out, *s);
  } else if (const auto* d = std::get_if<double>(&value_)) {
    out += std::isfinite(*d) ? java_double(*d) : "\"" + java_double(*d) + "\"";
  } else if (is_array()) {
    out += '[';
    for (std::size_t i = 0; i < elements().size(); ++i) {
      if (i > 0) out += ',';
      elements()[i].print(out);
    }
    out += ']';
  } else if (is_object()) {
    out += '{';
    for (std::size_t i = 0; i < entries().size(); ++i) {
      if (i > 0) out += ',';
      print_text(out, entries()[i].first);
      out += ':';
      entries()[i].second.print(out);
    }
    out += '}';
  } else {
    out += *text();
  }
}

std::string Json::to_string() const {
  std::string out;
  print(out);
  return out;
}

Result<Json> Json::parse(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  // parse_many stops behind the first document: what trails is not looked at.
  simdjson::dom::document_stream stream;
  if (parser.parse_many(padded, text.size() + 64).get(stream) == simdjson::SUCCESS) {
    auto first = stream.begin();
    if (first != stream.end()) {
      simdjson::dom::element element;
      if ((*first).get(element) == simdjson::SUCCESS) return convert(element, 0);
    }
  }
  simdjson::dom::element element;
  if (parser.parse(padded).get(element) == simdjson::SUCCESS) return convert(element, 0);
  return fail(Code::kInvalidArgument, "This is not valid JSON");
}

}  // namespace drey::wire
