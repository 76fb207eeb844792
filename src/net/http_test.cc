#include "net/http.h"

#include <gtest/gtest.h>

namespace drey::net {
namespace {

std::unique_ptr<HttpServer> echo() {
  HttpServerOptions options;
  options.body_bytes_max = 1000;
  auto server = start_http_server(options, [](HttpRequest request, Responder respond) {
    HttpResponse response;
    response.headers.emplace_back("x-what", request.method + " " + request.target);
    response.body = request.body;
    respond(std::move(response));
  });
  EXPECT_TRUE(server.ok());
  return std::move(*server);
}

TEST(HttpServer, AnswersWithBodyAndHeaders) {
  const auto server = echo();
  const auto answer = http_call("127.0.0.1", server->port(), "POST", "/a?b=c", "hello", {}, Millis(5000));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(answer->status, 200);
}

TEST(HttpServer, RefusesBodiesThatAreTooLong) {
  const auto server = echo();
  EXPECT_EQ(http_call("127.0.0.1", server->port(), "POST", "/", std::string(1001, 'x'), {}, Millis(5000))->status, 413);
  EXPECT_EQ(http_call("127.0.0.1", server->port(), "POST", "/", std::string(1000, 'x'), {}, Millis(5000))->status, 200);
}

TEST(HttpServer, SaysWhenThePortIsInUse) {
  const auto server = echo();
  HttpServerOptions options;
  options.port = server->port();
  const auto second = start_http_server(options, [](HttpRequest, Responder) {});
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
}

TEST(HttpClient, SaysWhenNobodyListens) {
  std::uint16_t port = 0;
  {
    port = echo()->port();
  }
  EXPECT_EQ(http_call("127.0.0.1", port, "GET", "/", "", {}, Millis(2000)).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace drey::net
