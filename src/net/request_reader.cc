#include "net/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cctype>
#include <charconv>

namespace drey::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::uint32_t kHeadBytesMax = 96u << 10;
constexpr std::size_t kLineBytesMax = 64u << 10;
constexpr std::size_t kChunkLineBytesMax = 4u << 10;
constexpr std::size_t kRoomBytes = 4u << 10;     // for a head
constexpr std::size_t kPieceBytes = 256u << 10;  // of a body
constexpr std::string_view kJsonType = "application/json; charset=UTF-8";

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool accepts_gzip(std::string_view accepted) {
  while (!accepted.empty()) {
    const std::size_t end = std::min(accepted.find(','), accepted.size());
    const std::string_view one = accepted.substr(0, end);
    accepted.remove_prefix(std::min(end + 1, accepted.size()));
    if (one.find("gzip") == std::string_view::npos) continue;
    const std::size_t q = one.find("q=");
    return q == std::string_view::npos || one.substr(q + 2).find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

bool is_of_a_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Nothing that ends a line for anybody, nor NUL.
bool is_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
}

// The line before a chunk: its size in hexadecimal digits; extensions mean nothing here.
std::optional<std::uint64_t> chunk_size(std::string_view line) {
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  if (error != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  const std::size_t next = line.find_first_not_of(" \t");
  if (!line.empty() && (next == std::string_view::npos || line[next] != ';')) return std::nullopt;
  return is_text(line) ? std::optional(size) : std::nullopt;
}

// A header behind the last chunk. It is read over.
bool is_trailer(std::string_view line) {
  const std::size_t colon = line.find(':');
  return colon != std::string_view::npos && colon > 0 && is_text(line) &&
         std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon), is_of_a_word);
}

}  // namespace

std::string error_body(std::string_view text) { return fmt::format("{{\"errors\":[\"{}\"]}}", text); }

struct RequestReader::State {
  State(const HttpServerOptions& o, std::string p) : options(o), peer(std::move(p)) { begin(); }

  void begin() {
    parser.emplace();
    parser->header_limit(kHeadBytesMax + 1);
    parser->body_limit(boost::none);  // on_head says; only the head is the parser's
    request = HttpRequest();
    multipart.reset();
    body_bytes = left = trailer_bytes = 0;
    chunk = Chunk::kSize;
    line = scanned = 0;
    at = At::kHead;
  }

  Next refuse(int status, std::string_view why) {
    no = HttpResponse();
    no.status = status;
    if (!why.empty()) {
      no.headers.emplace_back("content-type", std::string(kJsonType));
      no.body = error_body(why);
    }
    no.close = true;
    multipart.reset();
    at = At::kRefused;
    return Next::kRefused;
  }

  std::string_view there() const { return {buffer.data() + from, to - from}; }

  // The head is parsed when all of it is there, so that it makes no difference how it came. What
  // can be no head is refused at once.
  Next read_head() {
    const std::string_view bytes = there();
    if (bytes.empty()) return Next::kRead;
    if (!is_of_a_word(bytes[0])) return refuse(400, "Bad request: this is not HTTP.");
    while (true) {
      // Proxies differ about what goes on with the header before it.
      if (line > 0 && line < bytes.size() && (bytes[line] == ' ' || bytes[line] == '\t'))
        return refuse(400, "Bad request: a header goes over two lines.");
      const std::size_t end = bytes.find('\n', scanned);
      if (std::min(end, bytes.size()) >= kHeadBytesMax) {
        return line == 0 ? refuse(414, "The request line is longer than 64 KiB.")
                         : refuse(431, "The head of the request is longer than 96 KiB.");
      }
      if (end == std::string_view::npos) {
        scanned = bytes.size();
        return Next::kRead;
      }
      if (end == line || bytes[end - 1] != '\r') return refuse(400, "Bad request: a line does not end with CR LF.");
      const bool is_empty = end == line + 1;
      scanned = line = end + 1;
      if (is_empty) break;
    }
    beast::error_code error;
    const std::size_t used = parser->put(boost::asio::const_buffer(bytes.data(), line), error);
    if (error || used != line) return refuse(400, "Bad request: this is not HTTP.");
    from += used;
    return on_head();
  }

  Next on_head() {
    const auto& head = parser->get();
    if (head.target().size() > kLineBytesMax) return refuse(414, "The request line is longer than 64 KiB.");
    if (const auto encodings = head.count(http::field::transfer_encoding); encodings != 0) {
      if (head.count(http::field::content_length) != 0)
        return refuse(400, "Bad request: both Content-Length and Transfer-Encoding.");
      if (encodings > 1 || !beast::iequals(head[http::field::transfer_encoding], "chunked") || head.version() < 11)
        return refuse(400, "Bad request: a Transfer-Encoding other than chunked.");
    }
    if (head.count(http::field::host) > 1) return refuse(400, "Bad request: more than one Host.");
    request.method = view(head.method_string());
    request.target = view(head.target());
    request.version = static_cast<int>(head.version());
    request.keep_alive = head.keep_alive();
    request.peer = peer;
    for (const auto& field : head) request.headers.emplace_back(view(field.name_string()), view(field.value()));
    keep_alive = request.keep_alive;
    head_only = request.method == "HEAD";
    gzip = accepts_gzip(request.header("accept-encoding"));

    const auto boundary = multipart_boundary(request.header("content-type"));
    request.is_multipart = boundary.has_value();
    limit = boundary ? options.upload_bytes_max : options.body_bytes_max;
    const auto length = parser->content_length();
    if (length && *length > limit) return refuse(413, "");
    const std::string_view expect = request.header("expect");
    if (!expect.empty() && !beast::iequals(expect, "100-continue")) return refuse(417, "");
    if (boundary) {
      const bool keeps = options.keeps_files && options.keeps_files(request);
      multipart.emplace(*boundary, keeps ? options.files : nullptr, options.spool_directory, options.quota);
    }
    if (parser->is_done()) return done();
    at = At::kBody;
    left = length.value_or(0);
    return expect.empty() ? read_body() : Next::kContinue;
  }

