#include <algorithm>
#include <cctype>
#include <map>

#include "rest/router.h"
#include "rest/typescript.h"

namespace drey::rest {
namespace {

Json parameters_of(const Shape& shape, const char* where, Json& components) {
  Json list = Json::array();
  for (const Row& row : shape.rows()) {
    Json parameter = Json::object({{"name", row.name}, {"in", where}, {"required", std::string_view(where) == "path"}});
    if (!row.doc.empty()) parameter.set("description", row.doc);
    const Shape& inner = *row.shape;
    const bool array = inner.kind == Shape::Kind::kArray ||
                       (inner.kind == Shape::Kind::kOptional && inner.element->kind == Shape::Kind::kArray);
    if (array) parameter.set("style", "form").set("explode", false);
    parameter.set("schema", openapi_schema(inner, components));
    list.push(std::move(parameter));
  }
  return list;
}

Json content_of(Json schema, const char* type = "application/json") {
  return Json::object({{type, Json::object({{"schema", std::move(schema)}})}});
}

}  // namespace

Json openapi(const std::vector<Endpoint>& endpoints) {
  std::map<std::string, Json> paths;
  Json components = Json::object();
  components.set(
      "Errors",
      Json::object(
          {{"type", "object"},
           {"properties", Json::object({{"errors", Json::object({{"type", "array"},
                                                                 {"items", Json::object({{"type", "string"}})}})}})}}));
  for (const Endpoint& endpoint : endpoints) {
    std::string path;
    std::string verb(endpoint.verb);
    for (char& c : verb) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string_view rest = endpoint.path;
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const auto end = std::min(rest.find('/'), rest.size());
      const std::string token(rest.substr(0, end));
      rest.remove_prefix(end);
      path += token.starts_with(':') ? "/{" + token.substr(1) + "}" : "/" + token;
    }
    Json parameters = parameters_of(*endpoint.path_shape, "path", components);
    const Json queries = parameters_of(*endpoint.query_shape, "query", components);
    for (const Json& query : queries.elements()) parameters.push(query);
    Json good = Json::object(
        {{"description", endpoint.summary},
         {"content",
          content_of(openapi_schema(*endpoint.response_shape, components),
                     endpoint.response_shape->kind == Shape::Kind::kFile ? "text/plain" : "application/json")}});
    Json bad = Json::object({{"description", "What went wrong."},
                             {"content", content_of(Json::object({{"$ref", "#/components/schemas/Errors"}}))}});
    Json operation = Json::object({{"operationId", operation_id(endpoint)},
                                   {"summary", endpoint.summary},
                                   {"parameters", std::move(parameters)}});
    // OpenAPI knows no body on GET.
    if (endpoint.request_shape != nullptr && endpoint.verb != "GET") {
      operation.set("requestBody",
                    Json::object({{"content", content_of(openapi_schema(*endpoint.request_shape, components))}}));
    } else if (endpoint.takes_upload) {
      Json file = Json::object({{"type", "string"}, {"format", "binary"}});
      Json form = Json::object({{"type", "object"}, {"properties", Json::object({{"jarfile", std::move(file)}})}});
      operation.set(
          "requestBody",
          Json::object(
              {{"content", Json::object({{"multipart/form-data", Json::object({{"schema", std::move(form)}})}})}}));
    }
    operation.set("responses",
                  Json::object({{std::to_string(endpoint.status), std::move(good)}, {"default", std::move(bad)}}));
    paths[path].set(verb, std::move(operation));
  }
  Json all = Json::object();
  for (auto& [path, verbs] : paths) all.set(path, std::move(verbs));
  return Json::object({{"openapi", "3.0.3"},
                       {"info", Json::object({{"title", "Drey REST API"}, {"version", "v1"}})},
                       {"paths", std::move(all)},
                       {"components", Json::object({{"schemas", std::move(components)}})}});
}

namespace {

// A type in a few words, for the page.
std::string texts_of(const Shape& shape) {
  switch (shape.kind) {
    case Shape::Kind::kArray:
      return "list of " + texts_of(*shape.element);
    case Shape::Kind::kMap:
      return "map to " + texts_of(*shape.element);
    case Shape::Kind::kOptional:
      return texts_of(*shape.element);
    case Shape::Kind::kMessage:
      return shape.urn.empty() ? "object" : std::string(simple_name(shape));
    case Shape::Kind::kEnum: {
      std::string out;
      for (const EnumText& word : shape.texts) out += (out.empty() ? "" : ", ") + std::string(word.text);
      return out;
    }
    case Shape::Kind::kId:
      return "32 hexadecimal digits";
    case Shape::Kind::kWhole:
      return "whole number";
    case Shape::Kind::kReal:
      return "number";
    case Shape::Kind::kBoolean:
      return "true or false";
    case Shape::Kind::kFile:
      return "text or file";
    case Shape::Kind::kAny:
      return "JSON";
    case Shape::Kind::kText:
      break;
  }
  return "text";
}

std::string keys_of(const Shape& shape) {
  if (shape.kind == Shape::Kind::kOptional || shape.kind == Shape::Kind::kArray || shape.kind == Shape::Kind::kMap)
    return keys_of(*shape.element);
  std::string out;
  for (const Row& row : shape.rows()) {
    out += (out.empty() ? "`" : ", `") + std::string(row.name) + "`";
  }
  return out;
}

}  // namespace

std::string reference_page(const std::vector<Endpoint>& endpoints) {
  std::string out =
      "# REST API\n\n"
      "Every operation, out of its declaration (`src/rest`); do not edit, "
      "`src/rest/contract_test.cc` "
      "says how\nto write it anew. `GET /openapi.json` says the same with all types. Paths are "
      "also "
      "served below `/v1`.\n";
  std::vector<const Endpoint*> sorted;
  for (const Endpoint& endpoint : endpoints) sorted.push_back(&endpoint);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Endpoint* a, const Endpoint* b) {
    return std::pair(a->path, a->verb) < std::pair(b->path, b->verb);
  });
  for (const Endpoint* e : sorted) {
    out += "\n## " + std::string(e->verb) + " " + std::string(e->path) + "\n\n" + std::string(e->summary) +
           " Role: " + std::string(kRoles[static_cast<std::size_t>(e->access)]) + ". Answers " +
           std::to_string(e->status) + ".\n";
    std::string parameters;
    for (const auto& [place, shape] : {std::pair{"path", e->path_shape}, std::pair{"query", e->query_shape}}) {
      for (const Row& row : shape->rows()) {
        parameters += "| `" + std::string(row.name) + "` | " + place + " | " + texts_of(*row.shape) + " | " +
                      std::string(row.doc) + " |\n";
      }
    }
    if (!parameters.empty()) out += "\n| parameter | in | type | |\n|---|---|---|---|\n" + parameters;
    if (e->takes_upload) out += "\nBody: multipart/form-data with files.\n";
    if (e->request_shape != nullptr)
      out += "\nBody: " + texts_of(*e->request_shape) + ": " + keys_of(*e->request_shape) + ".\n";
    const std::string keys = keys_of(*e->response_shape);
    out += "\nAnswer: " + texts_of(*e->response_shape) + (keys.empty() ? "" : ": " + keys) + ".\n";
  }
  return out;
}

}  // namespace drey::rest
