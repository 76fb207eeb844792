#include "rest/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>

#include "env/env.h"
#include "env/log.h"
#include "rest/answer_cache.h"
#include "rest/ended_rows.h"
#include "rest/gatekeeper.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

// Whether an If-None-Match names the tag; weak and strong ones are the same here.
bool is_among(std::string_view tag, std::string_view known) {
  const auto opaque = [](std::string_view t) { return t.starts_with("W/") ? t.substr(2) : t; };
  while (!known.empty()) {
    const std::size_t end = std::min(known.find(','), known.size());
    std::string_view one = known.substr(0, end);
    known.remove_prefix(std::min(end + 1, known.size()));
    one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
    one = one.substr(0, one.find_last_not_of(' ') + 1);
    if (one == "*" || opaque(one) == opaque(tag)) return true;
  }
  return false;
}

// An answer with a tag has an ETag, and is 304 for who knows that one.
RawReply unless_known(RawReply raw, std::string_view known) {
  if (!raw.tag) return raw;
  const std::string tag = fmt::format("W/\"{:016x}\"", *raw.tag);
  raw.headers.emplace_back("etag", tag);
  if (is_among(tag, known)) {
    raw.status = 304;
    raw.body.clear();
  }
  return raw;
}

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
      if (i + 2 >= text.size()) {
        *problem = fmt::format("unterminated escape sequence at index {} of: {}", i, text);
        return std::nullopt;
      }
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) {
        *problem = fmt::format("invalid hex byte '{}' at index {} of '{}'", text.substr(i + 1, 2), i + 1, text);
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
    case ErrorForm::kDownload:
      return message;
    case ErrorForm::kNotFoundClass:
      return "org.apache.flink.runtime.rest.NotFoundException: " + message;
    case ErrorForm::kHandler:
      break;
  }
  return "org.apache.flink.runtime.rest.handler.RestHandlerException: " + message;
}

// Cuts the answer to what a Range header asks for: one range of bytes; others are ignored.
void take_range(const std::string& range, net::HttpResponse& response) {
  if (!range.starts_with("bytes=") || range.find(',') != std::string::npos) return;
  const std::uint64_t size = response.file->bytes;
  const auto dash = range.find('-');
  if (dash == std::string::npos) return;
  const auto number = [](std::string_view text) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || done.ec != std::errc() || done.ptr != text.data() + text.size()) return std::nullopt;
    return value;
  };
  const auto first = number(std::string_view(range).substr(6, dash - 6));
  const auto last = number(std::string_view(range).substr(dash + 1));
  if (!first && !last) return;
  const std::uint64_t begin = first ? *first : size - std::min(*last, size);
  const std::uint64_t end = first && last ? std::min(*last + 1, size) : size;
  if (begin >= end) {
    response.status = 416;
    response.file.reset();
    response.headers.emplace_back("content-range", fmt::format("bytes */{}", size));
    return;
  }
  response.status = 206;
  response.file->offset += begin;
  response.file->bytes = end - begin;
  response.headers.emplace_back("content-range", fmt::format("bytes {}-{}/{}", begin, end - 1, size));
}

// Host part of "name:port", in lower case. Of what is neither the whole, which is then no name that
// anybody allows.
std::string host_of(std::string_view text) {
  std::size_t end = text.rfind(':');
  if (end != std::string_view::npos && text.find_first_not_of("0123456789", end + 1) != text.npos) end = text.npos;
  std::string host(text.substr(0, end));
  for (char& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return host;
}

bool is_ip_literal(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']'))
    return host.find_first_not_of("0123456789abcdef:.", 1) == host.size() - 1;
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

Router::Router(std::vector<Endpoint> endpoints, gateway::ClusterGateway& gateway, RouterOptions options)
    : endpoints_(std::move(endpoints)),
      gateway_(gateway),
      options_(std::move(options)),
      answers_(std::make_unique<AnswerCache>()),
      ended_rows_(std::make_shared<EndedRows>()),
      events_(std::make_unique<EventHub>(gateway, options_.events)) {
  // ':' sorts last at the first differing character: literals beat parameters.
  std::stable_sort(endpoints_.begin(), endpoints_.end(), [](const Endpoint& a, const Endpoint& b) {
    return std::lexicographical_compare(a.path.begin(), a.path.end(), b.path.begin(), b.path.end(), [](char x, char y) {
      const int left = x == ':' ? 256 : static_cast<unsigned char>(x);
      const int right = y == ':' ? 256 : static_cast<unsigned char>(y);
      return left < right;
    });
  });
  for (const Endpoint& endpoint : endpoints_) {
    patterns_.push_back(split(endpoint.path));
    counters_.push_back(std::make_unique<EndpointCounters>());
  }
}

