// Crash reports: when a signal ends the process (a null pointer in user code), the native stack and the task that ran go to a
// file, which the JobManager's process reads for the failure's text. Signal-safe: the file is opened beforehand.
#pragma once

#include <string>

#include "base/status.h"

namespace drey::runtime {

// Once, before tasks run. The file appears only when there is a crash to report.
Status install_crash_handler(const std::string& path);

struct CrashReport {
  std::string summary;  // "SIGSEGV in Source: a -> b (1/2)#0"
  std::string stack;    // "at symbol (module+offset)" a line
};
// What a crash left at `path`, with names demangled; an empty summary when there is none. Removes the file.
CrashReport take_crash_report(const std::string& path);

}  // namespace drey::runtime