  void keep(std::string_view part) {
    if (multipart) {
      if (Status fed = multipart->feed(part); !fed.ok()) request.parts_problem = std::move(fed);
    } else {
      request.body.append(part);
    }
  }

  Next read_body() { return parser->chunked() ? read_chunks() : read_length(); }

  void take_data() {
    const std::string_view part = there().substr(0, left);
    left -= part.size();
    from += part.size();
    keep(part);
  }

  Next read_length() {
    take_data();
    return left == 0 ? done() : Next::kRead;
  }

  // Line by line, so that it makes no difference how the bytes came.
  Next read_chunks() {
    constexpr std::string_view kBroken = "Bad request: the body is not what its head says.";
    while (true) {
      if (chunk == Chunk::kData) {
        take_data();
        if (left > 0) return Next::kRead;
        chunk = Chunk::kEnd;
      }
      const std::string_view bytes = there();
      if (chunk == Chunk::kEnd && !bytes.empty() && bytes[0] != '\r') return refuse(400, kBroken);
      const std::size_t end = bytes.find('\n');
      if (std::min(end, bytes.size()) >= kChunkLineBytesMax) return refuse(400, kBroken);
      if (end == std::string_view::npos) return Next::kRead;
      if (end == 0 || bytes[end - 1] != '\r') return refuse(400, kBroken);
      const std::string_view text = bytes.substr(0, end - 1);
      from += end + 1;
      if (chunk == Chunk::kEnd) {
        if (!text.empty()) return refuse(400, kBroken);
        chunk = Chunk::kSize;
      } else if (chunk == Chunk::kSize) {
        const auto size = chunk_size(text);
        if (!size) return refuse(400, kBroken);
        if (*size > limit - body_bytes) return refuse(413, "");
        body_bytes += *size;
        left = *size;
        chunk = left == 0 ? Chunk::kTrailers : Chunk::kData;
      } else {
        if (text.empty()) return done();
        trailer_bytes += text.size();
        if (trailer_bytes > kHeadBytesMax || !is_trailer(text)) return refuse(400, kBroken);
      }
    }
  }

  Next done() {
    if (multipart) request.parts = multipart->take();
    multipart.reset();
    at = At::kDone;
    return Next::kRequest;
  }

  enum class At { kHead, kBody, kDone, kRefused };
  // What comes next of a body in chunks; kEnd is the line's end behind the data.
  enum class Chunk { kSize, kData, kEnd, kTrailers };

  const HttpServerOptions& options;
  const std::string peer;
  std::vector<char> buffer;  // what came and was not used: [from, to)
  std::size_t from = 0;
  std::size_t to = 0;
  std::size_t line = 0;     // of the head that is being read: where its last line begins,
  std::size_t scanned = 0;  // and how far it has no end
  std::optional<http::request_parser<http::empty_body>> parser;
  HttpRequest request;
  std::optional<MultipartReader> multipart;
  std::uint64_t limit = 0;
  std::uint64_t body_bytes = 0;  // of a body in chunks, with those of the chunk that comes
  std::uint64_t left = 0;        // of a body whose length is known, or of a chunk
  std::size_t trailer_bytes = 0;
  Chunk chunk = Chunk::kSize;
  HttpResponse no;
  At at = At::kHead;
  bool keep_alive = false;
  bool head_only = false;
  bool gzip = false;
};

RequestReader::RequestReader(const HttpServerOptions& options, std::string peer)
    : state_(std::make_unique<State>(options, std::move(peer))) {}
RequestReader::~RequestReader() = default;

RequestReader::Next RequestReader::next() {
  return state_->at == State::At::kBody ? state_->read_body() : state_->read_head();
}

std::span<char> RequestReader::room() {
  State& s = *state_;
  const std::size_t wanted = s.at == State::At::kBody ? kPieceBytes : kRoomBytes;
  if (s.from > 0) {
    std::copy(s.buffer.begin() + static_cast<std::ptrdiff_t>(s.from),
              s.buffer.begin() + static_cast<std::ptrdiff_t>(s.to), s.buffer.begin());
    s.to -= s.from;
    s.from = 0;
  }
  // What a long body took is given back.
  if (s.at == State::At::kHead && s.to == 0 && s.buffer.size() > 2 * kHeadBytesMax) s.buffer = std::vector<char>();
  if (s.buffer.size() - s.to < wanted) s.buffer.resize(s.to + wanted);
  return std::span(s.buffer).subspan(s.to);
}
void RequestReader::came(std::size_t bytes) { state_->to += bytes; }

HttpRequest RequestReader::take() {
  HttpRequest request = std::move(state_->request);
  state_->begin();
  return request;
}
HttpResponse RequestReader::refusal() { return std::move(state_->no); }
RequestReader::Next RequestReader::refuse(int status, std::string_view why) { return state_->refuse(status, why); }

bool RequestReader::is_idle() const { return state_->at == State::At::kHead && state_->from == state_->to; }
bool RequestReader::in_body() const { return state_->at == State::At::kBody; }
bool RequestReader::is_multipart() const { return state_->multipart.has_value(); }
bool RequestReader::head_only() const { return state_->head_only; }
bool RequestReader::keep_alive() const { return state_->keep_alive; }
bool RequestReader::takes_gzip() const { return state_->gzip; }

}  // namespace drey::net