Router::~Router() = default;

Router::Matched Router::match(std::string_view verb, std::string_view target) const {
  Matched out;
  const auto whole = decode(target.substr(0, target.find_first_of("?#")), &out.problem);
  if (!whole) return out;
  out.whole = *whole;
  for (const std::string& token : split(*whole)) {
    const auto decoded = decode(token, &out.problem);
    if (!decoded) return out;
    out.tokens.push_back(*decoded);
  }
  if (out.tokens.size() > 1 && out.tokens[0] == "v1") {
    out.tokens.erase(out.tokens.begin());
    out.versioned = true;
  }
  for (std::size_t e = 0; e < endpoints_.size(); ++e) {
    const std::vector<std::string>& pattern = patterns_[e];
    if (endpoints_[e].verb != verb || pattern.size() != out.tokens.size()) continue;
    out.path.clear();
    bool fits = true;
    for (std::size_t i = 0; fits && i < pattern.size(); ++i) {
      if (pattern[i].starts_with(':')) {
        out.path[pattern[i].substr(1)] = out.tokens[i];
      } else {
        fits = pattern[i] == out.tokens[i];
      }
    }
    if (!fits) continue;
    out.endpoint = &endpoints_[e];
    return out;
  }
  return out;
}

net::HttpResponse Router::reply(RawReply raw) const {
  net::HttpResponse response;
  response.status = raw.status;
  response.headers.emplace_back("content-type", std::string(raw.type));
  if (raw.cors) response.headers.emplace_back("access-control-allow-origin", options_.allow_origin);
  for (auto& header : raw.headers) response.headers.push_back(std::move(header));
  response.body = std::move(raw.body);
  response.file = std::move(raw.file);
  response.stream = std::move(raw.stream);
  return response;
}

net::HttpResponse Router::bare(int status, std::string_view text, bool cors) const {
  RawReply raw;
  raw.status = status;
  raw.body = Json::object({{"errors", Json::array({Json(text)})}}).to_string();
  raw.cors = cors;
  return reply(std::move(raw));
}

net::HttpResponse Router::refusal(const Refusal& refusal) const {
  RawReply raw;
  raw.status = row_of(refusal.status.code()).http;
  raw.cors = refusal.form != ErrorForm::kDownload;
  Json errors = Json::array();
  if (raw.status >= 500 && raw.status != 503 && refusal.form == ErrorForm::kHandler) {
    errors.push("Internal server error.");
    errors.push(
        fmt::format("<Exception on server side:\n{}\nEnd of exception on server side>", refusal.status.to_string()));
  } else {
    errors.push(error_text(refusal));
  }
  raw.body = Json::object({{"errors", std::move(errors)}}).to_string();
  return reply(std::move(raw));
}

std::optional<net::HttpResponse> Router::refused(const net::HttpRequest& request, const Endpoint* endpoint,
                                                 bool counts) const {
  // Against DNS rebinding and cross-site requests.
  const std::string host = host_of(request.header("host"));
  const auto& allowed = options_.allowed_hosts;
  if (!host.empty() && host != "localhost" && !is_ip_literal(host) &&
      std::none_of(allowed.begin(), allowed.end(), [&](const std::string& name) { return host_of(name) == host; })) {
    return bare(403, fmt::format("The host name {} is not allowed. Add it to rest.allowed-hosts.", host), false);
  }
  if (endpoint != nullptr && endpoint->access != Access::kView) {
    const std::string_view origin = request.header("origin");
    const auto scheme = origin.find("://");
    const std::string_view authority = scheme == std::string_view::npos ? origin : origin.substr(scheme + 3);
    // Another port of this machine is another origin.
    if (!origin.empty() && authority != request.header("host") && origin != options_.allow_origin) {
      return bare(403, fmt::format("Requests from the origin {} are not allowed.", origin), false);
    }
  }
  if (options_.gatekeeper == nullptr) return std::nullopt;
  const Access needed = endpoint == nullptr ? Access::kView : endpoint->access;
  const Verdict verdict = options_.gatekeeper->judge(request.header("authorization"), request.peer, needed, counts);
  if (verdict.status == 200) return std::nullopt;
  net::HttpResponse response = bare(verdict.status, verdict.why, true);
  if (verdict.status == 401) response.headers.emplace_back("www-authenticate", "Basic realm=\"drey\"");
  return response;
}

