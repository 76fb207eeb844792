#include <algorithm>
#include <cctype>
#include <map>

#include "rest/router.h"

namespace drey::rest {
namespace {

Json parameters_of(const Shape& shape, const char* where, Json& components) {
  Json list = Json::array();
  for (const Row& row : shape.rows) {
    Json parameter = Json::object(
        {{"name", row.name}, {"in", where}, {"required", std::string_view(where) == "path"}});
    if (!row.doc.empty()) parameter.set("description", row.doc);
    const Shape& inner = row.shape();
    const bool array =
        inner.kind == Shape::Kind::kArray ||
        (inner.kind == Shape::Kind::kOptional && inner.element().kind == Shape::Kind::kArray);
    if (array) parameter.set("style", "form").set("explode", false);
    parameter.set("schema", openapi_schema(inner, components));
    list.push(std::move(parameter));
  }
  return list;
}

Json content_of(Json schema) {
  return Json::object({{"application/json", Json::object({{"schema", std::move(schema)}})}});
}

}  // namespace

Json Router::openapi() const {
  std::map<std::string, Json> paths;
  Json components = Json::object();
  components.set(
      "Errors",
      Json::object(
          {{"type", "object"},
           {"properties",
            Json::object(
                {{"errors", Json::object({{"type", "array"},
                                          {"items", Json::object({{"type", "string"}})}})}})}}));
  for (const Endpoint& endpoint : endpoints_) {
    std::string path;
    std::string id;
    for (const char c : endpoint.verb)
      id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::string verb = id;
    std::string_view rest = endpoint.path;
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const auto end = std::min(rest.find('/'), rest.size());
      const std::string token(rest.substr(0, end));
      rest.remove_prefix(end);
      path += token.starts_with(':') ? "/{" + token.substr(1) + "}" : "/" + token;
      id += "_" + (token.starts_with(':') ? token.substr(1) : token);
    }
    Json parameters = parameters_of(endpoint.path_shape(), "path", components);
    const Json queries = parameters_of(endpoint.query_shape(), "query", components);
    for (const Json& query : queries.elements()) parameters.push(query);
    Json good = Json::object(
        {{"description", endpoint.summary},
         {"content", content_of(openapi_schema(endpoint.response_shape(), components))}});
    Json bad = Json::object(
        {{"description", "What went wrong."},
         {"content", content_of(Json::object({{"$ref", "#/components/schemas/Errors"}}))}});
    Json operation = Json::object({{"operationId", id},
                                   {"summary", endpoint.summary},
                                   {"parameters", std::move(parameters)}});
    // OpenAPI knows no body on GET.
    if (endpoint.request_shape != nullptr && endpoint.verb != "GET") {
      operation.set(
          "requestBody",
          Json::object(
              {{"content", content_of(openapi_schema(endpoint.request_shape(), components))}}));
    } else if (endpoint.takes_upload) {
      Json file = Json::object({{"type", "string"}, {"format", "binary"}});
      Json form = Json::object(
          {{"type", "object"}, {"properties", Json::object({{"jarfile", std::move(file)}})}});
      operation.set(
          "requestBody",
          Json::object(
              {{"content", Json::object({{"multipart/form-data",
                                          Json::object({{"schema", std::move(form)}})}})}}));
    }
    operation.set("responses", Json::object({{std::to_string(endpoint.status), std::move(good)},
                                             {"default", std::move(bad)}}));
    paths[path].set(verb, std::move(operation));
  }
  Json all = Json::object();
  for (auto& [path, verbs] : paths) all.set(path, std::move(verbs));
  return Json::object({{"openapi", "3.0.3"},
                       {"info", Json::object({{"title", "Drey REST API"}, {"version", "v1"}})},
                       {"paths", std::move(all)},
                       {"components", Json::object({{"schemas", std::move(components)}})}});
}

}  // namespace drey::rest
