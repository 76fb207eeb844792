#include "wire/binary/codec.h"

namespace drey::wire {

void encode_members(std::string& out, const void* message, std::span<const MemberCodec> members) {
  for (const MemberCodec& member : members) member.encode(out, static_cast<const char*>(message) + member.offset);
}

void decode_members(Reader& in, void* message, std::span<const MemberCodec> members) {
  if (++in.depth > kDepthMax) in.fail();
  for (const MemberCodec& member : members) {
    if (!in.ok()) break;
    member.decode(in, static_cast<char*>(message) + member.offset);
  }
  --in.depth;
}

void encode_text(std::string& out, std::string_view text) {
  encode_value(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

void decode_text(Reader& in, std::string& text) {
  std::uint32_t size = 0;
  decode_value(in, size);
  if (const char* raw = in.take(size)) text.assign(raw, size);
}

}  // namespace drey::wire
