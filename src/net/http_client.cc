// A blocking client on a socket and OpenSSL. Of Beast only the parser is used: its streams and operations would make
// this one of the slowest files to compile.
#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <system_error>

#include "env/env.h"
#include "net/http.h"

namespace drey::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::size_t kPieceBytes = 256u << 10;

template <auto release>
struct Release {
  template <typename T>
  void operator()(T* held) const {
    release(held);
  }
};
using TlsContext = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using Tls = std::unique_ptr<SSL, Release<SSL_free>>;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }
std::string text_of(int error) { return std::generic_category().message(error); }

std::string tls_problem(const SSL* ssl) {
  const long verified = ssl == nullptr ? X509_V_OK : SSL_get_verify_result(ssl);
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (verified != X509_V_OK) return X509_verify_cert_error_string(verified);
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return reason == nullptr ? "the connection was closed" : reason;
}

// A connection; TLS goes through memory, so that only send() and recv() touch the socket.
class Connection {
 public:
  ~Connection() {
    if (fd_ >= 0) ::close(fd_);
  }
  // What went wrong, when one of these returned false.
  const std::string& problem() const { return problem_; }
  bool has_timed_out() const { return has_timed_out_; }
  void expire_after(Millis time) { deadline_ = env::posix().clock.ticks() + time; }

  bool connect(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string service = fmt::format("{}", port);
    if (const int error = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found); error != 0)
      return fail_with(::gai_strerror(error));
    const std::unique_ptr<addrinfo, Release<::freeaddrinfo>> list(found);
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      if (connect_to(*at)) return true;
    }
    return false;
  }

  bool start_tls(SSL_CTX* context, const std::string& host) {
    ssl_.reset(SSL_new(context));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    // An address is compared with the addresses of the certificate, a name with its names.
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) != 1) {
      ERR_clear_error();
      SSL_set1_host(ssl_.get(), host.c_str());
    }
    return tls([this] { return SSL_connect(ssl_.get()); }) > 0;
  }

  bool send(std::string_view bytes) {
    if (ssl_ == nullptr) return send_raw(bytes);
    while (!bytes.empty()) {
      const std::size_t piece = std::min(bytes.size(), kPieceBytes);
      const int sent = tls([&] { return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(piece)); });
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Up to `bytes`; 0 at the end, negative when it failed.
  int receive(char* out, std::size_t bytes) {
    if (ssl_ == nullptr) return receive_raw(out, bytes);
    return tls([&] { return SSL_read(ssl_.get(), out, static_cast<int>(bytes)); });
  }

 private:
  bool fail_with(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  bool connect_to(const addrinfo& address) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol);
    if (fd_ < 0) return fail_with(text_of(errno));
    if (::connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return true;
    if (errno != EINPROGRESS) return fail_with(text_of(errno));
    if (!wait_for(POLLOUT)) return false;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 || fail_with(text_of(error));
  }

  bool wait_for(short events) {
    while (true) {
      const auto left = std::chrono::ceil<Millis>(deadline_ - env::posix().clock.ticks());
      if (left.count() <= 0) break;
      pollfd socket{fd_, events, 0};
      const int ready = ::poll(&socket, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30)));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return fail_with(text_of(errno));
    }
    has_timed_out_ = true;
    return fail_with("it took too long");
  }

  bool send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        if (!wait_for(POLLOUT)) return false;
      } else if (errno != EINTR) {
        return fail_with(text_of(errno));
      }
    }
    return true;
  }

  int receive_raw(char* out, std::size_t bytes) {
    while (true) {
      const ssize_t got = ::recv(fd_, out, bytes, 0);
      if (got >= 0) return static_cast<int>(got);
      if (errno == EAGAIN) {
        if (!wait_for(POLLIN)) return -1;
      } else if (errno != EINTR) {
        fail_with(text_of(errno));
        return -1;
      }
    }
  }

  // Runs a call of OpenSSL, carrying bytes between its memory and the socket, until it is done. 0: the other side
  // ended.
  template <typename Step>
  int tls(Step step) {
    while (true) {
      ERR_clear_error();
      const int done = step();
      const int why = done > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
      char* waiting = nullptr;
      const long size = BIO_get_mem_data(out_, &waiting);
      if (size > 0) {
        const std::string bytes(waiting, static_cast<std::size_t>(size));
        BIO_reset(out_);
        if (!send_raw(bytes)) return -1;
      }
      if (done > 0) return done;
      if (why == SSL_ERROR_ZERO_RETURN) return 0;
      if (why != SSL_ERROR_WANT_READ) {
        fail_with(tls_problem(ssl_.get()));
        return -1;
      }
      char bytes[16 << 10];
      const int got = receive_raw(bytes, sizeof bytes);
      if (got < 0) return -1;
      if (got == 0) {
        fail_with("the connection was closed");
        return -1;
      }
      BIO_write(in_, bytes, got);
    }
  }

  int fd_ = -1;
  Tls ssl_;
  BIO* in_ = nullptr;  // owned by ssl_, as is out_
  BIO* out_ = nullptr;
  Ticks deadline_{};
  std::string problem_;
  bool has_timed_out_ = false;
};

