#include "rest/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace drey::rest {
namespace {

using Kind = Shape::Kind;

const void* member(const Row& row, const void* value) { return static_cast<const char*>(value) + row.offset; }
void* member(const Row& row, void* value) { return static_cast<char*>(value) + row.offset; }

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// The key that tells apart the kinds of a message has an older name.
std::string_view key_for(std::string_view name, Dialect dialect) {
  return dialect != Dialect::kFull && name == "className" ? "@class" : name;
}

}  // namespace

void write_json(const Shape& shape, const void* value, Dialect dialect, std::string& out) {
  switch (shape.kind) {
    case Kind::kMessage: {
      char separator = '{';
      for (const Row& row : shape.rows()) {
        if (shape.strict_v1 && dialect != Dialect::kFull && (row.eras & kV1) == 0) continue;
        const Shape& inner = *row.shape;
        const void* at = member(row, value);
        const bool empty = inner.kind == Kind::kOptional && inner.size(at) == 0;
        if (empty && !row.null_when_empty) continue;
        out += separator;
        separator = ',';
        leaf::write_quoted(key_for(row.name, dialect), out);
        out += ':';
        write_json(inner, at, dialect, out);
      }
      if (separator == '{') out += '{';
      out += '}';
      return;
    }
    case Kind::kArray:
    case Kind::kMap: {
      const bool map = shape.kind == Kind::kMap;
      const Shape& inner = *shape.element;
      out += map ? '{' : '[';
      for (std::size_t i = 0; i < shape.size(value); ++i) {
        if (i > 0) out += ',';
        if (map) {
          leaf::write_quoted(shape.key(value, i), out);
          out += ':';
        }
        write_json(inner, shape.item(value, i), dialect, out);
      }
      out += map ? '}' : ']';
      return;
    }
    case Kind::kOptional:
      if (shape.size(value) == 0) {
        out += "null";
      } else {
        write_json(*shape.element, shape.item(value, 0), dialect, out);
      }
      return;
    case Kind::kEnum:
      if (dialect != Dialect::kFull) {
        for (const EnumText& word : shape.texts) {
          if (!word.older.empty() && dialect >= word.unknown_to && word.text == shape.key(value, 0))
            return leaf::write_quoted(word.older, out);
        }
      }
      [[fallthrough]];
    default:
      shape.write(value, out);
  }
}

bool read_json(const Shape& shape, const Json& json, void* value) {
  if (json.is_null()) return true;
  switch (shape.kind) {
    case Kind::kMessage:
      if (!json.is_object()) return false;
      return std::all_of(shape.rows().begin(), shape.rows().end(),
                         [&](const Row& row) { return read_json(*row.shape, json[row.name], member(row, value)); });
    case Kind::kArray:
      if (!json.is_array()) return false;
      for (const Json& element : json.elements()) {
        if (!read_json(*shape.element, element, shape.add(value, ""))) return false;
      }
      return true;
    case Kind::kMap:
      if (!json.is_object()) return false;
      for (const auto& [key, element] : json.entries()) {
        if (!read_json(*shape.element, element, shape.add(value, key))) return false;
      }
      return true;
    case Kind::kOptional: {
      // A text that is empty counts as absent where a number or an id is wanted.
      const Kind inner = shape.element->kind;
      if (json.is_string() && json.text()->empty() && inner != Kind::kText) return true;
      return read_json(*shape.element, json, shape.add(value, ""));
    }
    case Kind::kEnum: {
      const auto text = json.text();
      const bool known = text && std::any_of(shape.texts.begin(), shape.texts.end(),
                                             [&](const EnumText& w) { return w.text == *text; });
      return known && shape.read(json, value);
    }
    default:
      return shape.read(json, value);
  }
}

bool read_parameter(const Shape& shape, std::string_view text, void* value) {
  switch (shape.kind) {
    case Kind::kArray: {
      // As Java's split: empty elements count, but for those at the end; of an empty text there is one.
      if (text.empty()) return read_parameter(*shape.element, text, shape.add(value, ""));
      text = text.substr(0, text.find_last_not_of(',') + 1);
      while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        if (!read_parameter(*shape.element, text.substr(0, comma), shape.add(value, ""))) return false;
        text.remove_prefix(std::min(comma + 1, text.size()));
      }
      return true;
    }
    case Kind::kOptional:
      return read_parameter(*shape.element, text, shape.add(value, ""));
    case Kind::kEnum: {
      const std::string wanted = upper(text);
      for (const EnumText& word : shape.texts) {
        if (upper(word.text) == wanted) return shape.read(Json(word.text), value);
      }
      return false;
    }
    case Kind::kBoolean:
      return shape.read(Json(upper(text) == "TRUE"), value);
    default:
      return shape.read(Json(text), value);
  }
}

