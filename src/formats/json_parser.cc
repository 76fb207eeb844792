#include "formats/json_parser.h"

#include <algorithm>
#include <bit>
#include <bitset>
#include <cstring>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "formats/column_rows.h"

namespace drey::formats {
namespace {

using data::TypeKind;

// As deep as Jackson goes.
constexpr std::size_t kDepthMax = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Up to the first byte that a string of JSON cannot hold as it is: a quote, a backslash, a control character.
const char* find_special(const char* p, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
  while (end - p >= 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    const auto zeros = [&](std::uint64_t w) { return (w - kOnes) & ~w; };
    // The lowest marked byte is right; bytes above it may be marked wrongly.
    const std::uint64_t marks =
        (zeros(word ^ kOnes * '"') | zeros(word ^ kOnes * '\\') | ((word - kOnes * 0x20) & ~word)) & kHigh;
    if (marks != 0) return p + (std::countr_zero(marks) / 8);
    p += 8;
  }
  while (p != end && *p != '"' && *p != '\\' && static_cast<unsigned char>(*p) >= 0x20) ++p;
  return p;
}

int hex(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 63));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 63));
    out += static_cast<char>(0x80 | (point >> 6 & 63));
    out += static_cast<char>(0x80 | (point & 63));
  }
}

// Four digits; they are known to be there.
std::uint32_t code_unit(const char* p) {
  return static_cast<std::uint32_t>(hex(p[0]) << 12 | hex(p[1]) << 8 | hex(p[2]) << 4 | hex(p[3]));
}

// JSON without the white space between its tokens.
void append_compact(std::string& out, std::string_view json) {
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      out += c;
      out += json[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) continue;
    out += c;
  }
}

std::string_view shorten(std::string_view text) {
  std::size_t size = std::min<std::size_t>(text.size(), 64);
  // Not within a character.
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

const char* kind_wanted(const data::Type& type) { return type.kind == TypeKind::kStruct ? "an object" : "an array"; }

bool is_nested(const data::Type& type) { return type.kind == TypeKind::kStruct || type.kind == TypeKind::kList; }

}  // namespace

bool JsonParser::fail(std::string what) {
  error_.column.clear();
  for (const std::string* name : path_) {
    if (!error_.column.empty()) error_.column += '.';
    error_.column += *name;
  }
  error_.what = std::move(what);
  return false;
}

bool JsonParser::broken(const char* what) {
  error_.column.clear();
  error_.what = fmt::format("{}: {} at byte {}", is_line_ ? "the line is not a JSON object" : "is not JSON", what,
                            at_ - begin_ + 1);
  return false;
}

bool JsonParser::store(std::string_view line, data::BatchBuilder& builder, RowError& error) {
  begin_ = at_ = line.data();
  end_ = begin_ + line.size();
  builder_ = &builder;
  is_line_ = true;
  skip_space();
  if (at_ == end_) return true;  // a blank line is no row
  path_.clear();
  seen_.clear();
  const std::uint32_t row = builder.rows();
  bool good = *at_ == '{' ? parse_object(schema_.fields(), builder.abi().columns, row) : broken("no '{'");
  if (good) {
    skip_space();
    if (at_ != end_) good = broken("text follows the object");
  }
  if (!good) {
    for (std::size_t c = 0; c < schema_.size(); ++c) erase_value(schema_[c].type, builder.abi().columns[c], row);
    error = std::move(error_);
    return false;
  }
  builder.abi().rows = row + 1;
  return true;
}

bool JsonParser::parse_value(std::string_view text, const data::Field& declared, drey_builder_column& column,
                             std::uint32_t row, data::BatchBuilder& builder, RowError& error) {
  begin_ = at_ = text.data();
  end_ = begin_ + text.size();
  builder_ = &builder;
  is_line_ = false;
  path_.assign(1, &declared.name);
  seen_.clear();
  skip_space();
  bool good = parse_field(declared, column, row);
  skip_space();
  if (good && at_ != end_) good = broken("text follows the value");
  if (good) return true;
  if (error_.column.empty()) error_.column = declared.name;
  erase_value(declared.type, column, row);
  error = std::move(error_);
  return false;
}

