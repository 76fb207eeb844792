// drey-bench: one benchmark case, run to its end inside this process through the public API.
#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "connectors/all.h"
#include "data.h"
#include "drey/abi.h"
#include "env/env.h"
#include "jobs/latency.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

extern "C" const drey_module* drey_module_entry(std::uint32_t host_abi);

namespace {

constexpr const char* kUsage =
    "drey-bench CASE [--rows N] [--parallelism P] [--data DIR] [--verify] [--checkpoint-ms MS] "
    "[--state-dir DIR]\n"
    "  CASE: generate, exchange, keyed_sum, chain, window   rows made by a generator\n"
    "        wordcount, flights, flights_zst                files below DIR/words, DIR/flights, "
    "DIR/flights_zst\n"
    "        latency                                        10,000 rows/s through two hash "
    "exchanges with state\n"
    "  What follows an @ in CASE is ignored, but for @ckpt: a checkpoint every 10 s (state in "
    "build/bench-state).\n"
    "drey-bench read FOLDER                  reads and decompresses the files of FOLDER, no more\n"
    "drey-bench data DIR [--seed S] [--flights FILE] [--files N] [--lines N] [--years N]\n"
    "  writes the data of the file cases; FILE: flights.csv of nycflights13, plain or compressed\n"
    "  examples: drey-bench keyed_sum --rows 36000000 --parallelism 2 --verify\n"
    "            drey-bench data /tmp/data && drey-bench flights --parallelism 2 --data "
    "/tmp/data\n";

// What the command line says; error is what is wrong with it.
struct Command {
  std::string name;  // without what follows the @
  std::string rows, data, error;
  bool verify = false, help = false;
  drey::runtime::LocalJobOptions options;
  drey::bench::DataOptions write;
};

template <class T>
bool read_number(std::string_view text, T lowest, T& out) {
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, out);
  return read.ec == std::errc() && read.ptr == end && out >= lowest;
}

