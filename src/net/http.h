// HttpServer: HTTP/1.1 on threads of its own, with TLS when asked; knows no endpoint.
//
// The handler is called on a server thread with a whole request and answers through the Responder,
// from any thread, once. Requests of one connection are answered in order, pipelined ones too.
// Bodies of multipart/form-data are taken apart as they come: files go to `spool_directory` (or
// nowhere, when keeps_files says so), so an upload costs no memory.
// Bounds: request line 64 KiB (414), head 96 KiB (431), body `body_bytes_max`, multipart body
// `upload_bytes_max` (413), `connections_max` (further ones are closed at once). Waits: the
// deadlines of HttpServerOptions, looked at twice a second; who lets one pass is closed (408 when a
// body took too long in all, 503 when the answer did). Answers of 1 KiB and more are gzipped for
// who asks. Header names are written as given. A body that is a stream is written chunk by chunk, and
// the connection closes after it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "env/file_system.h"
#include "net/body_stream.h"
#include "net/multipart.h"

namespace drey::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string target;  // as sent
  int version = 11;
  Headers headers;  // as sent
  std::string body;
  bool is_multipart = false;  // then `parts` in place of `body`
  std::vector<Part> parts;
  Status parts_problem;
  bool keep_alive = true;
  std::string peer;  // address of the other end
  // First value of a header, any case; empty when absent.
  std::string_view header(std::string_view name) const;
};

// A piece of a file as a body.
struct FileBody {
  std::shared_ptr<env::ReadableFile> file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct HttpResponse {
  int status = 200;
  Headers headers;  // connection and content-length are added
  std::string body;
  std::optional<FileBody> file;        // in place of body
  std::shared_ptr<BodyStream> stream;  // in place of body
  bool close = false;
};

using Responder = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, Responder)>;

// PEM files; read again when they change, for connections made from then on.
struct TlsFiles {
  std::string certificate;  // chain
  std::string key;
  std::string client_authority;  // not empty: callers must show a certificate signed by it
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  int threads = 2;
  std::uint64_t body_bytes_max = 100u << 20;
  std::uint64_t upload_bytes_max = std::uint64_t{4} << 30;
  int connections_max = 1000;
  Millis head_deadline{60'000};   // for a head, from the answer before it
  Millis piece_deadline{30'000};  // for more of a body, and for a piece of an answer to be read
  Millis body_deadline{300'000};
  Millis upload_deadline{3'600'000};
  Millis answer_deadline{150'000};
  // How long the destructor waits for requests that are under way.
  Millis drain{2'000};
  env::FileSystem* files = nullptr;
  std::string spool_directory;
  std::shared_ptr<SpoolQuota> quota;  // null: none
  // Whether the files of a multipart body are kept; asked with the head. Unset: never.
  std::function<bool(const HttpRequest&)> keeps_files;
  std::optional<TlsFiles> tls;
};

class HttpServer {
 public:
  // Stops listening, lets requests that are under way end, closes all connections.
  virtual ~HttpServer() = default;
  virtual std::uint16_t port() const = 0;
};
// FAILS WITH: kUnavailable (port in use), kInvalidArgument (no such address, unreadable TLS files).
Result<std::unique_ptr<HttpServer>> start_http_server(const HttpServerOptions& options, HttpHandler handler);

// One request on a connection of its own; blocks.
struct HttpCall {
  std::string host = "127.0.0.1";  // name or address
  std::uint16_t port = 0;
  std::string method = "GET";
  std::string target = "/";
  Headers headers;
  std::string body;
  // A file sent behind `body`, and what follows it.
  std::string file;
  std::string body_end;
  Millis timeout{60'000};
  bool tls = false;
  std::string certificate;  // shown to a server that asks for one, with its key; PEM files
  std::string key;
  std::string authority;  // PEM file that signs the server's certificate; empty: the system's
};
// FAILS WITH: kUnavailable when nobody listens, kTimeout, kIo.
Result<HttpResponse> http_call(const HttpCall& call);

}  // namespace drey::net
