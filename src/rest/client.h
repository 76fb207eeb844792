// Client: calls endpoints by their declarations (client_endpoints.h). The tables with which the server reads path,
// query and body write them here, and those with which it writes answers read them here.
//
//   Client client(call);  // host, port, TLS, headers of every call
//   DREY_TRY_ASSIGN(const JobDetails job, client.call<endpoints::GetJob>({id}));
//
// What is not set in a query or a body is left out. FAILS WITH: what the connection fails with
// (kUnavailable, kTimeout, kIo); a refusal has the code that its status stands for and the server's
// words without the class in front. Threading: any thread, one call at a time. Blocks: until the
// answer is there.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "net/http.h"
#include "rest/endpoint.h"

namespace drey::rest {

class Client {
 public:
  using Send = std::function<Result<net::HttpResponse>(const net::HttpCall&)>;
  explicit Client(net::HttpCall base, Send send = net::http_call) : base_(std::move(base)), send_(std::move(send)) {}

  // The parts that an endpoint does not have are None.
  template <typename E>
  Result<typename E::Response> call(const typename detail::PartsOf<E>::Path& path = {},
                                    const typename detail::PartsOf<E>::Query& query = {},
                                    const typename detail::PartsOf<E>::Request& body = {}) const {
    const Endpoint endpoint = declaration<E>();
    net::HttpCall request = request_of(endpoint, &path, &query, &body);
    typename E::Response answer{};
    DREY_TRY(exchange(endpoint, request, &answer));
    return answer;
  }

  // A file with what goes with it: the body's message as the part `request`, then `texts`, then the
  // file.
  struct Part {
    std::string name;
    std::string file_name;
    std::string bytes;  // or, of the last part,
    std::string file;   // its path
  };
  template <typename E>
  Result<typename E::Response> upload(const std::vector<Part>& parts,
                                      const typename detail::PartsOf<E>::Request& body = {}) const {
    const Endpoint endpoint = declaration<E>();
    net::HttpCall request = upload_of(endpoint, parts, &body);
    typename E::Response answer{};
    DREY_TRY(exchange(endpoint, request, &answer));
    return answer;
  }

 private:
  net::HttpCall request_of(const Endpoint& endpoint, const void* path, const void* query, const void* body) const;
  net::HttpCall upload_of(const Endpoint& endpoint, const std::vector<Part>& parts, const void* body) const;
  Status exchange(const Endpoint& endpoint, const net::HttpCall& call, void* answer) const;

  net::HttpCall base_;
  Send send_;
};

// The target of a call: the route with its parameters in place, and the query.
std::string target_of(const Endpoint& endpoint, const void* path, const void* query);

}  // namespace drey::rest
