// Shape: what a type looks like on the wire, as data made once from its field table; parsing,
// encoding, the contract and OpenAPI are functions over shapes, not templates.
//
// Types: a message (struct with wire::field rows), vector, Map (ordered entries), optional, text,
// OneOf (text out of a table), Id, whole and real numbers, bool, Json (anything), None. A message
// names Flink's type in kUrn (kUrnV1 when 1.12's page has another) and may set kStrictV1 (old
// clients get only its rows of 1.12) and kNeedsAll (a request must hold every row). Threading:
// constants.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/id.h"
#include "env/file_system.h"
#include "net/body_stream.h"
#include "wire/field.h"
#include "wire/json/json.h"

namespace drey::rest {

using wire::field;
using wire::Fields;
using wire::Json;
using wire::kV1;
using wire::kV2;
// On the wire, but in neither page of the contract.
inline constexpr wire::Eras kUnlisted = 0;

// Which client an answer is phrased for (rest.compat); the older, the greater.
enum class Dialect { kFull, k112, k111 };

template <typename T>
using Map = std::vector<std::pair<std::string, T>>;

// A text that an enumerated member may hold.
struct EnumText {
  std::string_view text;
  wire::Eras eras = wire::kAllEras;
  // What stands for it in answers to clients of this age and older; empty: itself.
  std::string_view older = {};
  Dialect unknown_to = Dialect::k112;
};
// A text out of a table: OneOf<kJobStates>.
template <const auto& kTexts>
struct OneOf {
  std::string text;
  OneOf() = default;
  OneOf(std::string value) : text(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  OneOf(std::string_view value) : text(value) {}        // NOLINT
  OneOf(const char* value) : text(value) {}             // NOLINT
  bool operator==(std::string_view other) const { return text == other; }
};
// A whole number of 32 bits that is not negative.
struct Index {
  std::int64_t value = 0;
};
// A text, a file or a stream as it is, not as JSON.
struct TextReply {
  std::string text;
  std::shared_ptr<env::ReadableFile> file = nullptr;  // in place of text
  std::uint64_t offset = 0;                           // of the file
  std::string_view type = "text/plain";
  std::shared_ptr<net::BodyStream> stream = nullptr;  // in place of text
};
struct None {
  static constexpr auto fields() { return Fields{}; }
};

struct Shape;

struct Row {
  std::string_view name;
  std::string_view doc;
  wire::Eras eras = wire::kAllEras;
  bool null_when_empty = false;
  std::size_t offset = 0;
  const Shape* shape = nullptr;
};

struct Shape {
  enum class Kind { kMessage, kArray, kMap, kOptional, kText, kEnum, kId, kWhole, kReal, kBoolean, kAny, kFile };
  Kind kind = Kind::kAny;
  // Of a message.
  std::string_view urn, urn_v1;
  bool strict_v1 = false;
  bool needs_all = false;
  std::span<const Row> (*rows)() = [] { return std::span<const Row>(); };
  // Of an enumerated text.
  std::span<const EnumText> texts;
  // Of an array, map or optional.
  const Shape* element = nullptr;
  std::size_t (*size)(const void*) = nullptr;
  const void* (*item)(const void*, std::size_t) = nullptr;
  std::string_view (*key)(const void*, std::size_t) = nullptr;  // of an enumerated text: itself
  void* (*add)(void*, std::string_view key) = nullptr;
  // Of the rest. read() also takes the text of a parameter; false when it does not fit.
  void (*write)(const void*, std::string&) = nullptr;
  bool (*read)(const Json&, void*) = nullptr;
};

void write_json(const Shape& shape, const void* value, Dialect dialect, std::string& out);
// Unknown keys are passed over, null is absent. False when something has the wrong type.
bool read_json(const Shape& shape, const Json& json, void* value);
// The text of one parameter: enumerated texts in any case, lists split at commas, "true" or false.
bool read_parameter(const Shape& shape, std::string_view text, void* value);
// JSON schema as OpenAPI has it; messages are put into `components` and referred to.
Json openapi_schema(const Shape& shape, Json& components);
// The last word of a message's type: how errors name it.
std::string_view simple_name(const Shape& shape);

namespace leaf {
void write_text(const void*, std::string&);
bool read_text(const Json&, void*);
void write_whole(const void*, std::string&);
bool read_whole(const Json&, void*);
bool read_index(const Json&, void*);
bool read_int(const Json&, void*);
void write_int(const void*, std::string&);
void write_real(const void*, std::string&);
bool read_real(const Json&, void*);
void write_boolean(const void*, std::string&);
bool read_boolean(const Json&, void*);
void write_any(const void*, std::string&);
bool read_any(const Json&, void*);
void write_quoted(std::string_view text, std::string& out);
}  // namespace leaf

namespace detail {
template <typename T>
constexpr Shape make_shape();
}  // namespace detail

// A constant: nothing is made of it where it is used.
template <typename T>
inline constexpr Shape kShapeOf = detail::make_shape<T>();

namespace detail {

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsMap = false;
template <typename T>
inline constexpr bool kIsMap<std::vector<std::pair<std::string, T>>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsOneOf = false;
template <const auto& kTexts>
inline constexpr bool kIsOneOf<OneOf<kTexts>> = true;
template <typename T>
inline constexpr bool kIsId = false;
template <typename Tag>
inline constexpr bool kIsId<Id<Tag>> = true;

template <typename M>
std::span<const Row> rows_of() {
  static constexpr auto kFields = M::fields();
  static const auto rows = kFields.apply([]<typename... T>(const wire::FieldRow<M, T>&... row) {
    return std::array<Row, sizeof...(T)>{
        Row{row.name, row.doc, row.eras, row.null_when_empty, wire::offset_of(row.member), &kShapeOf<T>}...};
  });
  return rows;
}

template <typename M>
constexpr Shape message_shape() {
  Shape shape;
  shape.kind = Shape::Kind::kMessage;
  if constexpr (requires { M::kUrn; }) shape.urn = shape.urn_v1 = M::kUrn;
  if constexpr (requires { M::kUrnV1; }) shape.urn_v1 = M::kUrnV1;
  if constexpr (requires { M::kStrictV1; }) shape.strict_v1 = M::kStrictV1;
  if constexpr (requires { M::kNeedsAll; }) shape.needs_all = M::kNeedsAll;
  shape.rows = &rows_of<M>;
  return shape;
}

template <const auto& kTexts>
constexpr std::span<const EnumText> texts_of(const OneOf<kTexts>*) {
  return kTexts;
}

template <typename T>
constexpr Shape make_shape() {
  Shape shape;
  if constexpr (kIsMap<T>) {
    using Element = typename T::value_type::second_type;
    shape.kind = Shape::Kind::kMap;
    shape.element = &kShapeOf<Element>;
    shape.size = [](const void* v) { return static_cast<const T*>(v)->size(); };
    shape.item = [](const void* v, std::size_t i) -> const void* { return &(*static_cast<const T*>(v))[i].second; };
    shape.key = [](const void* v, std::size_t i) -> std::string_view { return (*static_cast<const T*>(v))[i].first; };
    shape.add = [](void* v, std::string_view key) -> void* {
      return &static_cast<T*>(v)->emplace_back(std::string(key), Element{}).second;
    };
  } else if constexpr (kIsVector<T>) {
    shape.kind = Shape::Kind::kArray;
    shape.element = &kShapeOf<typename T::value_type>;
    shape.size = [](const void* v) { return static_cast<const T*>(v)->size(); };
    shape.item = [](const void* v, std::size_t i) -> const void* { return &(*static_cast<const T*>(v))[i]; };
    shape.add = [](void* v, std::string_view) -> void* { return &static_cast<T*>(v)->emplace_back(); };
  } else if constexpr (kIsOptional<T>) {
    shape.kind = Shape::Kind::kOptional;
    shape.element = &kShapeOf<typename T::value_type>;
    shape.size = [](const void* v) { return static_cast<const T*>(v)->has_value() ? std::size_t{1} : std::size_t{0}; };
    shape.item = [](const void* v, std::size_t) -> const void* { return &**static_cast<const T*>(v); };
    shape.add = [](void* v, std::string_view) -> void* { return &static_cast<T*>(v)->emplace(); };
  } else if constexpr (kIsOneOf<T>) {
    shape.kind = Shape::Kind::kEnum;
    shape.texts = texts_of(static_cast<const T*>(nullptr));
    shape.key = [](const void* v, std::size_t) -> std::string_view { return static_cast<const T*>(v)->text; };
    shape.write = [](const void* v, std::string& out) { leaf::write_text(&static_cast<const T*>(v)->text, out); };
    shape.read = [](const Json& json, void* v) { return leaf::read_text(json, &static_cast<T*>(v)->text); };
  } else if constexpr (kIsId<T>) {
    shape.kind = Shape::Kind::kId;
    shape.write = [](const void* v, std::string& out) {
      leaf::write_quoted(static_cast<const T*>(v)->to_string(), out);
    };
    shape.read = [](const Json& json, void* v) {
      const auto text = json.text();
      const auto id = text ? T::parse(*text) : std::nullopt;
      if (id) *static_cast<T*>(v) = *id;
      return id.has_value();
    };
  } else if constexpr (std::is_same_v<T, std::string>) {
    shape.kind = Shape::Kind::kText;
    shape.write = leaf::write_text;
    shape.read = leaf::read_text;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    shape.kind = Shape::Kind::kWhole;
    shape.write = leaf::write_whole;
    shape.read = leaf::read_whole;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    shape.kind = Shape::Kind::kWhole;
    shape.write = leaf::write_int;
    shape.read = leaf::read_int;
  } else if constexpr (std::is_same_v<T, Index>) {
    shape.kind = Shape::Kind::kWhole;
    shape.write = leaf::write_whole;
    shape.read = leaf::read_index;
  } else if constexpr (std::is_same_v<T, double>) {
    shape.kind = Shape::Kind::kReal;
    shape.write = leaf::write_real;
    shape.read = leaf::read_real;
  } else if constexpr (std::is_same_v<T, bool>) {
    shape.kind = Shape::Kind::kBoolean;
    shape.write = leaf::write_boolean;
    shape.read = leaf::read_boolean;
  } else if constexpr (std::is_same_v<T, Json>) {
    shape.write = leaf::write_any;
    shape.read = leaf::read_any;
  } else if constexpr (std::is_same_v<T, TextReply>) {
    shape.kind = Shape::Kind::kFile;
  } else {
    static_assert(wire::HasFields<T>, "this type has no form on the wire: give it a field table");
    shape = message_shape<T>();
  }
  return shape;
}

}  // namespace detail

}  // namespace drey::rest
