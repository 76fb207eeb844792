// Logical types of columns and the schema of a record.
//
// Physical layouts are Arrow's; text and bytes are 16-byte views (drey/abi.h). Threading: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "drey/abi.h"

namespace drey::data {

enum class TypeKind : std::uint8_t {
  kBool,  // bits
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat,
  kDouble,
  kDecimal,    // int64 up to 18 digits, else int128
  kDate,       // int32, days since 1970-01-01
  kTimestamp,  // int64, milliseconds since 1970-01-01T00:00Z
  kText,       // views
  kBytes,      // views
  kStruct,
  kList,
};

struct Field;

struct Type {
  TypeKind kind = TypeKind::kInt64;
  std::int32_t precision = 0;
  std::int32_t scale = 0;
  std::vector<Field> children;  // kStruct: its fields; kList: one

  bool is_view() const { return kind == TypeKind::kText || kind == TypeKind::kBytes; }
  // Bytes of one value in the column's value buffer; 0 for bits, structs and lists.
  std::uint32_t width() const;
  friend bool operator==(const Type&, const Type&);
};

struct Field {
  std::string name;
  Type type;
  bool nullable = false;
  friend bool operator==(const Field&, const Field&);
};

class Schema {
 public:
  Schema() = default;
  explicit Schema(std::vector<Field> fields) : fields_(std::move(fields)) {}
  // A "+s" schema. FAILS WITH: kInvalidArgument, naming the format that is not supported.
  static Result<Schema> from_arrow(const ArrowSchema& schema);
  // One line a reader can check and parse() reads: "name:vu?,key:l" (? = nullable).
  std::string to_string() const;
  static Result<Schema> parse(std::string_view text);

  const std::vector<Field>& fields() const { return fields_; }
  std::size_t size() const { return fields_.size(); }
  const Field& operator[](std::size_t i) const { return fields_[i]; }
  std::optional<std::uint32_t> index_of(std::string_view name) const;
  friend bool operator==(const Schema&, const Schema&) = default;

 private:
  std::vector<Field> fields_;
};

}  // namespace drey::data
