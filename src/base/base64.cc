#include "base/base64.h"

#include <array>
#include <cstdint>

namespace drey {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kValues = [] {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  const auto at = [&](std::size_t i) -> std::uint32_t {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::uint32_t word = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    out += kAlphabet[word >> 18];
    out += kAlphabet[word >> 12 & 63];
    out += i + 1 < bytes.size() ? kAlphabet[word >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kAlphabet[word & 63] : '=';
  }
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool is_last = i + 4 == text.size();
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      if (is_last && k >= 4 - padding) {
        word <<= 6;
        continue;
      }
      const std::int8_t value = kValues[static_cast<unsigned char>(text[i + k])];
      if (value < 0) return std::nullopt;
      word = word << 6 | static_cast<std::uint32_t>(value);
    }
    const std::size_t bytes = is_last ? 3 - padding : 3;
    for (std::size_t k = 0; k < bytes; ++k) out += static_cast<char>(word >> (16 - 8 * k) & 0xFF);
  }
  return out;
}

}  // namespace drey
