// One declaration per endpoint: a struct from which router, parsing, encoding, OpenAPI and contract come.
//
//   struct GetVertex {
//     static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid", 200, "A vertex."};
//     static constexpr Access kAccess = Access::kView;
//     static constexpr bool kShared = true;  // left out: each call asks the cluster
//     using Path = VertexPath;  // one row per ':name' of the route; left out: none
//     using Query = None;       // left out: none
//     using Request = None;     // left out: none
//     using Response = JobVertexDetails;
//     static void handle(const Call<VertexPath>& call, gateway::ClusterGateway& cluster,
//                        const Reply<Response>& reply);
//   };
//   endpoint<GetVertex>()
//
// A handler sees typed values and answers once, now or later, through its Reply; it holds no state
// and picks no status.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "gateway/cluster_gateway.h"
#include "rest/router.h"
#include "rest/shape.h"

namespace drey::rest {

struct Route {
  std::string_view verb;
  std::string_view path;
  int status = 200;
  std::string_view summary;
};

template <typename P = None, typename Q = None, typename R = None>
struct Call {
  P path;
  Q query;
  R body;
  const RawCall& raw;  // as long as handle() runs
};

template <typename T>
class Reply {
 public:
  Reply(int status, Dialect dialect, Answer answer, Refuse refuse)
      : to_(std::make_shared<To>(To{status, dialect, std::move(answer), std::move(refuse)})) {}
  // `tag`: equal for answers between which a client sees no difference; the same again is 304.
  void operator()(const T& value, net::Headers headers = {}, std::optional<std::uint64_t> tag = std::nullopt) const {
    RawReply raw;
    raw.headers = std::move(headers);
    raw.tag = tag;
    raw.status = to_->status;
    if constexpr (std::is_same_v<T, TextReply>) {
      raw.type = value.type;
      raw.cors = value.stream != nullptr;
      raw.stream = value.stream;
      if (raw.stream != nullptr) raw.headers.emplace_back("cache-control", "no-store");
      raw.body = value.text;
      if (value.file != nullptr) raw.file = net::FileBody{value.file, value.offset, value.file->size() - value.offset};
    } else {
      if constexpr (requires { T::kCors; }) raw.cors = T::kCors;
      write_json(kShapeOf<T>, &value, to_->dialect, raw.body);
    }
    to_->answer(std::move(raw));
  }
  // REQUIRES: `body` is what write_json makes of a T in this dialect.
  void encoded(std::string body, net::Headers headers = {}, std::optional<std::uint64_t> tag = std::nullopt) const {
    RawReply raw;
    raw.status = to_->status;
    raw.body = std::move(body);
    raw.headers = std::move(headers);
    raw.tag = tag;
    to_->answer(std::move(raw));
  }
  void refuse(Status status, ErrorForm form = ErrorForm::kHandler) const { to_->refuse({std::move(status), form}); }
  Dialect dialect() const { return to_->dialect; }

 private:
  struct To {
    int status;
    Dialect dialect;
    Answer answer;
    Refuse refuse;
  };
  std::shared_ptr<const To> to_;
};

namespace detail {
template <typename E>
struct PartsOf {
  static auto path() {
    if constexpr (requires { typename E::Path; })
      return std::type_identity<typename E::Path>();
    else
      return std::type_identity<None>();
  }
  static auto query() {
    if constexpr (requires { typename E::Query; })
      return std::type_identity<typename E::Query>();
    else
      return std::type_identity<None>();
  }
  static auto request() {
    if constexpr (requires { typename E::Request; })
      return std::type_identity<typename E::Request>();
    else
      return std::type_identity<None>();
  }
  using Path = typename decltype(path())::type;
  using Query = typename decltype(query())::type;
  using Request = typename decltype(request())::type;
};

// Whether the ':name's of a route and the rows of its Path agree, in order.
template <typename P>
constexpr bool path_matches_table(std::string_view route) {
  bool same = true;
  wire::for_each_field<P>([&](const auto& row) {
    const auto colon = route.find(':');
    if (colon == std::string_view::npos) {
      same = false;
      return;
    }
    const auto end = route.find('/', colon);
    same = same && route.substr(colon + 1, end == std::string_view::npos ? end : end - colon - 1) == row.name;
    route = end == std::string_view::npos ? std::string_view() : route.substr(end);
  });
  return same && route.find(':') == std::string_view::npos;
}

// Fills the parts of a call; false, with the refusal made, when something does not fit.
bool parse_call(const Endpoint& endpoint, const RawCall& raw, void* path, void* query, void* body,
                const Refuse& refuse);
}  // namespace detail

// An endpoint by its declaration, without its handler.
template <typename E>
Endpoint declaration() {
  using Parts = detail::PartsOf<E>;
  using Path = typename Parts::Path;
  using Query = typename Parts::Query;
  using Request = typename Parts::Request;
  using Response = typename E::Response;
  static_assert(detail::path_matches_table<Path>(E::kRoute.path),
                "a ':name' in kRoute.path has no row in Path, or the reverse");
  Endpoint out;
  out.verb = E::kRoute.verb;
  out.path = E::kRoute.path;
  out.status = E::kRoute.status;
  out.summary = E::kRoute.summary;
  out.access = E::kAccess;
  if constexpr (requires { E::kTakesUpload; }) out.takes_upload = E::kTakesUpload;
  if constexpr (requires { E::kShared; }) out.shared = E::kShared;
  out.path_shape = &kShapeOf<Path>;
  out.query_shape = &kShapeOf<Query>;
  if constexpr (!std::is_same_v<Request, None>) {
    out.request_shape = &kShapeOf<Request>;
    out.request_name = simple_name(kShapeOf<Request>);
  }
  if constexpr (requires { E::kRequestName; }) out.request_name = E::kRequestName;
  out.response_shape = &kShapeOf<Response>;
  return out;
}

template <typename E>
Endpoint endpoint() {
  using Parts = detail::PartsOf<E>;
  Endpoint out = declaration<E>();
  out.handle = [](const Endpoint& self, const RawCall& raw, gateway::ClusterGateway& cluster, Answer answer,
                  Refuse refuse) {
    Call<typename Parts::Path, typename Parts::Query, typename Parts::Request> call{{}, {}, {}, raw};
    if (!detail::parse_call(self, raw, &call.path, &call.query, &call.body, refuse)) return;
    E::handle(call, cluster,
              Reply<typename E::Response>(self.status, raw.dialect, std::move(answer), std::move(refuse)));
  };
  return out;
}

template <typename... E>
std::vector<Endpoint> endpoint_list() {
  return {endpoint<E>()...};
}

// --- parameters and help that several families share ---

// Their rows in tables of path parameters.
template <typename M>
constexpr auto job_field(JobId M::*jobid) {
  return field("jobid", jobid, "Id of a job: 32 hexadecimal digits.");
}
template <typename M>
constexpr auto vertex_field(VertexId M::*vertexid) {
  return field("vertexid", vertexid, "Id of a vertex: 32 hexadecimal digits.");
}

struct JobPath {
  JobId jobid;
  static constexpr auto fields() { return Fields{job_field(&JobPath::jobid)}; }
};

// Hands the job to `use`, or refuses for it.
template <typename T>
void with_job(JobId id, gateway::ClusterGateway& cluster, const Reply<T>& reply,
              std::function<void(const gateway::JobModel&)> use) {
  cluster.job(id).then([reply, use = std::move(use)](Result<gateway::JobModelRef> job) {
    if (!job.ok()) return reply.refuse(job.status(), ErrorForm::kNotFoundClass);
    use(**job);
  });
}

}  // namespace drey::rest
