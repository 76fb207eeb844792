// UTF-8 as RFC 3629 has it: shortest forms, no surrogates, at most U+10FFFF. Threading: pure
// functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace drey {

// Bytes of the well-formed sequence that `text` begins with; 0 when there is none.
std::size_t utf8_sequence_bytes(std::string_view text);
// Eight bytes at a time while they are ASCII, which most text is.
bool is_utf8(std::string_view text);

}  // namespace drey
