#include "runtime/crash.h"

#include <execinfo.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "env/env.h"
#include "runtime/symbols.h"
#include "runtime/task.h"
#include "runtime/worker.h"

namespace drey::runtime {
namespace {

// The report: a line with signal and task, a line with the addresses of the stack, innermost first,
// then /proc/self/maps.
constexpr int kFramesMax = 64;
char g_path[4096];
alignas(16) char g_stack[64 << 10];

const char* name_of(int signal_number) {
  switch (signal_number) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    case SIGABRT:
      return "SIGABRT";
    default:
      return "signal";
  }
}

void put(int descriptor, const char* text, std::size_t size) {
  [[maybe_unused]] const auto written = ::write(descriptor, text, size);
}
void put(int descriptor, const char* text) { put(descriptor, text, std::strlen(text)); }

void put_address(int descriptor, std::uint64_t address) {
  std::array<char, 17> text;
  const auto end = std::to_chars(text.data(), text.data() + 16, address, 16).ptr;
  *end = ' ';
  put(descriptor, text.data(), static_cast<std::size_t>(end + 1 - text.data()));
}

std::uint64_t program_counter(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uint64_t>(machine.gregs[REG_RIP]);
#else
  return machine.pc;
#endif
}

void on_crash(int signal_number, siginfo_t*, void* context) {
  const int descriptor = ::open(g_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    put(descriptor, name_of(signal_number));
    if (const Task* task = WorkerPool::current()) {
      put(descriptor, " in ");
      put(descriptor, task->name().c_str());
    }
    put(descriptor, "\n");
    // The frames of this handler lie before the one that was interrupted.
    const std::uint64_t at = program_counter(context);
    void* frames[kFramesMax];
    const int count = backtrace(frames, kFramesMax);
    int first = 0;
    while (first < count && reinterpret_cast<std::uint64_t>(frames[first]) != at) ++first;
    put_address(descriptor, at);
    for (int i = first + 1; i < count; ++i) put_address(descriptor, reinterpret_cast<std::uint64_t>(frames[i]) - 1);
    put(descriptor, "\n");
    if (const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC); maps >= 0) {
      char part[4096];
      for (ssize_t got = 0; (got = ::read(maps, part, sizeof part)) > 0;)
        put(descriptor, part, static_cast<std::size_t>(got));
      ::close(maps);
    }
    ::close(descriptor);
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

// Whether the file holds a job's code: neither this program nor the system's.
bool is_job_code(const std::string& module) {
  return module.starts_with('/') && !module.starts_with("/usr/") && !module.starts_with("/lib") &&
         module != env::posix().processes.executable_path();
}

}  // namespace

Status install_crash_handler(const std::string& path) {
  if (path.size() >= sizeof g_path) return fail(Code::kInvalidArgument, "The path of the crash report is too long");
  std::memcpy(g_path, path.c_str(), path.size() + 1);
  // backtrace() loads libgcc at its first call, which must not happen in a handler.
  void* frame[1];
  backtrace(frame, 1);
  stack_t stack{};
  stack.ss_sp = g_stack;
  stack.ss_size = sizeof g_stack;
  if (sigaltstack(&stack, nullptr) != 0) return fail(Code::kIo, fmt::format("sigaltstack: errno={}", errno));
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_SIGINFO);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(number, &action, nullptr);
  return {};
}

CrashReport take_crash_report(const std::string& path) {
  CrashReport report;
  env::FileSystem& files = env::posix().files;
  const auto read = files.read_all(path);
  if (!read.ok()) return report;
  static_cast<void>(files.remove(path));
  const std::string& text = *read;
  const std::size_t summary_end = std::min(text.find('\n'), text.size());
  const std::size_t stack_end = std::min(text.find('\n', std::min(summary_end + 1, text.size())), text.size());
  report.summary = text.substr(0, summary_end);
  if (stack_end >= text.size()) return report;
  auto symbols = Symbols::of_maps(text.substr(stack_end + 1));
  const char* at = text.data() + summary_end + 1;
  const char* const end = text.data() + stack_end;
  while (at < end) {
    std::uint64_t address = 0;
    const auto parsed = std::from_chars(at, end, address, 16);
    if (parsed.ec != std::errc()) break;
    at = parsed.ptr + 1;
    Frame unknown;
    unknown.offset = address;
    for (const Frame& frame : symbols.ok() ? symbols->at(address) : std::vector<Frame>{unknown}) {
      report.stack += fmt::format("\tat {}\n", to_string(frame));
      report.in_job_code = report.in_job_code || is_job_code(frame.module);
    }
  }
  return report;
}

}  // namespace drey::runtime
