#include "env/posix/posix_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "env/blocking.h"
#include "env/log.h"
#include "env/posix/posix_loop.h"

namespace drey::env {
namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kReadBytes = 256u << 10;
constexpr std::size_t kIdleInputBytesMax = 4u << 20;  // a larger buffer is given back when it is empty
constexpr int kReadsMax = 16;                         // in a row: other connections of the loop want their turn
constexpr Millis kAcceptPause{100};
constexpr std::uint32_t kFirstFrameBytesMax = 64u << 10;
std::atomic<std::uint64_t> g_frames_refused{0};

Status system_error(std::string_view what) {
  return fail(Code::kIo, fmt::format("{}: errno={} ({})", what, errno, std::strerror(errno)));
}

class TcpConnection final : public Connection, public std::enable_shared_from_this<TcpConnection> {
 public:
  TcpConnection(PosixLoop& loop, int descriptor) : loop_(loop), descriptor_(descriptor) {}
  ~TcpConnection() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  void expect_first_frames() { frame_bytes_max_ = kFirstFrameBytesMax; }

  // On the loop.
  void start() {
    const int one = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // The loop keeps an open connection alive, and ends it with itself.
    loop_.watch(descriptor_, EPOLLIN, [self = shared_from_this()](std::uint32_t events) { self->on_events(events); });
    is_started_ = true;
    watching_ = EPOLLIN;
    if (!closed_) flush();
  }

  void set_handler(Handler handler) override {
    handler_ = std::move(handler);
    has_handler_ = true;
    // Frames that came before the handler are delivered from the loop, not from within this call.
    loop_.post([self = shared_from_this()] { self->deliver(); });
  }

  void send(std::string frame) override {
    if (closed_) return;
    frame_bytes_max_.store(kFrameBytesMax, std::memory_order_relaxed);
    char header[kHeaderBytes];
    const auto size = static_cast<std::uint32_t>(frame.size());
    const std::uint32_t checksum = XXH32(frame.data(), frame.size(), 0);
    std::memcpy(header, &size, 4);
    std::memcpy(header + 4, &checksum, 4);
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      first = queue_.empty();
      queued_bytes_.fetch_add(kHeaderBytes + frame.size(), std::memory_order_relaxed);
      queue_.emplace_back(header, kHeaderBytes);
      queue_.push_back(std::move(frame));
    }
    if (!first) return;
    if (loop_.is_current()) {
      if (is_started_) flush();
    } else {
      loop_.post([self = shared_from_this()] {
        if (self->is_started_) self->flush();
      });
    }
  }

  std::size_t queued_bytes() const override { return queued_bytes_.load(std::memory_order_relaxed); }

  void close() override {
    const auto end = [self = shared_from_this()] {
      self->has_handler_ = false;
      self->handler_ = {};
      self->shut({});
    };
    // At once when possible: no handler is called after close().
    if (loop_.is_current()) {
      end();
    } else {
      loop_.post(end);
    }
  }

