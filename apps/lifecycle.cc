// drey stop, savepoint, checkpoint, rescale, cancel: operations that are triggered and waited for.
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "rest_client.h"

namespace drey::apps {
namespace {

using wire::Json;

struct Verb {
  const char* name;
  const char* usage;
};

constexpr Verb kVerbs[] = {
    {"savepoint",
     "drey savepoint [-t canonical|native] [--detached] JOBID [DIRECTORY]    takes a savepoint\n"
     "drey savepoint -d PATH                                                 deletes a savepoint's files\n"
     "  DIRECTORY          where the savepoint's own directory is made; default: execution.checkpointing.savepoint-dir\n"
     "  -t, --type         canonical (any later version reads it; the default) or native (faster)\n"
     "  -d, --dispose PATH\n"
     "examples:\n"
     "  drey savepoint 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e /data/savepoints\n"
     "  drey run -s /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55 -p 4 flights.jar --input flights.csv\n"
     "  drey savepoint -d /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55\n"},
    {"stop",
     "drey stop [-p DIRECTORY] [-d] [-t canonical|native] [--detached] JOBID    ends a job with a savepoint to go on from\n"
     "  -p, --savepointPath  where the savepoint's own directory is made; default: execution.checkpointing.savepoint-dir\n"
     "  -d, --drain          as if all input had ended: windows fire. Not for a job that is to go on later\n"
     "example:\n"
     "  drey stop -p /data/savepoints 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e\n"},
    {"checkpoint",
     "drey checkpoint [--full] [--detached] JOBID    takes a checkpoint now\n"
     "  --full   one that refers to no older file\n"
     "example:\n"
     "  drey checkpoint 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e\n"},
    {"rescale",
     "drey rescale [--detached] JOBID PARALLELISM    gives a running job another parallelism\n"
     "example:\n"
     "  drey rescale 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e 4\n"},
    {"cancel",
     "drey cancel [-s [DIRECTORY]] JOBID    ends a job; with -s after a savepoint\n"
     "examples:\n"
     "  drey cancel 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e\n"
     "  drey cancel -s /data/savepoints 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e\n"},
};

const char* usage_of(const std::string& command) {
  for (const Verb& verb : kVerbs) {
    if (command == verb.name) return verb.usage;
  }
  return "";
}

// How far the job's snapshot under way has come: "3/8 tasks"; empty: nothing to say.
std::string progress_of(const Target& target, const std::string& job) {
  if (job.empty()) return "";
  const auto checkpoints = call(target, "GET", "/jobs/" + job + "/checkpoints");
  if (!checkpoints.ok() || !(*checkpoints)["history"].is_array()) return "";
  for (const Json& c : (*checkpoints)["history"].elements()) {
    if (c["status"].text() != "IN_PROGRESS") continue;
    return fmt::format("{}/{} tasks", c["num_acknowledged_subtasks"].whole().value_or(0), c["num_subtasks"].whole().value_or(0));
  }
  return "";
}

// Asks until the operation has ended; a failure's trace becomes the status.
Result<Json> wait_for(const Target& target, const std::string& status_path, const std::string& job, bool quiet) {
  const bool shows = isatty(2) != 0 && !quiet;
  for (useconds_t pause = 10'000;; pause = std::min<useconds_t>(pause * 2, 500'000)) {
    DREY_TRY_ASSIGN(Json answer, call(target, "GET", status_path));
    if (answer["status"]["id"].text() == "COMPLETED") {
      if (shows) std::fputs("\r\033[K", stderr);
      const Json& operation = answer["operation"];
      for (const char* key : {"failure-cause", "failureCause"}) {
        if (!operation[key].is_object()) continue;
        std::string text = operation[key]["stack-trace"].text().value_or("it failed");
        for (const char* prefix : {"java.util.concurrent.CompletionException: ", "org.apache.flink.util.FlinkException: "}) {
          if (text.starts_with(prefix)) text = text.substr(std::string_view(prefix).size());
        }
        while (text.ends_with('\n')) text.pop_back();
        return fail(Code::kInvalidArgument, text);
      }
      return operation;
    }
    if (shows) {
      fmt::print(stderr, "\r\033[Kin progress {}", progress_of(target, job));
      std::fflush(stderr);
    }
    usleep(pause);
  }
}

struct Operation {
  std::string method, path, body;
  std::string status_path;  // the id follows
  std::string job;
  std::string done;         // what is said when it has worked
};

int run_operation(const Target& target, const Arguments& args, const Operation& op) {
  const bool json = args.has("--json");
  auto triggered = call(target, op.method, op.path, op.body);
  if (!triggered.ok()) return failed(triggered.status());
  const std::string id = (*triggered)["request-id"].text().value_or("");
  if (args.has("--detached")) {
    fmt::print("{}\n", json ? triggered->to_string() : "Triggered, trigger id " + id);
    return 0;
  }
  auto result = wait_for(target, op.status_path + id, op.job, json);
  if (!result.ok()) return failed(result.status());
  if (json) {
    fmt::print("{}\n", result->to_string());
    return 0;
  }
  fmt::print("{}\n", op.done);
  if (const auto location = (*result)["location"].text()) fmt::print("Savepoint completed. Path: {}\n", *location);
  if (const auto checkpoint = (*result)["checkpointId"].whole()) fmt::print("Checkpoint {} completed.\n", *checkpoint);
  return 0;
}

}  // namespace

