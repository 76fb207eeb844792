#include "rest/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>

#include "env/env.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

constexpr std::string_view kJsonType = "application/json; charset=UTF-8";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Percent-decoding; '+' is a blank. Nullopt on a bad escape, with Flink's words in `problem`.
std::optional<std::string> decode(std::string_view text, std::string* problem) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        *problem = fmt::format("invalid hex byte '{}' at index {} of '{}'", text.substr(i + 1, 2),
                               i + 1, text);
        return std::nullopt;
      }
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

std::vector<std::string> split(std::string_view path) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  std::vector<std::string> tokens;
  std::size_t at = 0;
  while (true) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    tokens.emplace_back(path.substr(at, end - at));
    if (end == path.size()) return tokens;
    at = end + 1;
  }
}

std::string error_text(const Refusal& refusal) {
  const std::string message = refusal.status.to_string();
  switch (refusal.form) {
    case ErrorForm::kBare:
      return message;
    case ErrorForm::kNotFoundClass:
      return "org.apache.flink.runtime.rest.NotFoundException: " + message;
    case ErrorForm::kHandler:
      break;
  }
  return "org.apache.flink.runtime.rest.handler.RestHandlerException: " + message;
}

// Host part of "name:port" or an origin.
std::string host_of(std::string_view text) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos)
    text.remove_prefix(scheme + 3);
  if (text.starts_with('[')) return std::string(text.substr(0, text.find(']') + 1));
  return std::string(text.substr(0, text.find(':')));
}

bool is_ip_literal(const std::string& host) {
  return host.starts_with('[') || std::all_of(host.begin(), host.end(), [](char c) {
           return std::isdigit(static_cast<unsigned char>(c)) || c == '.';
         });
}

}  // namespace

Router::Router(std::vector<Endpoint> endpoints, gateway::ClusterGateway& gateway,
               env::FileSystem& files, RouterOptions options)
    : endpoints_(std::move(endpoints)),
      gateway_(gateway),
      files_(files),
      options_(std::move(options)) {
  // ':' sorts last at the first differing character: literals beat parameters.
  std::stable_sort(endpoints_.begin(), endpoints_.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::lexicographical_compare(
        a.path.begin(), a.path.end(), b.path.begin(), b.path.end(), [](char x, char y) {
          const int left = x == ':' ? 256 : static_cast<unsigned char>(x);
          const int right = y == ':' ? 256 : static_cast<unsigned char>(y);
          return left < right;
        });
  });
  for (const Endpoint& endpoint : endpoints_) patterns_.push_back(split(endpoint.path));
}

const Endpoint* Router::match(std::string_view verb, const std::vector<std::string>& tokens,
                              std::map<std::string, std::string>& path) const {
  for (std::size_t e = 0; e < endpoints_.size(); ++e) {
    const Endpoint& endpoint = endpoints_[e];
    if (endpoint.verb != verb) continue;
    const auto& pattern = patterns_[e];
    if (pattern.size() != tokens.size()) continue;
    path.clear();
    bool fits = true;
    for (std::size_t i = 0; fits && i < tokens.size(); ++i) {
      if (pattern[i].starts_with(':')) {
        path[pattern[i].substr(1)] = tokens[i];
      } else {
        fits = pattern[i] == tokens[i];
      }
    }
    if (fits) return &endpoint;
  }
  return nullptr;
}

bool Router::take_upload(const net::HttpRequest& request, RawCall& call,
                         std::string& problem) const {
  const std::string_view type = request.header("content-type");
  const auto at = type.find("boundary=");
  call.upload_count = 0;
  if (at == std::string_view::npos) return true;
  std::string boundary(type.substr(at + 9, type.find(';', at) - at - 9));
  if (boundary.size() >= 2 && boundary.front() == '"')
    boundary = boundary.substr(1, boundary.size() - 2);
  const std::string mark = "--" + boundary;
  std::string_view body = request.body;
  std::size_t begin = body.find(mark);
  while (begin != std::string_view::npos) {
    begin += mark.size();
    if (body.substr(begin).starts_with("--")) break;
    const std::size_t head_end = body.find("\r\n\r\n", begin);
    const std::size_t next =
        head_end == std::string_view::npos ? head_end : body.find("\r\n" + mark, head_end + 2);
    if (next == std::string_view::npos) break;  // cut: counts as nothing received
    const std::string_view head = body.substr(begin, head_end - begin);
    const std::string_view content =
        next <= head_end + 4 ? std::string_view() : body.substr(head_end + 4, next - head_end - 4);
    const auto parameter = [&](std::string_view name) -> std::optional<std::string> {
      const std::string wanted = fmt::format("{}=\"", name);
      std::size_t found = head.find(wanted);
      while (found != std::string_view::npos && found > 0 && head[found - 1] != ' ' &&
             head[found - 1] != ';')
        found = head.find(wanted, found + 1);
      if (found == std::string_view::npos) return std::nullopt;
      found += wanted.size();
      return std::string(head.substr(found, head.find('"', found) - found));
    };
    if (const auto file_name = parameter("filename")) {
      ++call.upload_count;
      call.upload_name = *file_name;
      static std::atomic<std::uint64_t> number{0};
      call.upload_path =
          fmt::format("{}/.upload-{}-{}", options_.upload_directory, now_ms(), number++);
      if (call.upload_count == 1) {
        auto file = files_.create(call.upload_path);
        Status status = file.ok() ? (*file)->append(content) : file.status();
        if (status.ok()) status = (*file)->sync();
        if (!status.ok()) {
          problem = status.to_string();
          return false;
        }
      }
    } else if (const auto name = parameter("name"); name && *name != "request") {
      problem = fmt::format("Received unknown attribute {}.", *name);
      return false;
    }
    begin = next + 2;
    begin = body.find(mark, begin);
  }
  return true;
}

