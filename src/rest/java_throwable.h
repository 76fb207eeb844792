// A failure as the Java object stream that Flink's clients read: an
// org.apache.flink.util.SerializedThrowable without inner exception, in base64.
#pragma once

#include <string>
#include <string_view>

namespace drey::rest {

struct ThrowableTexts {
  std::string_view class_name;  // "java.lang.RuntimeException"
  std::string_view message;
  std::string_view stack_trace;  // the whole text, "class: message\n\tat ..."
};
std::string serialized_throwable(const ThrowableTexts& texts);

}  // namespace drey::rest
