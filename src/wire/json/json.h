// Json: an ordered JSON value for building answers and reading bodies.
//
// Numbers print as Java does: doubles with a point or exponent ("0.0", "9.7828864E7"), NaN as the text "NaN". Keys keep
// their order. Reading is lenient as Flink's mapper is: a byte order mark, duplicate keys and trailing text are taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/status.h"

namespace drey::wire {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;                                                        // null
  Json(std::nullptr_t) {}                                                  // NOLINT(google-explicit-constructor)
  Json(bool value) : value_(value) {}                                      // NOLINT
  Json(int value) : value_(std::int64_t{value}) {}                         // NOLINT
  Json(unsigned value) : value_(std::int64_t{value}) {}                    // NOLINT
  Json(std::int64_t value) : value_(value) {}                              // NOLINT
  Json(std::uint64_t value) : value_(static_cast<std::int64_t>(value)) {}  // NOLINT
  Json(double value) : value_(value) {}                                    // NOLINT
  Json(const char* value) : value_(std::string(value)) {}                  // NOLINT
  Json(std::string value) : value_(std::move(value)) {}                    // NOLINT
  Json(std::string_view value) : value_(std::string(value)) {}             // NOLINT
  Json(Array value) : value_(std::move(value)) {}                          // NOLINT
  Json(Object value) : value_(std::move(value)) {}                         // NOLINT
  template <typename Tag>
  Json(const Id<Tag>& id) : value_(id.to_string()) {}  // NOLINT

  static Json object(Object entries = {}) { return Json(std::move(entries)); }
  static Json array(Array elements = {}) { return Json(std::move(elements)); }

  // REQUIRES: an object (null becomes one).
  Json& set(std::string key, Json value);
  // REQUIRES: an array (null becomes one).
  Json& push(Json value);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  const Object& entries() const { return std::get<Object>(value_); }
  const Array& elements() const { return std::get<Array>(value_); }
  // The last entry of that key; null when absent or not an object.
  const Json& operator[](std::string_view key) const;
  // Text of a string, number or boolean; nullopt for the rest.
  std::optional<std::string> text() const;
  std::optional<std::int64_t> whole() const;  // also from text
  std::optional<double> real() const;
  std::optional<bool> boolean() const;  // also 1 and "true"

  std::string to_string() const;
  // FAILS WITH: kInvalidArgument.
  static Result<Json> parse(std::string_view text);

 private:
  void print(std::string& out) const;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

// As Double.toString: "1.0", "9.7828864E7", "1.0E-4".
std::string java_double(double value);

}  // namespace drey::wire