 private:
  void on_events(std::uint32_t events) {
    const auto keep = shared_from_this();
    if ((events & EPOLLOUT) != 0) flush();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !closed_) read();
  }

  void read() {
    for (int reads = 0; reads < kReadsMax && !closed_; ++reads) {
      if (input_.size() - filled_ < kReadBytes) input_.resize(std::max(input_.size() * 2, filled_ + kReadBytes));
      const ssize_t got = ::recv(descriptor_, input_.data() + filled_, input_.size() - filled_, 0);
      if (got > 0) {
        filled_ += static_cast<std::size_t>(got);
        deliver();
        if (filled_ < input_.size()) {
          // A short read usually means an empty socket; epoll says when there is more.
          if (static_cast<std::size_t>(got) < kReadBytes) return;
        }
        continue;
      }
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      deliver();
      shut(got == 0 ? fail(Code::kIo, "The peer closed the connection")
                    : system_error("Cannot read from a connection"));
      return;
    }
  }

  void deliver() {
    if (!has_handler_ || delivering_) return;
    delivering_ = true;
    std::size_t at = 0;
    while (has_handler_ && filled_ - at >= kHeaderBytes) {
      std::uint32_t size = 0;
      std::uint32_t checksum = 0;
      std::memcpy(&size, input_.data() + at, 4);
      std::memcpy(&checksum, input_.data() + at + 4, 4);
      if (size > frame_bytes_max_) {
        ++g_frames_refused;
        shut(fail(Code::kCorrupt, fmt::format("A peer sent no valid frame: size={}", size)));
        break;
      }
      if (filled_ - at - kHeaderBytes < size) break;
      const std::string_view frame(input_.data() + at + kHeaderBytes, size);
      if (XXH32(frame.data(), frame.size(), 0) != checksum) {
        ++g_frames_refused;
        shut(fail(Code::kCorrupt, "A peer sent a damaged frame"));
        break;
      }
      at += kHeaderBytes + size;
      const auto on_frame = handler_.on_frame;
      if (on_frame) on_frame(frame);
    }
    if (at > 0) {
      std::memmove(input_.data(), input_.data() + at, filled_ - at);
      filled_ -= at;
    }
    if (filled_ == 0 && input_.size() > kIdleInputBytesMax) std::string().swap(input_);
    delivering_ = false;
    if (has_handler_ && closed_ && !why_.ok()) tell_closed();
  }

  void flush() {
    if (closed_) return;
    if (const int error = write_queue(); error != 0) {
      errno = error;
      // Later: who sends does not expect to lose the connection within the call.
      loop_.post([self = shared_from_this(), why = system_error("Cannot write to a connection")] { self->shut(why); });
      return;
    }
    const bool is_empty = queued_bytes() == 0;
    const std::uint32_t wanted = EPOLLIN | (is_empty ? 0u : static_cast<std::uint32_t>(EPOLLOUT));
    if (wanted == watching_) return;
    watching_ = wanted;
    loop_.change(descriptor_, wanted);
    if (is_empty && has_handler_ && handler_.on_drained) {
      const auto on_drained = handler_.on_drained;
      on_drained();
    }
  }

  // As much as the system takes; 0 or errno.
  int write_queue() {
    std::unique_lock lock(mutex_);
    while (!queue_.empty()) {
      iovec parts[32];
      int count = 0;
      std::size_t skip = sent_;
      for (const std::string& part : queue_) {
        if (count == 32) break;
        parts[count].iov_base = const_cast<char*>(part.data()) + skip;
        parts[count].iov_len = part.size() - skip;
        skip = 0;
        ++count;
      }
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = static_cast<std::size_t>(count);
      // Only this thread takes from the queue, and a deque keeps its elements in place: no lock
      // while sending.
      lock.unlock();
      const ssize_t sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
      const int error = errno;
      lock.lock();
      if (sent < 0) {
        if (error == EINTR) continue;
        return error == EAGAIN ? 0 : error;
      }
      queued_bytes_.fetch_sub(static_cast<std::size_t>(sent), std::memory_order_relaxed);
      std::size_t left = static_cast<std::size_t>(sent);
      while (!queue_.empty() && left >= queue_.front().size() - sent_) {
        left -= queue_.front().size() - sent_;
        sent_ = 0;
        queue_.pop_front();
      }
      sent_ += left;
    }
    return 0;
  }

  void shut(Status why) {
    if (closed_) return;
    closed_ = true;
    if (why.ok()) write_queue();
    why_ = std::move(why);
    const auto keep = shared_from_this();
    loop_.unwatch(descriptor_);
    ::close(descriptor_);
    descriptor_ = -1;
    if (has_handler_ && !delivering_ && !why_.ok()) tell_closed();
  }

  void tell_closed() {
    const auto on_closed = std::move(handler_.on_closed);
    handler_.on_closed = nullptr;
    if (on_closed) on_closed(why_);
  }

  PosixLoop& loop_;
  int descriptor_;
  bool is_started_ = false;
  // Of what the peer sends. Who connects to a server sends little until the server, which then knows who it is, has
  // answered.
  std::atomic<std::uint32_t> frame_bytes_max_{kFrameBytesMax};
  Handler handler_;
  bool has_handler_ = false;
  bool delivering_ = false;
  std::atomic<bool> closed_{false};  // written on the loop
  Status why_;
  std::uint32_t watching_ = 0;
  std::string input_;
  std::size_t filled_ = 0;
  std::mutex mutex_;
  std::deque<std::string> queue_;  // guarded by mutex_; headers and payloads in turn
  std::size_t sent_ = 0;           // bytes of queue_.front() that are gone
  std::atomic<std::size_t> queued_bytes_{0};
};

class TcpListener final : public Listener {
 public:
  TcpListener(PosixLoop& loop, int descriptor, std::uint16_t port, std::function<void(ConnectionRef)> on_accept)
      : shared_(std::make_shared<Shared>(Shared{loop, descriptor, std::move(on_accept)})), port_(port) {
    loop.post([shared = shared_] { watch(shared); });
  }
  ~TcpListener() override {
    shared_->loop.post([shared = shared_] {
      shared->is_closed = true;
      shared->loop.unwatch(shared->descriptor);
      ::close(shared->descriptor);
    });
  }
  std::uint16_t port() const override { return port_; }

 private:
  struct Shared {
    PosixLoop& loop;
    int descriptor;
    std::function<void(ConnectionRef)> on_accept;
    bool is_closed = false;  // on the loop
  };
  static void watch(const std::shared_ptr<Shared>& shared) {
    shared->loop.watch(shared->descriptor, EPOLLIN, [shared](std::uint32_t) { accept_all(shared); });
  }
  static void accept_all(const std::shared_ptr<Shared>& shared) {
    while (true) {
      const int peer = accept4(shared->descriptor, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (peer < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
      if (peer < 0 && errno != EAGAIN) {
        // Out of descriptors or memory: the peer goes on waiting, and the listener stays readable. Later again.
        log_warn("env", "Cannot accept a connection: errno={} ({})", errno, std::strerror(errno));
        shared->loop.unwatch(shared->descriptor);
        shared->loop.after(kAcceptPause, [shared] {
          if (!shared->is_closed) watch(shared);
        });
        return;
      }
      if (peer < 0) return;
      auto connection = std::make_shared<TcpConnection>(shared->loop, peer);
      connection->expect_first_frames();
      connection->start();
      shared->on_accept(connection);
    }
  }
  std::shared_ptr<Shared> shared_;
  std::uint16_t port_;
};

Result<sockaddr_in> address_of(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const std::string name = host == "localhost" ? "127.0.0.1" : host;
  if (inet_pton(AF_INET, name.c_str(), &address.sin_addr) == 1) return address;
  blocks("resolving a name");
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("Unknown host: {}", host));
  }
  address.sin_addr = reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr;
  freeaddrinfo(found);
  return address;
}

