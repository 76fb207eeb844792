#include "rest/messages/jars.h"

#include <fmt/format.h>

#include <algorithm>

#include "rest/client_endpoints.h"
#include "rest/job_views.h"
#include "rest/messages/jobs.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::RunRequest;

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

using endpoints::JarPath;
using endpoints::PlanQuery;
using endpoints::RunQuery;

const std::string& first_of(const std::string& body, const std::string& query) { return body.empty() ? query : body; }

// A '/' gets here only encoded twice.
Status no_path(const std::string& jar) {
  if (jar.find('/') == std::string::npos) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("Bad request, could not parse parameters: Cannot resolve path parameter "
                          "(jarid) from value \"{}\".",
                          jar));
}

// Body first, then query; empty texts and nulls count as absent. What plan and run have in common.
template <typename Call>
Result<RunRequest> request_of(const Call& call) {
  DREY_TRY(no_path(call.path.jarid));
  for (const char* key : {"entry-class", "parallelism", "program-args", "savepointPath", "allowNonRestoredState"}) {
    const auto [begin, end] = call.raw.query.equal_range(key);
    const bool comma =
        std::string_view(key) == "parallelism" && begin != end && begin->second.find(',') != std::string::npos;
    if (begin == end || (std::next(begin) == end && !comma)) continue;
    std::string values;
    for (auto it = begin; it != end; ++it) values += (values.empty() ? "" : ",") + it->second;
    for (std::size_t at = 0; (at = values.find(',', at)) != std::string::npos; at += 2) values.replace(at, 1, ", ");
    return fail(Code::kInvalidArgument, fmt::format("Expected only one value [{}].", values));
  }
  RunRequest request;
  request.jar = call.path.jarid;
  request.entry = first_of(call.body.entry_class, call.query.entry_class);
  if (call.body.program_args_list) {
    request.arguments = *call.body.program_args_list;
  } else if (!call.query.program_arg.empty()) {  // a list beats a text
    request.arguments = call.query.program_arg;
  } else {
    request.arguments = split_arguments(first_of(call.body.program_args, call.query.program_args));
  }
  std::optional<std::int64_t> number = call.body.parallelism;
  if (!number && !call.query.parallelism.empty()) {
    number = Json(call.query.parallelism).whole();
    if (!number) {
      return fail(Code::kInvalidArgument, fmt::format("Bad request, could not parse parameters: Cannot resolve query "
                                                      "parameter (parallelism) "
                                                      "from value \"{}\".",
                                                      call.query.parallelism));
    }
  }
  // 0 meant the default up to 1.12.
  const bool none = number == -1 || (number == 0 && call.raw.dialect != Dialect::kFull);
  if (number && !none) {
    if (*number < 1 || *number > 32768)
      return fail(Code::kInvalidArgument,
                  "Could not execute application.\nCaused by: Parallelism "
                  "must be at least one and at most 32768.");
    request.parallelism = static_cast<std::int32_t>(*number);
  }
  request.job_id = call.body.job_id;
  for (const auto& [key, value] : call.body.flink_configuration) request.configuration[key] = value;
  return request;
}

struct ListJars : endpoints::ListJars {
  static void handle(const Call<>&, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.jars().then([reply, address = cluster.facts().rest_address](Result<std::vector<gateway::JarModel>> jars) {
      if (!jars.ok()) return reply.refuse(jars.status());
      Response list{address, {}};
      for (const auto& jar : *jars) {
        JarFile file{jar.id, jar.name, jar.uploaded, {}};
        for (const std::string& entry : jar.entries) file.entry.push_back({entry, std::nullopt});
        list.files.push_back(std::move(file));
      }
      reply(list);
    });
  }
};

struct UploadJar : endpoints::UploadJar {
  static void handle(const Call<>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const std::vector<net::Part>& files = call.raw.files;
    const auto refuse = [&](std::string text) { reply.refuse(fail(Code::kInvalidArgument, std::move(text))); };
    if (files.size() != 1) return refuse(fmt::format("Exactly 1 file must be sent, received {}.", files.size()));
    if (!files[0].file_name->ends_with(".jar")) return refuse("Only Jar files are allowed.");
    // The file is the part's until the cluster has moved it.
    cluster.add_jar(files[0].file->path(), *files[0].file_name)
        .then([reply, file = files[0].file](Result<std::string> path) {
          if (!path.ok()) return reply.refuse(path.status());
          reply({*path, "success"});
        });
  }
};

struct DeleteJar : endpoints::DeleteJar {
  static void handle(const Call<JarPath>& call, ClusterGateway& cluster, const Reply<None>& reply) {
    if (Status fits = no_path(call.path.jarid); !fits.ok()) return reply.refuse(fits);
    cluster.delete_jar(call.path.jarid).then([reply](Result<bool> done) {
      if (!done.ok()) return reply.refuse(done.status());
      reply({});
    });
  }
};

struct PlanOperation {
  using Path = JarPath;
  using Query = PlanQuery;
  using Request = JarPlanRequest;
  using Response = JobPlanInfo;
  static void handle(const Call<JarPath, PlanQuery, JarPlanRequest>& call, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    auto request = request_of(call);
    if (!request.ok()) return reply.refuse(request.status());
    cluster.plan_jar(std::move(*request)).then([reply](Result<gateway::JobModelRef> job) {
      // Whatever is wrong with a program is its caller's matter.
      if (!job.ok()) return reply.refuse(fail(Code::kInvalidArgument, job.status().to_string()));
      reply({plan_of(**job, reply.dialect())});
    });
  }
};
struct PlanJar : PlanOperation {
  static constexpr Route kRoute = endpoints::PlanJar::kRoute;
  static constexpr Access kAccess = endpoints::PlanJar::kAccess;
};
struct PlanJarByGet : PlanOperation {
  static constexpr Route kRoute{"GET", "/jars/:jarid/plan", 200, "The graph of a program."};
  static constexpr Access kAccess = Access::kSubmit;
};

struct RunJar : endpoints::RunJar {
  static void handle(const Call<JarPath, RunQuery, JarRunRequest>& call, ClusterGateway& cluster,
                     const Reply<Response>& reply) {
    auto request = request_of(call);
    if (!request.ok()) return reply.refuse(request.status());
    request->savepoint_path = first_of(call.body.savepoint_path, call.query.savepoint_path);
    request->allow_non_restored = call.body.allow_non_restored_state.value_or(call.query.allow_non_restored_state);
    const auto& mode = call.body.claim_mode ? call.body.claim_mode : call.body.restore_mode;
    request->claim = mode && *mode == "CLAIM";
    cluster.run_jar(std::move(*request)).then([reply](Result<JobId> id) {
      if (!id.ok()) return reply.refuse(fail(Code::kInvalidArgument, id.status().to_string()));
      reply({*id, *id});
    });
  }
};

}  // namespace

std::vector<Endpoint> jar_endpoints() {
  return endpoint_list<ListJars, UploadJar, DeleteJar, PlanJar, PlanJarByGet, RunJar>();
}

}  // namespace drey::rest
