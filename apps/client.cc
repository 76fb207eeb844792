// drey run, list, info, jars, exceptions: the client's commands, over REST only. The others that concern a job:
// lifecycle.cc.
#include <unistd.h>
#include <csignal>
#include <cstdio>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/time.h"
#include "base/utf8.h"
#include "env/env.h"
#include "local_plan.h"
#include "options.h"
#include "rest_client.h"
#include "wire/json/json.h"

namespace drey::apps {
namespace {

using rest::Client;
using wire::Json;
namespace endpoints = rest::endpoints;

struct Verb {
  const char* name;
  const char* usage;
};

constexpr Verb kVerbs[] = {
    {"run",
     "drey run [-d] [-p N] [-c ENTRY] [-s PATH] [-Dkey=value] JAR [arguments of the program]    runs a job\n"
     "  -d, --detached      do not wait for the job\n"
     "  --plan-here         the program's main runs in this process, not in the cluster\n"
     "  -p, --parallelism   of operators that do not say\n"
     "  -c, --class         entry of the jar\n"
     "  -s, --fromSavepoint a savepoint or retained checkpoint to start from, at any parallelism\n"
     "  -n, --allowNonRestoredState   state that fits no operator is left out instead of refused\n"
     "  --claimMode CLAIM|NO_CLAIM    CLAIM: the savepoint is the job's and deleted when not needed any more\n"
     "examples:\n"
     "  drey run -d -p 2 flights.jar --input /data/flights.csv --output /tmp/out\n"
     "  drey run -s /data/savepoints/savepoint-4a1d0c-9f3b7c2a1e55 -p 4 flights.jar --input /data/flights.csv --output "
     "/tmp/out\n"},
    {"list",
     "drey list [-r] [-s] [-a]    jobs that have not ended\n"
     "  -r, --running     those that run\n"
     "  -s, --scheduled   those that wait to run\n"
     "  -a, --all         those that have ended, too (what --json alone shows)\n"
     "example:\n"
     "  drey list -r --json\n"},
    {"info",
     "drey info [-p N] [-c ENTRY] JAR [arguments of the program]    a job's plan as JSON, without running it\n"
     "example:\n"
     "  drey info -p 2 flights.jar --input /data/flights.csv --output /tmp/out\n"},
    {"jars",
     "drey jars    jars that have been uploaded\n"
     "example:\n"
     "  drey jars --json\n"},
    {"exceptions",
     "drey exceptions JOBID    what a job has failed on, newest first\n"
     "example:\n"
     "  drey exceptions 4a1d0c7e5b2f4a1d0c7e5b2f4a1d0c7e\n"},
};

constexpr const char* kCommonUsage =
    "  -m, --jobmanager HOST:PORT   or https://HOST:PORT; default: the cluster of the default directory, else "
    "localhost:8081\n"
    "  --json\n"
    "environment: FLINK_REST_CLIENT_HEADERS (Name:Value lines, e.g. Authorization: Bearer ...), DREY_REST_CA (PEM "
    "file)\n"
    "exit codes: 0 done or accepted, 1 failed or cancelled, 2 wrong use, 3 no cluster\n";

std::string usage_of(const std::string& command) {
  for (const Verb& verb : kVerbs) {
    if (command == verb.name) return std::string(verb.usage) + kCommonUsage;
  }
  return kCommonUsage;
}

// As endpoints/jobs.cc serves it.
struct GetAccumulators {
  static constexpr rest::Route kRoute{"GET", "/jobs/:jobid/accumulators", 200, "A job's accumulators."};
  static constexpr rest::Access kAccess = rest::Access::kView;
  using Path = rest::JobPath;
  using Response = rest::JobAccumulators;
};

// Rows that the job's sources could not read and left out.
std::int64_t rows_skipped(const Client& client, JobId job) {
  const auto answer = client.call<GetAccumulators>({job});
  if (!answer.ok()) return 0;
  for (const rest::UserTaskAccumulator& a : answer->user_task_accumulators) {
    if (a.name == "numRecordsInErrors") return Json(a.value).whole().value_or(0);
  }
  return 0;
}

// A plan's description as it was before it was made fit for a page of HTML.
std::string readable(std::string text) {
  const std::pair<std::string_view, std::string_view> marks[] = {{"<br/>", "\n"},  {"&lt;", "<"},   {"&gt;", ">"},
                                                                 {"&quot;", "\""}, {"&#92;", "\\"}, {"&amp;", "&"}};
  for (const auto& [mark, plain] : marks) {
    for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += plain.size()) {
      text.replace(at, mark.size(), plain);
    }
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

int exceptions(const Client& client, const Arguments& args) {
  const auto job = job_id_of(args.rest[0]);
  if (!job.ok()) return failed(job.status());
  const auto answer = client.call<endpoints::GetExceptions>({*job});
  if (!answer.ok()) return failed(answer.status());
  if (args.has("--json")) {
    fmt::print("{}\n", json_of(*answer));
    return 0;
  }
  const auto& history = answer->exception_history.entries;
  for (const rest::RootException& failure : history) {
    fmt::print("{}{}\n", format_instant(failure.timestamp),
               failure.task_name ? "  " + printable(*failure.task_name) : "");
    std::string_view lines = failure.stacktrace;
    while (!lines.empty()) {
      const auto end = std::min(lines.find('\n'), lines.size());
      fmt::print("  {}\n", printable(lines.substr(0, end)));
      lines.remove_prefix(std::min(end + 1, lines.size()));
    }
  }
  if (history.empty()) fmt::print("Job {} has had no failure.\n", job->to_string());
  return 0;
}

std::atomic<bool> g_interrupted{false};
void on_interrupt(int) { g_interrupted = true; }

// The jar's name in the cluster. The file is sent piece by piece.
Result<std::string> upload(const Client& client, const std::string& jar) {
  DREY_TRY_ASSIGN(const auto answer,
                  client.upload<endpoints::UploadJar>({{"jarfile", env::base_name_of(jar), "", jar}}));
  return env::base_name_of(answer.filename);
}

// What plan and run have in common.
template <typename Request>
Request request_of(const Arguments& args) {
  Request request;
  request.entry_class = args.get("--class");
  if (args.has("--parallelism")) request.parallelism = Json(args.get("--parallelism")).whole().value_or(0);
  request.program_args_list.emplace(args.rest.begin() + 1, args.rest.end());
  for (const auto& [key, value] : args.properties) request.flink_configuration.emplace_back(key, value);
  return request;
}

rest::JarRunRequest run_request_of(const Arguments& args) {
  auto request = request_of<rest::JarRunRequest>(args);
  request.savepoint_path = args.get("--fromSavepoint");
  if (args.has("--allowNonRestoredState")) request.allow_non_restored_state = true;
  if (args.has("--claimMode")) request.claim_mode = args.get("--claimMode");
  return request;
}

// What is worth seeing of a job while it runs.
struct Progress {
  std::string state;
  std::int64_t rows = 0;                   // that its sources have read
  std::int64_t watermark = kMinWatermark;  // the least of all subtasks; unknown when it is a bound of event time
  std::int64_t checkpoints = 0;
  std::int64_t duration_ms = 0;
  std::int64_t waiting_tasks = 0;  // that have no slot yet

  bool ended() const { return gateway::is_terminal(state); }
  std::string text() const {
    const double seconds = static_cast<double>(duration_ms) / 1000;
    const bool has_mark = watermark != kMinWatermark && watermark != kMaxWatermark;
    if (ended()) return fmt::format("{:<10} {} checkpoints  {:.1f} s{:60}", state, checkpoints, seconds, "");
    return fmt::format("{:<10} {:>13} rows  {:>12.0f} rows/s  watermark {:<20}  {} checkpoints  {:.1f} s", state, rows,
                       seconds > 0 ? static_cast<double>(rows) / seconds : 0,
                       has_mark ? format_instant(watermark) : "-", checkpoints, seconds);
  }
};

Result<Progress> progress_of(const Client& client, JobId job) {
  DREY_TRY_ASSIGN(const rest::JobDetails details, client.call<endpoints::GetJob>({job}));
  Progress progress;
  progress.state = details.state.text;
  progress.duration_ms = details.duration;
  for (const auto& [state, count] : details.status_counts) {
    if (state == "CREATED" || state == "SCHEDULED") progress.waiting_tasks += count;
  }
  std::int64_t least = kMaxWatermark;
  for (const rest::JobDetailsVertex& vertex : details.vertices) {
    const rest::VertexPath path{job, vertex.id};
    if (vertex.name.starts_with("Source: ")) {
      // The count of the source itself: the vertex's counts what leaves its last operator. It goes with the running
      // job.
      DREY_TRY_ASSIGN(const auto names, client.call<endpoints::GetMetricsOverSubtasks>(path));
      std::string wanted;
      for (const rest::AggregatedMetric& name : names) {
        if (name.id.starts_with("Source__") && name.id.ends_with(".numRecordsOut")) wanted = name.id;
      }
      if (!wanted.empty()) {
        endpoints::GetMetricsOverSubtasks::Query query;
        query.get = std::vector<std::string>{wanted};
        query.agg.emplace_back("sum");
        DREY_TRY_ASSIGN(const auto sums, client.call<endpoints::GetMetricsOverSubtasks>(path, query));
        for (const rest::AggregatedMetric& sum : sums) progress.rows += static_cast<std::int64_t>(sum.sum.value_or(0));
      }
    }
    DREY_TRY_ASSIGN(const auto marks, client.call<endpoints::GetWatermarks>(path));
    for (const rest::MetricEntry& mark : marks)
      least = std::min(least, Json(mark.value.value_or("")).whole().value_or(kMaxWatermark));
  }
  progress.watermark = least;
  DREY_TRY_ASSIGN(const auto checkpoints, client.call<endpoints::GetCheckpoints>({job}));
  progress.checkpoints = checkpoints.counts.completed;
  return progress;
}

// Files of the TaskManagers that the job failed on.
std::string output_files(const std::vector<rest::RootException>& history) {
  std::set<std::string> files;
  const auto add = [&](const std::optional<std::string>& task_manager) {
    // The number, and how often it has started: the files have the first alone.
    const std::string id = task_manager.value_or("");
    if (id.starts_with("taskmanager-"))
      files.insert(fmt::format("log/{}.out and .log", id.substr(0, id.find('-', 12))));
  };
  for (const rest::RootException& failure : history) {
    add(failure.task_manager_id);
    // What ended the job is told of no TaskManager; what made it fail is.
    for (const rest::ConcurrentException& other : failure.concurrent_exceptions) add(other.task_manager_id);
  }
  return files.empty() ? "log" : fmt::format("{}", fmt::join(files, "; "));
}

// Says once each what a job that does not run waits for, and what it has failed on.
class Troubles {
 public:
  Troubles(const Client& client, JobId job) : client_(client), job_(job) {}

  // Lines that are new.
  std::vector<std::string> look(const Progress& progress) {
    std::vector<std::string> out;
    if (progress.state == "RESTARTING" || progress.state == "FAILING") {
      const auto exceptions = client_.call<endpoints::GetExceptions>({job_});
      if (exceptions.ok() && !exceptions->exception_history.entries.empty()) {
        const rest::RootException& last = exceptions->exception_history.entries[0];
        if (last.timestamp != last_failure_) {
          last_failure_ = last.timestamp;
          const std::string first_line = last.stacktrace.substr(0, last.stacktrace.find('\n'));
          out.push_back(fmt::format("failed{}: {}", last.task_name ? " in " + printable(*last.task_name) : "",
                                    printable(first_line)));
        }
      }
    }
    waits_ = progress.waiting_tasks > 0 ? waits_ + 1 : 0;
    if (waits_ == kLooksUntilSaid) {
      if (const auto cluster = client_.call<endpoints::GetOverview>(); cluster.ok()) {
        out.push_back(fmt::format("{} tasks wait for slots: the cluster has {} in {} TaskManagers, {} of them free",
                                  progress.waiting_tasks, cluster->slots_total, cluster->taskmanagers,
                                  cluster->slots_available));
      }
    }
    return out;
  }

 private:
  static constexpr int kLooksUntilSaid = 5;  // a second
  const Client& client_;
  const JobId job_;
  std::int64_t last_failure_ = 0;
  int waits_ = 0;
};

// Shows progress until the job has ended: on a terminal in one line, elsewhere a line now and then.
int wait_for(const Client& client, JobId id, bool json) {
  const std::string job = id.to_string();
  std::signal(SIGINT, on_interrupt);
  const bool terminal = isatty(1) != 0;
  Troubles troubles(client, id);
  constexpr int kPause = 200;        // ms between two looks
  constexpr int kLinePause = 5'000;  // ms between two lines
  for (int waited = 0; !g_interrupted; waited += kPause) {
    auto progress = progress_of(client, id);
    if (!progress.ok()) return failed(progress.status());
    if (!json && (terminal || progress->ended() || waited % kLinePause == 0)) {
      fmt::print("{}{}{}", terminal ? "\r" : "", progress->text(), terminal && !progress->ended() ? " " : "\n");
      std::fflush(stdout);
    }
    if (!json && !progress->ended()) {
      for (const std::string& line : troubles.look(*progress))
        fmt::print(stderr, "{}{}\n", terminal ? "\r\033[K" : "", line);
    }
    if (progress->ended()) {
      const std::int64_t skipped = rows_skipped(client, id);
      if (skipped > 0 && !json)
        fmt::print(stderr, "{} rows could not be read and were skipped; the TaskManager's log has the first\n",
                   skipped);
      if (json) {
        fmt::print("{}\n",
                   Json::object({{"jobid", job}, {"state", progress->state}, {"duration-ms", progress->duration_ms}})
                       .to_string());
      } else {
        fmt::print("Job {} is {}\n", job, progress->state);
      }
      if (progress->state == "FINISHED") return 0;
      if (progress->state == "FAILED") {
        if (auto exceptions = client.call<endpoints::GetExceptions>({id}); exceptions.ok()) {
          const auto& history = exceptions->exception_history.entries;
          if (!history.empty()) fmt::print(stderr, "{}\n", history[0].stacktrace);
          fmt::print(stderr, "What the job's code printed is in the cluster's directory, {}\n", output_files(history));
        }
      }
      return 1;
    }
    usleep(kPause * 1000);
  }
  fmt::print("\nDetached; the job goes on. drey cancel {} ends it.\n", job);
  return 0;
}

// Makes the graph here and sends it with its jar.
Result<JobId> submit_graph(const Client& client, const Arguments& args) {
  DREY_TRY_ASSIGN(const std::string graph, plan_here(args));
  rest::JobSubmission submission;
  submission.execution_plan_file_name = "graph";
  submission.job_jar_file_names = {"job.jar"};
  DREY_TRY_ASSIGN(const auto answer,
                  client.upload<endpoints::SubmitJob>(
                      {{"file_0", "graph", graph, ""}, {"file_1", "job.jar", "", args.rest[0]}}, submission));
  return job_id_of(env::base_name_of(answer.job_url));
}

Result<JobId> submit_jar(const Client& client, const Arguments& args) {
  DREY_TRY_ASSIGN(const std::string jar, upload(client, args.rest[0]));
  DREY_TRY_ASSIGN(const auto answer, client.call<endpoints::RunJar>({jar}, {}, run_request_of(args)));
  return answer.jobid;
}

int run(const Client& client, const Arguments& args) {
  const auto submitted = args.has("--plan-here") ? submit_graph(client, args) : submit_jar(client, args);
  if (!submitted.ok()) return failed(submitted.status());
  const std::string job = submitted->to_string();
  if (args.has("--detached") && args.has("--json")) {
    fmt::print("{}\n", Json::object({{"jobid", job}}).to_string());
    return 0;
  }
  if (!args.has("--json")) fmt::print("Job has been submitted with JobID {}\n", job);
  std::fflush(stdout);
  return args.has("--detached") ? 0 : wait_for(client, *submitted, args.has("--json"));
}

int list(const Client& client, const Arguments& args) {
  auto overview = client.call<endpoints::GetJobsOverview>();
  if (!overview.ok()) return failed(overview.status());
  // As the flags say, whatever the form: -r and -s together are both; --json alone is all.
  const bool json = args.has("--json");
  const bool wants_running = args.has("--running"), wants_waiting = args.has("--scheduled");
  const bool all = args.has("--all") || (json && !wants_running && !wants_waiting);
  const auto is_hidden = [&](const rest::JobSummary& job) {
    const std::string& state = job.state.text;
    const bool ended = gateway::is_terminal(state);
    const bool waits = state == "CREATED" || state == "INITIALIZING";
    if (ended) return !all;
    return !all && wants_running != wants_waiting && wants_waiting != waits;
  };
  std::erase_if(overview->jobs, is_hidden);
  if (json) {
    fmt::print("{}\n", json_of(*overview));
    return 0;
  }
  for (const rest::JobSummary& job : overview->jobs) {
    fmt::print("{} : {} : {} ({})\n", format_instant(job.start_time), job.jid.to_string(), printable(job.name),
               job.state.text);
  }
  const std::size_t shown = overview->jobs.size();
  if (shown == 0) fmt::print("No {}jobs.\n", all ? "" : args.has("--scheduled") ? "scheduled " : "running ");
  return 0;
}

}  // namespace

Result<rest::Client> client_of(const Arguments& args) {
  std::string text = args.get("--jobmanager");
  if (text.empty()) {
    const auto address = env::posix().files.read_all(default_directory() + "/rest.address");
    text = address.ok() ? *address : "localhost:8081";
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
  DREY_TRY_ASSIGN(net::HttpCall call, call_to(std::move(text)));
  return rest::Client(std::move(call));
}

Result<net::HttpCall> call_to(std::string text) {
  net::HttpCall call;
  call.timeout = Millis(120'000);
  if (const auto scheme = text.find("://"); scheme != std::string::npos) {
    call.tls = text.starts_with("https");
    text = text.substr(scheme + 3);
  }
  while (!text.empty() && text.back() == '/') text.pop_back();
  const auto colon = text.rfind(':');
  const int port = colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
  if (colon == 0 || port < 1 || port > 65'535)
    return fail(Code::kInvalidArgument, fmt::format("-m needs HOST:PORT or http(s)://HOST:PORT: {}", text));
  call.host = text.substr(0, colon);
  call.port = static_cast<std::uint16_t>(port);
  call.authority = env::environment_variable("DREY_REST_CA");
  // As Flink's client has it: "Name:Value" lines.
  std::string headers = env::environment_variable("FLINK_REST_CLIENT_HEADERS");
  while (!headers.empty()) {
    const std::size_t end = std::min(headers.find('\n'), headers.size());
    const std::string line = headers.substr(0, end);
    headers.erase(0, end + 1);
    const auto at = line.find(':');
    if (at != std::string::npos)
      call.headers.emplace_back(line.substr(0, at), line.substr(line.find_first_not_of(' ', at + 1)));
  }
  return call;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    std::size_t bytes = utf8_sequence_bytes(text);
    // U+0080 to U+009F are control characters, too.
    const bool is_control =
        c < 0x20 || c == 0x7F || (bytes == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    if (bytes == 0 || is_control) {
      bytes = std::max<std::size_t>(bytes, 1);
      for (const char b : text.substr(0, bytes)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(b));
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

Result<JobId> job_id_of(const std::string& text) {
  const auto id = JobId::parse(text);
  if (!id) return fail(Code::kInvalidArgument, fmt::format("This is no id of a job (32 hexadecimal digits): {}", text));
  return *id;
}

int failed(const Status& status) {
  fmt::print(stderr, "drey: {}\n", status.to_string());
  if (status.code() == Code::kUnauthorized) {
    std::fputs(
        "drey: the cluster asks for a login: FLINK_REST_CLIENT_HEADERS='Authorization: Bearer TOKEN' in the "
        "environment\n",
        stderr);
  }
  return status.code() == Code::kUnavailable ? 3 : 1;
}

int client(const std::string& command, int argc, char** argv) {
  const bool runs = command == "run" || command == "info";
  std::vector<std::string> with_value{"-m=--jobmanager"};
  std::vector<std::string> flags{"--json", "--help", "-h=--help"};
  if (runs)
    with_value.insert(with_value.end(), {"-p=--parallelism", "-c=--class", "-s=--fromSavepoint", "--claimMode"});
  if (command == "run") flags.insert(flags.end(), {"-d=--detached", "--plan-here", "-n=--allowNonRestoredState"});
  if (command == "list") flags.insert(flags.end(), {"-r=--running", "-s=--scheduled", "-a=--all"});
  const Arguments args = parse_arguments(argc, argv, with_value, flags, runs);
  if (args.has("--help")) {
    fmt::print("{}", usage_of(command));
    return 0;
  }
  if (args.unknown) {
    fmt::print(stderr, "drey {}: unknown option {}\n{}", command, printable(*args.unknown), usage_of(command));
    return 2;
  }
  if (args.has("--parallelism") && !Json(args.get("--parallelism")).whole()) {
    fmt::print(stderr, "drey {}: a parallelism is a number, not {}\n", command, args.get("--parallelism"));
    return 2;
  }
  if (args.rest.empty() && (runs || command == "exceptions")) {
    fmt::print(stderr, "{}", usage_of(command));
    return 2;
  }
  for (const std::string& line : without_effect_on_jobs(args.properties))
    fmt::print(stderr, "drey {}: {}\n", command, line);
  const auto client = client_of(args);
  if (!client.ok()) {
    fmt::print(stderr, "drey: {}\n", client.status().to_string());
    return 2;
  }
  if (command == "run") return run(*client, args);
  if (command == "exceptions") return exceptions(*client, args);
  if (command == "list") return list(*client, args);
  if (command == "jars") {
    auto jars = client->call<endpoints::ListJars>();
    if (!jars.ok()) return failed(jars.status());
    if (args.has("--json")) {
      fmt::print("{}\n", json_of(*jars));
    } else {
      for (const rest::JarFile& jar : jars->files) fmt::print("{}  {}\n", printable(jar.id), printable(jar.name));
    }
    return 0;
  }
  auto jar = upload(*client, args.rest[0]);
  if (!jar.ok()) return failed(jar.status());
  auto plan = client->call<endpoints::PlanJar>({*jar}, {}, request_of<rest::JarPlanRequest>(args));
  static_cast<void>(client->call<endpoints::DeleteJar>({*jar}));
  if (!plan.ok()) return failed(plan.status());
  for (auto& node : plan->plan.nodes) node.description = readable(node.description);
  fmt::print("{}\n", json_of(plan->plan));
  return 0;
}

}  // namespace drey::apps
