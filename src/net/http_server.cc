#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/http/status.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "env/env.h"
#include "net/http.h"
#include "net/request_reader.h"

namespace drey::net {
namespace {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using Error = boost::system::error_code;
using Tcp = asio::ip::tcp;
using Seconds = std::chrono::seconds;

constexpr std::size_t kPieceBytes = 256u << 10;
constexpr std::size_t kGzipBytesMin = 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kJsonType = "application/json; charset=UTF-8";

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
  Error error;
  const auto failed = [&](const std::string& file) {
    return fail(Code::kInvalidArgument, fmt::format("Cannot use {} for TLS: {}", file, error.message()));
  };
  context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                      ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
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
  // Ends what waits too long, and, when the server ends, what only waits.
  virtual void on_tick(Ticks now, bool draining) = 0;
  virtual void close_now() = 0;
};

// One thread with the connections it serves: each stays on its thread, so that sessions need no
// lock and no strand.
struct Worker {
  asio::io_context io{1};
  asio::steady_timer tick{io};
  std::mutex mutex;
  std::set<std::weak_ptr<AnySession>, std::owner_less<>> sessions;  // guarded by mutex
};

// What sessions share; lives until the last of them is gone, so that late answers find it.
struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  std::vector<std::unique_ptr<Worker>> workers;
  std::atomic<bool> draining{false};
  std::atomic<bool> stopped{false};
  std::atomic<int> connections{0};
  std::mutex mutex;
  std::condition_variable fewer;

  void add(Worker& worker, const std::shared_ptr<AnySession>& session) {
    std::lock_guard guard(worker.mutex);
    worker.sessions.insert(session);
    ++connections;
  }
  void remove(Worker& worker, const std::weak_ptr<AnySession>& session) {
    {
      std::lock_guard guard(worker.mutex);
      worker.sessions.erase(session);
    }
    std::lock_guard guard(mutex);
    --connections;
    fewer.notify_all();
  }
  static std::vector<std::shared_ptr<AnySession>> alive(Worker& worker) {
    std::lock_guard guard(worker.mutex);
    std::vector<std::shared_ptr<AnySession>> out;
    for (const auto& weak : worker.sessions) {
      if (auto session = weak.lock()) out.push_back(std::move(session));
    }
    return out;
  }
};

// One connection. Everything but the first lines of an answer happens on its worker's thread.
// Deadlines are looked at twice a second; there is one at a time, of what the session waits for.
template <typename Stream>
class Session final : public AnySession, public std::enable_shared_from_this<Session<Stream>> {
  static constexpr bool kPlain = std::is_same_v<Stream, Tcp::socket>;

 public:
  Session(std::shared_ptr<Shared> shared, Worker& worker, Stream stream, std::shared_ptr<ssl::context> tls,
          std::string peer)
      : shared_(std::move(shared)),
        worker_(worker),
        tls_(std::move(tls)),
        stream_(std::move(stream)),
        reader_(shared_->options, std::move(peer)) {
    due_in(Seconds(30));
  }
  ~Session() override { leave(); }

  void start() {
    Error ignored;
    socket().set_option(Tcp::no_delay(true), ignored);
    if constexpr (kPlain) {
      socket().non_blocking(true, ignored);
      wait_for_head();
    } else {
      due_in(Seconds(30));
      stream_.async_handshake(ssl::stream_base::server, [self = this->shared_from_this()](Error error) {
        if (error) return self->close_now();
        self->wait_for_head();
      });
    }
  }

