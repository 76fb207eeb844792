// Tag: what an answer says, as a number for ETag: equal content, equal number. FNV-1a. Not against
// who means harm.
#pragma once

#include <cstdint>
#include <string_view>

namespace drey::rest {

class Tag {
 public:
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
    add_byte(0xff);  // no UTF-8 has it: texts do not run into each other
  }
  void add(std::int64_t number) {
    for (int i = 0; i < 8; ++i) add_byte(static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> (8 * i)));
  }
  std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char byte) { value_ = (value_ ^ byte) * 1099511628211u; }
  std::uint64_t value_ = 14695981039346656037u;
};

}  // namespace drey::rest
