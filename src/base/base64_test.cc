#include "base/base64.h"

#include <gtest/gtest.h>

namespace drey {
namespace {

TEST(Base64, TakesAndGivesBytes) {
  for (const auto& [bytes, text] : {std::pair<std::string, std::string>{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foobar", "Zm9vYmFy"},
                                    {std::string("\x00\xFF\xFB", 3), "AP/7"}}) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Z", "Zg", "Zg=", "Z===", "Zg=a", "====", "Zm9v!m9v", "Zg==Zg==", "Zm9v\n"}) {
    EXPECT_FALSE(from_base64(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace drey
