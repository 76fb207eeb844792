#include "rest/typescript.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace drey::rest {
namespace {

using Kind = Shape::Kind;

class Writer {
 public:
  // The type of a value; messages with a name are written beside.
  std::string type_of(const Shape& shape) {
    switch (shape.kind) {
      case Kind::kMessage:
        return shape.urn.empty() ? literal(shape, "; ", "{ ", " }") : named(shape);
      case Kind::kArray:
        return fmt::format("Array<{}>", type_of(*shape.element));
      case Kind::kMap:
        return fmt::format("Record<string, {}>", type_of(*shape.element));
      case Kind::kOptional:
        return type_of(*shape.element);
      case Kind::kEnum: {
        std::string out;
        for (const EnumText& word : shape.texts) out += fmt::format("{}\"{}\"", out.empty() ? "" : " | ", word.text);
        return out;
      }
      case Kind::kWhole:
        return "number";
      case Kind::kReal:
        return "number | \"NaN\"";
      case Kind::kBoolean:
        return "boolean";
      case Kind::kAny:
        return "unknown";
      case Kind::kId:
      case Kind::kText:
      case Kind::kFile:
        break;
    }
    return "string";
  }

  // Fields of a message that somebody sends may all be left out.
  std::string literal(const Shape& shape, std::string_view between, std::string_view open, std::string_view close,
                      bool sent = false) {
    std::string out;
    for (const Row& row : shape.rows()) {
      const Shape& inner = *row.shape;
      const bool may_lack = inner.kind == Kind::kOptional && !row.null_when_empty;
      std::string type = type_of(inner);
      if (row.null_when_empty) type += " | null";
      out += fmt::format("{}\"{}\"{}: {}", out.empty() ? open : between, row.name, may_lack || sent ? "?" : "", type);
    }
    return out.empty() ? "Record<string, never>" : out + std::string(close);
  }

  const std::string& types() const { return types_; }

 private:
  std::string named(const Shape& shape) {
    const auto known = names_.find(&shape);
    if (known != names_.end()) return known->second;
    std::string name(simple_name(shape));
    while (!taken_.insert(name).second) name += "_";
    names_.emplace(&shape, name);
    const std::string body = literal(shape, ";\n  ", "{\n  ", ";\n}");
    types_ += fmt::format("export type {} = {};\n", name, body);
    return name;
  }

  std::string types_;
  std::map<const Shape*, std::string> names_;  // types may share a name on the page
  std::set<std::string> taken_{"DreyClient", "DreyError"};
};

constexpr std::string_view kBase = R"(
export class DreyError extends Error {
  constructor(readonly status: number, readonly errors: string[]) {
    super(errors.join("\n"));
  }
}

type Parameter = string | number | boolean | Array<string | number> | undefined;

export class DreyClient {
  // `base`: in front of every path, without a slash at its end.
  constructor(private readonly base: string = "", private readonly fetcher: typeof fetch = (input, init) => fetch(input, init)) {}

  private async send(verb: string, path: string, query: Record<string, Parameter>, body: unknown): Promise<Response> {
    const words = Object.entries(query)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
    const init: RequestInit = { method: verb };
    if (body instanceof FormData) {
      init.body = body;
    } else if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "content-type": "application/json" };
    }
    const answer = await this.fetcher(`${this.base}/v1${path}${words.length > 0 ? "?" : ""}${words.join("&")}`, init);
    if (!answer.ok) {
      const told: unknown = await answer.json().catch(() => null);
      const errors = (told as { errors?: string[] } | null)?.errors ?? [`HTTP ${answer.status}`];
      throw new DreyError(answer.status, errors);
    }
    return answer;
  }
  private async json<T>(verb: string, path: string, query: Record<string, Parameter> = {}, body?: unknown): Promise<T> {
    return (await (await this.send(verb, path, query, body)).json()) as T;
  }
  private async text(verb: string, path: string, query: Record<string, Parameter> = {}): Promise<string> {
    return (await this.send(verb, path, query, undefined)).text();
  }
)";

// A parameter is a text on its way, whatever it is in a body.
std::string parameter_type(Writer& writer, const Shape& shape) {
  if (shape.kind == Kind::kOptional) return parameter_type(writer, *shape.element);
  if (shape.kind == Kind::kArray) return fmt::format("Array<{}>", parameter_type(writer, *shape.element));
  return shape.kind == Kind::kReal ? "number" : writer.type_of(shape);
}

std::string method_of(Writer& writer, const Endpoint& endpoint) {
  std::vector<std::string> arguments;
  std::string target;
  std::string_view rest = endpoint.path;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto end = std::min(rest.find('/'), rest.size());
    const std::string_view token = rest.substr(0, end);
    rest.remove_prefix(end);
    // The server decodes the whole path, then each token.
    target += token.starts_with(':')
                  ? fmt::format("/${{encodeURIComponent(encodeURIComponent(path[\"{}\"]))}}", token.substr(1))
                  : fmt::format("/{}", token);
  }
  const auto parameters = [&](const Shape& shape, const char* mark) {
    std::string out;
    for (const Row& row : shape.rows())
      out +=
          fmt::format("{}\"{}\"{}: {}", out.empty() ? "{ " : "; ", row.name, mark, parameter_type(writer, *row.shape));
    return out + " }";
  };
  if (!endpoint.path_shape->rows().empty()) arguments.push_back("path: " + parameters(*endpoint.path_shape, ""));
  const bool is_text = endpoint.response_shape->kind == Kind::kFile;
  std::string call = fmt::format("\"{}\", `{}`", endpoint.verb, target);
  if (endpoint.request_shape != nullptr && endpoint.verb != "GET" && !endpoint.takes_upload) {
    const Shape& body = *endpoint.request_shape;
    arguments.push_back(
        "body: " + (body.kind == Kind::kMessage ? writer.literal(body, "; ", "{ ", " }", true) : writer.type_of(body)));
  } else if (endpoint.takes_upload) {
    arguments.push_back("body: FormData");
  }
  const bool has_body = !arguments.empty() && arguments.back().starts_with("body: ");
  if (!endpoint.query_shape->rows().empty())
    arguments.push_back("query: " + parameters(*endpoint.query_shape, "?") + " = {}");
  const bool has_query = !endpoint.query_shape->rows().empty();
  if (has_query || has_body) call += has_query ? ", query" : ", {}";
  if (has_body) call += ", body";
  const std::string type = is_text ? "string" : writer.type_of(*endpoint.response_shape);
  return fmt::format("\n  // {}\n  {}({}): Promise<{}> {{\n    return this.{}({});\n  }}\n", endpoint.summary,
                     operation_id(endpoint), fmt::join(arguments, ", "), type, is_text ? "text" : "json", call);
}

}  // namespace

std::string operation_id(const Endpoint& endpoint) {
  std::string id;
  for (const char c : endpoint.verb) id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char c : endpoint.path) {
    if (c == ':') continue;
    id += c == '/' || c == '-' || c == '.' ? '_' : c;
  }
  return id;
}

std::string typescript_client(const std::vector<Endpoint>& endpoints) {
  Writer writer;
  std::string methods;
  for (const Endpoint& endpoint : endpoints) methods += method_of(writer, endpoint);
  return "// Made by `drey openapi --typescript` from the declared operations; not written by "
         "hand.\n\n" +
         writer.types() + std::string(kBase) + methods + "}\n";
}

}  // namespace drey::rest