int lifecycle(const std::string& command, int argc, char** argv) {
  std::vector<std::string> with_value{"-m=--jobmanager", "-t=--type", "--trigger"};
  std::vector<std::string> flags{"--detached", "--json", "--help", "-h=--help"};
  if (command == "savepoint") with_value.push_back("-d=--dispose");
  if (command == "stop") {
    with_value.push_back("-p=--savepointPath");
    flags.push_back("-d=--drain");
  }
  if (command == "checkpoint") flags.push_back("--full");
  if (command == "cancel") flags.push_back("-s=--withSavepoint");
  const Arguments args = parse_arguments(argc, argv, with_value, flags, false);
  const char* const usage = usage_of(command);
  if (args.has("--help")) {
    fmt::print("{}  -m, --jobmanager HOST:PORT, --detached (do not wait), --json\n", usage);
    return 0;
  }
  const auto wrong = [&](const std::string& what) {
    fmt::print(stderr, "drey {}: {}\n{}", command, what, usage);
    return 2;
  };
  if (args.unknown) return wrong("unknown option " + *args.unknown);
  const auto target = target_of(args);
  if (!target.ok()) return wrong(target.status().message());

  std::string type = args.get("--type", "canonical");
  for (char& c : type) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (type != "CANONICAL" && type != "NATIVE") return wrong("a savepoint is canonical or native, not " + args.get("--type"));

  Json body = Json::object();
  if (args.has("--trigger")) body.set("triggerId", args.get("--trigger"));
  if (command == "savepoint" && args.has("--dispose")) {
    body.set("savepoint-path", args.get("--dispose"));
    return run_operation(*target, args, {"POST", "/savepoint-disposal", body.to_string(), "/savepoint-disposal/", "", "Savepoint disposed."});
  }
  const std::size_t words = command == "rescale" ? 2 : 1;
  const bool takes_directory = command == "savepoint" || (command == "cancel" && args.has("--withSavepoint"));
  if (args.rest.size() < words || args.rest.size() > words + (takes_directory ? 1 : 0)) return wrong("wrong number of words");
  // Flink's order: cancel -s DIRECTORY JOBID, savepoint JOBID DIRECTORY.
  const std::string job = command == "cancel" ? args.rest.back() : args.rest[0];
  const std::string directory = !takes_directory || args.rest.size() == 1 ? "" : command == "cancel" ? args.rest[0] : args.rest[1];
  const std::string path = "/jobs/" + job;
  if (command == "rescale") {
    return run_operation(*target, args, {"PATCH", path + "/rescaling?parallelism=" + args.rest[1], "", path + "/rescaling/", job,
                                         fmt::format("Job {} runs with parallelism {}.", job, args.rest[1])});
  }
  if (command == "checkpoint") {
    if (args.has("--full")) body.set("checkpointType", "FULL");
    return run_operation(*target, args, {"POST", path + "/checkpoints", body.to_string(), path + "/checkpoints/", job, ""});
  }
  if (command == "cancel" && !args.has("--withSavepoint")) {
    auto answer = call(*target, "PATCH", path + "?mode=cancel");
    if (!answer.ok()) return failed(answer.status());
    fmt::print("{}\n", args.has("--json") ? answer->to_string() : fmt::format("Cancelled job {}.", job));
    return 0;
  }
  body.set("formatType", type);
  if (command == "stop") {
    if (args.has("--savepointPath")) body.set("targetDirectory", args.get("--savepointPath"));
    body.set("drain", args.has("--drain"));
    return run_operation(*target, args, {"POST", path + "/stop", body.to_string(), path + "/savepoints/", job, fmt::format("Job {} has stopped.", job)});
  }
  if (!directory.empty()) body.set("target-directory", directory);
  body.set("cancel-job", command == "cancel");
  return run_operation(*target, args, {"POST", path + "/savepoints", body.to_string(), path + "/savepoints/", job,
                                       command == "cancel" ? fmt::format("Cancelled job {}.", job) : fmt::format("Savepoint of job {}.", job)});
}

}  // namespace drey::apps
