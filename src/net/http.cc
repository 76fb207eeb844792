#include "net/http.h"

#include <atomic>
#include <mutex>
#include <set>

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "env/env.h"

namespace drey::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

constexpr std::uint32_t kHeadBytesMax = 96u << 10;

bool equals_ignoring_case(std::string_view a, std::string_view b) { return beast::iequals(a, b); }

struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context io;
  std::atomic<int> connections{0};
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Shared& shared, Tcp::socket socket) : shared_(shared), stream_(std::move(socket)) { ++shared_.connections; }
  ~Session() { --shared_.connections; }

  void read() {
    parser_.emplace();
    parser_->header_limit(kHeadBytesMax);
    parser_->body_limit(shared_.options.upload_bytes_max);
    stream_.expires_after(std::chrono::seconds(60));
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      self->on_header(error);
    });
  }

 private:
  void on_header(beast::error_code error) {
    if (error == http::error::end_of_stream || error == beast::error::timeout || error == asio::error::operation_aborted ||
        error == asio::error::connection_reset || error == asio::error::eof || error == http::error::partial_message) {
      return close();
    }
    if (error == http::error::header_limit) return refuse(414, "{\"errors\":[\"The request line or a header is too long.\"]}");
    if (error) return refuse(400, "{\"errors\":[\"Bad request: this is not HTTP.\"]}");
    const auto& head = parser_->get();
    const auto expect = head[http::field::expect];
    const auto length = parser_->content_length();
    const bool multipart = std::string_view(head[http::field::content_type].data(), head[http::field::content_type].size()).starts_with("multipart/form-data");
    const std::uint64_t limit = multipart ? shared_.options.upload_bytes_max : shared_.options.body_bytes_max;
    if (length && *length > limit) return refuse(413, "");
    parser_->body_limit(limit);
    if (head.count(http::field::transfer_encoding) != 0 && head.count(http::field::content_length) != 0) {
      return refuse(400, "{\"errors\":[\"Bad request: both Content-Length and Transfer-Encoding.\"]}");
    }
    if (!expect.empty()) {
      if (!equals_ignoring_case({expect.data(), expect.size()}, "100-continue")) return refuse(417, "");
      auto go_on = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
      http::async_write(stream_, *go_on, [self = shared_from_this(), go_on](beast::error_code written, std::size_t) {
        if (!written) self->read_body();
      });
      return;
    }
    read_body();
  }

  void read_body() {
    stream_.expires_after(std::chrono::seconds(300));
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (error == http::error::body_limit) return self->refuse(413, "");
      if (error) {
        if (error == http::error::end_of_stream || error == http::error::partial_message) return self->close();
        return self->refuse(400, "{\"errors\":[\"Bad request: the body is not what its head says.\"]}");
      }
      self->handle();
    });
  }

  void handle() {
    stream_.expires_never();
    auto message = parser_->release();
    HttpRequest request;
    request.method = std::string(message.method_string().data(), message.method_string().size());
    request.target = std::string(message.target().data(), message.target().size());
    request.version = static_cast<int>(message.version());
    request.keep_alive = message.keep_alive();
    for (const auto& field : message) {
      request.headers.emplace_back(std::string(field.name_string().data(), field.name_string().size()),
                                   std::string(field.value().data(), field.value().size()));
    }
    request.body = std::move(message.body());
    const bool keep_alive = request.keep_alive;
    const bool head_only = request.method == "HEAD";
    auto answered = std::make_shared<std::atomic<bool>>(false);
    shared_.handler(std::move(request), [self = shared_from_this(), keep_alive, head_only, answered](HttpResponse response) {
      if (answered->exchange(true)) return;
      asio::post(self->stream_.get_executor(), [self, keep_alive, head_only, response = std::move(response)]() mutable {
        self->write(std::move(response), keep_alive, head_only);
      });
    });
  }

  void write(HttpResponse response, bool keep_alive, bool head_only) {
    keep_alive = keep_alive && !response.close;
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, std::string_view(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status))).data(),
                                   http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status))).size()));
    for (const auto& [name, value] : response.headers) {
      // No header can be split by what it carries.
      std::string clean = value;
      std::erase_if(clean, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
      head += name + ": " + clean + "\r\n";
    }
    if (keep_alive) head += "connection: keep-alive\r\n";
    head += fmt::format("content-length: {}\r\n\r\n", response.body.size());
    auto bytes = std::make_shared<std::string>(std::move(head));
    if (!head_only) *bytes += response.body;
    stream_.expires_after(std::chrono::seconds(30));
    asio::async_write(stream_, asio::buffer(*bytes), [self = shared_from_this(), bytes, keep_alive](beast::error_code error, std::size_t) {
      if (error || !keep_alive) return self->close();
      self->read();
    });
  }

  void refuse(int status, std::string body) {
    HttpResponse response;
    response.status = status;
    if (!body.empty()) response.headers.emplace_back("content-type", "application/json; charset=UTF-8");
    response.body = std::move(body);
    response.close = true;
    write(std::move(response), false, false);
  }

  void close() {
    beast::error_code ignored;
    stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    stream_.close();
  }

  Shared& shared_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
};

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler handler)
      : shared_{options, std::move(handler), asio::io_context(options.threads), {}}, acceptor_(shared_.io) {}
  ~Server() override {
    shared_.io.stop();
    threads_.clear();
  }

  Status start() {
    beast::error_code error;
    const auto address = asio::ip::make_address(shared_.options.host == "localhost" ? "127.0.0.1" : shared_.options.host, error);
    if (error) return fail(Code::kInvalidArgument, fmt::format("This is no address to listen on: {}", shared_.options.host));
    const Tcp::endpoint endpoint(address, shared_.options.port);
    acceptor_.open(endpoint.protocol(), error);
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error) {
      return fail(Code::kUnavailable, fmt::format("Cannot listen on {}:{}: {}. Choose another port with -Drest.port=N, or 0 for any free one",
                                                  shared_.options.host, shared_.options.port, error.message()));
    }
    port_ = acceptor_.local_endpoint().port();
    accept();
    for (int i = 0; i < std::max(shared_.options.threads, 1); ++i) {
      threads_.push_back(env::start_thread("drey-http", [this] { shared_.io.run(); }));
    }
    return {};
  }
  std::uint16_t port() const override { return port_; }

 private:
  void accept() {
    acceptor_.async_accept(asio::make_strand(shared_.io), [this](beast::error_code error, Tcp::socket socket) {
      if (!error && shared_.connections < shared_.options.connections_max) {
        beast::error_code ignored;
        socket.set_option(Tcp::no_delay(true), ignored);
        std::make_shared<Session>(shared_, std::move(socket))->read();
      }
      if (error != asio::error::operation_aborted) accept();
    });
  }
  Shared shared_;
  Tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<env::Thread>> threads_;
};

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