  void on_tick(Ticks now, bool draining) override {
    if (draining && reading_ && reader_.is_idle()) return close_now();
    if (stream_body_ != nullptr && !stream_ended_) {
      const BodyStreamOptions& options = stream_body_->options();
      if (draining) stream_body_->end(options.goodbye);
      if (now - streamed_ >= options.idle_pause) stream_body_->push(options.idle_piece);
    }
    if (now <= due_) return;
    if (waits_ && asked_.exchange(0) == 0) return;  // its answer is on the way
    if (!waits_) {
      // At once: who does not read would keep what is left to send for as long as the system lets it.
      Error ignored;
      socket().set_option(asio::socket_base::linger(true, 0), ignored);
      return close_now();
    }
    HttpResponse late;
    late.status = 503;
    late.headers.emplace_back("content-type", std::string(kJsonType));
    late.body = error_body("The request took longer than the server waits for an answer.");
    late.close = true;
    write(std::move(late));
  }

  void close_now() override {
    // The stream holds the session while it waits for more.
    if (stream_body_ != nullptr) std::exchange(stream_body_, nullptr)->close();
    Error ignored;
    socket().shutdown(Tcp::socket::shutdown_send, ignored);
    socket().close(ignored);
    leave();
  }

 private:
  auto& socket() {
    if constexpr (kPlain) {
      return stream_;
    } else {
      return stream_.next_layer();
    }
  }
  // The connection counts no more, though a handler may still hold its Responder.
  void leave() {
    if (!left_) shared_->remove(worker_, this->weak_from_this());
    left_ = true;
  }
  void due_in(Nanos wait) { due_ = env::posix().clock.ticks() + wait; }

  void wait_for_head() {
    if (shared_->draining && reader_.is_idle()) return close();
    due_in(shared_->options.head_deadline);
    go_on();
  }

  void go_on() {
    switch (reader_.next()) {
      case RequestReader::Next::kRead:
        return read();
      case RequestReader::Next::kContinue:
        start_body();
        return send_raw(kContinue);
      case RequestReader::Next::kRequest:
        return handle();
      case RequestReader::Next::kRefused:
        return refused();
    }
  }

  // Also of a body that comes with its head.
  void start_body() {
    if (body_by_ != Ticks{}) return;
    body_by_ = env::posix().clock.ticks() +
               (reader_.is_multipart() ? shared_->options.upload_deadline : shared_->options.body_deadline);
  }

  void read() {
    if (reader_.in_body()) {
      start_body();
      due_in(shared_->options.piece_deadline);
    }
    reading_ = true;
    const auto room = reader_.room();
    stream_.async_read_some(asio::buffer(room.data(), room.size()),
                            [self = this->shared_from_this()](Error error, std::size_t got) {
                              self->reading_ = false;
                              if (error) return self->close();
                              self->reader_.came(got);
                              self->on_read();
                            });
  }
  void on_read() {
    if (reader_.in_body() && env::posix().clock.ticks() > body_by_) {
      static_cast<void>(reader_.refuse(408, "The body of the request took too long."));
      return refused();
    }
    go_on();
  }

  void handle() {
    body_by_ = Ticks{};
    keep_alive_ = reader_.keep_alive();
    head_only_ = reader_.head_only();
    gzip_ = reader_.takes_gzip();
    const std::uint64_t number = ++requests_;
    due_in(shared_->options.answer_deadline);
    asked_ = number;
    waits_ = true;
    HttpRequest request = reader_.take();
    is_chunked_ = request.version >= 11;
    shared_->handler(std::move(request), [self = this->shared_from_this(), number](HttpResponse response) {
      std::uint64_t expected = number;
      if (!self->asked_.compare_exchange_strong(expected, 0) || self->shared_->stopped) return;
      asio::dispatch(self->worker_.io,
                     [self, response = std::move(response)]() mutable { self->write(std::move(response)); });
    });
  }

  void refused() {
    linger_ = true;
    keep_alive_ = false;
    gzip_ = false;
    head_only_ = false;
    write(reader_.refusal());
  }

