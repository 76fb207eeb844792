#include "runtime/crash.h"

#include <cxxabi.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "env/env.h"
#include "runtime/task.h"
#include "runtime/worker.h"

namespace drey::runtime {
namespace {

constexpr int kFramesMax = 64;
char g_path[4096];
alignas(16) char g_stack[64 << 10];

const char* name_of(int signal_number) {
  switch (signal_number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGABRT: return "SIGABRT";
    default: return "signal";
  }
}

void put(int descriptor, const char* text) {
  [[maybe_unused]] const auto written = ::write(descriptor, text, std::strlen(text));
}

void on_crash(int signal_number) {
  const int descriptor = ::open(g_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    put(descriptor, name_of(signal_number));
    if (const Task* task = WorkerPool::current()) {
      put(descriptor, " in ");
      put(descriptor, task->name().c_str());
    }
    put(descriptor, "\n");
    void* frames[kFramesMax];
    const int count = backtrace(frames, kFramesMax);
    backtrace_symbols_fd(frames, count, descriptor);
    ::close(descriptor);
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

// "module(mangled+0x12) [0x7f..]" -> "at name (module+0x12)".
std::string readable(const std::string& line) {
  const auto open = line.find('(');
  const auto plus = line.find('+', open);
  const auto close = line.find(')', open);
  if (open == std::string::npos || close == std::string::npos) return "at " + line;
  const std::string module = env::base_name_of(line.substr(0, open));
  const std::string symbol = plus < close ? line.substr(open + 1, plus - open - 1) : "";
  const std::string offset = plus < close ? line.substr(plus, close - plus) : "";
  int status = 1;
  char* demangled = symbol.empty() ? nullptr : abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? demangled : symbol.empty() ? "[unknown]" : symbol;
  std::free(demangled);
  return fmt::format("at {} ({}{})", name, module, offset);
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
  action.sa_handler = on_crash;
  action.sa_flags = SA_RESETHAND;
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(number, &action, nullptr);
  return {};
}

CrashReport take_crash_report(const std::string& path) {
  CrashReport report;
  env::FileSystem& files = env::posix().files;
  const auto text = files.read_all(path);
  if (!text.ok()) return report;
  static_cast<void>(files.remove(path));
  std::size_t at = text->find('\n');
  report.summary = text->substr(0, at);
  while (at != std::string::npos && at + 1 < text->size()) {
    const auto end = text->find('\n', at + 1);
    report.stack += "\t" + readable(text->substr(at + 1, end - at - 1)) + "\n";
    at = end;
  }
  return report;
}

}  // namespace drey::runtime
