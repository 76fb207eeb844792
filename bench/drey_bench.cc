// drey-bench: one benchmark case, run to its end inside this process through the public API.
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "connectors/all.h"
#include "drey/abi.h"
#include "env/env.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

extern "C" const drey_module* drey_module_entry(std::uint32_t host_abi);

namespace {

constexpr const char* kUsage =
    "drey-bench CASE --rows N [--parallelism P] [--data DIR] [--verify] [--checkpoint-ms MS --state-dir DIR]\n"
    "  CASE: generate, exchange, keyed_sum, chain, window (rows made by a generator),\n"
    "        wordcount, flights (files below DIR/words, DIR/flights)\n"
    "  example: drey-bench keyed_sum --rows 36000000 --parallelism 2 --verify\n";

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace drey;
  std::string name;
  std::string rows = "0";
  std::string data;
  runtime::LocalJobOptions options;
  bool verify = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
    if (argument == "--rows") {
      rows = value();
    } else if (argument == "--parallelism") {
      options.parallelism = std::atoi(value().c_str());
    } else if (argument == "--data") {
      data = value();
    } else if (argument == "--verify") {
      verify = true;
    } else if (argument == "--checkpoint-ms") {
      options.checkpoint_interval = Millis(std::atoi(value().c_str()));
    } else if (argument == "--state-dir") {
      options.state_directory = value();
    } else if (argument.starts_with("-") || !name.empty()) {
      std::fputs(kUsage, argument == "--help" ? stdout : stderr);
      return argument == "--help" ? 0 : 2;
    } else {
      name = argument.substr(0, argument.find('@'));
    }
  }
  if (name.empty() || options.parallelism < 1) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  options.workers = static_cast<std::size_t>(options.parallelism);
  runtime::BuildRequest request;
  request.entry = name;
  if (name == "wordcount" || name == "flights") {
    request.arguments = {"--path", data + (name == "flights" ? "/flights" : "/words")};
  } else {
    request.arguments = {"--rows", rows};
  }
  if (verify) request.arguments.push_back("--verify");
  request.arguments.push_back("--parallelism");
  request.arguments.push_back(fmt::format("{}", options.parallelism));
  operators::Registry registry;
  operators::add_builtin_kinds(registry);
  connectors::add_connector_kinds(registry);
  env::Env& env = env::posix();
  auto code = runtime::build_job(*drey_module_entry(DREY_ABI_VERSION), request);
  if (!code.ok()) {
    fmt::print(stderr, "drey-bench: {}\n", code.status().to_string());
    return 2;
  }
  if (!options.state_directory.empty()) {
    if (Status made = env.files.make_directories(options.state_directory); !made.ok()) {
      fmt::print(stderr, "drey-bench: {}\n", made.to_string());
      return 2;
    }
  }
  const double cpu_before = cpu_seconds();
  const Ticks begin = env.clock.ticks();
  auto result = runtime::run_local_job(*code, options, env, registry);
  const double seconds = static_cast<double>((env.clock.ticks() - begin).count()) * 1e-9;
  const double cpu = cpu_seconds() - cpu_before;
  if (!result.ok()) {
    fmt::print(stderr, "drey-bench: {}\n", result.status().to_string());
    return 1;
  }
  std::int64_t row_count = 0;
  std::from_chars(rows.data(), rows.data() + rows.size(), row_count);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto whole = [&](const char* key) { return result->accumulators.contains(key) ? result->accumulators.at(key).whole : 0; };
  fmt::print("{{\"case\":\"{}\",\"rows\":{},\"parallelism\":{},\"seconds\":{:.3f},\"rows_per_s\":{:.0f},\"cpu_seconds\":{:.3f},"
             "\"rows_per_cpu_s\":{:.0f},\"peak_rss_bytes\":{},\"checkpoints\":{},\"results\":{},\"digest\":{}}}\n",
             name, row_count, options.parallelism, seconds, static_cast<double>(row_count) / seconds, cpu,
             static_cast<double>(row_count) / cpu, usage.ru_maxrss * 1024, result->checkpoints, whole("results"), whole("digest"));
  return 0;
}