bool Router::keeps_files(const net::HttpRequest& head) const {
  const Matched matched = match(head.method, head.target);
  return matched.endpoint != nullptr && matched.endpoint->takes_upload && !refused(head, matched.endpoint, false);
}

Dialect Router::dialect_of(const net::HttpRequest& request, bool versioned) const {
  if (options_.compat == Compat::kFull) return Dialect::kFull;
  if (options_.compat == Compat::k112) return Dialect::k112;
  if (options_.compat == Compat::k111) return Dialect::k111;
  // Java clients up to 1.16 write their header names in title case (rest.md 8.3).
  bool title_case = false;
  for (const auto& [name, value] : request.headers) title_case = title_case || name == "Host";
  return versioned && title_case && request.body == "{}" && request.header("user-agent").empty() ? Dialect::k112
                                                                                                 : Dialect::kFull;
}

void Router::record(const Endpoint& endpoint, std::string_view peer, std::string_view method, std::string_view target,
                    int status, Ticks began) {
  EndpointCounters& counters = *counters_[static_cast<std::size_t>(&endpoint - endpoints_.data())];
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(env::posix().clock.ticks() - began).count();
  (status < 400   ? counters.answered
   : status < 500 ? counters.refused
                  : counters.failed)
      .fetch_add(1, std::memory_order_relaxed);
  counters.took_us.fetch_add(took, std::memory_order_relaxed);
  const auto& bounds = EndpointCounters::kBounds;
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), took) - bounds.begin();
  counters.took[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  if (options_.access_log) env::log_info("access", "{} {} {} {} {} us", peer, method, target, status, took);
}

void Router::handle(net::HttpRequest request, net::Responder respond) {
  const auto began = env::posix().clock.ticks();
  const std::uint64_t change = gateway_.changes();
  const bool may_share =
      request.method == "GET" && !request.is_multipart && (request.body.empty() || request.body == "{}");
  // An old client that leaves out /v1 has answers of its own; its key differs by the target.
  const Dialect form = may_share ? dialect_of(request, true) : Dialect::kFull;
  if (may_share) {
    if (const auto kept = answers_->find(request.target, form, change, began)) {
      if (auto no = refused(request, kept->endpoint, true)) return respond(std::move(*no));
      record(*kept->endpoint, request.peer, request.method, request.target, kept->raw.status, began);
      return respond(reply(unless_known(kept->raw, request.header("if-none-match"))));
    }
  }
  const Matched matched = match(request.method, request.target);
  if (!matched.problem.empty()) return respond(bare(400, matched.problem, true));
  const Endpoint* endpoint = matched.endpoint;
  if (auto no = refused(request, endpoint, true)) return respond(std::move(*no));
  if (endpoint == nullptr) {
    if (request.method == "OPTIONS" && options_.allow_origin != "*" &&
        request.header("origin") == options_.allow_origin) {
      RawReply preflight;
      preflight.headers = {{"access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"},
                           {"access-control-allow-headers", "content-type, authorization"},
                           {"access-control-max-age", "600"}};
      return respond(reply(std::move(preflight)));
    }
    if (request.method != "GET") return respond(bare(404, fmt::format("Not found: {}", request.target), true));
    // The path as it was sent, without the prefix rule: /v1/index.html is no file.
    if (options_.web_ui) {
      if (auto file = options_.web_ui->get(matched.whole, request.header("if-modified-since"), Instant{now_ms()}))
        return respond(std::move(*file));
    }
    if (options_.web_ui && options_.web_ui->is_folder(matched.whole))
      return respond(bare(404, "File not found.", false));
    const std::string_view index = matched.whole.ends_with('/') ? "index.html" : "";
    return respond(bare(404, fmt::format("Unable to load requested file {}{}.", matched.whole, index), false));
  }

  RawCall call;
  call.target = request.target;
  call.path = matched.path;
  call.dialect = dialect_of(request, matched.versioned);
  call.router = this;
  call.head = &request;
  const std::string range(request.header("range"));
  const auto finish = [this, respond, began, endpoint, method = request.method, target = request.target,
                       peer = request.peer, range](net::HttpResponse response) {
    if (response.file && response.status == 200) take_range(range, response);
    record(*endpoint, peer, method, target, response.status, began);
    respond(std::move(response));
  };

  // As Netty reads it: a fragment belongs to neither path nor query.
  std::string_view query = std::string_view(request.target).substr(0, request.target.find('#'));
  const auto question = query.find('?');
  query = question == std::string_view::npos ? std::string_view() : query.substr(question + 1);
  std::string problem;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = pair.find('=');
    const auto key = decode(pair.substr(0, equals), &problem);
    const auto value =
        decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), &problem);
    if (!key || !value) return finish(bare(400, problem, true));
    if (!key->empty()) call.query.emplace(*key, *value);
  }

  if (request.is_multipart) {
    if (!request.parts_problem.ok()) {
      const Code code = request.parts_problem.code();
      const std::string& why = request.parts_problem.message();
      if (code == Code::kInvalidArgument) return finish(bare(400, why, false));
      return finish(bare(code == Code::kResourceExhausted ? 507 : 500, "File upload failed. " + why, false));
    }
    for (net::Part& part : request.parts) {
      if (!part.file_name && part.name != "request")
        return finish(bare(400, fmt::format("Received unknown attribute {}.", part.name), false));
      if (!part.file_name) {
        request.body = std::move(part.text);
      } else if (!endpoint->takes_upload) {
        return finish(bare(400, "File upload not allowed", false));
      } else if (part.file_name->empty()) {
        return finish(bare(400, "File upload failed.", false));
      } else {
        call.files.push_back(std::move(part));
      }
    }
  }
  if (!request.body.empty()) {
    auto body = Json::parse(request.body);
    if (!body.ok() || !body->is_object()) {
      return finish(refusal({fail(Code::kInvalidArgument,
                                  fmt::format("Request did not match expected format {}.", endpoint->request_name))}));
    }
    call.body = std::move(*body);
  }
  const bool shares = may_share && endpoint->shared;
  endpoint->handle(
      *endpoint, call, gateway_,
      [this, finish, shares, endpoint, form, change, began, target = request.target,
       known = std::string(request.header("if-none-match"))](RawReply raw) {
        if (shares && raw.status == endpoint->status && !raw.file)
          answers_->keep(target, form, {endpoint, raw, change, began});
        finish(reply(unless_known(std::move(raw), known)));
      },
      [this, finish](const Refusal& why) { finish(refusal(why)); });
}

