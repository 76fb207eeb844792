#include "rest/client.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/code.h"
#include "env/env.h"
#include "rest/url.h"

namespace drey::rest {
namespace {

const void* member(const Row& row, const void* value) { return static_cast<const char*>(value) + row.offset; }

// As a parameter has it; nullopt: there is nothing to say.
std::optional<std::string> text_of(const Shape& shape, const void* value) {
  using Kind = Shape::Kind;
  if (shape.kind == Kind::kOptional)
    return shape.size(value) == 0 ? std::nullopt : text_of(*shape.element, shape.item(value, 0));
  if (shape.kind == Kind::kArray) {
    std::string list;
    for (std::size_t i = 0; i < shape.size(value); ++i)
      list += (i == 0 ? "" : ",") + text_of(*shape.element, shape.item(value, i)).value_or("");
    return shape.size(value) == 0 ? std::nullopt : std::optional(list);
  }
  std::string json;
  shape.write(value, json);
  const auto parsed = Json::parse(json);
  const auto text = parsed.ok() ? parsed->text() : std::nullopt;
  if (text && text->empty()) return std::nullopt;
  return text ? *text : json;
}

// The body without what is not set: a null would be the same, an empty text is not always.
Json body_of(const Shape& shape, const void* value) {
  std::string json;
  write_json(shape, value, Dialect::kFull, json);
  const Json whole = Json::parse(json).value_or(Json());
  if (shape.kind != Shape::Kind::kMessage) return whole;
  Json out = Json::object();
  for (const auto& [name, entry] : whole.entries()) {
    const bool empty = entry.is_null() || (entry.is_string() && entry.text()->empty()) ||
                       (entry.is_object() && entry.entries().empty());
    if (!empty) out.set(name, entry);
  }
  return out;
}

// The code that an answer's status stands for. Of several with one status the last in the table
// says the least (conflict, internal), but a refused request need not be of another version.
Code code_of(int status) {
  if (status == 400) return Code::kInvalidArgument;
  const auto row =
      std::find_if(kCodeTable.rbegin(), kCodeTable.rend(), [&](const CodeRow& r) { return r.http == status; });
  if (row != kCodeTable.rend()) return row->code;
  return status < 500 ? Code::kInvalidArgument : Code::kInternal;
}

// The words of {"errors":[...]} without the Java class in front; nullopt: it is something else.
std::optional<std::string> refusal_of(const Json& answer) {
  if (!answer["errors"].is_array()) return std::nullopt;
  std::string text;
  for (const Json& error : answer["errors"].elements()) text += (text.empty() ? "" : "\n") + error.text().value_or("");
  for (const std::string_view prefix : {"org.apache.flink.runtime.rest.handler.RestHandlerException: ",
                                        "org.apache.flink.runtime.rest.NotFoundException: "}) {
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  }
  return text;
}

}  // namespace

std::string target_of(const Endpoint& endpoint, const void* path, const void* query) {
  std::string target = "/v1";
  const Shape& parameters = *endpoint.path_shape;
  std::string_view rest = endpoint.path;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto end = std::min(rest.find('/'), rest.size());
    const std::string_view token = rest.substr(0, end);
    rest.remove_prefix(end);
    target += '/';
    if (!token.starts_with(':')) {
      target += token;
      continue;
    }
    const auto row = std::find_if(parameters.rows().begin(), parameters.rows().end(),
                                  [&](const Row& r) { return r.name == token.substr(1); });
    // The server decodes the whole path, then each token.
    target += percent_encoded(percent_encoded(text_of(*row->shape, member(*row, path)).value_or("")));
  }
  char separator = '?';
  for (const Row& row : endpoint.query_shape->rows()) {
    const auto text = text_of(*row.shape, member(row, query));
    if (!text) continue;
    target += separator;
    separator = '&';
    target += percent_encoded(row.name) + "=" + percent_encoded(*text);
  }
  return target;
}

net::HttpCall Client::request_of(const Endpoint& endpoint, const void* path, const void* query,
                                 const void* body) const {
  net::HttpCall request = base_;
  request.method = endpoint.verb;
  request.target = target_of(endpoint, path, query);
  if (endpoint.request_shape != nullptr) {
    request.headers.emplace_back("content-type", std::string(kJsonType));
    request.body = body_of(*endpoint.request_shape, body).to_string();
  }
  return request;
}

net::HttpCall Client::upload_of(const Endpoint& endpoint, const std::vector<Part>& parts, const void* body) const {
  const std::string boundary = fmt::format("drey-{:016x}", env::posix().random.next());
  net::HttpCall request = base_;
  request.method = endpoint.verb;
  request.target = target_of(endpoint, nullptr, nullptr);
  request.headers.emplace_back("content-type", "multipart/form-data; boundary=" + boundary);
  if (endpoint.request_shape != nullptr) {
    request.body += fmt::format("--{}\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{}\r\n", boundary,
                                body_of(*endpoint.request_shape, body).to_string());
  }
  for (const Part& part : parts) {
    std::string file_name = part.file_name;
    std::erase_if(file_name, [](char c) { return c == '"' || c == '\r' || c == '\n'; });
    request.body += fmt::format(
        "--{}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: "
        "application/octet-stream\r\n\r\n{}",
        boundary, part.name, file_name, part.bytes);
    if (!part.file.empty()) {
      request.file = part.file;
    } else {
      request.body += "\r\n";
    }
  }
  request.body_end = (request.file.empty() ? "--" : "\r\n--") + boundary + "--\r\n";
  return request;
}

Status Client::exchange(const Endpoint& endpoint, const net::HttpCall& call, void* answer) const {
  DREY_TRY_ASSIGN(const net::HttpResponse response, send_(call));
  const auto json = Json::parse(response.body);
  if (response.status >= 400) {
    const auto words = json.ok() ? refusal_of(*json) : std::nullopt;
    return fail(
        code_of(response.status),
        words ? *words : fmt::format("The cluster answered {}: {}", response.status, response.body.substr(0, 200)));
  }
  if (!json.ok()) {
    return fail(Code::kIo, fmt::format("The cluster answered {} with something that is not JSON", response.status));
  }
  if (!read_json(*endpoint.response_shape, *json, answer)) {
    return fail(Code::kIo, fmt::format("The cluster's answer to {} {} is not what it is declared to be", endpoint.verb,
                                       endpoint.path));
  }
  return {};
}

}  // namespace drey::rest
