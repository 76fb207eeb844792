// Bytes of state: how values, list elements, map keys and accumulators are kept, and how keys are
// read.
//
// Fixed types (trivially copyable, no Text, Bytes or List inside) are kept as they are in memory
// and can be reached in place. All others are packed: members in order of the table, fixed-width
// ones in native order, bool as one byte, an optional as one byte and the value, text as u32 size
// and bytes, a list as u32 count and its elements. Map keys are always packed, so that equal keys
// have equal bytes.
#pragma once

#include <stdexcept>

#include "drey/columns.h"

namespace drey {
inline namespace api {
namespace detail {

template <class T>
constexpr bool has_view() {
  if constexpr (Viewlike<T> || kIsList<T>) {
    return true;
  } else if constexpr (kIsOptional<T>) {
    return has_view<typename T::value_type>();
  } else if constexpr (Scalar<T> || kIsVector<T>) {
    return false;
  } else {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (has_view<typename Shape<T>::template Column<I>>() || ...);
    }
    (std::make_index_sequence<Shape<T>::kColumns>{});
  }
}

// Kept in place. A type without a table may be kept, too, when it has only plain bytes.
template <class T>
constexpr bool is_fixed() {
  if constexpr (!std::is_trivially_copyable_v<T> || alignof(T) > 16) {
    return false;
  } else if constexpr (HasFields<T> || Scalar<T> || kIsOptional<T> || kIsTuple<T> || kIsList<T>) {
    return !has_view<T>();
  } else {
    return true;
  }
}
template <class T>
inline constexpr bool kFixed = is_fixed<T>();

// Memory for decoded lists; lives as long as the values that were decoded with it.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) {}
  Scratch& operator=(const Scratch&) { return clear(), *this; }
  char* take(std::size_t size) {
    size = (size + 15) & ~std::size_t{15};
    if (static_cast<std::size_t>(end_ - at_) < size) {
      const std::size_t chunk = size < 4096 ? 4096 : size;
      chunks_.push_back(std::make_unique<char[]>(chunk));
      at_ = chunks_.back().get();
      end_ = at_ + chunk;
    }
    char* p = at_;
    at_ += size;
    return p;
  }
  std::string_view keep(std::string_view s) {
    if (s.empty()) return {};
    char* p = take(s.size());
    std::memcpy(p, s.data(), s.size());
    return {p, s.size()};
  }
  void clear() {
    if (chunks_.empty()) return;
    chunks_.clear();
    at_ = end_ = nullptr;
  }

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

using Buffer = std::string;

template <class T>
void put_raw(Buffer& to, const T& v) {
  to.append(reinterpret_cast<const char*>(&v), sizeof v);
}

template <class T>
void encode(Buffer& to, const T& v) {
  if constexpr (std::is_same_v<T, bool>) {
    to.push_back(v ? 1 : 0);
  } else if constexpr (Plain<T>) {
    put_raw(to, v);
  } else if constexpr (Viewlike<T>) {
    put_raw(to, static_cast<std::uint32_t>(v.size()));
    to.append(v.data(), v.size());
  } else if constexpr (std::is_same_v<T, std::string>) {
    put_raw(to, static_cast<std::uint32_t>(v.size()));
    to.append(v);
  } else if constexpr (kIsOptional<T>) {
    to.push_back(v.has_value() ? 1 : 0);
    if (v) encode(to, *v);
  } else if constexpr (kIsList<T> || kIsVector<T>) {
    put_raw(to, static_cast<std::uint32_t>(v.size()));
    for (std::size_t i = 0; i < v.size(); ++i) encode<typename T::value_type>(to, v[i]);
  } else if constexpr (HasFields<T> || kIsTuple<T>) {
    for_columns<T>([&](auto i) { encode(to, Shape<T>::template get<i>(v)); });
  } else {
    static_assert(kFixed<T>, "drey: this type cannot be kept in state: give it a table (DREY_FIELDS or fields())");
    put_raw(to, v);
  }
}

class Decoder {
 public:
  Decoder(std::string_view bytes, Scratch* scratch)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), scratch_(scratch) {}
  std::string_view take(std::size_t n) {
    if (static_cast<std::size_t>(end_ - at_) < n) throw std::runtime_error("state is shorter than its type");
    const char* p = at_;
    at_ += n;
    return {p, n};
  }
  bool done() const { return at_ == end_; }
  template <class T>
  T raw() {
    T v;
    std::memcpy(static_cast<void*>(&v), take(sizeof(T)).data(), sizeof(T));
    return v;
  }
  template <class T>
  T get() {
    if constexpr (std::is_same_v<T, bool>) {
      return take(1)[0] != 0;
    } else if constexpr (Plain<T>) {
      return raw<T>();
    } else if constexpr (Viewlike<T>) {
      return T(take(raw<std::uint32_t>()));
    } else if constexpr (std::is_same_v<T, std::string>) {
      return T(take(raw<std::uint32_t>()));
    } else if constexpr (kIsOptional<T>) {
      if (take(1)[0] == 0) return std::nullopt;
      return get<typename T::value_type>();
    } else if constexpr (kIsVector<T>) {
      const auto n = raw<std::uint32_t>();
      T v;
      v.reserve(n);
      for (std::uint32_t i = 0; i < n; ++i) v.push_back(get<typename T::value_type>());
      return v;
    } else if constexpr (kIsList<T>) {
      using V = typename T::value_type;
      static_assert(std::is_trivially_copyable_v<V>, "drey: List<T> in state needs a T that is trivially copyable");
      const auto n = raw<std::uint32_t>();
      V* items = reinterpret_cast<V*>(scratch_->take(n * sizeof(V)));
      for (std::uint32_t i = 0; i < n; ++i) new (items + i) V(get<V>());
      return T(std::span<const V>(items, n));
    } else if constexpr (HasFields<T> || kIsTuple<T>) {
      T v{};
      for_columns<T>([&](auto i) { Shape<T>::template get<i>(v) = get<typename Shape<T>::template Column<i>>(); });
      return v;
    } else {
      return raw<T>();
    }
  }

 private:
  const char* at_;
  const char* end_;
  Scratch* scratch_;
};

// Values and list elements: in memory form when fixed, else packed.
template <class T>
void encode_value(Buffer& to, const T& v) {
  if constexpr (kFixed<T>) {
    put_raw(to, v);
  } else {
    encode(to, v);
  }
}
template <class T>
T decode_value(std::string_view bytes, Scratch* scratch) {
  if constexpr (kFixed<T>) {
    return Decoder(bytes, scratch).raw<T>();
  } else {
    return Decoder(bytes, scratch).get<T>();
  }
}
template <class T>
drey_span value_span(const T& v, Buffer& buffer) {
  if constexpr (kFixed<T>) {
    return {reinterpret_cast<const char*>(&v), sizeof v};
  } else {
    buffer.clear();
    encode(buffer, v);
    return {buffer.data(), buffer.size()};
  }
}
template <class K>
drey_span key_span(const K& k, Buffer& buffer) {
  buffer.clear();
  encode(buffer, k);
  return {buffer.data(), buffer.size()};
}
inline std::string_view view(drey_span s) { return {s.data, s.size}; }

// --- Keys as the engine hands them over (abi.h) ---

inline const char* bytes_of(const drey_view& v) { return v.size <= DREY_VIEW_INLINE_MAX ? v.u.inlined : v.u.far.data; }

template <class K>
K key_column(const drey_view& v) {  // the only column of a key
  if constexpr (kIsOptional<K>) {
    std::uint32_t head;
    std::memcpy(&head, v.u.inlined, 4);
    if (v.size == 0 && head == 0xffffffffu) return std::nullopt;
    return key_column<typename K::value_type>(v);
  } else if constexpr (Viewlike<K>) {
    return K(v);
  } else if constexpr (std::is_same_v<K, std::string>) {
    return K(bytes_of(v), v.size);
  } else if constexpr (std::is_same_v<K, bool>) {
    return bytes_of(v)[0] != 0;
  } else {
    static_assert(Plain<K>, "drey: a key is made of scalars and text");
    K k;
    std::memcpy(static_cast<void*>(&k), bytes_of(v), sizeof k);
    return k;
  }
}
template <class K>
K key_part(Decoder& d) {  // one of several columns
  if constexpr (kIsOptional<K>) {
    if (d.take(1)[0] == 0) return std::nullopt;
    using V = typename K::value_type;
    return d.get<V>();
  } else {
    d.take(1);
    return d.get<K>();
  }
}
template <class K>
K decode_key(const drey_view& v) {
  if constexpr (Shape<K>::kColumns == 1) {
    if constexpr (Shape<K>::kIsRecord) {
      K k{};
      Shape<K>::template get<0>(k) = key_column<typename Shape<K>::template Column<0>>(v);
      return k;
    } else {
      return key_column<K>(v);
    }
  } else {
    Decoder d({bytes_of(v), v.size}, nullptr);
    K k{};
    for_columns<K>([&](auto i) { Shape<K>::template get<i>(k) = key_part<typename Shape<K>::template Column<i>>(d); });
    return k;
  }
}

}  // namespace detail
}  // namespace api
}  // namespace drey
