#include "runtime/stacks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "env/env.h"
#include "runtime/task.h"
#include "runtime/worker.h"

namespace drey::runtime {
namespace {

constexpr int kFramesMax = 100;
constexpr std::size_t kStackBytes = 64u << 10;  // of the top; what lies deeper is not shown
constexpr std::chrono::milliseconds kAnswerDeadline{20};

enum class At : int { kFree, kAsked, kWriting, kDone };

// Written by the handler of the thread that is asked, read by who asks.
struct Slot {
  std::atomic<At> at{At::kFree};
  std::atomic<int> thread{0};
  int count = 0;
  std::uintptr_t frames[kFramesMax];
  bool in_task = false;
  JobId job;
  std::uint32_t vertex = 0;
  std::uint32_t subtask = 0;
  alignas(16) unsigned char copy[kStackBytes];
};
Slot g_slot;

int signal_number() { return SIGRTMIN + 5; }

struct Registers {
  std::uintptr_t pc = 0, sp = 0, fp = 0;
};

Registers registers_of(const ucontext_t& context) {
#if defined(__x86_64__)
  const auto& r = context.uc_mcontext.gregs;
  return {static_cast<std::uintptr_t>(r[REG_RIP]), static_cast<std::uintptr_t>(r[REG_RSP]),
          static_cast<std::uintptr_t>(r[REG_RBP])};
#elif defined(__aarch64__)
  const auto& m = context.uc_mcontext;
  return {m.pc, m.sp, m.regs[29]};
#else
  return {};
#endif
}

__attribute__((no_sanitize("address", "thread", "undefined"))) void on_signal(int, siginfo_t*, void* context) {
  const int saved_errno = errno;
  At asked = At::kAsked;
  if (g_slot.thread.load(std::memory_order_acquire) == static_cast<int>(::syscall(SYS_gettid)) &&
      g_slot.at.compare_exchange_strong(asked, At::kWriting, std::memory_order_acq_rel)) {
    const Registers r = registers_of(*static_cast<const ucontext_t*>(context));
    g_slot.count = 0;
    g_slot.frames[g_slot.count++] = r.pc;
    // A copy by the kernel: where the stack ends it ends, where a plain read would fault.
    iovec here{g_slot.copy, kStackBytes};
    iovec there{reinterpret_cast<void*>(r.sp), kStackBytes};
    const ssize_t got = ::syscall(SYS_process_vm_readv, ::getpid(), &here, 1UL, &there, 1UL, 0UL);
    const std::uintptr_t end = r.sp + (got > 0 ? static_cast<std::uintptr_t>(got) : 0);
    std::uintptr_t fp = r.fp;
    while (g_slot.count < kFramesMax && fp >= r.sp && fp + 16 <= end && fp % 8 == 0) {
      std::uintptr_t pair[2];
      std::memcpy(pair, g_slot.copy + (fp - r.sp), sizeof pair);
      if (pair[1] < 4096) break;
      g_slot.frames[g_slot.count++] = pair[1];
      if (pair[0] <= fp) break;  // frames lie ever higher
      fp = pair[0];
    }
    const Task* task = WorkerPool::current();
    g_slot.in_task = task != nullptr;
    if (task != nullptr) {
      g_slot.job = task->spec().job;
      g_slot.vertex = task->spec().vertex_index;
      g_slot.subtask = task->spec().subtask;
    }
    g_slot.at.store(At::kDone, std::memory_order_release);
  }
  errno = saved_errno;
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    sigaction(signal_number(), &action, nullptr);
  });
}

}  // namespace

std::string proc_file(const std::string& path) {
  std::string out;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return out;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(descriptor, piece, sizeof piece)) > 0;)
    out.append(piece, static_cast<std::size_t>(got));
  ::close(descriptor);
  return out;
}

ThreadState thread_state(int id) {
  ThreadState out;
  out.id = id;
  const std::string text = proc_file(fmt::format("/proc/self/task/{}/stat", id));
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= text.size()) return out;
  out.name = text.substr(open + 1, close - open - 1);
  out.state = text[close + 2];
  return out;
}

std::vector<ThreadState> threads_of_process() {
  std::vector<ThreadState> out;
  for (const std::string& name : env::posix().files.list("/proc/self/task").value_or({})) {
    ThreadState state = thread_state(std::atoi(name.c_str()));
    if (!state.name.empty()) out.push_back(std::move(state));
  }
  return out;
}