  void write(HttpResponse response) {
    waits_ = false;
    keep_alive_ = keep_alive_ && !response.close && !response.stream && !shared_->draining;
    std::uint64_t length = response.file ? response.file->bytes : response.body.size();
    if (gzip_ && !response.file && !response.stream && length >= kGzipBytesMin) {
      if (auto small = gzipped(response.body)) {
        response.body = std::move(*small);
        response.headers.emplace_back("content-encoding", "gzip");
        response.headers.emplace_back("vary", "accept-encoding");
        length = response.body.size();
      }
    }
    const auto reason =
        boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(response.status)));
    out_.clear();
    out_at_ = 0;
    const auto into = std::back_inserter(out_);
    fmt::format_to(into, "HTTP/1.1 {} {}\r\n", response.status, std::string_view(reason.data(), reason.size()));
    for (const auto& [name, value] : response.headers) {
      out_ += name;
      out_ += ": ";
      // No header can be split by what it carries.
      if (value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos) {
        out_ += value;
      } else {
        for (const char c : value) {
          if (c != '\r' && c != '\n' && c != '\0') out_ += c;
        }
      }
      out_ += "\r\n";
    }
    if (keep_alive_) out_ += "connection: keep-alive\r\n";
    if (response.stream) {
      // An old client reads until the connection closes.
      out_ += is_chunked_ ? "transfer-encoding: chunked\r\nconnection: close\r\n\r\n" : "connection: close\r\n\r\n";
      stream_body_ = std::move(response.stream);
      streamed_ = env::posix().clock.ticks();
    } else {
      fmt::format_to(into, "content-length: {}\r\n\r\n", length);
    }
    body_.clear();
    body_at_ = 0;
    file_.reset();
    if (!head_only_ && length > 0) {
      if (response.file) {
        file_ = std::move(response.file);
      } else {
        body_ = std::move(response.body);
      }
    }
    send();
  }

  void send_raw(std::string_view bytes) {
    out_ = bytes;
    out_at_ = 0;
    send();
  }

  void send() {
    piece_left_ = kPieceBytes;
    due_in(shared_->options.piece_deadline);
    if constexpr (kPlain) {
      // Most answers fit into the socket: no need to wait for it.
      Error error;
      const std::size_t sent = stream_.write_some(buffers(), error);
      if (error && error != asio::error::would_block) return close();
      if (!error) advance(sent);
    }
    send_more();
  }
  std::array<asio::const_buffer, 2> buffers() const {
    return {asio::const_buffer(out_.data() + out_at_, out_.size() - out_at_),
            asio::const_buffer(body_.data() + body_at_, std::min(body_.size() - body_at_, kPieceBytes))};
  }
  void advance(std::size_t sent) {
    const std::size_t head = std::min(sent, out_.size() - out_at_);
    out_at_ += head;
    body_at_ += sent - head;
    if (sent < piece_left_) {
      piece_left_ -= sent;
    } else {
      piece_left_ = kPieceBytes;
      due_in(shared_->options.piece_deadline);
    }
  }
  void send_more() {
    if (out_at_ == out_.size() && body_at_ == body_.size() && !next_of_file()) return on_sent();
    stream_.async_write_some(buffers(), [self = this->shared_from_this()](Error error, std::size_t sent) {
      if (error) return self->close();
      self->advance(sent);
      self->send_more();
    });
  }
  // False when there is none, or it is shorter than it was said to be.
  bool next_of_file() {
    if (!file_ || file_->bytes == 0) return false;
    out_at_ = 0;
    out_.resize(std::min<std::uint64_t>(kPieceBytes, file_->bytes));
    const auto got = file_->file->read_at(file_->offset, out_.data(), out_.size());
    if (!got.ok() || *got == 0) {
      out_.clear();
      keep_alive_ = false;
      return false;
    }
    out_.resize(*got);
    file_->offset += *got;
    file_->bytes -= *got;
    return true;
  }

  void on_sent() {
    if (stream_body_ != nullptr) return stream_ended_ ? close() : wait_for_stream();
    file_.reset();
    if (body_.size() > kPieceBytes) body_ = std::string();
    if (out_.size() > kPieceBytes / 2) out_ = std::string();
    if (reader_.in_body() && !linger_) return go_on();  // after `100 Continue`
    if (!keep_alive_) return linger_ ? drain() : close();
    if (reader_.is_idle()) return wait_for_head();
    // Pipelined: by way of the queue, so that others get their turn and the stack does not grow.
    asio::post(worker_.io, [self = this->shared_from_this()] { self->wait_for_head(); });
  }

  // A reader that has gone shows when the next piece is sent, an idle one at the latest.
  void wait_for_stream() {
    due_in(std::chrono::hours(24 * 365));
    stream_body_->on_ready(
        [self = this->shared_from_this()] { asio::post(self->worker_.io, [self] { self->send_streamed(); }); });
  }
  void send_streamed() {
    if (stream_body_ == nullptr) return;  // closed meanwhile
    auto [bytes, ended] = stream_body_->take();
    out_.clear();
    out_at_ = 0;
    if (!is_chunked_) {
      out_ = std::move(bytes);
    } else {
      if (!bytes.empty()) out_ = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
      if (ended) out_ += "0\r\n\r\n";
    }
    stream_ended_ = ended;
    streamed_ = env::posix().clock.ticks();
    send();
  }

  // Reads what still comes, so that the peer gets to read the answer.
  void drain() {
    Error ignored;
    socket().shutdown(Tcp::socket::shutdown_send, ignored);
    due_in(Seconds(2));
    out_.resize(kPieceBytes);
    drain_more();
  }
  void drain_more() {
    socket().async_read_some(asio::buffer(out_), [self = this->shared_from_this()](Error error, std::size_t) {
      if (error) return self->close_now();
      self->drain_more();
    });
  }

  void close() {
    if constexpr (!kPlain) {
      if (!linger_) {
        linger_ = true;
        due_in(Seconds(2));
        stream_.async_shutdown([self = this->shared_from_this()](Error) { self->close_now(); });
        return;
      }
    }
    close_now();
  }

  const std::shared_ptr<Shared> shared_;
  Worker& worker_;
  const std::shared_ptr<ssl::context> tls_;
  // On the worker's thread.
  Stream stream_;
  RequestReader reader_;
  Ticks due_{};
  Ticks body_by_{};  // zero: no body is awaited
  std::uint64_t requests_ = 0;
  std::string out_;  // head of an answer, or a piece of its file
  std::size_t out_at_ = 0;
  std::string body_;
  std::size_t body_at_ = 0;
  std::size_t piece_left_ = 0;
  std::optional<FileBody> file_;
  std::shared_ptr<BodyStream> stream_body_;  // of the answer that is being sent
  Ticks streamed_{};                         // when a piece of it was sent last
  bool stream_ended_ = false;
  bool is_chunked_ = false;
  bool reading_ = false;
  bool waits_ = false;  // for the handler
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool gzip_ = false;
  bool linger_ = false;
  bool left_ = false;
  // The request that is with the handler; 0: none. Any thread.
  std::atomic<std::uint64_t> asked_{0};
};

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler handler) : shared_(std::make_shared<Shared>()) {
    shared_->options = options;
    shared_->handler = std::move(handler);
    for (int i = 0; i < std::max(options.threads, 1); ++i) shared_->workers.push_back(std::make_unique<Worker>());
    acceptor_.emplace(shared_->workers[0]->io);
    again_.emplace(shared_->workers[0]->io);
  }
  ~Server() override {
    shared_->draining = true;
    asio::post(shared_->workers[0]->io, [this] {
      Error ignored;
      acceptor_->close(ignored);
    });
    const auto end = env::posix().clock.ticks() + shared_->options.drain;
    while (!threads_.empty()) {
      for (const auto& worker : shared_->workers)
        asio::post(worker->io, [this, &worker = *worker] { tick_sessions(worker); });
      std::unique_lock lock(shared_->mutex);
      if (shared_->connections == 0 || env::posix().clock.ticks() > end) break;
      shared_->fewer.wait_for(lock, std::chrono::milliseconds(50));
    }
    shared_->stopped = true;
    for (const auto& worker : shared_->workers) worker->io.stop();
    threads_.clear();
    // What sessions wait for ends, so that none keeps itself alive.
    acceptor_.reset();
    again_.reset();
    for (const auto& worker : shared_->workers) {
      worker->tick.cancel();
      for (const auto& session : Shared::alive(*worker)) session->close_now();
      worker->io.restart();
      worker->io.poll();
    }
  }

  Status start() {
    const HttpServerOptions& options = shared_->options;
    if (options.tls) {
      DREY_TRY(load_tls());
    }
    Error error;
    const auto address = asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) return fail(Code::kInvalidArgument, fmt::format("This is no address to listen on: {}", options.host));
    const Tcp::endpoint endpoint(address, options.port);
    acceptor_->open(endpoint.protocol(), error);
    acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(1024, error);
    if (error) {
      return fail(Code::kUnavailable, fmt::format("Cannot listen on {}:{}: {}. Choose another port with "
                                                  "-Drest.port=N, or 0 for any free one",
                                                  options.host, options.port, error.message()));
    }
    port_ = acceptor_->local_endpoint().port();
    accept();
    for (const auto& worker : shared_->workers) {
      tick(*worker);
      threads_.push_back(env::start_thread("drey-http", [shared = shared_, &worker = *worker] { worker.io.run(); }));
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

  void tick(Worker& worker) {
    worker.tick.expires_after(std::chrono::milliseconds(500));
    worker.tick.async_wait([this, &worker](Error error) {
      if (error) return;
      tick_sessions(worker);
      tick(worker);
    });
  }
  void tick_sessions(Worker& worker) {
    const auto now = env::posix().clock.ticks();
    for (const auto& session : Shared::alive(worker)) session->on_tick(now, shared_->draining);
  }

  // The next connection goes to the next worker.
  void accept() {
    next_ = (next_ + 1) % shared_->workers.size();
    Worker& worker = *shared_->workers[next_];
    acceptor_->async_accept(worker.io, [this, &worker](Error error, Tcp::socket socket) {
      if (!error && shared_->connections < shared_->options.connections_max) {
        Error ignored;
        const std::string peer = socket.remote_endpoint(ignored).address().to_string();
        if (shared_->options.tls) {
          // Files in the middle of a change: the context before stays.
          static_cast<void>(load_tls());
          begin(worker, std::make_shared<Session<ssl::stream<Tcp::socket>>>(
                            shared_, worker, ssl::stream<Tcp::socket>(std::move(socket), *tls_), tls_, peer));
        } else {
          begin(worker, std::make_shared<Session<Tcp::socket>>(shared_, worker, std::move(socket), nullptr, peer));
        }
      }
      if (error == asio::error::operation_aborted || shared_->draining) return;
      if (!error) return accept();
      // No descriptor left, for one: again when some connection may have ended.
      again_->expires_after(std::chrono::milliseconds(100));
      again_->async_wait([this](Error stopped) {
        if (!stopped && !shared_->draining) accept();
      });
    });
  }
  template <typename S>
  void begin(Worker& worker, const std::shared_ptr<S>& session) {
    shared_->add(worker, session);
    asio::post(worker.io, [session] { session->start(); });
  }

  const std::shared_ptr<Shared> shared_;
  std::optional<Tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> again_;
  std::uint16_t port_ = 0;
  // On the thread that accepts.
  std::size_t next_ = 0;
  std::shared_ptr<ssl::context> tls_;
  std::string tls_stamp_;
  std::vector<std::unique_ptr<env::Thread>> threads_;
};

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (boost::beast::iequals(key, name)) return value;
  }
  return {};
}

Result<std::unique_ptr<HttpServer>> start_http_server(const HttpServerOptions& options, HttpHandler handler) {
  auto server = std::make_unique<Server>(options, std::move(handler));
  DREY_TRY(server->start());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace drey::net
