// The HTTP parser seam: whatever comes, in whatever pieces, is the same requests or the same
// refusal, and no request carries what could split a line.
#include <algorithm>
#include <cctype>
#include <vector>

#include "fuzz.h"
#include "net/request_reader.h"

namespace drey::net {
namespace {

HttpServerOptions options() {
  HttpServerOptions made;
  made.body_bytes_max = 300;
  made.upload_bytes_max = 2000;
  return made;
}

bool is_plain(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string told(const HttpRequest& request) {
  fuzz::expect(!request.method.empty() &&
                   std::all_of(request.method.begin(), request.method.end(), [](unsigned char c) { return c > ' '; }),
               "a method is a word");
  fuzz::expect(is_plain(request.target) && request.target.find(' ') == std::string::npos, "a target is a word");
  fuzz::expect(request.body.size() <= options().body_bytes_max, "a body keeps to its bound");
  std::string out = request.method + " " + request.target;
  for (const auto& [name, value] : request.headers) {
    fuzz::expect(is_plain(name) && is_plain(value), "a header is one line");
    out += "\n" + name + "=" + value;
  }
  out += "\n" + request.body + request.parts_problem.to_string();
  for (const Part& part : request.parts) {
    out += "\n" + part.name + ";" + part.file_name.value_or("-") + ";" + part.text + std::to_string(part.bytes);
  }
  // Bodies of the corpus have two or five bytes.
  fuzz::planted(!request.body.empty() && request.body.size() != 2 && request.body.size() != 5);
  return out;
}

std::vector<std::string> read(std::string_view bytes, std::size_t piece) {
  const HttpServerOptions bounds = options();
  RequestReader reader(bounds, "peer");
  std::vector<std::string> seen;
  while (true) {
    switch (reader.next()) {
      case RequestReader::Next::kRead: {
        const auto room = reader.room();
        fuzz::expect(!room.empty(), "there is room for more");
        const std::size_t size = std::min({piece, room.size(), bytes.size()});
        if (size == 0) {
          seen.push_back(reader.in_body() ? "in a body" : "in a head");
          return seen;
        }
        std::copy_n(bytes.begin(), size, room.begin());
        bytes.remove_prefix(size);
        reader.came(size);
        break;
      }
      case RequestReader::Next::kContinue:
        seen.emplace_back("100");
        break;
      case RequestReader::Next::kRequest:
        seen.push_back(told(reader.take()));
        break;
      case RequestReader::Next::kRefused: {
        const HttpResponse no = reader.refusal();
        fuzz::expect(no.status >= 400 && no.close, "a refusal says so and closes");
        seen.push_back(std::to_string(no.status) + no.body);
        return seen;
      }
    }
  }
}

}  // namespace
}  // namespace drey::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = drey::fuzz::text(data + 1, size - 1);
  const auto whole = drey::net::read(bytes, bytes.size());
  const auto parts = drey::net::read(bytes, 1 + data[0] % 23);
  drey::fuzz::expect(whole == parts, "pieces make no difference");
  return 0;
}