bool JsonParser::parse_object(const std::vector<data::Field>& fields, drey_builder_column* columns, std::uint32_t row) {
  ++at_;  // '{'
  const std::size_t seen = seen_.size();
  seen_.resize(seen + fields.size(), 0);
  std::size_t next = 0;  // fields mostly come in the order of the columns
  skip_space();
  if (at_ != end_ && *at_ == '}') {
    ++at_;
  } else {
    while (true) {
      std::string_view key;
      bool has_escapes = false;
      skip_space();
      if (at_ == end_ || *at_ != '"') return broken("no name of a field");
      if (!scan_string(&key, &has_escapes)) return false;
      if (has_escapes) {
        // A name that is no UTF-8 is none of ours.
        key_.clear();
        if (unescape(key, &key_)) {
          key = key_;
        } else {
          key = "\xFF";
        }
      }
      if (!take(':')) return broken("no ':'");
      skip_space();
      std::size_t f = next;
      if (f >= fields.size() || fields[f].name != key) {
        f = 0;
        while (f < fields.size() && fields[f].name != key) ++f;
      }
      if (f == fields.size()) {
        if (!skip_value()) return false;
      } else {
        next = f + 1;
        path_.push_back(&fields[f].name);
        if (seen_[seen + f] != 0) erase_value(fields[f].type, columns[f], row);
        seen_[seen + f] = 1;
        if (!parse_field(fields[f], columns[f], row)) return false;
        path_.pop_back();
      }
      if (take(',')) continue;
      if (take('}')) break;
      return broken(at_ == end_ ? "it ends within an object" : "no ',' or '}'");
    }
  }
  for (std::size_t f = 0; f < fields.size(); ++f) {
    if (seen_[seen + f] != 0) continue;
    path_.push_back(&fields[f].name);
    if (!put_null(fields[f], columns[f], row)) return false;
    path_.pop_back();
  }
  seen_.resize(seen);
  return true;
}

bool JsonParser::parse_list(const data::Type& type, drey_builder_column& list, std::uint32_t row) {
  ++at_;  // '['
  const data::Field& element = type.children[0];
  skip_space();
  if (at_ != end_ && *at_ == ']') {
    ++at_;
  } else {
    while (true) {
      builder_->reserve_list(list, list.child_rows + 1);
      // Counted before it is read: what erases the row finds it.
      const std::uint32_t at = list.child_rows++;
      skip_space();
      if (!parse_field(element, list.children[0], at)) return false;
      if (take(',')) continue;
      if (take(']')) break;
      return broken(at_ == end_ ? "it ends within an array" : "no ',' or ']'");
    }
  }
  static_cast<std::int32_t*>(list.values)[row + 1] = static_cast<std::int32_t>(list.child_rows);
  return true;
}

bool JsonParser::parse_field(const data::Field& declared, drey_builder_column& column, std::uint32_t row) {
  if (at_ == end_) return broken("it ends where a value is due");
  const data::Type& type = declared.type;
  const char* const begin = at_;
  switch (*at_) {
    case '"': {
      std::string_view text;
      bool has_escapes = false;
      if (!scan_string(&text, &has_escapes)) return false;
      if (is_nested(type)) return fail(fmt::format("is a string where {} is due", kind_wanted(type)));
      if (has_escapes) {
        scratch_.clear();
        if (!unescape(text, &scratch_)) return fail("holds half of a surrogate pair, which is no text");
        char* copy = builder_->text(scratch_.size());
        scratch_.copy(copy, scratch_.size());
        text = {copy, scratch_.size()};
      }
      if (type.kind == TypeKind::kBytes) {
        const auto bytes = from_base64(text);
        if (!bytes) return fail(fmt::format("is not base64: value={}", shorten(text)));
        static_cast<data::View*>(column.values)[row] = builder_->copy_text(*bytes);
        return true;
      }
      return put_text(text, declared, column, row);
    }
    case '{':
    case '[':
      if (type.kind == TypeKind::kStruct && *at_ == '{') return parse_object(type.children, column.children, row);
      if (type.kind == TypeKind::kList && *at_ == '[') return parse_list(type, column, row);
      if (!skip_value()) return false;
      if (type.kind == TypeKind::kText) {
        scratch_.clear();
        append_compact(scratch_, {begin, static_cast<std::size_t>(at_ - begin)});
        if (!is_utf8(scratch_)) return fail("is not valid UTF-8");
        static_cast<data::View*>(column.values)[row] = builder_->copy_text(scratch_);
        return true;
      }
      return fail(fmt::format("is {} where {} is due", *begin == '{' ? "an object" : "an array",
                              is_nested(type) ? kind_wanted(type) : "a single value"));
    case 'n':
      return scan_word("null") && put_null(declared, column, row);
    case 't':
    case 'f': {
      if (!scan_word(*at_ == 't' ? "true" : "false")) return false;
      if (is_nested(type)) return fail(fmt::format("is true or false where {} is due", kind_wanted(type)));
      return put_text({begin, static_cast<std::size_t>(at_ - begin)}, declared, column, row);
    }
    default: {
      std::string_view number;
      if (!scan_number(&number)) return false;
      if (is_nested(type) || type.kind == TypeKind::kBytes) {
        return fail(fmt::format("is a number where {} is due", is_nested(type) ? kind_wanted(type) : "base64"));
      }
      if (const char* problem = values_.parse_json_number(number, type, column, row)) {
        return fail(fmt::format("{}: value={}", problem, shorten(number)));
      }
      return true;
    }
  }
}

