#include "net/http.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <set>

#include "env/env.h"

namespace drey::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using Tcp = asio::ip::tcp;
using Seconds = std::chrono::seconds;

constexpr std::uint32_t kHeadBytesMax = 96u << 10;
constexpr std::size_t kLineBytesMax = 64u << 10;
constexpr std::size_t kPieceBytes = 256u << 10;
constexpr std::size_t kGzipBytesMin = 1024;
constexpr std::string_view kJsonType = "application/json; charset=UTF-8";

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

std::string errors(std::string_view text) { return fmt::format("{{\"errors\":[\"{}\"]}}", text); }

bool accepts_gzip(std::string_view accepted) {
  while (!accepted.empty()) {
    const std::size_t end = std::min(accepted.find(','), accepted.size());
    const std::string_view one = accepted.substr(0, end);
    accepted.remove_prefix(std::min(end + 1, accepted.size()));
    if (one.find("gzip") == std::string_view::npos) continue;
    const std::size_t q = one.find("q=");
    return q == std::string_view::npos ||
           one.substr(q + 2).find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

std::optional<std::string> gzipped(std::string_view text) {
  z_stream z{};
  if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return std::nullopt;
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int done = deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  if (done != Z_STREAM_END) return std::nullopt;
  return out;
}

Status read_tls(const TlsFiles& files, ssl::context& context) {
  beast::error_code error;
  const auto failed = [&](const std::string& file) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot use {} for TLS: {}", file, error.message()));
  };
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 |
                      ssl::context::no_sslv3 | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  context.use_certificate_chain_file(files.certificate, error);
  if (error) return failed(files.certificate);
  context.use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return failed(files.key);
  if (!files.client_authority.empty()) {
    context.load_verify_file(files.client_authority, error);
    if (error) return failed(files.client_authority);
    context.set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  }
  return {};
}

class AnySession {
 public:
  virtual ~AnySession() = default;
  virtual void on_tick(Ticks now, bool draining) = 0;
};

// What sessions share; lives until the last of them is gone, so that late answers find it.
struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context io;
  std::atomic<bool> draining{false};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable fewer;
  std::set<std::weak_ptr<AnySession>, std::owner_less<>> sessions;  // guarded by mutex
  std::atomic<int> connections{0};

  void remove(const std::weak_ptr<AnySession>& session) {
    std::lock_guard guard(mutex);
    sessions.erase(session);
    --connections;
    fewer.notify_all();
  }
  std::vector<std::shared_ptr<AnySession>> alive() {
    std::lock_guard guard(mutex);
    std::vector<std::shared_ptr<AnySession>> out;
    for (const auto& weak : sessions) {
      if (auto session = weak.lock()) out.push_back(std::move(session));
    }
    return out;
  }
};

