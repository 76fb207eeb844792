// Crash reports: when a signal ends the process (a null pointer in user code), the native stack and
// the task that ran go to a file, which the JobManager's process reads for the failure's text.
#pragma once

#include <string>

#include "base/status.h"

namespace drey::runtime {

// Once, before tasks run. The file appears only when there is a crash to report.
Status install_crash_handler(const std::string& path);

struct CrashReport {
  std::string summary;       // "SIGSEGV in Source: a -> b (1/2)#0"
  std::string stack;         // "\tat function (module, file:line)" a line, innermost first
  bool in_job_code = false;  // some frame lies in a job's shared object
};
// What a crash left at `path`, with its symbols, also those of static and inlined functions; an
// empty summary when there is none. Removes the file. Blocks: reads the files that were mapped.
CrashReport take_crash_report(const std::string& path);

}  // namespace drey::runtime
