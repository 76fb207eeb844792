#include "runtime/process_metrics.h"

#include <link.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "env/env.h"
#include "runtime/stacks.h"

namespace drey::runtime {
namespace {

struct Memory {
  std::int64_t resident = 0;  // bytes
  std::int64_t files = 0;
  std::int64_t code = 0;
  std::int64_t threads = 0;
};

Memory memory_of_process() {
  Memory out;
  const std::string text = proc_file("/proc/self/status");
  const auto number = [&](std::string_view key) -> std::int64_t {
    const auto at = text.find(key);
    return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + key.size());
  };
  out.resident = number("VmRSS:") << 10;
  out.files = number("RssFile:") << 10;
  out.code = (number("VmExe:") + number("VmLib:")) << 10;
  out.threads = number("Threads:");
  return out;
}

}  // namespace

std::int64_t physical_memory() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

std::vector<std::pair<std::string, std::int64_t>> process_metrics() {
  const Memory memory = memory_of_process();
  const struct mallinfo2 heap = mallinfo2();
  const auto used = static_cast<std::int64_t>(heap.uordblks + heap.hblkhd);
  const auto committed = static_cast<std::int64_t>(heap.arena + heap.hblkhd);
  const std::int64_t physical = physical_memory();
  const std::int64_t rest = std::max<std::int64_t>(memory.resident - used, 0);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const std::int64_t cpu_nanos = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000LL +
                                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1'000LL;
  std::int64_t objects = 0;
  dl_iterate_phdr(
      [](dl_phdr_info*, std::size_t, void* count) {
        ++*static_cast<std::int64_t*>(count);
        return 0;
      },
      &objects);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const auto open =
      static_cast<std::int64_t>(env::posix().files.list("/proc/self/fd").value_or({}).size());
  return {
      {"Status.JVM.CPU.Time", cpu_nanos},
      {"Status.JVM.ClassLoader.ClassesLoaded", objects},
      {"Status.JVM.ClassLoader.ClassesUnloaded", 0},
      {"Status.JVM.FileDescriptor.Max", static_cast<std::int64_t>(files.rlim_cur)},
      {"Status.JVM.FileDescriptor.Open", open},
      {"Status.JVM.GarbageCollector.All.Count", 0},
      {"Status.JVM.GarbageCollector.All.Time", 0},
      {"Status.JVM.GarbageCollector.All.TimeMsPerSecond", 0},
      {"Status.JVM.Memory.Direct.Count", 0},
      {"Status.JVM.Memory.Direct.MemoryUsed", 0},
      {"Status.JVM.Memory.Direct.TotalCapacity", 0},
      {"Status.JVM.Memory.Heap.Committed", committed},
      {"Status.JVM.Memory.Heap.Max", physical},
      {"Status.JVM.Memory.Heap.Used", used},
      {"Status.JVM.Memory.Mapped.Count", objects},
      {"Status.JVM.Memory.Mapped.MemoryUsed", memory.files},
      {"Status.JVM.Memory.Mapped.TotalCapacity", memory.files},
      {"Status.JVM.Memory.Metaspace.Committed", memory.code},
      {"Status.JVM.Memory.Metaspace.Max", memory.code},
      {"Status.JVM.Memory.Metaspace.Used", memory.code},
      {"Status.JVM.Memory.NonHeap.Committed", rest},
      {"Status.JVM.Memory.NonHeap.Max", physical},
      {"Status.JVM.Memory.NonHeap.Used", rest},
      {"Status.JVM.Threads.Count", memory.threads},
      {"Status.Drey.Memory.Resident", memory.resident},
      {"Status.Drey.PageFaults.Major", usage.ru_majflt},
      {"Status.Drey.ContextSwitches.Involuntary", usage.ru_nivcsw},
  };
}

}  // namespace drey::runtime