Result<std::unique_ptr<HttpServer>> start_http_server(const HttpServerOptions& options, HttpHandler handler) {
  auto server = std::make_unique<Server>(options, std::move(handler));
  DREY_TRY(server->start());
  return std::unique_ptr<HttpServer>(std::move(server));
}

Result<HttpResponse> http_call(const std::string& host, std::uint16_t port, const std::string& method, const std::string& target,
                               std::string body, const Headers& headers, Millis timeout) {
  asio::io_context io;
  beast::tcp_stream stream(io);
  beast::error_code error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) return fail(Code::kInvalidArgument, fmt::format("This is no address: {}", host));
  stream.expires_after(timeout);
  stream.async_connect(Tcp::endpoint(address, port), [&](beast::error_code e) { error = e; });
  io.run();
  if (error) return fail(Code::kUnavailable, fmt::format("Nobody answers at {}:{}: {}", host, port, error.message()));
  http::request<http::string_body> request(http::string_to_verb(method), target, 11);
  request.set("host", fmt::format("{}:{}", host, port));
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = std::move(body);
  request.prepare_payload();
  request.set(http::field::connection, "close");
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{1} << 30);
  beast::flat_buffer buffer;
  io.restart();
  http::async_write(stream, request, [&](beast::error_code e, std::size_t) {
    error = e;
    if (!e) http::async_read(stream, buffer, parser, [&](beast::error_code read_error, std::size_t) { error = read_error; });
  });
  io.run();
  if (error == beast::error::timeout) return fail(Code::kTimeout, fmt::format("No answer in time from {}:{}", host, port));
  if (error) return fail(Code::kIo, fmt::format("The connection to {}:{} broke: {}", host, port, error.message()));
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) {
    response.headers.emplace_back(std::string(field.name_string().data(), field.name_string().size()),
                                  std::string(field.value().data(), field.value().size()));
  }
  response.body = parser.get().body();
  return response;
}

}  // namespace drey::net