std::optional<Stack> take_stack(int thread) {
  static std::mutex mutex;
  std::lock_guard guard(mutex);
  install_handler();
  g_slot.thread.store(thread, std::memory_order_release);
  g_slot.at.store(At::kAsked, std::memory_order_release);
  const auto end = env::posix().clock.ticks() + kAnswerDeadline;
  bool waits = ::syscall(SYS_tgkill, ::getpid(), thread, signal_number()) == 0;
  while (g_slot.at.load(std::memory_order_acquire) != At::kDone) {
    if (!waits || env::posix().clock.ticks() > end) {
      At asked = At::kAsked;
      if (g_slot.at.compare_exchange_strong(asked, At::kFree)) return std::nullopt;
      // The handler writes: it is done in microseconds.
    }
    std::this_thread::yield();
  }
  Stack out;
  out.frames.assign(g_slot.frames, g_slot.frames + g_slot.count);
  out.in_task = g_slot.in_task;
  out.job = g_slot.job;
  out.vertex = g_slot.vertex;
  out.subtask = g_slot.subtask;
  g_slot.at.store(At::kFree, std::memory_order_release);
  return out;
}

std::string folded(std::string name) {
  // Parameters: the last balanced parentheses, unless they are part of a name.
  const std::string whole = name;
  std::string out;
  int angles = 0;
  int parentheses = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const char c = whole[i];
    if (whole.compare(i, 8, "operator") == 0 && angles == 0 && parentheses == 0) {
      out += "operator";
      i += 8;
      // "()", "<", "<<", "->", ... belong to the name.
      if (whole.compare(i, 2, "()") == 0) {
        out += "()";
        i += 2;
      }
      while (i < whole.size() && std::strchr("<>=-+*/!&|^%~", whole[i]) != nullptr) out += whole[i++];
      --i;
      continue;
    }
    if (whole.compare(i, 9, "{lambda(") == 0 || whole.compare(i, 8, "{lambda(") == 0) {
      const std::size_t close = whole.find('}', i);
      if (close == std::string::npos) break;
      if (angles == 0 && parentheses == 0) out += "{lambda}";
      i = close;
      continue;
    }
    if (whole.compare(i, 21, "(anonymous namespace)") == 0) {
      if (angles == 0 && parentheses == 0) out += "(anonymous namespace)";
      i += 20;
      continue;
    }
    if (c == '<') {
      if (angles++ == 0 && parentheses == 0) out += "<…>";
    } else if (c == '>' && angles > 0 && (i == 0 || whole[i - 1] != '-')) {
      --angles;
    } else if (c == '(' && angles == 0) {
      ++parentheses;
    } else if (c == ')' && angles == 0) {
      --parentheses;
    } else if (angles == 0 && parentheses == 0) {
      out += c;
    }
  }
  // What stands before the name (a return type) and behind it ("const", "[clone ...]") goes.
  if (const auto clone = out.find(" ["); clone != std::string::npos) out.resize(clone);
  if (out.ends_with(" const")) out.resize(out.size() - 6);
  if (const auto blank = out.rfind(' '); blank != std::string::npos && out.find("operator") == std::string::npos &&
                                         out.find("(anonymous") == std::string::npos)
    out.erase(0, blank + 1);
  return out;
}

FrameNames::FrameNames() {
  if (auto symbols = Symbols::of_maps(proc_file("/proc/self/maps")); symbols.ok()) symbols_ = std::move(*symbols);
}

const std::vector<std::string>& FrameNames::at(std::uintptr_t address) {
  const auto [found, added] = names_.try_emplace(address);
  if (!added) return found->second;
  if (!symbols_) {
    found->second = {"[unknown]"};
    return found->second;
  }
  for (const Frame& frame : symbols_->at(address)) {
    std::string name = folded(frame.function);
    if (name.empty()) name = frame.module.empty() ? "[unknown]" : fmt::format("[{}]", env::base_name_of(frame.module));
    if (frame.line > 0) name += fmt::format(":{}", frame.line);
    found->second.push_back(std::move(name));
  }
  return found->second;
}

std::vector<std::string> FrameNames::of(const std::vector<std::uintptr_t>& stack) {
  std::vector<std::string> out;
  for (std::size_t i = stack.size(); i-- > 0;) {
    // All but the innermost are where a call returns to.
    const std::vector<std::string>& names = at(stack[i] - (i > 0 ? 1 : 0));
    out.insert(out.end(), names.rbegin(), names.rend());
  }
  return out;
}

}  // namespace drey::runtime
