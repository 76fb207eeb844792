#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace drey {
namespace {

std::string encoded(unsigned code) {
  const auto byte = [](unsigned value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xC0 | code >> 6), byte(0x80 | (code & 63))};
  if (code < 0x10000) return {byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63))};
  return {byte(0xF0 | code >> 18), byte(0x80 | (code >> 12 & 63)), byte(0x80 | (code >> 6 & 63)),
          byte(0x80 | (code & 63))};
}

// Every code point, and what lies beside the allowed ones.
TEST(Utf8, EveryCodePointButSurrogatesIsOneSequence) {
  for (unsigned code = 0; code <= 0x1FFFFF; ++code) {
    const std::string text = encoded(code);
    const bool allowed = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
    ASSERT_EQ(utf8_sequence_bytes(text), allowed ? text.size() : 0) << code;
    ASSERT_EQ(is_utf8(text), allowed) << code;
  }
}

TEST(Utf8, LongFormsAndCutOnesAreRefused) {
  for (const char* bad : {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\x80", "\xFF", "\xC3",
                          "\xE2\x82", "\xF0\x9F\x98", "\xC3("}) {
    EXPECT_EQ(utf8_sequence_bytes(bad), 0u) << bad;
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

// A bad byte is found wherever it lies among the words that are looked at whole.
TEST(Utf8, ABadByteIsFoundAtEveryPlace) {
  for (std::size_t size = 0; size < 40; ++size) {
    EXPECT_TRUE(is_utf8(std::string(size, 'a')));
    EXPECT_TRUE(is_utf8(std::string(size, 'a') + "\xC3\xA9" + std::string(20, 'b')));
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\xE9';
      EXPECT_FALSE(is_utf8(text)) << size << " " << at;
    }
  }
}

}  // namespace
}  // namespace drey