class TcpByteStream final : public ByteStream {
 public:
  TcpByteStream(int descriptor, std::string peer) : descriptor_(descriptor), peer_(std::move(peer)) {}
  ~TcpByteStream() override { ::close(descriptor_); }
  TcpByteStream(const TcpByteStream&) = delete;
  TcpByteStream& operator=(const TcpByteStream&) = delete;

  Result<std::size_t> read(char* to, std::size_t bytes_max) override {
    if (ended_) return std::size_t{0};
    const ssize_t got = ::recv(descriptor_, to, bytes_max, 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) {
      ended_ = true;
      return std::size_t{0};
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) return std::size_t{0};
    if (errno == ECONNREFUSED) return fail(Code::kUnavailable, fmt::format("Nobody listens on {}", peer_));
    return system_error(fmt::format("Cannot read from {}", peer_));
  }
  bool is_ended() const override { return ended_; }

 private:
  const int descriptor_;
  const std::string peer_;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> PosixNetwork::open_stream(const std::string& host, std::uint16_t port) {
  DREY_TRY_ASSIGN(const sockaddr_in address, address_of(host, port));
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return system_error("Cannot make a socket");
  const std::string peer = fmt::format("{}:{}", host, port);
  auto stream = std::make_unique<TcpByteStream>(descriptor, peer);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    if (errno == ECONNREFUSED) return fail(Code::kUnavailable, fmt::format("Nobody listens on {}", peer));
    return system_error(fmt::format("Cannot connect to {}", peer));
  }
  return std::unique_ptr<ByteStream>(std::move(stream));
}

Result<std::unique_ptr<Listener>> PosixNetwork::listen(Loop& loop, const std::string& host, std::uint16_t port,
                                                       std::function<void(ConnectionRef)> on_accept) {
  DREY_TRY_ASSIGN(sockaddr_in address, address_of(host, port));
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return system_error("Cannot make a socket");
  const int one = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  socklen_t length = sizeof address;
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(descriptor, 256) != 0 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    const Status status =
        errno == EADDRINUSE ? fail(Code::kUnavailable, fmt::format("Port {} on {} is in use: choose another one, or 0 "
                                                                   "for any free one",
                                                                   port, host))
                            : system_error(fmt::format("Cannot listen on {}:{}", host, port));
    ::close(descriptor);
    return status;
  }
  return std::unique_ptr<Listener>(std::make_unique<TcpListener>(static_cast<PosixLoop&>(loop), descriptor,
                                                                 ntohs(address.sin_port), std::move(on_accept)));
}

std::uint64_t PosixNetwork::frames_refused() const { return g_frames_refused.load(); }

void PosixNetwork::connect(Loop& any_loop, const std::string& host, std::uint16_t port, Nanos timeout,
                           std::function<void(Result<ConnectionRef>)> done) {
  auto& loop = static_cast<PosixLoop&>(any_loop);
  loop.post([&loop, host, port, timeout, done = std::move(done)] {
    auto address = address_of(host, port);
    if (!address.ok()) return done(address.status());
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return done(system_error("Cannot make a socket"));
    const int result = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_in));
    if (result != 0 && errno != EINPROGRESS) {
      const Status status = system_error(fmt::format("Cannot connect to {}:{}", host, port));
      ::close(descriptor);
      return done(status);
    }
    // Whichever comes first, the socket or the deadline, decides; the other finds `decided`.
    auto decided = std::make_shared<bool>(false);
    const TimerId timer = loop.after(timeout, [&loop, descriptor, decided, done, host, port] {
      if (*decided) return;
      *decided = true;
      loop.unwatch(descriptor);
      ::close(descriptor);
      done(fail(Code::kTimeout, fmt::format("Cannot connect to {}:{} in time", host, port)));
    });
    loop.watch(descriptor, EPOLLOUT, [&loop, descriptor, decided, done, timer, host, port](std::uint32_t) {
      if (*decided) return;
      *decided = true;
      loop.cancel(timer);
      loop.unwatch(descriptor);
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) {
        ::close(descriptor);
        errno = error;
        return done(system_error(fmt::format("Cannot connect to {}:{}", host, port)));
      }
      auto connection = std::make_shared<TcpConnection>(loop, descriptor);
      connection->start();
      done(ConnectionRef(connection));
    });
  });
}

}  // namespace drey::env
