#include "drey/types.h"

#include <gtest/gtest.h>

#include <vector>

// The 16 bytes of a text are its value: keys are compared and hashed by them. Bytes of memory of
// its own size each, so that reading beyond them is found.
TEST(Text, IsTheViewOfAnyNumberOfBytes) {
  for (std::size_t size = 0; size < 40; ++size) {
    std::vector<char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(0x81 + i * 7);
    const std::string_view text(bytes.data(), size);
    drey_view expected{};
    expected.size = static_cast<std::uint32_t>(size);
    if (size <= DREY_VIEW_INLINE_MAX) {
      for (std::size_t i = 0; i < size; ++i) expected.u.inlined[i] = bytes[i];
    } else {
      for (std::size_t i = 0; i < 4; ++i) expected.u.far.prefix[i] = bytes[i];
      expected.u.far.data = bytes.data();
    }
    const drey::Text made(text);
    EXPECT_EQ(std::memcmp(&made.raw(), &expected, sizeof expected), 0) << size;
    EXPECT_EQ(made.view(), text);
  }
}
