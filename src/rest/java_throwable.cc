#include "rest/java_throwable.h"

#include <cstdint>

#include "base/base64.h"

namespace drey::rest {
namespace {

// Java's object stream: integers big-endian, texts in modified UTF-8.
class JavaStream {
 public:
  JavaStream& byte(unsigned value) {
    out_ += static_cast<char>(value);
    return *this;
  }
  JavaStream& number(std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) byte(static_cast<unsigned>(value >> shift & 0xff));
    return *this;
  }
  JavaStream& utf(std::string_view ascii) {
    number(ascii.size(), 2);
    out_ += ascii;
    return *this;
  }
  // An object of class String; long ones have another tag.
  JavaStream& text(std::string_view utf8) {
    const std::string bytes = modified(utf8);
    if (bytes.size() <= 0xffff) {
      byte(0x74).number(bytes.size(), 2);
    } else {
      byte(0x7c).number(bytes.size(), 8);
    }
    out_ += bytes;
    return *this;
  }
  JavaStream& null() { return byte(0x70); }
  JavaStream& end_block() { return byte(0x78); }
  JavaStream& class_of(std::string_view name, std::int64_t version, unsigned flags, unsigned fields) {
    byte(0x72).utf(name).number(static_cast<std::uint64_t>(version), 8);
    return byte(flags).number(fields, 2);
  }
  JavaStream& member(char kind, std::string_view name, std::string_view type) {
    byte(static_cast<unsigned char>(kind)).utf(name);
    return text(type);
  }
  std::string take() { return std::move(out_); }

 private:
  // NUL takes two bytes, what lies beyond the basic plane two surrogates of three.
  static std::string modified(std::string_view utf8) {
    std::string out;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (c == 0) {
        out += "\xC0\x80";
      } else if (c >= 0xf0 && i + 3 < utf8.size()) {
        const auto low = [&](std::size_t k) {
          return static_cast<std::uint32_t>(static_cast<unsigned char>(utf8[i + k]) & 0x3f);
        };
        const std::uint32_t point = ((c & 0x07u) << 18 | low(1) << 12 | low(2) << 6 | low(3)) - 0x10000;
        for (const std::uint32_t unit : {0xd800u + (point >> 10), 0xdc00u + (point & 0x3ff)}) {
          out += static_cast<char>(0xe0 | unit >> 12);
          out += static_cast<char>(0x80 | (unit >> 6 & 0x3f));
          out += static_cast<char>(0x80 | (unit & 0x3f));
        }
        i += 3;
      } else {
        out += static_cast<char>(c);
      }
    }
    return out;
  }
  std::string out_;
};

}  // namespace

std::string serialized_throwable(const ThrowableTexts& texts) {
  constexpr unsigned kSerializable = 0x02;
  constexpr unsigned kWritesItself = 0x03;
  JavaStream s;
  s.number(0xaced0005, 4).byte(0x73);
  s.class_of("org.apache.flink.util.SerializedThrowable", 7284183123441947635, kSerializable, 3)
      .member('L', "fullStringifiedStackTrace", "Ljava/lang/String;")
      .member('L', "originalErrorClassName", "Ljava/lang/String;")
      .member('[', "serializedException", "[B")
      .end_block();
  s.class_of("java.lang.Exception", -3387516993124229948, kSerializable, 0).end_block();
  s.class_of("java.lang.Throwable", -3042686055658047285, kWritesItself, 4)
      .member('L', "cause", "Ljava/lang/Throwable;")
      .member('L', "detailMessage", "Ljava/lang/String;")
      .member('[', "stackTrace", "[Ljava/lang/StackTraceElement;")
      .member('L', "suppressedExceptions", "Ljava/util/List;")
      .end_block()
      .null();
  s.null().text(texts.message).null().null().end_block();
  s.text(texts.stack_trace).text(texts.class_name).null();
  return to_base64(s.take());
}

}  // namespace drey::rest
