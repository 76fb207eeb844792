// drey run, list, info, jars: the client's commands, over REST only. The others that concern a job: lifecycle.cc.
#include <csignal>
#include <cstdio>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "base/time.h"
#include "local_plan.h"
#include "rest_client.h"
#include "env/env.h"

namespace drey::apps {
namespace {

using wire::Json;

constexpr const char* kUsage =
    "drey run [-m HOST:PORT] [-d] [-p N] [-c ENTRY] [-s PATH] [-Dkey=value] [--json] JAR [arguments of the program]\n"
    "  -d, --detached      do not wait for the job\n"
    "  --plan-here         the program's main runs in this process, not in the cluster\n"
    "  -p, --parallelism   of operators that do not say\n"
    "  -c, --class         entry of the jar\n"
    "  -s, --fromSavepoint a savepoint or retained checkpoint to start from, at any parallelism\n"
    "  -n, --allowNonRestoredState   state that fits no operator is left out instead of refused\n"
    "  --claimMode CLAIM|NO_CLAIM    CLAIM: the savepoint is the job's and deleted when not needed any more\n"
    "drey list [-r] [-s] [-a] [--json]      running, waiting, all jobs\n"
    "drey info [-p N] [-c ENTRY] JAR [arguments]   the plan, without running it\n"
    "drey cancel|stop|savepoint|checkpoint|rescale --help   for these\n"
    "drey jars [--json]\n"
    "  -m, --jobmanager HOST:PORT   or https://HOST:PORT; default: the cluster of the default directory, else localhost:8081\n"
    "  environment: FLINK_REST_CLIENT_HEADERS (Name:Value lines, e.g. Authorization: Bearer ...), DREY_REST_CA (PEM file)\n"
    "exit codes: 0 done or accepted, 1 failed or cancelled, 2 wrong use, 3 no cluster\n"
    "examples:\n"
    "  drey run -d -p 2 flights.jar --input /data/flights.csv --output /tmp/out\n"
    "  drey run -s /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55 -p 4 flights.jar --input /data/flights.csv --output /tmp/out\n";

std::atomic<bool> g_interrupted{false};
void on_interrupt(int) { g_interrupted = true; }

// The jar's name in the cluster. The file is sent piece by piece.
Result<std::string> upload(const Target& target, const std::string& jar) {
  const std::string boundary = fmt::format("drey-{:016x}", env::posix().random.next());
  std::string name = env::base_name_of(jar);
  std::erase_if(name, [](char c) { return c == '"' || c == '\r' || c == '\n'; });
  net::HttpCall request = target.call;
  request.method = "POST";
  request.target = "/jars/upload";
  request.headers.emplace_back("content-type", "multipart/form-data; boundary=" + boundary);
  request.body = fmt::format("--{}\r\nContent-Disposition: form-data; name=\"jarfile\"; filename=\"{}\"\r\nContent-Type: application/x-java-archive\r\n\r\n",
                             boundary, name);
  request.file = jar;
  request.body_end = "\r\n--" + boundary + "--\r\n";
  DREY_TRY_ASSIGN(const Json answer, call(std::move(request)));
  return env::base_name_of(answer["filename"].text().value_or(""));
}

Json run_body(const Arguments& args) {
  Json body = Json::object();
  if (args.has("--class")) body.set("entryClass", args.get("--class"));
  if (args.has("--parallelism")) body.set("parallelism", args.get("--parallelism"));
  if (args.has("--fromSavepoint")) body.set("savepointPath", args.get("--fromSavepoint"));
  if (args.has("--allowNonRestoredState")) body.set("allowNonRestoredState", true);
  if (args.has("--claimMode")) body.set("claimMode", args.get("--claimMode"));
  Json list = Json::array();
  for (std::size_t i = 1; i < args.rest.size(); ++i) list.push(args.rest[i]);
  body.set("programArgsList", std::move(list));
  if (!args.properties.empty()) {
    Json configuration = Json::object();
    for (const auto& [key, value] : args.properties) configuration.set(key, value);
    body.set("flinkConfiguration", std::move(configuration));
  }
  return body;
}

// What is worth seeing of a job while it runs.
struct Progress {
  std::string state;
  std::int64_t rows = 0;  // that its sources have read
  std::int64_t watermark = kMinWatermark;  // the least of all subtasks; unknown when it is a bound of event time
  std::int64_t checkpoints = 0;
  std::int64_t duration_ms = 0;