void Router::handle(net::HttpRequest request, net::Responder respond) {
  const auto answer = [this, respond](int status, std::string body, bool cors,
                                      std::string_view type = kJsonType) {
    net::HttpResponse response;
    response.status = status;
    response.headers.emplace_back("content-type", std::string(type));
    if (cors) response.headers.emplace_back("access-control-allow-origin", options_.allow_origin);
    response.body = std::move(body);
    respond(std::move(response));
  };
  const auto refuse = [answer](const Refusal& refusal) {
    const int status = row_of(refusal.status.code()).http;
    Json errors = Json::array();
    if (status >= 500 && status != 503 && refusal.form == ErrorForm::kHandler) {
      errors.push("Internal server error.");
      errors.push(fmt::format("<Exception on server side:\n{}\nEnd of exception on server side>",
                              refusal.status.to_string()));
    } else {
      errors.push(error_text(refusal));
    }
    answer(status, Json::object({{"errors", std::move(errors)}}).to_string(), true);
  };
  const auto bare = [answer](int status, std::string text, bool cors) {
    answer(status, Json::object({{"errors", Json::array({Json(std::move(text))})}}).to_string(),
           cors);
  };

  // Against DNS rebinding and cross-site requests.
  const std::string host = host_of(request.header("host"));
  const bool known_host = host.empty() || host == "localhost" || is_ip_literal(host) ||
                          std::find(options_.allowed_hosts.begin(), options_.allowed_hosts.end(),
                                    host) != options_.allowed_hosts.end();
  if (!known_host)
    return bare(403,
                fmt::format("The host name {} is not allowed. Add it to rest.allowed-hosts.", host),
                false);

  std::string_view target = request.target;
  const auto question = target.find('?');
  const std::string_view raw_path = target.substr(0, question);
  const std::string_view raw_query =
      question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  std::string problem;
  const auto whole = decode(raw_path, &problem);
  if (!whole) return bare(400, problem, true);
  std::vector<std::string> tokens;
  for (const std::string& token : split(*whole)) {
    const auto decoded = decode(token, &problem);
    if (!decoded) return bare(400, problem, true);
    tokens.push_back(*decoded);
  }
  if (tokens.size() > 1 && tokens[0] == "v1") tokens.erase(tokens.begin());

  RawCall call;
  call.target = request.target;
  const Endpoint* endpoint = match(request.method, tokens, call.path);
  if (endpoint == nullptr) {
    if (request.method == "GET") {
      if (tokens.size() == 1 && tokens[0] == "openapi.json")
        return answer(200, openapi().to_string(), true);
      // The path as it was sent, without the prefix rule: /v1/index.html is no file.
      if (options_.web_ui) {
        if (auto file = options_.web_ui->get(*whole, request.header("if-modified-since"),
                                             Instant{now_ms()})) {
          return respond(std::move(*file));
        }
      }
      return bare(404, fmt::format("Unable to load requested file {}.", *whole), false);
    }
    return bare(404, fmt::format("Not found: {}", request.target), true);
  }
  if (endpoint->access != Access::kView) {
    const std::string_view origin = request.header("origin");
    const auto scheme = origin.find("://");
    const std::string_view authority =
        scheme == std::string_view::npos ? origin : origin.substr(scheme + 3);
    // Another port of this machine is another origin.
    if (!origin.empty() && authority != request.header("host") && origin != options_.allow_origin) {
      return bare(403, fmt::format("Requests from the origin {} are not allowed.", origin), false);
    }
  }
  std::size_t at = 0;
  while (at < raw_query.size()) {
    const std::size_t end = std::min(raw_query.find('&', at), raw_query.size());
    const std::string_view pair = raw_query.substr(at, end - at);
    const auto equals = pair.find('=');
    const auto key = decode(pair.substr(0, equals), &problem);
    const auto value = decode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), &problem);
    if (!key || !value) return bare(400, problem, true);
    if (!key->empty()) call.query.emplace(*key, *value);
    at = end + 1;
  }

  const bool multipart = request.header("content-type").starts_with("multipart/form-data");
  if (multipart && !endpoint->takes_upload) return bare(400, "File upload not allowed", false);
  if (multipart) {
    if (!take_upload(request, call, problem)) return bare(400, problem, false);
  } else if (!request.body.empty()) {
    auto body = Json::parse(request.body);
    const std::string_view type = endpoint->request_shape != nullptr
                                      ? simple_name(endpoint->request_shape())
                                      : "EmptyRequestBody";
    if (!body.ok() || !body->is_object()) {
      return refuse({fail(Code::kInvalidArgument,
                          fmt::format("Request did not match expected format {}.", type))});
    }
    call.body = std::move(*body);
  }
  endpoint->handle(
      *endpoint, call, gateway_,
      [answer](RawReply reply) { answer(reply.status, std::move(reply.body), true); }, refuse);
}

std::vector<Endpoint> all_endpoints() {
  std::vector<Endpoint> all;
  for (auto& family :
       {application_endpoints(), cluster_endpoints(), job_endpoints(), vertex_endpoints(), checkpoint_endpoints(),
        operation_endpoints(), jar_endpoints(), task_manager_endpoints(), metric_endpoints()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

}  // namespace drey::rest
