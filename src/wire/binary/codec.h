// Binary codec derived from field tables: RPC between processes, checkpoint metadata, the job store.
//
// Format, little-endian: whole numbers fixed width; bool and enum as their integers; double as its bits; text and
// bytes u32 size + bytes; vector and map u32 count + elements; optional u8 + value; Id 16 bytes; variant u8 index +
// value; a struct its fields in table order. There are no tags: both sides are of one version (checked at
// registration); stored documents carry a format version in front.
//
// Decoding trusts nothing: sizes are checked against what is left, depth is bounded, and bytes that remain after a
// message are an error. Threading: values.
//
// Templates end at the type of a member: a message is written and read by a loop over an array of offsets and
// functions.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "base/time.h"
#include "wire/field.h"

namespace drey::wire {

class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  void fail() { ok_ = false; }
  const char* take(std::size_t bytes) {
    if (!ok_ || bytes > left()) {
      ok_ = false;
      return nullptr;
    }
    const char* here = at_;
    at_ += bytes;
    return here;
  }
  int depth = 0;

 private:
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

inline constexpr int kDepthMax = 64;

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename K, typename V, typename C>
struct IsMap<std::map<K, V, C>> : std::true_type {};
template <typename T>
struct IsId : std::false_type {};
template <typename Tag>
struct IsId<Id<Tag>> : std::true_type {};
template <typename T>
struct IsVariant : std::false_type {};
template <typename... T>
struct IsVariant<std::variant<T...>> : std::true_type {};
template <typename T>
struct IsPair : std::false_type {};
template <typename A, typename B>
struct IsPair<std::pair<A, B>> : std::true_type {};

// A member of a message: where it lies, and the functions of its type.
struct MemberCodec {
  std::size_t offset;
  void (*encode)(std::string& out, const void* value);
  void (*decode)(Reader& in, void* value);
};
void encode_members(std::string& out, const void* message, std::span<const MemberCodec> members);
void decode_members(Reader& in, void* message, std::span<const MemberCodec> members);
void encode_text(std::string& out, std::string_view text);
void decode_text(Reader& in, std::string& text);
template <HasFields M>
std::span<const MemberCodec> members_of();

template <typename T>
void encode_value(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += static_cast<char>(value ? 1 : 0);
  } else if constexpr (std::is_enum_v<T>) {
    encode_value(out, static_cast<std::int32_t>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    static_assert(std::endian::native == std::endian::little);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out.append(raw, sizeof(T));
  } else if constexpr (std::is_same_v<T, std::string>) {
    encode_text(out, value);
  } else if constexpr (std::is_same_v<T, Instant>) {
    encode_value(out, value.millis);
  } else if constexpr (IsId<T>::value) {
    out.append(reinterpret_cast<const char*>(value.bytes().data()), 16);
  } else if constexpr (IsVector<T>::value || IsMap<T>::value) {
    encode_value(out, static_cast<std::uint32_t>(value.size()));
    for (const auto& element : value) encode_value(out, element);
  } else if constexpr (IsPair<T>::value) {
    encode_value(out, value.first);
    encode_value(out, value.second);
  } else if constexpr (IsOptional<T>::value) {
    encode_value(out, value.has_value());
    if (value) encode_value(out, *value);
  } else if constexpr (IsVariant<T>::value) {
    encode_value(out, static_cast<std::uint8_t>(value.index()));
    std::visit([&](const auto& alternative) { encode_value(out, alternative); }, value);
  } else {
    static_assert(HasFields<T>, "this type has no field table");
    encode_members(out, &value, members_of<T>());
  }
}

template <typename T>
void decode_value(Reader& in, T& value);

template <typename Variant, std::size_t I = 0>
void decode_variant(Reader& in, std::uint8_t index, Variant& value) {
  if constexpr (I == std::variant_size_v<Variant>) {
    in.fail();
  } else if (index == I) {
    std::variant_alternative_t<I, Variant> alternative{};
    decode_value(in, alternative);
    value = std::move(alternative);
  } else {
    decode_variant<Variant, I + 1>(in, index, value);
  }
}

template <typename T>
void decode_value(Reader& in, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (const char* raw = in.take(1)) value = *raw != 0;
  } else if constexpr (std::is_enum_v<T>) {
    std::int32_t number = 0;
    decode_value(in, number);
    value = static_cast<T>(number);
  } else if constexpr (std::is_arithmetic_v<T>) {
    if (const char* raw = in.take(sizeof(T))) std::memcpy(&value, raw, sizeof(T));
  } else if constexpr (std::is_same_v<T, std::string>) {
    decode_text(in, value);
  } else if constexpr (std::is_same_v<T, Instant>) {
    decode_value(in, value.millis);
  } else if constexpr (IsId<T>::value) {
    if (const char* raw = in.take(16)) {
      typename T::Bytes bytes;
      std::memcpy(bytes.data(), raw, 16);
      value = T(bytes);
    }
  } else if constexpr (IsVector<T>::value) {
    std::uint32_t count = 0;
    decode_value(in, count);
    if (count > in.left()) in.fail();  // every element takes at least a byte
    value.clear();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
      typename T::value_type element{};
      decode_value(in, element);
      value.push_back(std::move(element));
    }
  } else if constexpr (IsMap<T>::value) {
    std::uint32_t count = 0;
    decode_value(in, count);
    if (count > in.left()) in.fail();
    value.clear();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
      typename T::key_type key{};
      typename T::mapped_type mapped{};
      decode_value(in, key);
      decode_value(in, mapped);
      value.insert_or_assign(std::move(key), std::move(mapped));
    }
  } else if constexpr (IsPair<T>::value) {
    decode_value(in, value.first);
    decode_value(in, value.second);
  } else if constexpr (IsOptional<T>::value) {
    bool there = false;
    decode_value(in, there);
    value.reset();
    if (there && in.ok()) {
      typename T::value_type inner{};
      decode_value(in, inner);
      value = std::move(inner);
    }
  } else if constexpr (IsVariant<T>::value) {
    std::uint8_t index = 0;
    decode_value(in, index);
    if (in.ok()) decode_variant(in, index, value);
  } else {
    static_assert(HasFields<T>, "this type has no field table");
    decode_members(in, &value, members_of<T>());
  }
}

namespace detail {
template <typename T>
void encode_any(std::string& out, const void* value) {
  encode_value(out, *static_cast<const T*>(value));
}
template <typename T>
void decode_any(Reader& in, void* value) {
  decode_value(in, *static_cast<T*>(value));
}
}  // namespace detail

template <HasFields M>
std::span<const MemberCodec> members_of() {
  static constexpr auto kFields = M::fields();
  static const auto members = kFields.apply([]<typename... T>(const FieldRow<M, T>&... rows) {
    return std::array<MemberCodec, sizeof...(T)>{
        MemberCodec{offset_of(rows.member), &detail::encode_any<T>, &detail::decode_any<T>}...};
  });
  return members;
}

template <typename T>
std::string encode(const T& value) {
  std::string out;
  encode_value(out, value);
  return out;
}

// FAILS WITH: kCorrupt.
template <typename T>
Result<T> decode(std::string_view bytes) {
  Reader in(bytes);
  T value{};
  decode_value(in, value);
  if (!in.ok() || in.left() != 0)
    return fail(Code::kCorrupt, "A message cannot be decoded: it is damaged or of another version");
  return value;
}

}  // namespace drey::wire
