// The declared operations against Flink's documented ones: both pages, verb by verb, row by row.
//
// tests/contract/missing.txt lists what is not served yet, tests/contract/differences.txt what
// differs and why; both must say exactly what is true.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

#include "env/env.h"
#include "rest/router.h"
#include "rest/typescript.h"

namespace drey::rest {
namespace {

constexpr std::string_view kPrefix = "urn:jsonschema:org:apache:flink:";

std::string contract_file(const std::string& name) {
  return env::posix().files.read_all(std::string(DREY_SOURCE_DIR) + "/tests/contract/" + name).value_or("");
}

// The lines of a list; what follows two blanks is the reason.
std::map<std::string, std::string> listed(const std::string& name) {
  std::map<std::string, std::string> out;
  const std::string text = contract_file(name);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty() || line.starts_with('#')) continue;
    const auto gap = line.find("  ");
    out[line.substr(0, gap)] = gap == std::string::npos ? "" : line.substr(line.find_first_not_of(' ', gap));
  }
  return out;
}

class Comparison {
 public:
  Comparison(wire::Eras era, const Json& page) : era_(era) {
    for (const Json& operation : page.elements()) {
      remember(operation["request"]);
      remember(operation["response"]);
    }
  }

  void operation(const Json& page, const Endpoint& endpoint, std::set<std::string>& out) {
    out_ = &out;
    where_ = fmt::format("{} {} {}", era_ == kV1 ? "1.12" : "2.x", endpoint.verb, endpoint.path);
    if (page["status"].whole() != endpoint.status) differ("status", "");
    for (const char* place : {"path", "query"}) {
      std::set<std::string> wanted, found;
      for (const Json& parameter : page["params"].elements()) {
        if (parameter["in"].text() == place) wanted.insert(*parameter["name"].text());
      }
      const Shape& shape = *(std::string_view(place) == "path" ? endpoint.path_shape : endpoint.query_shape);
      for (const Row& row : shape.rows()) {
        if ((row.eras & era_) != 0) found.insert(std::string(row.name));
      }
      if (wanted != found) differ(place, "");
    }
    if (endpoint.request_shape != nullptr) {
      compare(page["request"], *endpoint.request_shape, "request");
    } else if (!page["request"].entries().empty()) {
      differ("request", "");
    }
    compare(page["response"], *endpoint.response_shape, "response");
  }

 private:
  void remember(const Json& schema) {
    if (schema["id"].is_string()) by_id_.emplace(*schema["id"].text(), schema);
    for (const char* inner : {"items", "additionalProperties"}) {
      if (schema[inner].is_object()) remember(schema[inner]);
    }
    if (!schema["properties"].is_object()) return;
    for (const auto& [name, property] : schema["properties"].entries()) remember(property);
  }

  void differ(const std::string& at, const std::string& how) {
    out_->insert(fmt::format("{}: {}{}", where_, at, how.empty() ? "" : " " + how));
  }

  void compare(const Json& wanted, const Shape& shape, const std::string& at) {
    using Kind = Shape::Kind;
    if (shape.kind == Kind::kOptional) return compare(wanted, *shape.element, at);
    if (wanted["$ref"].is_string()) {
      const std::string id = *wanted["$ref"].text();
      if (std::find(open_.begin(), open_.end(), id) != open_.end()) return;  // a message that holds itself
      return compare(by_id_.at(id), shape, at);
    }
    if (wanted.entries().empty()) {
      if (shape.kind != Kind::kMessage || !shape.rows().empty()) differ(at, "has no schema");
      return;
    }
    const std::string type = wanted["type"].text().value_or("");
    if (type == "any") return;
    if (type == "array")
      return shape.kind == Kind::kArray ? compare(wanted["items"], *shape.element, at + "[]")
                                        : differ(at, "is an array");
    if (type == "object" && wanted["additionalProperties"].is_object()) {
      return shape.kind == Kind::kMap ? compare(wanted["additionalProperties"], *shape.element, at + "{}")
                                      : differ(at, "is a map");
    }
    if (type == "object") return compare_message(wanted, shape, at);
    if (type == "string") {
      if (shape.kind != Kind::kText && shape.kind != Kind::kEnum) return differ(at, "is a text");
      std::set<std::string> words, known;
      if (wanted["enum"].is_array()) {
        for (const Json& word : wanted["enum"].elements()) words.insert(*word.text());
      }
      for (const EnumText& word : shape.texts) {
        if ((word.eras & era_) != 0) known.insert(std::string(word.text));
      }
      if (words != known) differ(at, "has other words");
      return;
    }
    const Kind kind = type == "integer" ? Kind::kWhole : type == "number" ? Kind::kReal : Kind::kBoolean;
    if (shape.kind != kind) differ(at, "is of type " + type);
  }