std::string_view simple_name(const Shape& shape) {
  const auto colon = shape.urn.rfind(':');
  return shape.urn.empty() ? "EmptyRequestBody" : shape.urn.substr(colon == std::string_view::npos ? 0 : colon + 1);
}

Json openapi_schema(const Shape& shape, Json& components) {
  const auto typed = [](const char* type) { return Json::object({{"type", type}}); };
  switch (shape.kind) {
    case Kind::kMessage: {
      std::string name;
      for (const char c : shape.urn) name += c == ':' ? '.' : c;
      if (!name.empty() && !components[name].is_null()) return Json::object({{"$ref", "#/components/schemas/" + name}});
      if (!name.empty()) components.set(name, typed("object"));  // second sight of a message that holds itself
      Json properties = Json::object();
      for (const Row& row : shape.rows()) {
        Json schema = openapi_schema(*row.shape, components);
        if (row.null_when_empty && schema["$ref"].is_null()) schema.set("nullable", true);
        if (!row.doc.empty() && schema["$ref"].is_null()) schema.set("description", row.doc);
        properties.set(std::string(row.name), std::move(schema));
      }
      Json whole = typed("object");
      whole.set("properties", std::move(properties));
      if (name.empty()) return whole;
      components.set(name, std::move(whole));
      return Json::object({{"$ref", "#/components/schemas/" + name}});
    }
    case Kind::kArray:
      return typed("array").set("items", openapi_schema(*shape.element, components));
    case Kind::kMap:
      return typed("object").set("additionalProperties", openapi_schema(*shape.element, components));
    case Kind::kOptional:
      return openapi_schema(*shape.element, components);
    case Kind::kEnum: {
      Json texts = Json::array();
      for (const EnumText& row : shape.texts) texts.push(row.text);
      return typed("string").set("enum", std::move(texts));
    }
    case Kind::kId:
      return typed("string").set("pattern", "^[0-9a-fA-F]{32}$");
    case Kind::kText:
      return typed("string");
    case Kind::kWhole:
      return typed("integer").set("format", "int64");
    case Kind::kReal:
      return typed("number").set("format", "double");
    case Kind::kBoolean:
      return typed("boolean");
    case Kind::kFile:
      return typed("string").set("format", "binary");
    case Kind::kAny:
      break;
  }
  return Json::object();
}

namespace leaf {

void write_quoted(std::string_view text, std::string& out) {
  const bool is_plain = std::all_of(text.begin(), text.end(),
                                    [](unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; });
  if (!is_plain) {
    out += Json(text).to_string();
    return;
  }
  out += '"';
  out += text;
  out += '"';
}
void write_text(const void* value, std::string& out) { write_quoted(*static_cast<const std::string*>(value), out); }
bool read_text(const Json& json, void* value) {
  auto text = json.text();
  if (text) *static_cast<std::string*>(value) = std::move(*text);
  return text.has_value();
}
void write_whole(const void* value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{}", *static_cast<const std::int64_t*>(value));
}
bool read_whole(const Json& json, void* value) {
  const auto number = json.whole();
  if (number) *static_cast<std::int64_t*>(value) = *number;
  return number.has_value();
}
bool read_index(const Json& json, void* value) {
  const auto number = json.whole();
  if (!number || *number < 0 || *number > INT32_MAX) return false;
  static_cast<Index*>(value)->value = *number;
  return true;
}
void write_int(const void* value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{}", *static_cast<const std::int32_t*>(value));
}
bool read_int(const Json& json, void* value) {
  const auto number = json.whole();
  if (!number || *number < INT32_MIN || *number > INT32_MAX) return false;
  *static_cast<std::int32_t*>(value) = static_cast<std::int32_t>(*number);
  return true;
}
void write_real(const void* value, std::string& out) { out += Json(*static_cast<const double*>(value)).to_string(); }
bool read_real(const Json& json, void* value) {
  auto number = json.real();
  if (!number && json.is_string() && *json.text() == "NaN") number = std::nan("");
  if (number) *static_cast<double*>(value) = *number;
  return number.has_value();
}
void write_boolean(const void* value, std::string& out) { out += *static_cast<const bool*>(value) ? "true" : "false"; }
bool read_boolean(const Json& json, void* value) {
  const auto flag = json.boolean();
  if (flag) *static_cast<bool*>(value) = *flag;
  return flag.has_value();
}
void write_any(const void* value, std::string& out) { out += static_cast<const Json*>(value)->to_string(); }
bool read_any(const Json& json, void* value) {
  *static_cast<Json*>(value) = json;
  return true;
}

}  // namespace leaf
}  // namespace drey::rest
