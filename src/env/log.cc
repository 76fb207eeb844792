#include "env/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <vector>

namespace drey::env {
namespace {

constexpr std::size_t kFileBytesMax = 100u << 20;
constexpr std::size_t kFilesMax = 10;

std::shared_ptr<spdlog::logger>& logger() {
  static auto* instance = new std::shared_ptr<spdlog::logger>();
  return *instance;
}
std::atomic<int> g_level{static_cast<int>(LogLevel::kError) + 1};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void open_log(const LogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks;
  try {
    if (!options.path.empty()) {
      sinks.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.path, kFileBytesMax, kFilesMax));
    }
  } catch (const spdlog::spdlog_ex& problem) {
    fmt::print(stderr, "Cannot open the log file: {}\n", problem.what());
  }
  if (options.to_stderr) sinks.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger() = std::make_shared<spdlog::logger>("drey", sinks.begin(), sinks.end());
  logger()->set_pattern("%Y-%m-%d %H:%M:%S,%e %v", spdlog::pattern_time_type::utc);
  logger()->set_level(level_of(options.level));
  logger()->flush_on(spdlog::level::debug);
  g_level = static_cast<int>(options.level);
}

void close_log() {
  g_level = static_cast<int>(LogLevel::kError) + 1;
  if (logger()) logger()->flush();
}

bool logs(LogLevel level) { return static_cast<int>(level) >= g_level.load(std::memory_order_relaxed); }

void write_log(LogLevel level, std::string_view room, std::string_view text) {
  static constexpr const char* kNames[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
  std::string line = fmt::format("{} {} - ", kNames[static_cast<int>(level)], room);
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x20 || c == '\t') {
      line += c;
    } else {
      line += c == '\n' ? std::string("\\n") : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  logger()->log(level_of(level), line);
}

}  // namespace drey::env
