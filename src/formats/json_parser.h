// JsonParser: one JSON object a line into columns, by the names of the fields.
//
// A line is read once, from left to right, straight into the columns. What no column wants is checked to be JSON and
// passed over: its numbers may be of any size, its text may hold anything. Of keys that come twice the last one counts.
// Text without escapes becomes a view into the input.
//
//   record, list     object, array; JSON as text, too
//   text             a string; a number or true or false as it stands; an object or array as JSON without white space
//   bytes            base64
//   numbers          a number, exact or an error ("1.0" and "1e3" are whole); or a string that holds one
//   timestamp, date  a string; a timestamp also as a number, milliseconds or as TimeFormat says
//
// Threading: one owner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/line_parser.h"
#include "formats/value_parser.h"

namespace drey::formats {

class JsonParser final : public LineParser {
 public:
  JsonParser(const data::Schema& schema, const FormatOptions& options)
      : schema_(schema), values_(options.time_format) {}

  // One value of `declared` from a text that is JSON, for formats whose records and lists are (CSV). Returns false and
  // says what is wrong, having written nothing.
  bool parse_value(std::string_view text, const data::Field& declared, drey_builder_column& column, std::uint32_t row,
                   data::BatchBuilder& builder, RowError& error);

 private:
  bool store(std::string_view line, data::BatchBuilder& builder, RowError& error) override;

  // All of these go on from at_, and return false after fail().
  bool parse_object(const std::vector<data::Field>& fields, drey_builder_column* columns, std::uint32_t row);
  bool parse_list(const data::Type& type, drey_builder_column& list, std::uint32_t row);
  bool parse_field(const data::Field& declared, drey_builder_column& column, std::uint32_t row);
  bool put_text(std::string_view text, const data::Field& declared, drey_builder_column& column, std::uint32_t row);
  bool put_null(const data::Field& declared, drey_builder_column& column, std::uint32_t row);
  // The token or value that begins at at_; `text` is all of it.
  bool scan_string(std::string_view* inner, bool* has_escapes);
  bool scan_number(std::string_view* text);
  bool scan_word(std::string_view word);
  bool skip_value();
  bool unescape(std::string_view inner, std::string* out);
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool fail(std::string what);    // of the row, or of the field in path_
  bool broken(const char* what);  // the text is no JSON

  const data::Schema& schema_;
  ValueParser values_;
  data::BatchBuilder* builder_ = nullptr;
  const char* begin_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  bool is_line_ = true;
  RowError error_;
  std::vector<const std::string*> path_;  // names of the fields under way
  std::vector<char> seen_;                // of each object under way, which fields have come
  std::string key_;
  std::string scratch_;
};

}  // namespace drey::formats