template <typename Stream>
class Session final : public AnySession, public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(std::shared_ptr<Shared> shared, Stream stream, std::shared_ptr<ssl::context> tls,
          std::string peer)
      : shared_(std::move(shared)),
        tls_(std::move(tls)),
        stream_(std::move(stream)),
        peer_(std::move(peer)) {}
  ~Session() override { shared_->remove(this->weak_from_this()); }

  void start() {
    if constexpr (std::is_same_v<Stream, beast::tcp_stream>) {
      read();
    } else {
      tcp().expires_after(Seconds(30));
      stream_.async_handshake(ssl::stream_base::server,
                              [self = this->shared_from_this()](beast::error_code error) {
                                if (error) return self->tcp().close();
                                self->read();
                              });
    }
  }

  // On any thread. Ends what waits too long, and, when the server ends, what only waits.
  void on_tick(Ticks now, bool draining) override {
    asio::post(stream_.get_executor(), [self = this->shared_from_this(), now, draining] {
      if (draining && self->idle_) return self->tcp().close();
      if (self->answered_ != nullptr && now > self->answer_by_ &&
          !self->answered_->exchange(true)) {
        HttpResponse late;
        late.status = 503;
        late.headers.emplace_back("content-type", std::string(kJsonType));
        late.body = errors("The request took longer than the server waits for an answer.");
        late.close = true;
        self->write(std::move(late));
      }
    });
  }

 private:
  using Self = std::shared_ptr<Session>;
  beast::tcp_stream& tcp() { return beast::get_lowest_layer(stream_); }

  void read() {
    if (shared_->draining) return close();
    parser_.emplace();
    parser_->header_limit(kHeadBytesMax);
    parser_->body_limit(boost::none);  // on_header says
    request_ = HttpRequest();
    multipart_.reset();
    idle_ = buffer_.size() == 0;
    tcp().expires_after(Seconds(60));
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = this->shared_from_this()](beast::error_code error, std::size_t) {
          self->idle_ = false;
          self->on_header(error);
        });
  }

  void on_header(beast::error_code error) {
    if (error == http::error::header_limit) {
      // All that came is still in the buffer.
      const auto* begin = static_cast<const char*>(buffer_.data().data());
      const std::string_view line(begin, std::min(buffer_.size(), kLineBytesMax + 1));
      const bool long_line = line.find('\n') == std::string_view::npos;
      return refuse(long_line ? 414 : 431,
                    errors(long_line ? "The request line is longer than 64 KiB."
                                     : "The head of the request is longer than 96 KiB."));
    }
    if (error && error.category() != http::make_error_code(http::error::bad_method).category())
      return close();
    if (error == http::error::end_of_stream || error == http::error::partial_message)
      return close();
    if (error) return refuse(400, errors("Bad request: this is not HTTP."));
    const auto& head = parser_->get();
    if (head.target().size() > kLineBytesMax)
      return refuse(414, errors("The request line is longer than 64 KiB."));
    if (head.count(http::field::transfer_encoding) != 0 &&
        head.count(http::field::content_length) != 0) {
      return refuse(400, errors("Bad request: both Content-Length and Transfer-Encoding."));
    }
    if (head.count(http::field::host) > 1)
      return refuse(400, errors("Bad request: more than one Host."));
    request_.method = view(head.method_string());
    request_.target = view(head.target());
    request_.version = static_cast<int>(head.version());
    request_.keep_alive = head.keep_alive();
    request_.peer = peer_;
    for (const auto& field : head)
      request_.headers.emplace_back(view(field.name_string()), view(field.value()));
    keep_alive_ = request_.keep_alive;
    head_only_ = request_.method == "HEAD";
    gzip_ = accepts_gzip(request_.header("accept-encoding"));

    const auto boundary = multipart_boundary(request_.header("content-type"));
    request_.is_multipart = boundary.has_value();
    limit_ = boundary ? shared_->options.upload_bytes_max : shared_->options.body_bytes_max;
    const auto length = parser_->content_length();
    if (length && *length > limit_) return refuse(413, "");
    if (boundary) {
      const auto& keeps = shared_->options.keeps_files;
      multipart_.emplace(*boundary, keeps && keeps(request_) ? shared_->options.files : nullptr,
                         shared_->options.spool_directory);
    }
    body_by_ = env::posix().clock.ticks() + (boundary ? Seconds(3600) : Seconds(300));
    if (const std::string_view expect = request_.header("expect"); !expect.empty()) {
      if (!beast::iequals(expect, "100-continue")) return refuse(417, "");
      tcp().expires_after(Seconds(30));
      asio::async_write(stream_, asio::buffer(kContinue),
                        [self = this->shared_from_this()](beast::error_code failed, std::size_t) {
                          if (!failed) self->read_body();
                        });
      return;
    }
    read_body();
  }

  void read_body() {
    if (parser_->is_done()) return handle();
    if (piece_.empty()) piece_.resize(kPieceBytes);
    parser_->get().body().data = piece_.data();
    parser_->get().body().size = piece_.size();
    parser_->get().body().more = true;
    tcp().expires_after(Seconds(30));
    http::async_read_some(stream_, buffer_, *parser_,
                          [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                            if (error == http::error::need_buffer) error = {};
                            self->on_body(error);
                          });
  }

  void on_body(beast::error_code error) {
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error == asio::error::operation_aborted || error == beast::error::timeout) {
      return close();
    }
    if (error) return refuse(400, errors("Bad request: the body is not what its head says."));
    const std::string_view bytes(piece_.data(), piece_.size() - parser_->get().body().size);
    body_bytes_ += bytes.size();
    if (body_bytes_ > limit_) return refuse(413, "");
    if (env::posix().clock.ticks() > body_by_)
      return refuse(408, errors("The body of the request took too long."));
    if (multipart_) {
      if (Status fed = multipart_->feed(bytes); !fed.ok()) request_.parts_problem = std::move(fed);
    } else {
      request_.body.append(bytes);
    }
    read_body();
  }

  void handle() {
    tcp().expires_never();
    piece_ = std::vector<char>();
    body_bytes_ = 0;
    if (multipart_) request_.parts = multipart_->take();
    multipart_.reset();
    answered_ = std::make_shared<std::atomic<bool>>(false);
    answer_by_ = env::posix().clock.ticks() + shared_->options.answer_deadline;
    shared_->handler(std::move(request_), [self = this->shared_from_this(),
                                           answered = answered_](HttpResponse response) {
      if (answered->exchange(true) || self->shared_->stopped) return;
      asio::dispatch(
          self->stream_.get_executor(),
          [self, response = std::move(response)]() mutable { self->write(std::move(response)); });
    });
  }

  void write(HttpResponse response) {
    answered_ = nullptr;
    keep_alive_ = keep_alive_ && !response.close && !shared_->draining;
    std::uint64_t length = response.file ? response.file->bytes : response.body.size();
    if (gzip_ && !response.file && length >= kGzipBytesMin) {
      if (auto small = gzipped(response.body)) {
        response.body = std::move(*small);
        response.headers.emplace_back("content-encoding", "gzip");
        response.headers.emplace_back("vary", "accept-encoding");
        length = response.body.size();
      }
    }
    const auto reason =
        http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status)));
    auto head = std::make_shared<std::string>();
    head->reserve(256 + (length < kPieceBytes ? length : 0));
    fmt::format_to(std::back_inserter(*head), "HTTP/1.1 {} {}\r\n", response.status, view(reason));
    for (const auto& [name, value] : response.headers) {
      *head += name;
      *head += ": ";
      // No header can be split by what it carries.
      for (const char c : value) {
        if (c != '\r' && c != '\n' && c != '\0') *head += c;
      }
      *head += "\r\n";
    }
    if (keep_alive_) *head += "connection: keep-alive\r\n";
    fmt::format_to(std::back_inserter(*head), "content-length: {}\r\n\r\n", length);
    tcp().expires_after(Seconds(30));
    const auto done = [self = this->shared_from_this(), head](
                          beast::error_code error, std::size_t) { self->on_written(error); };
    if (head_only_ || length == 0) {
      file_.reset();
      asio::async_write(stream_, asio::buffer(*head), done);
    } else if (response.file) {
      file_ = std::move(response.file);
      asio::async_write(stream_, asio::buffer(*head), done);
    } else if (length < kPieceBytes) {
      *head += response.body;
      asio::async_write(stream_, asio::buffer(*head), done);
    } else {
      body_ = std::move(response.body);
      const std::array<asio::const_buffer, 2> both{asio::buffer(*head), asio::buffer(body_)};
      asio::async_write(stream_, both, done);
    }
  }

  void on_written(beast::error_code error) {
    if (error) return close();
    if (file_ && file_->bytes > 0) {
      if (piece_.empty()) piece_.resize(kPieceBytes);
      const std::size_t wanted = std::min<std::uint64_t>(piece_.size(), file_->bytes);
      const auto got = file_->file->read_at(file_->offset, piece_.data(), wanted);
      if (!got.ok() || *got == 0) return close();  // shorter than it was said to be
      file_->offset += *got;
      file_->bytes -= *got;
      tcp().expires_after(Seconds(30));
      asio::async_write(stream_, asio::buffer(piece_.data(), *got),
                        [self = this->shared_from_this()](beast::error_code failed, std::size_t) {
                          self->on_written(failed);
                        });
      return;
    }
    file_.reset();
    body_ = std::string();
    piece_ = std::vector<char>();
    if (!keep_alive_) return linger_ ? drain() : close();
    read();
  }

  // Answers and closes; what still comes of the request is not read as another one.
  void refuse(int status, std::string body) {
    HttpResponse response;
    response.status = status;
    if (!body.empty()) response.headers.emplace_back("content-type", std::string(kJsonType));
    response.body = std::move(body);
    response.close = true;
    linger_ = true;
    multipart_.reset();
    write(std::move(response));
  }

  // Reads what still comes, so that the peer gets to read the answer.
  void drain() {
    beast::error_code ignored;
    tcp().socket().shutdown(Tcp::socket::shutdown_send, ignored);
    drained_by_ = env::posix().clock.ticks() + Seconds(2);
    piece_.resize(kPieceBytes);
    drain_more();
  }
  void drain_more() {
    tcp().expires_after(Seconds(2));
    tcp().async_read_some(asio::buffer(piece_),
                          [self = this->shared_from_this()](beast::error_code error, std::size_t) {
                            if (error || env::posix().clock.ticks() > self->drained_by_)
                              return self->close();
                            self->drain_more();
                          });
  }

  void close() {
    if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
      if (!linger_) {
        linger_ = true;
        tcp().expires_after(Seconds(2));
        stream_.async_shutdown(
            [self = this->shared_from_this()](beast::error_code) { self->tcp().close(); });
        return;
      }
    }
    beast::error_code ignored;
    tcp().socket().shutdown(Tcp::socket::shutdown_send, ignored);
    tcp().close();
  }

  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<ssl::context> tls_;
  // On the stream's strand.
  Stream stream_;
  const std::string peer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::buffer_body>> parser_;
  HttpRequest request_;
  std::optional<MultipartReader> multipart_;
  std::vector<char> piece_;
  std::uint64_t limit_ = 0;
  std::uint64_t body_bytes_ = 0;
  Ticks body_by_{};
  Ticks answer_by_{};
  Ticks drained_by_{};
  std::shared_ptr<std::atomic<bool>> answered_;  // of the request that is with the handler
  std::optional<FileBody> file_;
  std::string body_;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool gzip_ = false;
  bool idle_ = false;
  bool linger_ = false;
};

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler handler)
      : shared_(std::make_shared<Shared>()) {
    shared_->options = options;
    shared_->handler = std::move(handler);
    acceptor_.emplace(shared_->io);
    tick_.emplace(shared_->io);
  }
  ~Server() override {
    shared_->draining = true;
    asio::post(shared_->io, [this] {
      beast::error_code ignored;
      acceptor_->close(ignored);
    });
    const auto end = env::posix().clock.ticks() + shared_->options.drain;
    while (!threads_.empty()) {
      for (const auto& session : shared_->alive())
        session->on_tick(env::posix().clock.ticks(), true);
      std::unique_lock lock(shared_->mutex);
      if (shared_->connections == 0 || env::posix().clock.ticks() > end) break;
      shared_->fewer.wait_for(lock, std::chrono::milliseconds(50));
    }
    shared_->stopped = true;
    shared_->io.stop();
    threads_.clear();
  }

  Status start() {
    const HttpServerOptions& options = shared_->options;
    if (options.tls) {
      DREY_TRY(load_tls());
    }
    beast::error_code error;
    const auto address =
        asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error)
      return fail(Code::kInvalidArgument,
                  fmt::format("This is no address to listen on: {}", options.host));
    const Tcp::endpoint endpoint(address, options.port);
    acceptor_->open(endpoint.protocol(), error);
    acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(1024, error);
    if (error) {
      return fail(Code::kUnavailable,
                  fmt::format("Cannot listen on {}:{}: {}. Choose another port with "
                              "-Drest.port=N, or 0 for any free one",
                              options.host, options.port, error.message()));
    }
    port_ = acceptor_->local_endpoint().port();
    accept();
    tick();
    for (int i = 0; i < std::max(options.threads, 1); ++i) {
      threads_.push_back(env::start_thread("drey-http", [shared = shared_] { shared->io.run(); }));
    }
    return {};
  }
  std::uint16_t port() const override { return port_; }

 private:
  // A new context when the files are not the ones it was made of.
  Status load_tls() {
    const TlsFiles& files = *shared_->options.tls;
    std::string stamp;
    for (const std::string& file : {files.certificate, files.key, files.client_authority}) {
      if (file.empty()) continue;
      const auto stat = env::posix().files.stat(file);
      if (!stat.ok()) return stat.status();
      stamp += fmt::format("{}:{};", stat->modified.millis, stat->size);
    }
    if (stamp == tls_stamp_) return {};
    auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
    DREY_TRY(read_tls(files, *context));
    tls_ = std::move(context);
    tls_stamp_ = stamp;
    return {};
  }

  void tick() {
    tick_->expires_after(std::chrono::milliseconds(500));
    tick_->async_wait([this](beast::error_code error) {
      if (error) return;
      const auto now = env::posix().clock.ticks();
      for (const auto& session : shared_->alive()) session->on_tick(now, false);
      tick();
    });
  }

  void accept() {
    acceptor_->async_accept(asio::make_strand(shared_->io), [this](beast::error_code error,
                                                                   Tcp::socket socket) {
      if (!error && shared_->connections < shared_->options.connections_max) {
        beast::error_code ignored;
        socket.set_option(Tcp::no_delay(true), ignored);
        const std::string peer = socket.remote_endpoint(ignored).address().to_string();
        if (shared_->options.tls) {
          // Files in the middle of a change: the context before stays.
          static_cast<void>(load_tls());
          begin(std::make_shared<Session<beast::ssl_stream<beast::tcp_stream>>>(
              shared_, beast::ssl_stream<beast::tcp_stream>(std::move(socket), *tls_), tls_, peer));
        } else {
          begin(std::make_shared<Session<beast::tcp_stream>>(
              shared_, beast::tcp_stream(std::move(socket)), nullptr, peer));
        }
      }
      if (error != asio::error::operation_aborted && !shared_->draining) accept();
    });
  }
  template <typename S>
  void begin(const std::shared_ptr<S>& session) {
    {
      std::lock_guard guard(shared_->mutex);
      shared_->sessions.insert(session);
      ++shared_->connections;
    }
    session->start();
  }

  const std::shared_ptr<Shared> shared_;
  std::optional<Tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> tick_;
  std::uint16_t port_ = 0;
  // On the thread that accepts.
  std::shared_ptr<ssl::context> tls_;
  std::string tls_stamp_;
  std::vector<std::unique_ptr<env::Thread>> threads_;
};

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
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nhost: {}:{}\r\nconnection: close\r\ncontent-length: {}\r\n",
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
    if (got == 0)
      return fail(Code::kIo, fmt::format("The file shrank while it was sent: {}", call.file));
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
  for (const auto& field : parser.get())
    response.headers.emplace_back(view(field.name_string()), view(field.value()));
  response.body = std::move(parser.get().body());
  return response;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (beast::iequals(key, name)) return value;
  }
  return {};
}

Result<std::unique_ptr<HttpServer>> start_http_server(const HttpServerOptions& options,
                                                      HttpHandler handler) {
  auto server = std::make_unique<Server>(options, std::move(handler));
  DREY_TRY(server->start());
  return std::unique_ptr<HttpServer>(std::move(server));
}

Result<HttpResponse> http_call(const HttpCall& call) {
  asio::io_context io;
  beast::error_code error;
  const auto unreachable = [&] {
    return fail(Code::kUnavailable,
                fmt::format("Nobody answers at {}:{}: {}", call.host, call.port, error.message()));
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
      return fail(Code::kInvalidArgument, fmt::format("Cannot read certificates from {}: {}",
                                                      call.authority, error.message()));
  }
  if (!call.certificate.empty()) {
    context.use_certificate_chain_file(call.certificate, error);
    if (!error) context.use_private_key_file(call.key, ssl::context::pem, error);
    if (error)
      return fail(Code::kInvalidArgument, fmt::format("Cannot use {} and {}: {}", call.certificate,
                                                      call.key, error.message()));
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
    return fail(Code::kUnavailable,
                fmt::format("No TLS with {}:{}: {}", call.host, call.port, error.message()));
  return exchange(io, stream, call);
}

}  // namespace drey::net
