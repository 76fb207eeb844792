// The process's log: lines like `2026-01-01 10:00:00,123 INFO  room - text`, into a rotating file
// and, when asked for, standard error. Threading: any thread. Bounds: file 100 MiB, 10 kept
// (log.file.bytes-max, log.file.count).
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace drey::env {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogOptions {
  std::string path;  // empty: no file
  bool to_stderr = false;
  LogLevel level = LogLevel::kInfo;
};

void open_log(const LogOptions& options);
void close_log();
// Control characters in `text` are escaped: a line stays a line.
void write_log(LogLevel level, std::string_view room, std::string_view text);
bool logs(LogLevel level);

template <typename... Args>
void log(LogLevel level, std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
  if (logs(level)) write_log(level, room, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kInfo, room, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warn(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kWarn, room, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_error(std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kError, room, format, std::forward<Args>(args)...);
}

}  // namespace drey::env
