// drey-load: requests at a constant rate, whatever becomes of those before (an open loop), on one
// thread that sleeps in between. A latency counts from the instant at which the request was due, so
// that a server that stalls is charged for all it kept waiting. Prints one line of JSON with its
// own CPU time.
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr const char* kUsage =
    "drey-load PORT RATE SECONDS PATH...\n"
    "  asks 127.0.0.1:PORT for the paths in turn, RATE requests a second in all.\n"
    "  example: drey-load 8081 500 10 /overview /jobs/overview\n";
constexpr std::size_t kConnectionsMax = 256;  // as many requests under way: more is an error
constexpr std::int64_t kPatienceNs = 10'000'000'000;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Connection {
  int fd = -1;
  std::int64_t due = 0;  // of the request that is under way; 0: none is
  std::string in;
};

[[noreturn]] void give_up(std::string_view why) {
  fmt::print(stderr, "drey-load: {}\n", why);
  std::exit(1);
}

int connected(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    give_up(fmt::format("cannot connect to 127.0.0.1:{}", port));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Whether a whole answer is there; anything but a 200 with its length ends the program.
bool is_whole(std::string_view in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  const std::string_view head = in.substr(0, end + 2);
  constexpr std::string_view kLength = "content-length: ";
  std::string lower(head);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t at = lower.find(kLength);
  std::size_t length = 0;
  if (!lower.starts_with("http/1.1 200") || at == std::string::npos) give_up(head);
  std::from_chars(lower.data() + at + kLength.size(), lower.data() + lower.size(), length);
  return in.size() >= end + 4 + length;
}

template <class T>
bool read_number(std::string_view text, T& out) {
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, out);
  return read.ec == std::errc() && read.ptr == end && out > 0;
}

}  // namespace

int main(int count, char** words) {
  std::uint16_t port = 0;
  std::int64_t rate = 0;
  std::int64_t seconds = 0;
  if (count < 5 || !read_number(words[1], port) || !read_number(words[2], rate) || !read_number(words[3], seconds)) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  std::vector<std::string> requests;
  for (int i = 4; i < count; ++i)
    requests.push_back(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", words[i]));

  prctl(PR_SET_TIMERSLACK, 1000UL);
  const auto total = static_cast<std::size_t>(rate * seconds);
  std::vector<std::int64_t> took;
  took.reserve(total);
  std::vector<Connection> connections;
  std::vector<pollfd> polled;
  std::vector<char> piece(1u << 18);
  std::int64_t bytes = 0;
  const std::int64_t begin = now_ns();
  for (std::size_t sent = 0; took.size() < total;) {
    const auto due = [&] { return begin + static_cast<std::int64_t>(sent) * 1'000'000'000 / rate; };
    std::int64_t now = now_ns();
    while (sent < total && due() <= now) {
      auto free = std::find_if(connections.begin(), connections.end(), [](const Connection& c) { return c.due == 0; });
      if (free == connections.end()) {
        if (connections.size() == kConnectionsMax) give_up(fmt::format("{} requests are under way", kConnectionsMax));
        connections.push_back({connected(port), 0, {}});
        free = connections.end() - 1;
      }
      free->due = due();
      const std::string& request = requests[sent++ % requests.size()];
      if (send(free->fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
        give_up("a connection was closed");
    }
    polled.clear();
    for (const Connection& c : connections) polled.push_back({c.fd, static_cast<short>(c.due == 0 ? 0 : POLLIN), 0});
    now = now_ns();
    const std::int64_t wait = sent < total ? std::max<std::int64_t>(due() - now, 0) : kPatienceNs;
    const timespec until{wait / 1'000'000'000, wait % 1'000'000'000};
    if (ppoll(polled.data(), polled.size(), &until, nullptr) == 0 && sent == total) give_up("an answer did not come");
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      Connection& c = connections[i];
      const ssize_t more = recv(c.fd, piece.data(), piece.size(), 0);
      if (more <= 0) give_up("a connection was closed");
      bytes += more;
      c.in.append(piece.data(), static_cast<std::size_t>(more));
      if (!is_whole(c.in)) continue;
      took.push_back(now_ns() - c.due);
      c.in.clear();
      c.due = 0;
    }
  }
  const double wall = static_cast<double>(now_ns() - begin) * 1e-9;
  for (const Connection& c : connections) close(c.fd);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  std::sort(took.begin(), took.end());
  const auto quantile = [&](double part) {
    return static_cast<double>(
               took[std::min(took.size() - 1, static_cast<std::size_t>(part * static_cast<double>(took.size())))]) *
           1e-9;
  };
  fmt::print(
      "{{\"requests\":{},\"seconds\":{:.3f},\"median_s\":{:.6f},\"p99_s\":{:.6f},\"max_s\":{:.6f},"
      "\"cpu_s\":{:.3f},\"connections\":{},\"bytes\":{}}}\n",
      took.size(), wall, quantile(0.5), quantile(0.99), quantile(1.0),
      seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime), connections.size(), bytes);
  return 0;
}
