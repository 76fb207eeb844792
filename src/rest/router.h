// Router: from a request to the endpoint that serves it, by Flink's rules, and from its outcome to the answer.
//
// Paths: slashes at both ends are stripped, the rest is split at '/', each token is decoded once more than the whole;
// literals beat parameters. Everything is served below /v1 and without prefix. Unknown paths and known paths with
// another verb are 404. Errors are {"errors":[text]}; the status comes from the code table.
// Threading: handle() from any thread.
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
#include "wire/json/json.h"

namespace drey::rest {

using wire::Json;

// How a failure is told: most are one Java-like line; some are a bare text.
enum class ErrorForm { kHandler, kNotFoundClass, kBare };

struct Call {
  std::map<std::string, std::string> path;     // parameters, decoded
  std::multimap<std::string, std::string> query;
  Json body;                                   // null when there was none
  std::string target;
  std::string upload_path;                     // of the one file part, when the endpoint takes uploads
  std::string upload_name;
  std::int64_t upload_count = -1;

  // Values of a query key: repeated keys joined, split at commas.
  std::vector<std::string> list(const std::string& key) const;
  std::optional<std::string> first(const std::string& key) const;
};

struct Reply {
  int status = 200;
  Json body;
};
// A failure with the form it is told in.
struct Refusal {
  Status status;
  ErrorForm form = ErrorForm::kHandler;
};
using Answer = std::function<void(Reply)>;
using Refuse = std::function<void(Refusal)>;

struct Endpoint {
  std::string_view verb;
  std::string_view path;       // "/jobs/:jobid"
  std::string_view summary;
  enum class Access { kRead, kWrite } access = Access::kRead;
  bool takes_upload = false;
  std::string_view request;    // simple name of Flink's request class, for "did not match expected format"
  std::function<void(const Call&, gateway::ClusterGateway&, Answer, Refuse)> handle;
};

struct RouterOptions {
  std::vector<std::string> allowed_hosts;
  std::string allow_origin = "*";
  std::string upload_directory;
};

class Router {
 public:
  Router(std::vector<Endpoint> endpoints, gateway::ClusterGateway& gateway, env::FileSystem& files, RouterOptions options);
  void handle(net::HttpRequest request, net::Responder respond);
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  // OpenAPI 3 of the declared endpoints.
  Json openapi() const;

 private:
  const Endpoint* match(std::string_view verb, const std::vector<std::string>& tokens, std::map<std::string, std::string>& path) const;
  bool take_upload(const net::HttpRequest& request, Call& call, std::string& problem) const;

  std::vector<Endpoint> endpoints_;
  std::vector<std::vector<std::string>> patterns_;  // of endpoints_, split at '/'
  gateway::ClusterGateway& gateway_;
  env::FileSystem& files_;
  const RouterOptions options_;
};

// All endpoints of the API, by family.
std::vector<Endpoint> all_endpoints();
std::vector<Endpoint> cluster_endpoints();
std::vector<Endpoint> job_endpoints();
std::vector<Endpoint> vertex_endpoints();
std::vector<Endpoint> checkpoint_endpoints();
std::vector<Endpoint> jar_endpoints();
std::vector<Endpoint> task_manager_endpoints();
std::vector<Endpoint> metric_endpoints();

// --- help for endpoints ---

// The id in the path, or a refusal: "Cannot resolve path parameter (jobid) from value ...".
template <typename IdType>
std::optional<IdType> path_id(const Call& call, const std::string& key, const Refuse& refuse) {
  const std::string& text = call.path.at(key);
  const auto id = IdType::parse(text);
  if (!id) {
    refuse({fail(Code::kInvalidArgument, "Bad request, could not parse parameters: Cannot resolve path parameter (" + key +
                                             ") from value \"" + text + "\".")});
  }
  return id;
}
std::optional<std::int64_t> path_number(const Call& call, const std::string& key, const Refuse& refuse);

// Fetches the job of the path and hands it to `use`.
void with_job(const Call& call, gateway::ClusterGateway& gateway, const Refuse& refuse,
              std::function<void(const gateway::JobModel&)> use);

}  // namespace drey::rest
