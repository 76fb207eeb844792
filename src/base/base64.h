// Base64 (RFC 4648, section 4: '+', '/', padding). Threading: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace drey {

void append_base64(std::string& out, std::string_view bytes);
std::string to_base64(std::string_view bytes);
// Nothing when a character is none of the alphabet, or the padding is missing or not where it belongs.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace drey
