// HttpServer: HTTP/1.1 on threads of its own; knows no endpoint. http_get and friends: a small blocking client.
//
// The handler is called on a server thread with a whole request and answers through the Responder, from any thread, once.
// Requests of one connection are answered in order. Bounds: request head 96 KiB (414 when the line is too long, else 400),
// body `body_bytes_max` (413), idle connections are closed after 60 s, slow ones after 30 s without progress, at most
// `connections_max` (further ones are closed at once). Header names are written as given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace drey::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string target;  // as sent
  int version = 11;
  Headers headers;     // as sent
  std::string body;
  bool keep_alive = true;
  // First value of a header, any case; empty when absent.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  Headers headers;  // connection and content-length are added
  std::string body;
  bool close = false;
};

using Responder = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, Responder)>;

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  int threads = 2;
  std::uint64_t body_bytes_max = 100u << 20;
  std::uint64_t upload_bytes_max = 1u << 30;  // multipart bodies
  int connections_max = 1000;
};

class HttpServer {
 public:
  virtual ~HttpServer() = default;  // closes all connections
  virtual std::uint16_t port() const = 0;
};
// FAILS WITH: kUnavailable (port in use), kInvalidArgument (no such address).
Result<std::unique_ptr<HttpServer>> start_http_server(const HttpServerOptions& options, HttpHandler handler);

// One request on a connection of its own. FAILS WITH: kUnavailable when nobody listens, kTimeout, kIo.
Result<HttpResponse> http_call(const std::string& host, std::uint16_t port, const std::string& method, const std::string& target,
                               std::string body, const Headers& headers, Millis timeout);

}  // namespace drey::net
