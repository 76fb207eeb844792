// drey stop, savepoint, checkpoint, rescale, cancel: operations that are triggered and waited for.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

#include "rest_client.h"
#include "wire/json/json.h"

namespace drey::apps {
namespace {

using rest::Client;
namespace endpoints = rest::endpoints;

struct Verb {
  const char* name;
  const char* usage;
};

constexpr Verb kVerbs[] = {
    {"savepoint",
     "drey savepoint [-t canonical|native] [--detached] JOBID [DIRECTORY]    takes a savepoint\n"
     "drey savepoint -d PATH                                                 deletes a savepoint's files\n"
     "  DIRECTORY          where the savepoint's own directory is made; default: "
     "execution.checkpointing.savepoint-dir\n"
     "  -t, --type         canonical (any later version reads it; the default) or native (faster)\n"
     "  -d, --dispose PATH\n"
     "examples:\n"
     "  drey savepoint 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e /data/savepoints\n"
     "  drey run -s /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55 -p 4 flights.jar --input flights.csv\n"
     "  drey savepoint -d /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55\n"},
    {"stop",
     "drey stop [-p DIRECTORY] [-d] [-t canonical|native] [--detached] JOBID    ends a job with a savepoint to go on "
     "from\n"
     "  -p, --savepointPath  where the savepoint's own directory is made; default: "
     "execution.checkpointing.savepoint-dir\n"
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
std::string progress_of(const Client& client, std::optional<JobId> job) {
  if (!job) return "";
  const auto checkpoints = client.call<endpoints::GetCheckpoints>({*job});
  if (!checkpoints.ok()) return "";
  for (const rest::Checkpoint& c : checkpoints->history) {
    if (c.status == "IN_PROGRESS") return fmt::format("{}/{} tasks", c.num_acknowledged_subtasks, c.num_subtasks);
  }
  return "";
}

// Asks until the operation has ended; a failure's trace becomes the status.
template <typename Asked>
auto wait_for(const Client& client, const typename Asked::Path& path, std::optional<JobId> job, bool quiet)
    -> Result<typename decltype(Asked::Response::operation)::value_type> {
  const bool shows = isatty(2) != 0 && !quiet;
  for (useconds_t pause = 10'000;; pause = std::min<useconds_t>(pause * 2, 500'000)) {
    DREY_TRY_ASSIGN(const auto answer, client.call<Asked>(path));
    if (answer.status.id == "COMPLETED" && answer.operation) {
      if (shows) std::fputs("\r\033[K", stderr);
      if (!answer.operation->failure_cause) return *answer.operation;
      std::string text = answer.operation->failure_cause->stack_trace;
      for (const char* prefix :
           {"java.util.concurrent.CompletionException: ", "org.apache.flink.util.FlinkException: "}) {
        if (text.starts_with(prefix)) text = text.substr(std::string_view(prefix).size());
      }
      while (text.ends_with('\n')) text.pop_back();
      return fail(Code::kInvalidArgument, text);
    }
    if (shows) {
      fmt::print(stderr, "\r\033[Kin progress {}", progress_of(client, job));
      std::fflush(stderr);
    }
    usleep(pause);
  }
}

// Shows what came of a trigger; Status is the operation that tells it. `done`: what is said when it has worked.
template <typename Asked>
int finish(const Client& client, const Arguments& args, const Result<rest::TriggerAnswer>& triggered,
           std::optional<JobId> job, const std::string& done) {
  const bool json = args.has("--json");
  if (!triggered.ok()) return failed(triggered.status());
  const TriggerId id = triggered->request_id;
  if (args.has("--detached")) {
    fmt::print("{}\n", json ? json_of(*triggered) : "Triggered, trigger id " + id.to_string());
    return 0;
  }
  typename Asked::Path path{};
  path.triggerid = id;
  if constexpr (requires { path.jobid; }) path.jobid = *job;
  const auto result = wait_for<Asked>(client, path, job, json);
  if (!result.ok()) return failed(result.status());
  if (json) {
    fmt::print("{}\n", json_of(*result));
    return 0;
  }
  fmt::print("{}\n", done);
  if constexpr (requires { result->location; }) {
    if (result->location) fmt::print("Savepoint completed. Path: {}\n", *result->location);
  }
  if constexpr (requires { result->checkpoint_id; }) {
    if (result->checkpoint_id) fmt::print("Checkpoint {} completed.\n", *result->checkpoint_id);
  }
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
  const auto client = client_of(args);
  if (!client.ok()) return wrong(client.status().message());

  std::string type = args.get("--type", "canonical");
  for (char& c : type) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (type != "CANONICAL" && type != "NATIVE")
    return wrong("a savepoint is canonical or native, not " + args.get("--type"));

  std::optional<TriggerId> trigger;
  if (args.has("--trigger")) {
    trigger = TriggerId::parse(args.get("--trigger"));
    if (!trigger) return wrong("--trigger needs 32 hexadecimal digits");
  }
  if (command == "savepoint" && args.has("--dispose")) {
    return finish<endpoints::GetDisposalStatus>(
        *client, args, client->call<endpoints::TriggerDisposal>({}, {}, {args.get("--dispose")}), std::nullopt,
        "Savepoint disposed.");
  }
  const std::size_t words = command == "rescale" ? 2 : 1;
  const bool takes_directory = command == "savepoint" || (command == "cancel" && args.has("--withSavepoint"));
  if (args.rest.size() < words || args.rest.size() > words + (takes_directory ? 1 : 0))
    return wrong("wrong number of words");
  // Flink's order: cancel -s DIRECTORY JOBID, savepoint JOBID DIRECTORY.
  const std::string job = command == "cancel" ? args.rest.back() : args.rest[0];
  const std::string directory = !takes_directory || args.rest.size() == 1 ? ""
                                : command == "cancel"                     ? args.rest[0]
                                                                          : args.rest[1];
  const auto id = job_id_of(job);
  if (!id.ok()) return failed(id.status());
  if (command == "rescale") {
    const auto parallelism = wire::Json(args.rest[1]).whole();
    if (!parallelism || *parallelism < 1) return wrong("a parallelism is a number from 1, not " + args.rest[1]);
    return finish<endpoints::GetRescalingStatus>(
        *client, args, client->call<endpoints::TriggerRescaling>({*id}, {{*parallelism}}), *id,
        fmt::format("Job {} runs with parallelism {}.", job, *parallelism));
  }
  if (command == "checkpoint") {
    rest::CheckpointTrigger body;
    if (args.has("--full")) body.type = "FULL";
    body.trigger = trigger;
    return finish<endpoints::GetCheckpointStatus>(*client, args,
                                                  client->call<endpoints::TriggerCheckpoint>({*id}, {}, body), *id, "");
  }
  if (command == "cancel" && !args.has("--withSavepoint")) {
    const auto answer = client->call<endpoints::CancelJob>({*id});
    if (!answer.ok()) return failed(answer.status());
    fmt::print("{}\n", args.has("--json") ? json_of(*answer) : fmt::format("Cancelled job {}.", job));
    return 0;
  }
  if (command == "stop") {
    rest::StopTrigger body;
    body.target = args.get("--savepointPath");
    body.drain = args.has("--drain");
    body.format = type;
    body.trigger = trigger;
    return finish<endpoints::GetSavepointStatus>(*client, args, client->call<endpoints::StopJob>({*id}, {}, body), *id,
                                                 fmt::format("Job {} has stopped.", job));
  }
  rest::SavepointTrigger body;
  body.target = directory;
  body.cancel_job = command == "cancel";
  body.format = type;
  body.trigger = trigger;
  return finish<endpoints::GetSavepointStatus>(
      *client, args, client->call<endpoints::TriggerSavepoint>({*id}, {}, body), *id,
      command == "cancel" ? fmt::format("Cancelled job {}.", job) : fmt::format("Savepoint of job {}.", job));
}

}  // namespace drey::apps