bool JsonParser::put_text(std::string_view text, const data::Field& declared, drey_builder_column& column,
                          std::uint32_t row) {
  if (const char* problem = values_.parse(text, declared.type, column, row)) {
    return fail(declared.type.kind == TypeKind::kText ? problem : fmt::format("{}: value={}", problem, shorten(text)));
  }
  return true;
}

bool JsonParser::put_null(const data::Field& declared, drey_builder_column& column, std::uint32_t row) {
  if (!declared.nullable) return fail("is null or missing but the column is not optional");
  write_null(declared.type, column, row);
  return true;
}

bool JsonParser::scan_string(std::string_view* inner, bool* has_escapes) {
  const char* const begin = ++at_;
  *has_escapes = false;
  while (true) {
    at_ = find_special(at_, end_);
    if (at_ == end_) return broken("it ends within a string");
    if (*at_ == '"') break;
    if (*at_ != '\\') return broken("a control character in a string");
    *has_escapes = true;
    if (++at_ == end_) return broken("it ends within a string");
    if (*at_ == 'u') {
      if (end_ - at_ < 5 || std::any_of(at_ + 1, at_ + 5, [](char c) { return hex(c) < 0; })) {
        return broken("\\u is not followed by four hexadecimal digits");
      }
      at_ += 5;
    } else if (std::strchr("\"\\/bfnrt", *at_) != nullptr && *at_ != '\0') {
      ++at_;
    } else {
      return broken("an escape that JSON does not have");
    }
  }
  *inner = {begin, static_cast<std::size_t>(at_ - begin)};
  ++at_;
  return true;
}

// REQUIRES: what scan_string() has taken. False for half of a surrogate pair.
bool JsonParser::unescape(std::string_view inner, std::string* out) {
  const char* p = inner.data();
  const char* const end = p + inner.size();
  while (p != end) {
    const char* const special = find_special(p, end);
    out->append(p, special);
    p = special;
    if (p == end) break;
    ++p;
    const char c = *p++;
    if (c != 'u') {
      constexpr std::string_view kFrom = "bfnrt";
      constexpr std::string_view kTo = "\b\f\n\r\t";
      const auto at = kFrom.find(c);
      *out += at == std::string_view::npos ? c : kTo[at];
      continue;
    }
    std::uint32_t point = code_unit(p);
    p += 4;
    if (point >= 0xDC00 && point <= 0xDFFF) return false;
    if (point >= 0xD800 && point <= 0xDBFF) {
      if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return false;
      const std::uint32_t low = code_unit(p + 2);
      if (low < 0xDC00 || low > 0xDFFF) return false;
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
      p += 6;
    }
    append_utf8(*out, point);
  }
  return true;
}

bool JsonParser::scan_number(std::string_view* text) {
  const char* const begin = at_;
  const auto digits = [&] {
    const char* const first = at_;
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return at_ != first;
  };
  if (at_ != end_ && *at_ == '-') ++at_;
  if (at_ != end_ && *at_ == '0') {
    ++at_;
  } else if (!digits()) {
    return broken("no value");
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (!digits()) return broken("no digit behind the point");
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ != end_ && (*at_ == '-' || *at_ == '+')) ++at_;
    if (!digits()) return broken("no digit in the exponent");
  }
  *text = {begin, static_cast<std::size_t>(at_ - begin)};
  return true;
}

bool JsonParser::scan_word(std::string_view word) {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return broken("no value");
  at_ += word.size();
  return true;
}

// Without recursion: what nobody wants may be nested as deep as it likes to, up to kDepthMax.
bool JsonParser::skip_value() {
  std::bitset<kDepthMax> is_object;
  std::size_t depth = 0;
  while (true) {
    skip_space();
    if (at_ == end_) return broken("it ends where a value is due");
    std::string_view ignored;
    bool has_escapes = false;
    bool opened = false;
    switch (*at_) {
      case '{':
      case '[':
        if (depth == kDepthMax) return broken("it is nested too deeply");
        is_object[depth++] = *at_++ == '{';
        opened = true;
        break;
      case '"':
        if (!scan_string(&ignored, &has_escapes)) return false;
        break;
      case 't':
        if (!scan_word("true")) return false;
        break;
      case 'f':
        if (!scan_word("false")) return false;
        break;
      case 'n':
        if (!scan_word("null")) return false;
        break;
      default:
        if (!scan_number(&ignored)) return false;
    }
    // Up to the next value, or out of what ends here.
    while (depth > 0) {
      const bool in_object = is_object[depth - 1];
      if (take(in_object ? '}' : ']')) {
        --depth;
        opened = false;
        continue;
      }
      if (!opened && !take(',')) return broken(at_ == end_ ? "it ends within a value" : "no ','");
      if (in_object) {
        skip_space();
        if (at_ == end_ || *at_ != '"') return broken("no name of a field");
        if (!scan_string(&ignored, &has_escapes)) return false;
        if (!take(':')) return broken("no ':'");
      }
      break;
    }
    if (depth == 0) return true;
  }
}

}  // namespace drey::formats