// Sends the request. False when the connection broke; FAILS WITH: kIo when the file cannot be read.
Result<bool> send_request(Connection& connection, const HttpCall& call) {
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
  if (!connection.send(head)) return false;
  std::vector<char> piece(file != nullptr ? kPieceBytes : 0);
  for (std::uint64_t at = 0; file != nullptr && at < file->size();) {
    DREY_TRY_ASSIGN(const std::size_t got, file->read_at(at, piece.data(), piece.size()));
    if (got == 0) return fail(Code::kIo, fmt::format("The file shrank while it was sent: {}", call.file));
    connection.expire_after(call.timeout);
    if (!connection.send({piece.data(), got})) return false;
    at += got;
  }
  return connection.send(call.body_end);
}

Result<HttpResponse> exchange(Connection& connection, const HttpCall& call) {
  DREY_TRY_ASSIGN(const bool is_sent, send_request(connection, call));
  // A server that refuses early may have answered all the same.
  const std::string unsent = is_sent ? "" : connection.problem();
  connection.expire_after(call.timeout);
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{4} << 30);
  parser.eager(true);
  if (call.method == "HEAD") parser.skip(true);
  const auto broke = [&](const std::string& why) {
    return fail(Code::kIo,
                fmt::format("The connection to {}:{} broke: {}", call.host, call.port, unsent.empty() ? why : unsent));
  };
  std::string pending;  // received and not yet parsed
  std::vector<char> piece(kPieceBytes);
  while (!parser.is_done()) {
    const int got = connection.receive(piece.data(), piece.size());
    beast::error_code error;
    if (got < 0 && connection.has_timed_out() && unsent.empty())
      return fail(Code::kTimeout, fmt::format("No answer in time from {}:{}", call.host, call.port));
    if (got < 0) return broke(connection.problem());
    if (got == 0) {
      if (!parser.got_some()) return broke("it ended without an answer");
      parser.put_eof(error);
      if (error) return broke(error.message());
      break;
    }
    pending.append(piece.data(), static_cast<std::size_t>(got));
    while (!parser.is_done() && !pending.empty()) {
      const std::size_t used = parser.put(boost::asio::buffer(pending), error);
      pending.erase(0, used);
      if (error == http::error::need_more) break;
      if (error) return broke(error.message());
    }
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) response.headers.emplace_back(view(field.name_string()), view(field.value()));
  response.body = std::move(parser.get().body());
  return response;
}

Result<TlsContext> make_context(const HttpCall& call) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (call.authority.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else if (SSL_CTX_load_verify_locations(context.get(), call.authority.c_str(), nullptr) != 1) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot read certificates from {}: {}", call.authority, tls_problem(nullptr)));
  }
  if (!call.certificate.empty() &&
      (SSL_CTX_use_certificate_chain_file(context.get(), call.certificate.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context.get(), call.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot use {} and {}: {}", call.certificate, call.key, tls_problem(nullptr)));
  }
  return context;
}

}  // namespace

Result<HttpResponse> http_call(const HttpCall& call) {
  TlsContext context;
  if (call.tls) {
    DREY_TRY_ASSIGN(context, make_context(call));
  }
  Connection connection;
  connection.expire_after(call.timeout);
  if (!connection.connect(call.host, call.port)) {
    return fail(Code::kUnavailable,
                fmt::format("Nobody answers at {}:{}: {}", call.host, call.port, connection.problem()));
  }
  if (call.tls && !connection.start_tls(context.get(), call.host)) {
    return fail(Code::kUnavailable, fmt::format("No TLS with {}:{}: {}", call.host, call.port, connection.problem()));
  }
  return exchange(connection, call);
}

}  // namespace drey::net
