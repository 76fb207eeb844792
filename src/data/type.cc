#include "data/type.h"

#include <charconv>

#include <fmt/format.h>

namespace drey::data {
namespace {

constexpr int kDepthMax = 32;

Result<Type> type_of(std::string_view format) {
  if (format.size() == 1) {
    switch (format[0]) {
      case 'b':
        return Type{TypeKind::kBool, 0, 0, {}};
      case 'c':
        return Type{TypeKind::kInt8, 0, 0, {}};
      case 's':
        return Type{TypeKind::kInt16, 0, 0, {}};
      case 'i':
        return Type{TypeKind::kInt32, 0, 0, {}};
      case 'l':
        return Type{TypeKind::kInt64, 0, 0, {}};
      case 'f':
        return Type{TypeKind::kFloat, 0, 0, {}};
      case 'g':
        return Type{TypeKind::kDouble, 0, 0, {}};
      default:
        break;
    }
  }
  if (format == "vu") return Type{TypeKind::kText, 0, 0, {}};
  if (format == "vz") return Type{TypeKind::kBytes, 0, 0, {}};
  if (format == "tdD") return Type{TypeKind::kDate, 0, 0, {}};
  if (format == "tsm:UTC" || format == "tsm:") return Type{TypeKind::kTimestamp, 3, 0, {}};
  if (format == "+s") return Type{TypeKind::kStruct, 0, 0, {}};
  if (format == "+l") return Type{TypeKind::kList, 0, 0, {}};
  if (format.starts_with("d:")) {
    Type type{TypeKind::kDecimal, 0, 0, {}};
    const auto comma = format.find(',');
    if (comma != std::string_view::npos) {
      const char* end = format.data() + format.size();
      auto a = std::from_chars(format.data() + 2, format.data() + comma, type.precision);
      auto b = std::from_chars(format.data() + comma + 1, end, type.scale);
      if (a.ptr == format.data() + comma && b.ptr == end && type.precision >= 1 && type.precision <= 38 &&
          type.scale >= 0 && type.scale <= type.precision) {
        return type;
      }
    }
  }
  return fail(Code::kInvalidArgument, fmt::format("Column format is not supported: {}", format));
}

std::string format_of(const Type& type) {
  switch (type.kind) {
    case TypeKind::kBool:
      return "b";
    case TypeKind::kInt8:
      return "c";
    case TypeKind::kInt16:
      return "s";
    case TypeKind::kInt32:
      return "i";
    case TypeKind::kInt64:
      return "l";
    case TypeKind::kFloat:
      return "f";
    case TypeKind::kDouble:
      return "g";
    case TypeKind::kDecimal:
      return fmt::format("d:{},{}", type.precision, type.scale);
    case TypeKind::kDate:
      return "tdD";
    case TypeKind::kTimestamp:
      return "tsm:UTC";
    case TypeKind::kText:
      return "vu";
    case TypeKind::kBytes:
      return "vz";
    case TypeKind::kStruct:
      return "+s";
    case TypeKind::kList:
      return "+l";
  }
  return "?";
}

Result<Field> field_of(const ArrowSchema& schema, int depth) {
  if (depth > kDepthMax) {
    return fail(Code::kInvalidArgument, fmt::format("Record nests deeper than {} levels", kDepthMax));
  }
  DREY_TRY_ASSIGN(Type type, type_of(schema.format != nullptr ? schema.format : ""));
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    DREY_TRY_ASSIGN(Field child, field_of(*schema.children[i], depth + 1));
    type.children.push_back(std::move(child));
  }
  return Field{schema.name != nullptr ? schema.name : "", std::move(type), (schema.flags & ARROW_FLAG_NULLABLE) != 0};
}

// schema := field (',' field)*; field := name ':' format '?'? ('{' schema '}')?
void print(const std::vector<Field>& fields, std::string& out) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out += ';';
    out += fields[i].name + ':' + format_of(fields[i].type);
    if (fields[i].nullable) out += '?';
    if (!fields[i].type.children.empty()) {
      out += '{';
      print(fields[i].type.children, out);
      out += '}';
    }
  }
}

struct Parser {
  std::string_view text;
  std::size_t at = 0;

  Result<std::vector<Field>> fields(int depth) {
    std::vector<Field> out;
    if (depth > kDepthMax) return fail(Code::kCorrupt, "Schema text nests too deeply");
    while (at < text.size() && text[at] != '}') {
      const auto colon = text.find(':', at);
      if (colon == std::string_view::npos) return fail(Code::kCorrupt, "Schema text lacks a ':'");
      Field field;
      field.name = std::string(text.substr(at, colon - at));
      at = colon + 1;
      const auto end = std::min(text.find_first_of("?{};", at), text.size());
      DREY_TRY_ASSIGN(field.type, type_of(text.substr(at, end - at)));
      at = end;
      if (at < text.size() && text[at] == '?') {
        field.nullable = true;
        ++at;
      }
      if (at < text.size() && text[at] == '{') {
        ++at;
        DREY_TRY_ASSIGN(field.type.children, fields(depth + 1));
        if (at >= text.size()) return fail(Code::kCorrupt, "Schema text lacks a '}'");
        ++at;
      }
      out.push_back(std::move(field));
      if (at < text.size() && text[at] == ';') ++at;
    }
    return out;
  }
};

}  // namespace

std::uint32_t Type::width() const {
  switch (kind) {
    case TypeKind::kInt8:
      return 1;
    case TypeKind::kInt16:
      return 2;
    case TypeKind::kInt32:
    case TypeKind::kFloat:
    case TypeKind::kDate:
      return 4;
    case TypeKind::kInt64:
    case TypeKind::kDouble:
    case TypeKind::kTimestamp:
      return 8;
    case TypeKind::kDecimal:
      return precision <= 18 ? 8 : 16;
    case TypeKind::kText:
    case TypeKind::kBytes:
      return sizeof(drey_view);
    case TypeKind::kBool:
    case TypeKind::kStruct:
    case TypeKind::kList:
      return 0;
  }
  return 0;
}

bool operator==(const Type& a, const Type& b) {
  return a.kind == b.kind && a.precision == b.precision && a.scale == b.scale && a.children == b.children;
}

bool operator==(const Field& a, const Field& b) {
  return a.name == b.name && a.type == b.type && a.nullable == b.nullable;
}

Result<Schema> Schema::from_arrow(const ArrowSchema& schema) {
  DREY_TRY_ASSIGN(Field record, field_of(schema, 0));
  if (record.type.kind != TypeKind::kStruct) {
    return fail(Code::kInvalidArgument, "A record's schema must have the format +s");
  }
  return Schema(std::move(record.type.children));
}

std::string Schema::to_string() const {
  std::string out;
  print(fields_, out);
  return out;
}

Result<Schema> Schema::parse(std::string_view text) {
  Parser parser{text};
  DREY_TRY_ASSIGN(auto fields, parser.fields(0));
  if (parser.at != text.size()) return fail(Code::kCorrupt, "Schema text has a stray '}'");
  return Schema(std::move(fields));
}

std::optional<std::uint32_t> Schema::index_of(std::string_view name) const {
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if (fields_[i].name == name) return static_cast<std::uint32_t>(i);
  }
  return std::nullopt;
}

}  // namespace drey::data
