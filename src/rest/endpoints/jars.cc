#include <algorithm>

#include <fmt/format.h>

#include "env/env.h"
#include "rest/job_views.h"
#include "rest/router.h"

namespace drey::rest {
namespace {

// Split by white space, with '..' and ".." quoting and no escapes (rest.md 4.15).
std::vector<std::string> split_arguments(const std::string& text) {
  std::vector<std::string> out;
  std::string part;
  bool in_part = false;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        part += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_part = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (in_part) out.push_back(part);
      part.clear();
      in_part = false;
    } else {
      part += c;
      in_part = true;
    }
  }
  if (in_part) out.push_back(part);
  return out;
}

// Body first, then query; empty texts and nulls count as absent.
std::string text_of(const Call& call, const char* body_key, const char* query_key) {
  if (const auto text = call.body[body_key].text(); text && !text->empty()) return *text;
  return call.first(query_key).value_or("");
}

std::optional<gateway::RunRequest> request_of(const Call& call, const Refuse& refuse) {
  gateway::RunRequest request;
  const auto bad = [&](std::string text) -> std::optional<gateway::RunRequest> {
    refuse({fail(Code::kInvalidArgument, std::move(text))});
    return std::nullopt;
  };
  request.jar = call.path.at("jarid");
  request.entry = text_of(call, "entryClass", "entry-class");
  if (call.body["programArgsList"].is_array()) {
    for (const Json& argument : call.body["programArgsList"].elements()) request.arguments.push_back(argument.text().value_or(""));
  } else if (const auto list = call.list("programArg"); !list.empty()) {
    request.arguments = list;
  } else {
    request.arguments = split_arguments(text_of(call, "programArgs", "program-args"));
  }
  const std::string parallelism = text_of(call, "parallelism", "parallelism");
  if (!parallelism.empty()) {
    const auto number = Json(parallelism).whole();
    if (!number) {
      return bad(fmt::format("Bad request, could not parse parameters: Cannot resolve query parameter (parallelism) from value \"{}\".", parallelism));
    }
    if (*number != -1 && (*number < 1 || *number > 32768)) return bad("Could not execute application.");
    request.parallelism = *number == -1 ? 0 : static_cast<std::int32_t>(*number);
  }
  if (const auto id = call.body["jobId"].text(); id && !id->empty()) {
    request.job_id = JobId::parse(*id);
    if (!request.job_id) return bad("Request did not match expected format JarRunRequestBody.");
  }
  request.savepoint_path = text_of(call, "savepointPath", "savepointPath");
  request.allow_non_restored = text_of(call, "allowNonRestoredState", "allowNonRestoredState") == "true";
  if (call.body["flinkConfiguration"].is_object()) {
    for (const auto& [key, value] : call.body["flinkConfiguration"].entries()) request.configuration[key] = value.text().value_or("");
  }
  return request;
}

void plan(const Call& call, gateway::ClusterGateway& gateway, const Answer& answer, const Refuse& refuse) {
  auto request = request_of(call, refuse);
  if (!request) return;
  gateway.plan_jar(std::move(*request)).then([answer, refuse](Result<gateway::JobModelRef> job) {
    if (!job.ok()) {
      // Whatever is wrong with a program is its caller's matter.
      return refuse({fail(Code::kInvalidArgument, job.status().to_string())});
    }
    answer({200, Json::object({{"plan", plan_json(**job)}})});
  });
}

}  // namespace

std::vector<Endpoint> jar_endpoints() {
  return {
      {"GET", "/jars", "Uploaded jars.", Endpoint::Access::kRead, false, "",
       [](const Call&, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const std::string address = gateway.option("drey.rest.address", "");
         gateway.jars().then([answer, refuse, address](Result<std::vector<gateway::JarModel>> jars) {
           if (!jars.ok()) return refuse({jars.status()});
           Json files = Json::array();
           for (const auto& jar : *jars) {
             Json entries = Json::array();
             for (const std::string& entry : jar.entries) entries.push(Json::object({{"name", entry}, {"description", Json()}}));
             files.push(Json::object({{"id", jar.id}, {"name", jar.name}, {"uploaded", jar.uploaded}, {"entry", std::move(entries)}}));
           }
           answer({200, Json::object({{"address", address}, {"files", std::move(files)}})});
         });
       }},
      {"POST", "/jars/upload", "Uploads a jar.", Endpoint::Access::kWrite, true, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         const auto drop = [path = call.upload_path] {
           if (!path.empty()) static_cast<void>(env::posix().files.remove(path));
         };
         if (call.upload_count != 1) {
           drop();
           return refuse({fail(Code::kInvalidArgument, fmt::format("Exactly 1 file must be sent, received {}.", std::max<std::int64_t>(call.upload_count, 0)))});
         }
         if (!call.upload_name.ends_with(".jar")) {
           drop();
           return refuse({fail(Code::kInvalidArgument, "Only Jar files are allowed.")});
         }
         gateway.add_jar(call.upload_path, call.upload_name).then([answer, refuse](Result<std::string> path) {
           if (!path.ok()) return refuse({path.status()});
           answer({200, Json::object({{"filename", *path}, {"status", "success"}})});
         });
       }},
      {"DELETE", "/jars/:jarid", "Deletes a jar.", Endpoint::Access::kWrite, false, "",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         gateway.delete_jar(call.path.at("jarid")).then([answer, refuse](Result<bool> done) {
           if (!done.ok()) return refuse({done.status()});
           answer({200, Json::object()});
         });
       }},
      {"GET", "/jars/:jarid/plan", "The graph of a program.", Endpoint::Access::kRead, false, "JarPlanRequestBody", plan},
      {"POST", "/jars/:jarid/plan", "The graph of a program.", Endpoint::Access::kWrite, false, "JarPlanRequestBody", plan},
      {"POST", "/jars/:jarid/run", "Runs a program.", Endpoint::Access::kWrite, false, "JarRunRequestBody",
       [](const Call& call, gateway::ClusterGateway& gateway, Answer answer, Refuse refuse) {
         auto request = request_of(call, refuse);
         if (!request) return;
         gateway.run_jar(std::move(*request)).then([answer, refuse](Result<JobId> id) {
           if (!id.ok()) return refuse({fail(Code::kInvalidArgument, id.status().to_string())});
           answer({200, Json::object({{"jobid", *id}, {"applicationId", *id}})});
         });
       }},
  };
}

}  // namespace drey::rest