  bool ended() const { return state == "FINISHED" || state == "CANCELED" || state == "FAILED"; }
  std::string text() const {
    const double seconds = static_cast<double>(duration_ms) / 1000;
    const bool has_mark = watermark != kMinWatermark && watermark != kMaxWatermark;
    if (ended()) return fmt::format("{:<10} {} checkpoints  {:.1f} s{:60}", state, checkpoints, seconds, "");
    return fmt::format("{:<10} {:>13} rows  {:>12.0f} rows/s  watermark {:<20}  {} checkpoints  {:.1f} s", state, rows,
                       seconds > 0 ? static_cast<double>(rows) / seconds : 0, has_mark ? format_instant(watermark) : "-", checkpoints, seconds);
  }
};

Result<Progress> progress_of(const Target& target, const std::string& job) {
  DREY_TRY_ASSIGN(const Json details, call(target, "GET", "/jobs/" + job));
  Progress progress;
  progress.state = details["state"].text().value_or("");
  progress.duration_ms = details["duration"].whole().value_or(0);
  std::int64_t least = kMaxWatermark;
  for (const Json& vertex : details["vertices"].elements()) {
    const std::string path = fmt::format("/jobs/{}/vertices/{}", job, vertex["id"].text().value_or(""));
    if (vertex["name"].text().value_or("").starts_with("Source: ")) {
      // The count of the source itself: the vertex's counts what leaves its last operator. It goes with the running job.
      DREY_TRY_ASSIGN(const Json names, call(target, "GET", path + "/subtasks/metrics"));
      std::string wanted;
      for (const Json& name : names.elements()) {
        const std::string id = name["id"].text().value_or("");
        if (id.starts_with("Source__") && id.ends_with(".numRecordsOut")) wanted = id;
      }
      if (!wanted.empty()) {
        DREY_TRY_ASSIGN(const Json sums, call(target, "GET", fmt::format("{}/subtasks/metrics?get={}&agg=sum", path, wanted)));
        for (const Json& sum : sums.elements()) progress.rows += static_cast<std::int64_t>(sum["sum"].real().value_or(0));
      }
    }
    DREY_TRY_ASSIGN(const Json marks, call(target, "GET", path + "/watermarks"));
    for (const Json& mark : marks.elements()) least = std::min(least, mark["value"].whole().value_or(kMaxWatermark));
  }
  progress.watermark = least;
  DREY_TRY_ASSIGN(const Json checkpoints, call(target, "GET", fmt::format("/jobs/{}/checkpoints", job)));
  progress.checkpoints = checkpoints["counts"]["completed"].whole().value_or(0);
  return progress;
}

// Shows progress until the job has ended: on a terminal in one line, elsewhere a line now and then.
int wait_for(const Target& target, const std::string& job, bool json) {
  std::signal(SIGINT, on_interrupt);
  const bool terminal = isatty(1) != 0;
  constexpr int kPause = 200;        // ms between two looks
  constexpr int kLinePause = 5'000;  // ms between two lines
  for (int waited = 0; !g_interrupted; waited += kPause) {
    auto progress = progress_of(target, job);
    if (!progress.ok()) return failed(progress.status());
    if (!json && (terminal || progress->ended() || waited % kLinePause == 0)) {
      fmt::print("{}{}{}", terminal ? "\r" : "", progress->text(), terminal && !progress->ended() ? " " : "\n");
      std::fflush(stdout);
    }
    if (progress->ended()) {
      if (json) {
        fmt::print("{}\n", Json::object({{"jobid", job}, {"state", progress->state}, {"duration-ms", progress->duration_ms}}).to_string());
      } else {
        fmt::print("Job {} is {}\n", job, progress->state);
      }
      if (progress->state == "FINISHED") return 0;
      if (progress->state == "FAILED") {
        if (auto exceptions = call(target, "GET", "/jobs/" + job + "/exceptions"); exceptions.ok()) {
          const Json& history = (*exceptions)["exceptionHistory"]["entries"];
          if (history.is_array() && !history.elements().empty()) {
            fmt::print(stderr, "{}\n", history.elements()[0]["stacktrace"].text().value_or(""));
          }
        }
        fmt::print(stderr, "What the job's code printed is in the cluster's directory, log/taskmanager-1.out and .log\n");
      }
      return 1;
    }
    usleep(kPause * 1000);
  }
  fmt::print("\nDetached; the job goes on. drey cancel {} ends it.\n", job);
  return 0;
}

// Makes the graph here and sends it with its jar. The job's id.
Result<std::string> submit_graph(const Target& target, const Arguments& args) {
  DREY_TRY_ASSIGN(const std::string graph, plan_here(args));
  const std::string boundary = fmt::format("drey-{:016x}", env::posix().random.next());
  const std::string name = "job.jar";
  const auto part = [&](const std::string& disposition) {
    return fmt::format("--{}\r\nContent-Disposition: form-data; {}\r\n\r\n", boundary, disposition);
  };
  const Json request = Json::object({{"executionPlanFileName", "graph"}, {"jobJarFileNames", Json::array({Json(name)})}, {"jobArtifactFileNames", Json::array()}});
  net::HttpCall post = target.call;
  post.method = "POST";
  post.target = "/jobs";
  post.headers.emplace_back("content-type", "multipart/form-data; boundary=" + boundary);
  post.body = part("name=\"request\"") + request.to_string() + "\r\n" + part("name=\"file_0\"; filename=\"graph\"") + graph + "\r\n" +
              part("name=\"file_1\"; filename=\"" + name + "\"");
  post.file = args.rest[0];
  post.body_end = "\r\n--" + boundary + "--\r\n";
  DREY_TRY_ASSIGN(const Json answer, call(std::move(post)));
  return env::base_name_of(answer["jobUrl"].text().value_or(""));
}

Result<std::string> submit_jar(const Target& target, const Arguments& args) {
  DREY_TRY_ASSIGN(const std::string jar, upload(target, args.rest[0]));
  DREY_TRY_ASSIGN(const Json answer, call(target, "POST", "/jars/" + jar + "/run", run_body(args).to_string()));
  return answer["jobid"].text().value_or("");
}

int run(const Target& target, const Arguments& args) {
  if (args.rest.empty()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const auto submitted = args.has("--plan-here") ? submit_graph(target, args) : submit_jar(target, args);
  if (!submitted.ok()) return failed(submitted.status());
  const std::string& job = *submitted;
  if (args.has("--detached") && args.has("--json")) {
    fmt::print("{}\n", Json::object({{"jobid", job}}).to_string());
    return 0;
  }
  if (!args.has("--json")) fmt::print("Job has been submitted with JobID {}\n", job);
  std::fflush(stdout);
  return args.has("--detached") ? 0 : wait_for(target, job, args.has("--json"));
}

int list(const Target& target, const Arguments& args) {
  auto overview = call(target, "GET", "/jobs/overview");
  if (!overview.ok()) return failed(overview.status());
  if (args.has("--json")) {
    fmt::print("{}\n", overview->to_string());
    return 0;
  }
  const bool all = args.has("--all") || (args.has("--running") && args.has("--scheduled"));
  std::size_t shown = 0;
  for (const Json& job : (*overview)["jobs"].elements()) {
    const std::string state = job["state"].text().value_or("");
    const bool ended = state == "FINISHED" || state == "CANCELED" || state == "FAILED";
    const bool waits = state == "CREATED" || state == "INITIALIZING";
    if (ended && !args.has("--all")) continue;
    if (!all && args.has("--scheduled") && !waits) continue;
    if (!all && args.has("--running") && waits) continue;
    ++shown;
    fmt::print("{} : {} : {} ({})\n", format_instant(job["start-time"].whole().value_or(0)), job["jid"].text().value_or(""),
               job["name"].text().value_or(""), state);
  }
  if (shown == 0) fmt::print("No {}jobs.\n", all ? "" : args.has("--scheduled") ? "scheduled " : "running ");
  return 0;
}

}  // namespace

Result<Target> target_of(const Arguments& args) {
  std::string text = args.get("--jobmanager");
  if (text.empty()) {
    const auto address = env::posix().files.read_all(default_directory() + "/rest.address");
    text = address.ok() ? *address : "localhost:8081";
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
  Target target;
  target.call.timeout = Millis(120'000);
  if (const auto scheme = text.find("://"); scheme != std::string::npos) {
    target.call.tls = text.starts_with("https");
    text = text.substr(scheme + 3);
  }
  while (!text.empty() && text.back() == '/') text.pop_back();
  const auto colon = text.rfind(':');
  const int port = colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
  if (colon == 0 || port < 1 || port > 65'535)
    return fail(Code::kInvalidArgument, fmt::format("-m needs HOST:PORT or http(s)://HOST:PORT: {}", text));
  target.call.host = text.substr(0, colon);
  target.call.port = static_cast<std::uint16_t>(port);
  target.call.authority = env::environment_variable("DREY_REST_CA");
  // As Flink's client has it: "Name:Value" lines.
  std::string headers = env::environment_variable("FLINK_REST_CLIENT_HEADERS");
  while (!headers.empty()) {
    const std::size_t end = std::min(headers.find('\n'), headers.size());
    const std::string line = headers.substr(0, end);
    headers.erase(0, end + 1);
    const auto at = line.find(':');
    if (at != std::string::npos) target.call.headers.emplace_back(line.substr(0, at), line.substr(line.find_first_not_of(' ', at + 1)));
  }
  return target;
}

// The answer's JSON; an "errors" object becomes a Status with its texts.
Result<Json> call(net::HttpCall call) {
  call.target = "/v1" + call.target;
  DREY_TRY_ASSIGN(const net::HttpResponse response, net::http_call(call));
  auto json = Json::parse(response.body);
  if (!json.ok()) return fail(Code::kIo, fmt::format("The cluster answered {} with something that is not JSON", response.status));
  if (json->is_object() && (*json)["errors"].is_array()) {
    std::string text;
    for (const Json& error : (*json)["errors"].elements()) text += (text.empty() ? "" : "\n") + error.text().value_or("");
    for (const char* prefix : {"org.apache.flink.runtime.rest.handler.RestHandlerException: ", "org.apache.flink.runtime.rest.NotFoundException: "}) {
      if (text.starts_with(prefix)) text = text.substr(std::string_view(prefix).size());
    }
    return fail(response.status == 503 ? Code::kUnavailable : Code::kInvalidArgument, text);
  }
  return json;
}

Result<Json> call(const Target& target, const std::string& method, const std::string& path, std::string body) {
  net::HttpCall request = target.call;
  request.method = method;
  request.target = path;
  request.body = std::move(body);
  return call(std::move(request));
}

int failed(const Status& status) {
  fmt::print(stderr, "drey: {}\n", status.to_string());
  return status.code() == Code::kUnavailable ? 3 : 1;
}

int client(const std::string& command, int argc, char** argv) {
  const bool runs = command == "run" || command == "info";
  std::vector<std::string> with_value{"-m=--jobmanager"};
  std::vector<std::string> flags{"--json", "--help", "-h=--help"};
  if (runs) with_value.insert(with_value.end(), {"-p=--parallelism", "-c=--class", "-s=--fromSavepoint", "--claimMode"});
  if (command == "run") flags.insert(flags.end(), {"-d=--detached", "--plan-here", "-n=--allowNonRestoredState"});
  if (command == "list") flags.insert(flags.end(), {"-r=--running", "-s=--scheduled", "-a=--all"});
  const Arguments args = parse_arguments(argc, argv, with_value, flags, runs);
  if (args.has("--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (args.unknown) {
    fmt::print(stderr, "drey {}: unknown option {}\n{}", command, *args.unknown, kUsage);
    return 2;
  }
  const auto target = target_of(args);
  if (!target.ok()) {
    fmt::print(stderr, "drey: {}\n", target.status().to_string());
    return 2;
  }
  if (command == "run") return run(*target, args);
  if (command == "list") return list(*target, args);
  if (command == "jars") {
    auto jars = call(*target, "GET", "/jars");
    if (!jars.ok()) return failed(jars.status());
    if (args.has("--json")) {
      fmt::print("{}\n", jars->to_string());
    } else {
      for (const Json& jar : (*jars)["files"].elements()) fmt::print("{}  {}\n", jar["id"].text().value_or(""), jar["name"].text().value_or(""));
    }
    return 0;
  }
  if (args.rest.empty()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  auto jar = upload(*target, args.rest[0]);
  if (!jar.ok()) return failed(jar.status());
  auto plan = call(*target, "POST", "/jars/" + *jar + "/plan", run_body(args).to_string());
  static_cast<void>(call(*target, "DELETE", "/jars/" + *jar));
  if (!plan.ok()) return failed(plan.status());
  fmt::print("{}\n", (*plan)["plan"].to_string());
  return 0;
}

}  // namespace drey::apps