Command parse(std::span<char*> words) {
  Command c;
  c.write.flights = DREY_FLIGHTS_FILE;
  std::int64_t checkpoint_ms = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--help") {
      c.help = true;
    } else if (word == "--verify") {
      c.verify = true;
    } else if (!word.starts_with("-") && c.name.empty()) {
      c.name = word.substr(0, word.find('@'));
      if (word.ends_with("@ckpt")) checkpoint_ms = 10'000;
    } else if (!word.starts_with("-") && (c.name == "data" || c.name == "read") && c.write.directory.empty()) {
      c.write.directory = word;
    } else if (!word.starts_with("-") || i + 1 == words.size()) {
      c.error = fmt::format("'{}' is not understood, or lacks its value", word);
    } else {
      const std::string_view value = words[++i];
      std::int64_t rows = 0;
      bool fine = true;
      if (word == "--rows") {
        c.rows = value;
        fine = read_number<std::int64_t>(value, 1, rows);
      } else if (word == "--parallelism" || word == "-p") {
        fine = read_number<std::int32_t>(value, 1, c.options.parallelism);
      } else if (word == "--data") {
        c.data = value;
      } else if (word == "--checkpoint-ms") {
        fine = read_number<std::int64_t>(value, 0, checkpoint_ms);
      } else if (word == "--state-dir") {
        c.options.state_directory = value;
      } else if (word == "--seed") {
        fine = read_number<std::uint64_t>(value, 0, c.write.seed);
      } else if (word == "--flights") {
        c.write.flights = value;
      } else if (word == "--files") {
        fine = read_number(value, 1, c.write.text_files);
      } else if (word == "--lines") {
        fine = read_number(value, 1, c.write.lines_a_file);
      } else if (word == "--years") {
        fine = read_number(value, 1, c.write.years);
      } else {
        c.error = fmt::format("'{}' is not understood", word);
      }
      if (!fine) c.error = fmt::format("{} {}: a number is needed", word, value);
    }
  }
  c.options.checkpoint_interval = drey::Millis(checkpoint_ms);
  if (checkpoint_ms > 0 && c.options.state_directory.empty()) {
    c.options.state_directory = "build/bench-state";
  }
  c.options.workers = static_cast<std::size_t>(c.options.parallelism);
  if (c.name.empty() && c.error.empty()) c.error = "which case?";
  if ((c.name == "data" || c.name == "read") && c.write.directory.empty()) c.error = c.name + ": which directory?";
  if (c.data.empty() && (c.name == "wordcount" || c.name.starts_with("flights"))) {
    c.error = c.name + ": --data DIR is needed (drey-bench data DIR writes it)";
  }
  return c;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace drey;
  Command command = parse({argv + 1, static_cast<std::size_t>(argc - 1)});
  if (command.help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (!command.error.empty()) {
    fmt::print(stderr, "drey-bench: {}\n{}", command.error, kUsage);
    return 2;
  }
  const auto give_up = [](const Status& why, int code) {
    fmt::print(stderr, "drey-bench: {}\n", why.to_string());
    return code;
  };
  env::Env& env = env::posix();
  if (command.name == "data") {
    const Status written = drey::bench::write_data(env, command.write);
    return written.ok() ? 0 : give_up(written, 1);
  }
  if (command.name == "read") {
    const double before = cpu_seconds();
    auto bytes = drey::bench::read_files(env.files, command.write.directory);
    const double cpu = cpu_seconds() - before;
    if (!bytes.ok()) return give_up(bytes.status(), 1);
    fmt::print("{{\"case\":\"read\",\"bytes\":{},\"cpu_seconds\":{:.3f},\"bytes_per_cpu_s\":{:.0f}}}\n", *bytes, cpu,
               static_cast<double>(*bytes) / cpu);
    return 0;
  }
  const std::string& name = command.name;
  const bool has_files = name == "wordcount" || name.starts_with("flights");
  if (name == "latency" && command.rows.empty()) command.rows = "130000";
  runtime::BuildRequest request;
  request.entry = name == "flights_zst" ? "flights" : name;
  request.arguments = {"--parallelism", fmt::format("{}", command.options.parallelism)};
  const auto add = [&](const char* option, std::string value) {
    request.arguments.push_back(option);
    request.arguments.push_back(std::move(value));
  };
  if (has_files) {
    std::error_code bad;
    const std::string data = std::filesystem::absolute(command.data, bad).string();
    add("--path", data + (name == "wordcount" ? "/words" : "/" + name));
  } else {
    add("--rows", command.rows);
  }
  if (command.verify && name != "latency") request.arguments.push_back("--verify");
  operators::Registry registry;
  operators::add_builtin_kinds(registry);
  connectors::add_connector_kinds(registry);
  auto code = runtime::build_job(*drey_module_entry(DREY_ABI_VERSION), request);
  if (!code.ok()) return give_up(code.status(), 2);
  if (!command.options.state_directory.empty()) {
    const Status made = env.files.make_directories(command.options.state_directory);
    if (!made.ok()) return give_up(made, 2);
  }
  const double cpu_before = cpu_seconds();
  const Ticks begin = env.clock.ticks();
  auto result = runtime::run_local_job(*code, command.options, env, registry);
  const double seconds = static_cast<double>((env.clock.ticks() - begin).count()) * 1e-9;
  const double cpu = cpu_seconds() - cpu_before;
  if (!result.ok()) return give_up(result.status(), 1);
  std::int64_t rows = has_files ? result->source_rows : 0;  // words of wordcount, lines of flights
  if (!has_files) std::from_chars(command.rows.data(), command.rows.data() + command.rows.size(), rows);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto whole = [&](const char* key) {
    return result->accumulators.contains(key) ? result->accumulators.at(key).whole : 0;
  };
  std::string more;
  if (name == "latency") {
    const auto ages = [](const ::bench::Ages& a) {
      return fmt::format("{{\"rows\":{},\"p50\":{},\"p99\":{},\"p99_9\":{},\"max\":{}}}", a.rows(), a.quantile(0.5),
                         a.quantile(0.99), a.quantile(0.999), a.quantile(1.0));
    };
    more = fmt::format(",\"us_since_made\":{},\"us_since_due\":{}", ages(::bench::latencies().since_made),
                       ages(::bench::latencies().since_due));
  }
  fmt::print(
      "{{\"case\":\"{}\",\"rows\":{},\"parallelism\":{},\"seconds\":{:.3f},\"rows_per_s\":{:.0f},"
      "\"cpu_seconds\":{:.3f},\"rows_per_cpu_s\":{:.0f},\"peak_rss_bytes\":{},\"checkpoints\":{},"
      "\"results\":{},\"digest\":{}{}}}\n",
      name, rows, command.options.parallelism, seconds, static_cast<double>(rows) / seconds, cpu,
      static_cast<double>(rows) / cpu, usage.ru_maxrss * 1024, result->checkpoints, whole("results"), whole("digest"),
      more);
  return 0;
}
