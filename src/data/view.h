// View: 16 bytes of text: up to 12 inline, else a 4-byte prefix and a pointer (drey_view of the ABI).
//
// Lifetime: a far view borrows; whoever stores it keeps the arena or copies the text.
#pragma once

#include <cstring>
#include <string_view>

#include "drey/abi.h"

namespace drey::data {

using View = drey_view;
static_assert(sizeof(View) == 16);

inline bool is_inline(const View& v) { return v.size <= DREY_VIEW_INLINE_MAX; }
inline const char* data_of(const View& v) { return is_inline(v) ? v.u.inlined : v.u.far.data; }
inline std::string_view text_of(const View& v) { return {data_of(v), v.size}; }

// A view of text that outlives it (far when longer than 12 bytes). REQUIRES: size < 4 GiB.
inline View make_view(const char* text, std::size_t size) {
  View v{};
  v.size = static_cast<std::uint32_t>(size);
  if (size <= DREY_VIEW_INLINE_MAX) {
    if (size != 0) std::memcpy(v.u.inlined, text, size);
  } else {
    std::memcpy(v.u.far.prefix, text, 4);
    v.u.far.data = text;
  }
  return v;
}
inline View make_view(std::string_view text) { return make_view(text.data(), text.size()); }

// The two halves of the 16 bytes; equal inline views have equal halves.
struct ViewWords {
  std::uint64_t low;   // size and first four bytes
  std::uint64_t high;  // the other eight, or the pointer
};
inline ViewWords words_of(const View& v) {
  ViewWords w;
  std::memcpy(&w, &v, sizeof w);
  return w;
}

inline bool equal(const View& a, const View& b) {
  const ViewWords x = words_of(a);
  const ViewWords y = words_of(b);
  if (x.low != y.low) return false;
  if (x.high == y.high) return true;
  return !is_inline(a) && std::memcmp(a.u.far.data, b.u.far.data, a.size) == 0;
}

}  // namespace drey::data
