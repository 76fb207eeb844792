// Router: from a request to the endpoint that serves it, by Flink's rules, and from its outcome to
// the answer.
//
// Paths: slashes at both ends are stripped, the rest is split at '/', each token is decoded once
// more than the whole; literals beat parameters. Everything is served below /v1 and without prefix.
// Unknown paths and known paths with another verb are 404. Errors are {"errors":[text]}; the status
// comes from the code table. Threading: handle() from any thread.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/cluster_gateway.h"
#include "net/http.h"
#include "rest/event_hub.h"
#include "rest/rest_options.h"
#include "rest/shape.h"
#include "rest/static_files.h"

namespace drey::rest {

inline constexpr std::string_view kJsonType = "application/json; charset=UTF-8";

// How a failure is told: most are one Java-like line; some are a bare text.
// kDownload: bare, of a file, without CORS header.
enum class ErrorForm { kHandler, kNotFoundClass, kBare, kDownload };

// What a request says, before its endpoint's tables give it types.
struct RawCall {
  std::map<std::string, std::string> path;  // parameters, decoded
  std::multimap<std::string, std::string> query;
  Json body;  // null when there was none
  std::string target;
  Dialect dialect = Dialect::kFull;
  std::vector<net::Part> files;  // file parts, when the endpoint takes uploads
  const class Router* router = nullptr;
  const net::HttpRequest* head = nullptr;  // as long as the handler runs; its body is gone
};

struct RawReply {
  int status = 200;
  std::string body;
  std::string_view type = kJsonType;
  std::optional<net::FileBody> file;        // in place of body
  std::shared_ptr<net::BodyStream> stream;  // in place of body
  std::optional<std::uint64_t> tag;         // of what the body says, for If-None-Match
  net::Headers headers;
  bool cors = true;
};
// A failure with the form it is told in.
struct Refusal {
  Status status;
  ErrorForm form = ErrorForm::kHandler;
};
using Answer = std::function<void(RawReply)>;
using Refuse = std::function<void(Refusal)>;

// The role a caller needs, once callers are told apart; what is above kView also checks the origin.
enum class Access { kView, kOperate, kSubmit, kAdmin };
inline constexpr std::array<std::string_view, 4> kRoles{"viewer", "operator", "submitter", "admin"};

// An endpoint as data; rest/endpoint.h makes it from a declaration.
struct Endpoint {
  std::string_view verb;
  std::string_view path;  // "/jobs/:jobid"
  int status = 200;
  std::string_view summary;
  Access access = Access::kAdmin;
  bool takes_upload = false;
  bool shared = false;  // its answers say the same to everyone: see AnswerCache
  const Shape* path_shape = nullptr;
  const Shape* query_shape = nullptr;
  const Shape* request_shape = nullptr;                // null: no body is wanted
  std::string_view request_name = "EmptyRequestBody";  // how errors name the body's type
  const Shape* response_shape = nullptr;
  void (*handle)(const Endpoint&, const RawCall&, gateway::ClusterGateway&, Answer, Refuse) = nullptr;
};

// How often an endpoint was called and how long it took. Threading: any number of writers at a time.
struct EndpointCounters {
  // Upper bounds of the buckets of `took`, in microseconds; the last bucket has none.
  static constexpr std::array<std::int64_t, 8> kBounds{100, 500, 1'000, 5'000, 10'000, 100'000, 1'000'000, 10'000'000};
  std::atomic<std::int64_t> answered{0};
  std::atomic<std::int64_t> refused{0};  // 4xx
  std::atomic<std::int64_t> failed{0};   // 5xx
  std::atomic<std::int64_t> took_us{0};
  std::array<std::atomic<std::int64_t>, kBounds.size() + 1> took{};
};

class AnswerCache;  // answer_cache.h
class EndedRows;    // ended_rows.h
class Gatekeeper;   // gatekeeper.h

struct RouterOptions {
  std::vector<std::string> allowed_hosts;
  std::string allow_origin = "*";
  Compat compat = Compat::kAuto;
  bool access_log = false;
  std::shared_ptr<Gatekeeper> gatekeeper;  // null: everyone may do everything
  std::optional<StaticFiles> web_ui;
  EventHubOptions events;
};

class Router {
 public:
  Router(std::vector<Endpoint> endpoints, gateway::ClusterGateway& gateway, RouterOptions options);
  ~Router();
  void handle(net::HttpRequest request, net::Responder respond);
  // Whether the files of this request's body are wanted: asked before they are read.
  bool keeps_files(const net::HttpRequest& head) const;
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  // Prometheus text of the endpoints' counters.
  std::string endpoint_metrics() const;
  EventHub& events() const { return *events_; }
  const std::shared_ptr<EndedRows>& ended_rows() const { return ended_rows_; }

 private:
  // A request's path: what it matches, or why it cannot be read.
  struct Matched {
    std::string whole;
    std::vector<std::string> tokens;
    const Endpoint* endpoint = nullptr;
    std::map<std::string, std::string> path;
    std::string problem;
    bool versioned = false;
  };
  Matched match(std::string_view verb, std::string_view target) const;
  // Checks host, origin and login: the answer to a caller who may not go on. A failed login is counted when `counts`.
  std::optional<net::HttpResponse> refused(const net::HttpRequest& request, const Endpoint* endpoint,
                                           bool counts) const;
  Dialect dialect_of(const net::HttpRequest& request, bool versioned) const;
  net::HttpResponse reply(RawReply raw) const;
  net::HttpResponse bare(int status, std::string_view text, bool cors) const;
  net::HttpResponse refusal(const Refusal& refusal) const;
  // Counts and logs an answer.
  void record(const Endpoint& endpoint, std::string_view peer, std::string_view method, std::string_view target,
              int status, Ticks began);

  std::vector<Endpoint> endpoints_;
  std::vector<std::vector<std::string>> patterns_;  // of endpoints_, split at '/'
  std::vector<std::unique_ptr<EndpointCounters>> counters_;
  gateway::ClusterGateway& gateway_;
  const RouterOptions options_;
  const std::unique_ptr<AnswerCache> answers_;
  const std::shared_ptr<EndedRows> ended_rows_;  // answers that come late use it
  const std::unique_ptr<EventHub> events_;
};

// OpenAPI 3 of declared endpoints; the reference page of the same.
Json openapi(const std::vector<Endpoint>& endpoints);
std::string reference_page(const std::vector<Endpoint>& endpoints);

// All endpoints of the API, by family.
std::vector<Endpoint> all_endpoints();
std::vector<Endpoint> application_endpoints();
std::vector<Endpoint> cluster_endpoints();
std::vector<Endpoint> job_endpoints();
std::vector<Endpoint> vertex_endpoints();
std::vector<Endpoint> checkpoint_endpoints();
std::vector<Endpoint> event_endpoints();
std::vector<Endpoint> rescale_endpoints();
std::vector<Endpoint> operation_endpoints();
std::vector<Endpoint> jar_endpoints();
std::vector<Endpoint> task_manager_endpoints();
std::vector<Endpoint> metric_endpoints();
std::vector<Endpoint> log_endpoints();

}  // namespace drey::rest
