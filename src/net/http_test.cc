#include "net/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <zlib.h>

#include <future>
#include <mutex>
#include <thread>

#include "env/env.h"
#include "net/request_reader.h"

namespace drey::net {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

HttpResponse echoed(const HttpRequest& request) {
  HttpResponse response;
  response.headers.emplace_back("content-type", "text/plain");
  response.headers.emplace_back("x-what", request.method + " " + request.target);
  response.body = request.body;
  for (const Part& part : request.parts) {
    response.body +=
        part.name + "=" + part.file_name.value_or("-") + ":" + std::to_string(part.bytes) + ":" + part.text;
    if (part.file != nullptr) response.body += env::posix().files.read_all(part.file->path()).value_or("gone");
    response.body += ";";
  }
  return response;
}

class Http : public testing::Test {
 protected:
  void start(std::function<void(HttpServerOptions&)> change = {}, HttpHandler handler = {}) {
    HttpServerOptions options;
    options.body_bytes_max = 1000;
    options.upload_bytes_max = 3u << 20;
    options.files = &env::posix().files;
    options.spool_directory = spool_;
    options.keeps_files = [](const HttpRequest& head) { return head.target == "/upload"; };
    if (change) change(options);
    if (!handler) {
      handler = [](const HttpRequest& request, const Responder& respond) { respond(echoed(request)); };
    }
    auto server = start_http_server(options, std::move(handler));
    ASSERT_TRUE(server.ok()) << server.status().to_string();
    server_ = std::move(*server);
  }
  Result<HttpResponse> call(const std::string& method, const std::string& target, std::string body = "",
                            Headers headers = {}) {
    HttpCall call;
    call.port = server_->port();
    call.method = method;
    call.target = target;
    call.body = std::move(body);
    call.headers = std::move(headers);
    call.timeout = Millis(20'000);
    return http_call(call);
  }
  Result<HttpResponse> post_parts(const std::string& body) {
    return call("POST", "/upload", body, {{"content-type", "multipart/form-data; boundary=b"}});
  }
  int connected() {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval deadline{20, 0};
    setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    EXPECT_EQ(connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket_fd;
  }
  // What comes until the server closes.
  static std::string all_of(int socket_fd) {
    std::string all;
    char piece[4096];
    for (ssize_t got = 0; (got = recv(socket_fd, piece, sizeof piece, 0)) > 0;)
      all.append(piece, static_cast<std::size_t>(got));
    close(socket_fd);
    return all;
  }
  // Sends bytes as they are.
  std::string raw(const std::string& bytes) {
    const int socket_fd = connected();
    static_cast<void>(send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    return all_of(socket_fd);
  }
  const std::string spool_ = testing::TempDir();
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Http, AnswersWithBodyAndHeaders) {
  start();
  const auto answer = call("POST", "/a?b=c", "hello");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(answer->status, 200);
}

TEST_F(Http, RefusesBodiesThatAreTooLong) {
  start();
  EXPECT_EQ(call("POST", "/", std::string(1001, 'x'))->status, 413);
  EXPECT_EQ(call("POST", "/", std::string(1000, 'x'))->status, 200);
  // A body that is not announced; the rest of it is not taken for a request.
  const std::string chunk = "400\r\n" + std::string(0x400, 'x') + "\r\n";
  const std::string answer =
      raw("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos);
}

TEST_F(Http, PipelinedRequestsAreAnsweredInOrder) {
  // The first answer comes from another thread.
  std::unique_ptr<env::Thread> later;
  start({}, [&](const HttpRequest& request, Responder respond) {
    HttpResponse response;
    response.body = request.target;
    if (request.target == "/1") {
      later = env::start_thread("late", [respond, response] { respond(response); });
      return;
    }
    respond(response);
  });
  std::string requests;
  for (int i = 1; i <= 5; ++i)
    requests +=
        "GET /" + std::to_string(i) + " HTTP/1.1\r\nhost: a\r\n" + (i == 5 ? "connection: close\r\n\r\n" : "\r\n");
  const std::string answers = raw(requests);
  std::size_t at = 0;
  for (int i = 1; i <= 5; ++i) {
    at = answers.find("\r\n\r\n/" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << answers;
  }
}

TEST_F(Http, BoundsTheHead) {
  start();
  EXPECT_THAT(raw("GET /" + std::string(60'000, 'a') + " HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(raw("GET /" + std::string(70'000, 'a') + " HTTP/1.1\r\nhost: a\r\n\r\n"), StartsWith("HTTP/1.1 414"));
  EXPECT_THAT(raw("GET /" + std::string(200'000, 'a') + " HTTP/1.1\r\nhost: a\r\n\r\n"), StartsWith("HTTP/1.1 414"));
  std::string many = "GET / HTTP/1.1\r\nhost: a\r\n";
  for (int i = 0; i < 100'000; ++i) many += "x: y\r\n";
  EXPECT_THAT(raw(many + "\r\n"), StartsWith("HTTP/1.1 431"));
}

TEST_F(Http, RefusesWhatCanBeReadInTwoWays) {
  start();
  for (const char* head :
       {"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nabcde", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n", "GET / HTTP/1.1\r\nhost : a\r\n\r\n", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "hello\r\n\r\n",
        // Transfer-Encoding in disguise, or none that this server knows.
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\vchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nx: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        // Lengths that others read as something else.
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 6\r\n\r\nabcdef",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nabcde",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n",
        // Chunks.
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
        "chunked\r\n\r\n2;x\nab\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
        "chunked\r\n\r\nfffffffffffffffff\r\nab\r\n",
        // Lines.
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\n\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: y\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n", "GET\t/\tHTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: a\r\n\r\n", "GET / http/1.1\r\nhost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"}) {
    const std::string answer = raw(head);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << head;
    EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << head;
  }
}

// What a reader makes of bytes that come in pieces of that size: the target and body of each
// request, then how it ends.
std::vector<std::string> read_in_pieces(std::string_view bytes, std::size_t piece, const HttpServerOptions& options) {
  RequestReader reader(options, "peer");
  std::vector<std::string> seen;
  while (true) {
    const auto next = reader.next();
    if (next == RequestReader::Next::kRequest) {
      const HttpRequest request = reader.take();
      seen.push_back(request.target + " " + request.body);
    } else if (next == RequestReader::Next::kRefused) {
      seen.push_back(std::to_string(reader.refusal().status));
      return seen;
    } else if (bytes.empty()) {
      seen.emplace_back(reader.is_idle() ? "idle" : reader.in_body() ? "body" : "head");
      return seen;
    } else {
      const auto room = reader.room();
      const std::size_t size = std::min({piece, bytes.size(), room.size()});
      std::copy_n(bytes.begin(), size, room.begin());
      bytes.remove_prefix(size);
      reader.came(size);
    }
  }
}

using Seen = std::vector<std::string>;
void expect_in_any_pieces(const std::string& bytes, const Seen& expected, const HttpServerOptions& options = {}) {
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
    EXPECT_EQ(read_in_pieces(bytes, piece, options), expected) << piece << " " << bytes;
}

// However it comes: found by the fuzzer.
TEST(RequestReader, AHeadIsReadTheSameWayInAnyPieces) {
  expect_in_any_pieces("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\nlast: 1\r\n\r\n", {"400"});
  expect_in_any_pieces("GET / HTTP/1.1\r\nhost: a\r\n\r\n", {"/ ", "idle"});
  expect_in_any_pieces("GET / HTTP/1.1\r\nhost: a\r\nx y\r\n\r\n", {"400"});
  expect_in_any_pieces("GET / HTTP/1.1\nhost: a\r\n\r\n", {"400"});
}

// Two findings of the fuzzer: a last chunk in pieces ended the process, and data behind its bound
// was waited for when its first byte was a zero and few came.
TEST(RequestReader, ChunksAreReadTheSameWayInAnyPieces) {
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  const auto expect = [&](const std::string& chunks, const Seen& expected) {
    HttpServerOptions options;
    options.body_bytes_max = 8;
    expect_in_any_pieces(head + chunks, expected, options);
  };
  for (const auto& [chunks, body] : {std::pair<std::string, std::string>{"0\r\n\r\n", ""},
                                     {"000;a=\"b\"\r\nx: y\r\nz:\r\n\r\n", ""},
                                     {"1\r\na\r\n0\r\n\r\n", "a"},
                                     {"2\r\n0\r\r\n0\r\n\r\n", "0\r"},
                                     {"3;e=f\r\nabc\r\n5\r\n00000\r\n0\r\n\r\n", "abc00000"}}) {
    expect(chunks, {"/ " + body, "idle"});
    expect(chunks + "GET /x HTTP/1.1\r\n\r\n", {"/ " + body, "/x ", "idle"});
  }
  expect("8\r\n01234567\r\n1\r\n0", {"413"});
  expect("9\r\n123456780", {"413"});
  expect("ffffffffffffffff\r\n", {"413"});
  expect("10000000000000000\r\n", {"400"});
  for (const char* broken : {"\r\n",
                             "\n",
                             ";\r\n",
                             "2 a\r\n",
                             "2 \r\n",
                             "0x2\r\n",
                             " 2\r\n",
                             "-2\r\n",
                             "2\n",
                             "2;a\nb\r\n",
                             "2;\rb\r\n",
                             "2\r\nabc\r\n",
                             "2\r\nab0\r\n",
                             "2\r\nab\n",
                             "2\r\nab\rx\n",
                             "0\r\nx\r\n",
                             "0\r\n: y\r\n",
                             "0\r\nx : y\r\n",
                             "0\r\n x: y\r\n",
                             "0\r\nx: a\rb\r\n",
                             "0\r\nx: y\n",
                             "0\r\n\n"})
    expect(broken, {"400"});
  for (const char* cut : {"", "2", "2;", "2\r", "2\r\n", "2\r\n0", "2\r\nab", "2\r\nab\r", "2\r\nab\r\n", "0", "0\r\n",
                          "0\r\nx", "0\r\nx: y\r\n", "0\r\n\r"})
    expect(cut, {"body"});
}

TEST(RequestReader, LinesOfChunksAndTrailersAreBounded) {
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
  EXPECT_EQ(read_in_pieces(head + "0;" + std::string(5000, 'x'), 100, {}), Seen{"400"});
  EXPECT_EQ(read_in_pieces(head + "0;" + std::string(5000, 'x') + "\r\n\r\n", 9000, {}), Seen{"400"});
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100'000; ++i) trailers += "x: y\r\n";
  EXPECT_EQ(read_in_pieces(head + trailers, 4096, {}), Seen{"400"});
}

TEST_F(Http, AHeaderHoldsNoNulAndNoLineOfAMegabyte) {
  start();
  using std::string_literals::operator""s;
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n"s), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nhost: a\r\nx: " + std::string(1u << 20, 'y') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;" + std::string(1u << 20, 'x')),
              StartsWith("HTTP/1.1 400"));
}

TEST_F(Http, AFloodOfPipelinedRequestsIsAnsweredOneByOne) {
  start();
  constexpr int kRequests = 20'000;
  std::string flood;
  for (int i = 1; i < kRequests; ++i) flood += "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  flood += "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
  // Both ways at once: nobody's buffer holds all of it.
  const int socket_fd = connected();
  auto sent = std::async(std::launch::async, [&] {
    for (std::size_t at = 0; at < flood.size();) {
      const ssize_t more = send(socket_fd, flood.data() + at, flood.size() - at, MSG_NOSIGNAL);
      if (more <= 0) return false;
      at += static_cast<std::size_t>(more);
    }
    return true;
  });
  const std::string answers = all_of(socket_fd);
  EXPECT_TRUE(sent.get());
  int count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, kRequests);
}

TEST_F(Http, WhoDribblesIsClosedAndThoseWhoWaitForAPlaceGetIt) {
  start([](HttpServerOptions& options) {
    options.connections_max = 8;
    options.head_deadline = options.piece_deadline = Millis(300);
    options.body_deadline = Millis(600);
  });
  // A head, a body and an answer that never end.
  std::vector<int> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(connected());
    const std::string begun =
        i % 2 == 0 ? "GET / HTTP/1.1\r\nhost: a\r\n" : "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\n";
    ASSERT_EQ(send(slow.back(), begun.data(), begun.size(), MSG_NOSIGNAL), static_cast<ssize_t>(begun.size()));
  }
  // Each byte comes in time, the whole does not.
  const auto end = env::posix().clock.ticks() + std::chrono::seconds(20);
  std::vector<bool> closed(slow.size());
  while (std::count(closed.begin(), closed.end(), true) < 8 && env::posix().clock.ticks() < end) {
    for (std::size_t i = 0; i < slow.size(); ++i) {
      char byte = 'x';
      if (closed[i]) continue;
      timeval soon{0, 20'000};
      setsockopt(slow[i], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
      if (send(slow[i], &byte, 1, MSG_NOSIGNAL) <= 0 || recv(slow[i], &byte, 1, 0) == 0) closed[i] = true;
    }
  }
  EXPECT_EQ(std::count(closed.begin(), closed.end(), true), 8);
  for (const int fd : slow) close(fd);
  EXPECT_TRUE(call("GET", "/").ok());
}

TEST_F(Http, WhoDoesNotReadIsClosed) {
  const std::string big(8u << 20, 'b');
  start([](HttpServerOptions& options) { options.piece_deadline = Millis(300); },
        [&](const HttpRequest&, const Responder& respond) {
          HttpResponse response;
          response.body = big;
          respond(std::move(response));
        });
  const int socket_fd = connected();
  const int small = 4096;
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const std::string request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  ASSERT_GT(send(socket_fd, request.data(), request.size(), MSG_NOSIGNAL), 0);
  // Nothing is read until the server has given up: then sending fails.
  const auto end = env::posix().clock.ticks() + std::chrono::seconds(20);
  bool is_closed = false;
  while (!is_closed && env::posix().clock.ticks() < end) {
    pollfd watched{socket_fd, POLLRDHUP, 0};
    is_closed = poll(&watched, 1, 100) > 0 && (watched.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }
  EXPECT_TRUE(is_closed);
  close(socket_fd);
  server_.reset();  // it has read `big`
}

TEST_F(Http, ExpectationsAreMetOrRefused) {
  start();
  const std::string head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
  EXPECT_THAT(raw(head + "content-length: 2\r\nexpect: 100-continue\r\n\r\nok"),
              AllOf(StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), HasSubstr("ok")));
  EXPECT_THAT(raw(head + "content-length: 2000\r\nexpect: 100-continue\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(raw(head + "content-length: 2\r\nexpect: tea\r\n\r\nok"), StartsWith("HTTP/1.1 417"));
}

TEST_F(Http, LongAnswersAreGzippedForWhoAsks) {
  start([](HttpServerOptions& options) { options.body_bytes_max = 1 << 20; });
  const std::string text(100'000, 'z');
  EXPECT_EQ(call("POST", "/", text)->body.size(), text.size());
  EXPECT_EQ(call("POST", "/", text, {{"accept-encoding", "gzip;q=0"}})->body.size(), text.size());
  const auto small = call("POST", "/", text, {{"accept-encoding", "br, gzip"}});
  ASSERT_LT(small->body.size(), 1000u);
  std::string back(text.size(), '\0');
  z_stream z{};
  ASSERT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(small->body.data()));
  z.avail_in = static_cast<uInt>(small->body.size());
  z.next_out = reinterpret_cast<Bytef*>(back.data());
  z.avail_out = static_cast<uInt>(back.size());
  EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
  inflateEnd(&z);
  EXPECT_EQ(back, text);
}

TEST_F(Http, PartsAreTakenApartAndFilesGoToDisk) {
  start();
  const std::string big(1'500'000, '\r');  // every byte may begin a boundary
  const auto answer = post_parts(
      "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n"
      "--b\r\ncontent-disposition: form-data; name=jarfile; filename=\"a b.jar\"\r\n"
      "Content-Type: x/y\r\n\r\n" +
      big +
      "\r\n--b\r\nContent-Disposition: form-data; name=e; "
      "filename*=UTF-8''na%20me\r\n\r\n\r\n--b--");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "request=-:2:{};jarfile=a b.jar:1500000:" + big + ";e=na me:0:;");
  // Nothing stays behind, and where files are not wanted none is written.
  EXPECT_EQ(call("POST", "/other", "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nabc\r\n--b--",
                 {{"content-type", "multipart/form-data; boundary=b"}})
                ->body,
            "f=x:3:;");
  for (const std::string& name : env::posix().files.list(spool_).value_or({}))
    EXPECT_FALSE(name.starts_with(".upload")) << name;
}

TEST_F(Http, APartThatIsCutIsNotThere) {
  start();
  EXPECT_EQ(post_parts("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nabc")->body, "");
  EXPECT_EQ(post_parts("--b\r\nContent-Disp")->body, "");
  EXPECT_EQ(post_parts("")->body, "");
}

TEST_F(Http, UploadsAreBounded) {
  start();
  EXPECT_EQ(post_parts("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n" +
                       std::string(4u << 20, 'x') + "\r\n--b--")
                ->status,
            413);
}

TEST_F(Http, UploadsKeepToTheQuotaAndGiveBackWhatTheyHeld) {
  const auto quota = std::make_shared<SpoolQuota>();
  quota->bytes_max = 1'000'000;
  quota->option = "the.option";
  quota->stored = [] { return std::uint64_t{400'000}; };
  start([&](HttpServerOptions& options) { options.quota = quota; },
        [&](HttpRequest request, const Responder& respond) {
          HttpResponse response;
          response.body =
              request.parts_problem.ok() ? std::to_string(request.parts[0].bytes) : request.parts_problem.message();
          request.parts.clear();  // who has the answer looks whether its file is gone
          respond(response);
        });
  const auto post = [&](std::size_t bytes) {
    return post_parts("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n" + std::string(bytes, 'x') +
                      "\r\n--b--")
        ->body;
  };
  EXPECT_EQ(post(600'000), "600000");
  EXPECT_THAT(post(600'001), AllOf(HasSubstr("1000000 bytes in all"), HasSubstr("the.option")));
  EXPECT_EQ(quota->spooled, 0u);
  EXPECT_EQ(post(600'000), "600000");
  for (const std::string& name : env::posix().files.list(spool_).value_or({}))
    EXPECT_FALSE(name.starts_with(".upload")) << name;
}

TEST(MultipartReader, TakesAnySplitOfItsInput) {
  const std::string body =
      "--b\r\nContent-Disposition: form-data; name=a\r\n\r\none\r\n--b\r\n\r\n\r\n--b\r\n"
      "Content-Disposition: form-data; name=c\r\n\r\n--\r\n-b\r\n--b--\r\n";
  for (std::size_t piece = 1; piece < body.size(); ++piece) {
    MultipartReader reader("b", nullptr, "");
    for (std::size_t at = 0; at < body.size(); at += piece)
      ASSERT_TRUE(reader.feed(std::string_view(body).substr(at, piece)).ok());
    const auto parts = reader.take();
    ASSERT_EQ(parts.size(), 3u) << piece;
    EXPECT_EQ(parts[0].text, "one");
    EXPECT_EQ(parts[1].text, "");
    EXPECT_EQ(parts[2].text, "--\r\n-b");
  }
}

TEST(MultipartReader, RefusesTooManyPartsAndLongHeads) {
  MultipartReader many("b", nullptr, "");
  Status last;
  for (int i = 0; i < 100 && last.ok(); ++i) last = many.feed("--b\r\n\r\nx\r\n");
  EXPECT_EQ(last.code(), Code::kInvalidArgument);
  MultipartReader longhead("b", nullptr, "");
  EXPECT_EQ(longhead.feed("--b\r\n" + std::string(20'000, 'x')).code(), Code::kInvalidArgument);
  MultipartReader text("b", nullptr, "");
  EXPECT_EQ(text.feed("--b\r\n\r\n" + std::string(2u << 20, 'x')).code(), Code::kInvalidArgument);
}

TEST_F(Http, FilesAreSentInPieces) {
  const std::string path = spool_ + "/http_test_file";
  const std::string text(700'000, 'f');
  ASSERT_TRUE(env::posix().files.write_atomic(path, text + "end").ok());
  start({}, [&](const HttpRequest&, const Responder& respond) {
    HttpResponse response;
    std::shared_ptr<env::ReadableFile> file = env::posix().files.open(path).value();
    response.file = FileBody{file, 1, file->size() - 1};
    respond(response);
  });
  EXPECT_EQ(call("GET", "/")->body, text.substr(1) + "end");
  EXPECT_THAT(raw("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
              testing::EndsWith("content-length: 700002\r\n\r\n"));
}

TEST_F(Http, AnAnswerThatDoesNotComeBecomesOne) {
  std::vector<Responder> kept;  // never answered
  std::mutex mutex;
  start([](HttpServerOptions& options) { options.answer_deadline = Millis(50); },
        [&](const HttpRequest&, Responder respond) {
          std::lock_guard guard(mutex);
          kept.push_back(std::move(respond));
        });
  EXPECT_EQ(call("GET", "/")->status, 503);
}

TEST_F(Http, RequestsUnderWayEndBeforeTheServerDoes) {
  std::promise<Responder> asked;
  start({}, [&](const HttpRequest&, Responder respond) { asked.set_value(std::move(respond)); });
  auto answer = std::async(std::launch::async, [&] { return call("GET", "/"); });
  const Responder respond = asked.get_future().get();
  auto ended = std::async(std::launch::async, [&] { server_.reset(); });
  respond(HttpResponse());
  EXPECT_EQ(answer.get()->status, 200);
  ended.get();
  respond(HttpResponse());  // late: nobody is there any more
}

TEST_F(Http, ConnectionsAreBounded) {
  start([](HttpServerOptions& options) { options.connections_max = 0; });
  EXPECT_FALSE(call("GET", "/").ok());
}

TEST_F(Http, SaysWhenThePortIsInUse) {
  start();
  HttpServerOptions options;
  options.port = server_->port();
  const auto second = start_http_server(options, [](HttpRequest, Responder) {});
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
}

TEST_F(Http, TheClientSaysWhenNobodyListens) {
  start();
  HttpCall dead;
  dead.port = server_->port();
  server_.reset();
  EXPECT_EQ(http_call(dead).status().code(), Code::kUnavailable);
}

TEST_F(Http, TheClientWaitsNoLongerThanItWasTold) {
  std::vector<Responder> kept;
  std::mutex mutex;
  start({}, [&](const HttpRequest&, Responder respond) {
    std::lock_guard guard(mutex);
    kept.push_back(std::move(respond));
  });
  HttpCall slow;
  slow.port = server_->port();
  slow.timeout = Millis(200);
  const Ticks began = env::posix().clock.ticks();
  EXPECT_EQ(http_call(slow).status().code(), Code::kTimeout);
  EXPECT_LT(env::posix().clock.ticks() - began, Millis(10'000));
  std::lock_guard guard(mutex);
  for (const Responder& respond : kept) respond({});
}

TEST_F(Http, ThePlainClientReadsNoCertificates) {
  start();
  HttpCall plain;
  plain.port = server_->port();
  plain.authority = "/nonexistent.pem";
  EXPECT_TRUE(http_call(plain).ok());
  plain.tls = true;
  EXPECT_EQ(http_call(plain).status().code(), Code::kInvalidArgument);
}

// A certificate that signs itself, made by the openssl program; false when there is none.
bool make_certificate(const std::string& base, const std::string& name) {
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
      "/CN=" +
      name + " -addext subjectAltName=DNS:localhost -keyout " + base + ".key -out " + base + ".pem >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

TEST_F(Http, SpeaksTlsAndTakesChangedCertificates) {
  const std::string base = spool_ + "/http_test_tls";
  if (!make_certificate(base, "one")) GTEST_SKIP() << "no openssl program";
  start([&](HttpServerOptions& options) { options.tls = TlsFiles{base + ".pem", base + ".key", ""}; });
  HttpCall call;
  call.host = "localhost";
  call.port = server_->port();
  call.tls = true;
  call.authority = base + ".pem";
  const auto answer = http_call(call);
  ASSERT_TRUE(answer.ok()) << answer.status().to_string();
  EXPECT_EQ(answer->status, 200);
  // The certificate names the host, not the address.
  call.host = "127.0.0.1";
  const auto stranger = http_call(call);
  EXPECT_EQ(stranger.status().code(), Code::kUnavailable);
  EXPECT_NE(stranger.status().message().find("No TLS with 127.0.0.1"), std::string::npos)
      << stranger.status().message();
  call.host = "localhost";
  // Whose certificate is not known is not trusted.
  ASSERT_TRUE(make_certificate(base + "2", "two"));
  call.authority = base + "2.pem";
  EXPECT_EQ(http_call(call).status().code(), Code::kUnavailable);
  // The other certificate comes into use without a start.
  env::FileSystem& files = env::posix().files;
  ASSERT_TRUE(files.rename(base + "2.key", base + ".key").ok());
  ASSERT_TRUE(files.write_atomic(base + ".pem", *files.read_all(base + "2.pem")).ok());
  EXPECT_TRUE(http_call(call).ok());
  // Who speaks plainly gets no answer.
  call.tls = false;
  EXPECT_FALSE(http_call(call).ok());
}

TEST_F(Http, AsksCallersForACertificateWhenToldTo) {
  const std::string base = spool_ + "/http_test_mtls";
  if (!make_certificate(base, "one")) GTEST_SKIP() << "no openssl program";
  start([&](HttpServerOptions& options) { options.tls = TlsFiles{base + ".pem", base + ".key", base + ".pem"}; });
  HttpCall call;
  call.host = "localhost";
  call.port = server_->port();
  call.tls = true;
  call.authority = base + ".pem";
  EXPECT_FALSE(http_call(call).ok());  // it shows none
  call.certificate = base + ".pem";
  call.key = base + ".key";
  EXPECT_TRUE(http_call(call).ok());
}

TEST_F(Http, TlsFilesThatCannotBeReadAreRefusedAtTheStart) {
  HttpServerOptions options;
  options.tls = TlsFiles{"/nonexistent.pem", "/nonexistent.key", ""};
  EXPECT_FALSE(start_http_server(options, [](HttpRequest, Responder) {}).ok());
}

// A handler that answers with this stream.
HttpHandler streaming(std::shared_ptr<BodyStream> stream) {
  return [stream](const HttpRequest&, const Responder& respond) {
    HttpResponse response;
    response.headers.emplace_back("content-type", "text/event-stream");
    response.stream = stream;
    respond(std::move(response));
  };
}

TEST_F(Http, AStreamIsWrittenAsItComesAndClosesAfterItsEnd) {
  auto stream = std::make_shared<BodyStream>(BodyStreamOptions{});
  start({}, streaming(stream));
  EXPECT_TRUE(stream->push("one"));
  auto answer = std::async(std::launch::async, [&] { return call("GET", "/"); });
  EXPECT_TRUE(stream->push("two"));
  stream->end("three");
  const auto got = answer.get();
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  EXPECT_EQ(got->body, "onetwothree");
  EXPECT_FALSE(stream->push("four"));
}

TEST_F(Http, OldClientsGetAStreamWithoutChunks) {
  auto stream = std::make_shared<BodyStream>(BodyStreamOptions{});
  start({}, streaming(stream));
  stream->push("one");
  stream->end();
  const std::string answer = raw("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\none"));
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
}

TEST_F(Http, AnIdleStreamSaysThatItLives) {
  auto stream = std::make_shared<BodyStream>(BodyStreamOptions{.idle_piece = "idle", .idle_pause = Millis(1)});
  start({}, streaming(stream));
  const int socket_fd = connected();
  const std::string request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  static_cast<void>(send(socket_fd, request.data(), request.size(), MSG_NOSIGNAL));
  std::string all;
  char piece[4096];
  for (ssize_t got = 0;
       all.find("4\r\nidle\r\n") == std::string::npos && (got = recv(socket_fd, piece, sizeof piece, 0)) > 0;)
    all.append(piece, static_cast<std::size_t>(got));
  EXPECT_THAT(all, HasSubstr("4\r\nidle\r\n"));
  // A reader that has gone is noticed by one of the next pieces.
  close(socket_fd);
  const auto end = env::posix().clock.ticks() + std::chrono::seconds(20);
  while (stream->is_open() && env::posix().clock.ticks() < end) {
    stream->push("more");
    std::this_thread::yield();
  }
  EXPECT_FALSE(stream->is_open());
}

TEST_F(Http, StreamsEndWithTheServer) {
  auto stream = std::make_shared<BodyStream>(BodyStreamOptions{.goodbye = "bye"});
  std::promise<void> asked;
  start({}, [&, answer = streaming(stream)](const HttpRequest& request, const Responder& respond) {
    answer(request, respond);
    asked.set_value();
  });
  auto answer = std::async(std::launch::async, [&] { return call("GET", "/"); });
  asked.get_future().wait();
  server_.reset();
  const auto got = answer.get();
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  EXPECT_EQ(got->body, "bye");
}

TEST(BodyStreamTest, WhatDoesNotFitIsRefusedWhole) {
  BodyStream stream({.bytes_max = 10});
  EXPECT_TRUE(stream.push("12345"));
  EXPECT_FALSE(stream.push("123456"));
  EXPECT_TRUE(stream.push("67890"));
  stream.end("the last word");
  stream.end("not this");
  const auto [bytes, ended] = stream.take();
  EXPECT_EQ(bytes, "1234567890the last word");
  EXPECT_TRUE(ended);
  EXPECT_FALSE(stream.is_open());
}

TEST(BodyStreamTest, WakesOnceForWhatComes) {
  BodyStream stream({});
  int woken = 0;
  stream.on_ready([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  stream.push("a");
  stream.push("b");
  EXPECT_EQ(woken, 1);
  stream.on_ready([&] { ++woken; });
  EXPECT_EQ(woken, 2);
  stream.take();
  stream.on_ready([&] { ++woken; });
  stream.close();
  EXPECT_FALSE(stream.push("c"));
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace drey::net