  void compare_message(const Json& wanted, const Shape& shape, const std::string& at) {
    const std::string id = wanted["id"].text().value_or("");
    const Json& properties = wanted["properties"];
    if (shape.kind == Shape::Kind::kMap && !properties.is_object()) return;  // keys that are data
    if (shape.kind != Shape::Kind::kMessage) return differ(at, "is an object");
    if (id != std::string(kPrefix) + std::string(era_ == kV1 ? shape.urn_v1 : shape.urn))
      differ(at, "is " + id.substr(std::min(id.size(), kPrefix.size())));
    open_.push_back(id);
    std::set<std::string> wanted_names;
    if (properties.is_object()) {
      for (const auto& [name, property] : properties.entries()) wanted_names.insert(name);
    }
    for (const Row& row : shape.rows()) {
      if ((row.eras & era_) == 0) continue;
      const std::string name(row.name);
      if (wanted_names.erase(name) == 0) {
        differ(at + "." + name, "is not in the page");
      } else {
        compare(properties[name], *row.shape, at + "." + name);
      }
    }
    for (const std::string& name : wanted_names) differ(at + "." + name, "is missing");
    open_.pop_back();
  }

  const wire::Eras era_;
  std::map<std::string, Json> by_id_;
  std::vector<std::string> open_;
  std::string where_;
  std::set<std::string>* out_ = nullptr;
};

TEST(ContractTest, DeclarationsEqualBothPagesButForWhatIsListed) {
  const std::vector<Endpoint> endpoints = all_endpoints();
  std::set<std::string> missing, differences, served, documented;
  for (const auto& [era, name] : {std::pair{kV2, "rest-2.x.json"}, std::pair{kV1, "rest-1.12.json"}}) {
    const Json page = Json::parse(contract_file(name)).value_or(Json());
    ASSERT_TRUE(page.is_array()) << name;
    Comparison comparison(era, page);
    for (const Json& operation : page.elements()) {
      const std::string key = *operation["verb"].text() + " " + *operation["path"].text();
      documented.insert(key);
      const auto found = std::find_if(endpoints.begin(), endpoints.end(), [&](const Endpoint& e) {
        return e.verb == *operation["verb"].text() && e.path == *operation["path"].text();
      });
      if (found == endpoints.end()) {
        missing.insert(key);
        continue;
      }
      served.insert(key);
      comparison.operation(operation, *found, differences);
    }
  }
  std::cout << fmt::format("contract: {} of {} operations served\n", served.size(), documented.size());
  for (const std::string& key : missing) std::cout << "missing: " << key << "\n";
  const auto known_missing = listed("missing.txt");
  for (const std::string& key : missing) EXPECT_TRUE(known_missing.contains(key)) << "not in missing.txt: " << key;
  for (const auto& [key, why] : known_missing)
    EXPECT_TRUE(missing.contains(key)) << "served; take it out of missing.txt: " << key;
  const auto known_differences = listed("differences.txt");
  for (const std::string& key : differences)
    EXPECT_TRUE(known_differences.contains(key)) << "not in differences.txt: " << key;
  for (const auto& [key, why] : known_differences) {
    EXPECT_TRUE(differences.contains(key)) << "no difference any more: " << key;
    EXPECT_FALSE(why.empty()) << "no reason: " << key;
  }
}

// What is wrong with a document as OpenAPI 3.0; empty when nothing is.
class OpenApiCheck {
 public:
  explicit OpenApiCheck(const Json& page) : page_(page) {}
  std::vector<std::string> run() {
    if (!page_["openapi"].text().value_or("").starts_with("3.0.")) bad("openapi");
    if (!page_["info"]["title"].is_string() || !page_["info"]["version"].is_string()) bad("info");
    for (const auto& [name, component] : page_["components"]["schemas"].entries()) {
      if (name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") !=
          std::string::npos)
        bad("name of the component " + name);
      schema(component, name);
    }
    for (const auto& [path, verbs] : page_["paths"].entries()) {
      for (const auto& [verb, operation] : verbs.entries()) check(path, verb, operation);
    }
    return problems_;
  }

