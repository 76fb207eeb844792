#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include "env/env.h"
#include "net/http.h"

namespace drey::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using Tcp = asio::ip::tcp;

constexpr std::size_t kPieceBytes = 256u << 10;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// One exchange over a connected stream.
template <typename Stream>
Result<HttpResponse> exchange(asio::io_context& io, Stream& stream, const HttpCall& call) {
  beast::error_code error;
  std::unique_ptr<env::ReadableFile> file;
  std::uint64_t length = call.body.size() + call.body_end.size();
  if (!call.file.empty()) {
    DREY_TRY_ASSIGN(file, env::posix().files.open(call.file));
    length += file->size();
  }
  std::string head = fmt::format("{} {} HTTP/1.1\r\nhost: {}:{}\r\nconnection: close\r\ncontent-length: {}\r\n",
                                 call.method, call.target, call.host, call.port, length);
  for (const auto& [name, value] : call.headers) head += name + ": " + value + "\r\n";
  head += "\r\n" + call.body;
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{4} << 30);
  if (call.method == "HEAD") parser.skip(true);
  beast::flat_buffer buffer;
  const auto run = [&] {
    io.restart();
    io.run();
  };
  const auto send = [&](std::string_view bytes) {
    asio::async_write(stream, asio::buffer(bytes.data(), bytes.size()),
                      [&](beast::error_code e, std::size_t) { error = e; });
    run();
  };
  send(head);
  std::vector<char> piece(file != nullptr ? kPieceBytes : 0);
  for (std::uint64_t at = 0; file != nullptr && at < file->size() && !error;) {
    DREY_TRY_ASSIGN(const std::size_t got, file->read_at(at, piece.data(), piece.size()));
    if (got == 0) return fail(Code::kIo, fmt::format("The file shrank while it was sent: {}", call.file));
    beast::get_lowest_layer(stream).expires_after(call.timeout);
    send({piece.data(), got});
    at += got;
  }
  if (!error && !call.body_end.empty()) send(call.body_end);
  // A server that refuses early may have answered all the same.
  const beast::error_code sent = error;
  beast::get_lowest_layer(stream).expires_after(call.timeout);
  http::async_read(stream, buffer, parser, [&](beast::error_code e, std::size_t) { error = e; });
  run();
  if (error == beast::error::timeout)
    return fail(Code::kTimeout, fmt::format("No answer in time from {}:{}", call.host, call.port));
  if (error) {
    return fail(Code::kIo, fmt::format("The connection to {}:{} broke: {}", call.host, call.port,
                                       (sent ? sent : error).message()));
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) response.headers.emplace_back(view(field.name_string()), view(field.value()));
  response.body = std::move(parser.get().body());
  return response;
}

}  // namespace

Result<HttpResponse> http_call(const HttpCall& call) {
  asio::io_context io;
  beast::error_code error;
  const auto unreachable = [&] {
    return fail(Code::kUnavailable, fmt::format("Nobody answers at {}:{}: {}", call.host, call.port, error.message()));
  };
  Tcp::resolver resolver(io);
  const auto found = resolver.resolve(call.host, fmt::format("{}", call.port), error);
  if (error) return unreachable();
  ssl::context context(ssl::context::tls_client);
  context.set_verify_mode(ssl::verify_peer);
  if (call.authority.empty()) {
    context.set_default_verify_paths(error);
  } else {
    context.load_verify_file(call.authority, error);
    if (error)
      return fail(Code::kInvalidArgument,
                  fmt::format("Cannot read certificates from {}: {}", call.authority, error.message()));
  }
  if (!call.certificate.empty()) {
    context.use_certificate_chain_file(call.certificate, error);
    if (!error) context.use_private_key_file(call.key, ssl::context::pem, error);
    if (error)
      return fail(Code::kInvalidArgument,
                  fmt::format("Cannot use {} and {}: {}", call.certificate, call.key, error.message()));
  }
  beast::ssl_stream<beast::tcp_stream> stream(io, context);
  beast::tcp_stream& tcp = beast::get_lowest_layer(stream);
  tcp.expires_after(call.timeout);
  tcp.async_connect(found, [&](beast::error_code e, const auto&) { error = e; });
  io.run();
  if (error) return unreachable();
  if (!call.tls) return exchange(io, tcp, call);
  stream.set_verify_callback(ssl::host_name_verification(call.host));
  SSL_set_tlsext_host_name(stream.native_handle(), call.host.c_str());
  stream.async_handshake(ssl::stream_base::client, [&](beast::error_code e) { error = e; });
  io.restart();
  io.run();
  if (error)
    return fail(Code::kUnavailable, fmt::format("No TLS with {}:{}: {}", call.host, call.port, error.message()));
  return exchange(io, stream, call);
}

}  // namespace drey::net
