// Router: from a request to the endpoint that serves it, by Flink's rules, and from its outcome to
// the answer.
//
// Paths: slashes at both ends are stripped, the rest is split at '/', each token is decoded once
// more than the whole; literals beat parameters. Everything is served below /v1 and without prefix.
// Unknown paths and known paths with another verb are 404. Errors are {"errors":[text]}; the status
// comes from the code table. Threading: handle() from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "env/env.h"
#include "gateway/cluster_gateway.h"
#include "net/http.h"
#include "rest/shape.h"
#include "rest/static_files.h"

namespace drey::rest {

// How a failure is told: most are one Java-like line; some are a bare text.
enum class ErrorForm { kHandler, kNotFoundClass, kBare };

// What a request says, before its endpoint's tables give it types.
struct RawCall {
  std::map<std::string, std::string> path;  // parameters, decoded
  std::multimap<std::string, std::string> query;
  Json body;  // null when there was none
  std::string target;
  Dialect dialect = Dialect::kFull;
  std::string upload_path;  // of the one file part, when the endpoint takes uploads
  std::string upload_name;
  std::int64_t upload_count = -1;
};

struct RawReply {
  int status = 200;
  std::string body;
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

// An operation as data; rest/operation.h makes it from a declaration.
struct Endpoint {
  std::string_view verb;
  std::string_view path;  // "/jobs/:jobid"
  int status = 200;
  std::string_view summary;
  Access access = Access::kAdmin;
  bool takes_upload = false;
  ShapeOf path_shape = nullptr;
  ShapeOf query_shape = nullptr;
  ShapeOf request_shape = nullptr;  // null: no body is wanted
  ShapeOf response_shape = nullptr;
  void (*handle)(const Endpoint&, const RawCall&, gateway::ClusterGateway&, Answer,
                 Refuse) = nullptr;
};

struct RouterOptions {
  std::vector<std::string> allowed_hosts;
  std::string allow_origin = "*";
  std::string upload_directory;
  std::optional<StaticFiles> web_ui;
};

class Router {
 public:
  Router(std::vector<Endpoint> endpoints, gateway::ClusterGateway& gateway, env::FileSystem& files,
         RouterOptions options);
  void handle(net::HttpRequest request, net::Responder respond);
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  // OpenAPI 3 of the declared endpoints.
  Json openapi() const;

 private:
  const Endpoint* match(std::string_view verb, const std::vector<std::string>& tokens,
                        std::map<std::string, std::string>& path) const;
  bool take_upload(const net::HttpRequest& request, RawCall& call, std::string& problem) const;

  std::vector<Endpoint> endpoints_;
  std::vector<std::vector<std::string>> patterns_;  // of endpoints_, split at '/'
  gateway::ClusterGateway& gateway_;
  env::FileSystem& files_;
  const RouterOptions options_;
};

// All endpoints of the API, by family.
std::vector<Endpoint> all_endpoints();
std::vector<Endpoint> application_endpoints();
std::vector<Endpoint> cluster_endpoints();
std::vector<Endpoint> job_endpoints();
std::vector<Endpoint> vertex_endpoints();
std::vector<Endpoint> checkpoint_endpoints();
std::vector<Endpoint> operation_endpoints();
std::vector<Endpoint> jar_endpoints();
std::vector<Endpoint> task_manager_endpoints();
std::vector<Endpoint> metric_endpoints();

}  // namespace drey::rest