 private:
  void bad(const std::string& what) { problems_.push_back(what); }
  void schema(const Json& s, const std::string& at) {
    if (s["$ref"].is_string()) {
      constexpr std::string_view kPlace = "#/components/schemas/";
      const std::string ref = *s["$ref"].text();
      if (!ref.starts_with(kPlace) || page_["components"]["schemas"][ref.substr(kPlace.size())].is_null())
        bad(at + ": " + ref + " leads nowhere");
      if (s.entries().size() != 1) bad(at + ": something beside a $ref");
      return;
    }
    if (s["type"].is_null()) return;
    static const std::set<std::string> kTypes{"array", "boolean", "integer", "number", "object", "string"};
    const std::string type = s["type"].text().value_or("");
    if (!kTypes.contains(type)) bad(at + ": type " + type);
    if (type == "array" && !s["items"].is_object()) bad(at + ": array without items");
    if (s["items"].is_object()) schema(s["items"], at + "[]");
    if (s["additionalProperties"].is_object()) schema(s["additionalProperties"], at + "{}");
    if (!s["properties"].is_object()) return;
    for (const auto& [name, property] : s["properties"].entries()) schema(property, at + "." + name);
  }
  void check(const std::string& path, const std::string& verb, const Json& operation) {
    static const std::set<std::string> kVerbs{"get", "put", "post", "delete", "patch"};
    const std::string at = verb + " " + path;
    if (!path.starts_with('/') || !kVerbs.contains(verb)) bad(at);
    if (!ids_.insert(operation["operationId"].text().value_or("")).second) bad(at + ": operationId");
    std::set<std::string> in_path, seen;
    for (std::size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1))
      in_path.insert(path.substr(open + 1, path.find('}', open) - open - 1));
    for (const Json& parameter : operation["parameters"].elements()) {
      const std::string name = parameter["name"].text().value_or("");
      const std::string place = parameter["in"].text().value_or("");
      if (!seen.insert(place + " " + name).second) bad(at + ": twice " + name);
      if (place == "path" && (in_path.erase(name) == 0 || parameter["required"].boolean() != true))
        bad(at + ": path parameter " + name);
      if (place != "path" && place != "query") bad(at + ": in " + place);
      schema(parameter["schema"], at + " " + name);
    }
    if (!in_path.empty()) bad(at + ": undeclared " + *in_path.begin());
    if (operation["responses"].entries().empty()) bad(at + ": no responses");
    for (const auto& [status, response] : operation["responses"].entries()) {
      if (!response["description"].is_string()) bad(at + ": " + status + " without description");
      for (const auto& [type, content] : response["content"].entries()) schema(content["schema"], at + " " + status);
    }
    if (!operation["requestBody"].is_object()) return;
    if (verb == "get" || operation["requestBody"]["content"].entries().empty()) bad(at + ": body");
    for (const auto& [type, content] : operation["requestBody"]["content"].entries())
      schema(content["schema"], at + " body");
  }
  const Json& page_;
  std::set<std::string> ids_;
  std::vector<std::string> problems_;
};

TEST(ContractTest, OpenApiIsValid) {
  const Json page = openapi(all_endpoints());
  EXPECT_EQ(OpenApiCheck(page).run(), std::vector<std::string>());
  // The check can see.
  Json broken = Json::parse(R"({"openapi":"3.0.3","info":{"title":"t","version":"v"},"components":{
    "schemas":{}},"paths":{"/a/{b}":{"get":{"operationId":"x","parameters":[],"responses":{"200":{
    "description":"d","content":{"a":{"schema":{"$ref":"#/components/schemas/None"}}}}}}}}})")
                    .value();
  EXPECT_EQ(OpenApiCheck(broken).run().size(), 2u);
}

TEST(ContractTest, TheTypeScriptClientHasAMethodForEveryOperation) {
  const auto endpoints = all_endpoints();
  const std::string client = typescript_client(endpoints);
  std::set<std::string> ids;
  for (const Endpoint& e : endpoints) {
    const std::string id = operation_id(e);
    EXPECT_TRUE(ids.insert(id).second) << id;
    EXPECT_EQ(id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string::npos)
        << id;
    const auto at = client.find("\n  " + id + "(");
    EXPECT_NE(at, std::string::npos) << id;
    EXPECT_EQ(client.find("\n  " + id + "(", at + 1), std::string::npos) << id;
  }
  EXPECT_EQ(std::count(client.begin(), client.end(), '{'), std::count(client.begin(), client.end(), '}'));
  EXPECT_NE(
      client.find("  get_jobs_jobid(path: { \"jobid\": string }): Promise<JobDetailsInfo> {\n"
                  "    return this.json(\"GET\", `/jobs/${encodeURIComponent(encodeURIComponent(path[\"jobid\"]))}`);"),
      std::string::npos);
}

// `DREY_WRITE_REFERENCE=1 rest_test` writes the page anew.
TEST(ContractTest, TheReferencePageIsFresh) {
  const std::string path = std::string(DREY_SOURCE_DIR) + "/docs/reference/rest.md";
  const std::string page = reference_page(all_endpoints());
  if (!env::environment_variable("DREY_WRITE_REFERENCE").empty()) {
    ASSERT_TRUE(env::posix().files.write_atomic(path, page).ok());
  }
  EXPECT_EQ(env::posix().files.read_all(path).value_or(""), page)
      << "write it anew: DREY_WRITE_REFERENCE=1 rest_test --gtest_filter='*ReferencePage*'";
}

TEST(ContractTest, EveryOperationIsDeclaredOnceAndDescribed) {
  std::set<std::string> seen;
  for (const Endpoint& e : all_endpoints()) {
    EXPECT_TRUE(seen.insert(fmt::format("{} {}", e.verb, e.path)).second) << e.path;
    EXPECT_FALSE(e.summary.empty()) << e.path;
    EXPECT_TRUE(e.verb == "GET" || e.access != Access::kView) << e.path;
  }
}

}  // namespace
}  // namespace drey::rest
