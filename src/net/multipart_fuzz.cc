// Multipart bodies and the headers that announce them, in whatever pieces.
#include "fuzz.h"
#include "net/multipart.h"

namespace drey::net {
namespace {

std::string read(std::string_view bytes, std::size_t piece) {
  MultipartReader reader("b", nullptr, "");
  Status fed;
  const std::size_t size = bytes.size();
  while (!bytes.empty() && fed.ok()) {
    fed = reader.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  std::string out = fed.to_string();
  std::size_t total = 0;
  const std::vector<Part> parts = reader.take();
  // In the corpus this file comes behind another part.
  fuzz::planted(parts.size() == 1 && parts[0].file_name == "a b.jar");
  for (const Part& part : parts) {
    total += part.bytes;
    fuzz::expect(part.file_name || part.text.size() == part.bytes, "a text is whole");
    out += "\n" + part.name + ";" + part.file_name.value_or("-") + ";" + part.text + std::to_string(part.bytes);
  }
  fuzz::expect(total <= size, "nothing is made up");
  return out;
}

}  // namespace
}  // namespace drey::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = drey::fuzz::text(data + 1, size - 1);
  if (const auto boundary = drey::net::multipart_boundary(bytes))
    drey::fuzz::expect(!boundary->empty() && boundary->size() <= 200, "a boundary has its bounds");
  drey::fuzz::expect(drey::net::read(bytes, bytes.size()) == drey::net::read(bytes, 1 + data[0] % 23),
                     "pieces make no difference");
  return 0;
}