std::string Router::endpoint_metrics() const {
  std::string out =
      "# TYPE drey_rest_request_duration_seconds histogram\n"
      "# TYPE drey_rest_requests_total counter\n";
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const EndpointCounters& c = *counters_[i];
    const std::int64_t total = c.answered + c.refused + c.failed;
    if (total == 0) continue;
    const std::string operation = fmt::format("verb=\"{}\",path=\"{}\"", endpoints_[i].verb, endpoints_[i].path);
    for (const auto& [outcome, count] :
         {std::pair{"ok", c.answered.load()}, {"refused", c.refused.load()}, {"failed", c.failed.load()}})
      fmt::format_to(std::back_inserter(out), "drey_rest_requests_total{{{},outcome=\"{}\"}} {}\n", operation, outcome,
                     count);
    std::int64_t below = 0;
    for (std::size_t b = 0; b < c.took.size(); ++b) {
      below += c.took[b];
      const std::string bound = b < EndpointCounters::kBounds.size()
                                    ? fmt::format("{}", static_cast<double>(EndpointCounters::kBounds[b]) / 1e6)
                                    : "+Inf";
      fmt::format_to(std::back_inserter(out), "drey_rest_request_duration_seconds_bucket{{{},le=\"{}\"}} {}\n",
                     operation, bound, below);
    }
    fmt::format_to(std::back_inserter(out), "drey_rest_request_duration_seconds_sum{{{}}} {}\n", operation,
                   static_cast<double>(c.took_us) / 1e6);
    fmt::format_to(std::back_inserter(out), "drey_rest_request_duration_seconds_count{{{}}} {}\n", operation, total);
  }
  return out;
}

std::vector<Endpoint> all_endpoints() {
  std::vector<Endpoint> all;
  for (auto& family : {application_endpoints(), cluster_endpoints(), job_endpoints(), vertex_endpoints(),
                       checkpoint_endpoints(), rescale_endpoints(), event_endpoints(), operation_endpoints(),
                       jar_endpoints(), task_manager_endpoints(), metric_endpoints(), log_endpoints()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

}  // namespace drey::rest
