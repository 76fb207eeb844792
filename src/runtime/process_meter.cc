#include "runtime/process_meter.h"

#include <link.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "runtime/stacks.h"

namespace drey::runtime {
namespace {

using metrics::Also;
using metrics::Number;
using metrics::Row;

struct ProcessView {
  Ticks now;
  std::int64_t cpu_nanos = 0;
  double load = 0;
  std::int64_t resident = 0;  // bytes
  std::int64_t files = 0;
  std::int64_t code = 0;
  std::int64_t threads = 0;
  std::int64_t open_files = 0;
  std::int64_t open_files_max = 0;
  std::int64_t physical = 0;
  std::int64_t major_faults = 0;
  std::int64_t involuntary_switches = 0;
  std::int64_t objects_loaded = 0;  // shared objects, since the process began
  std::int64_t objects_unloaded = 0;
  std::int64_t heap_used = 0;  // of the allocator's arenas
  std::int64_t heap_total = 0;
  std::int64_t mapped_blocks = 0;  // large ones that the allocator maps one by one
  std::int64_t mapped_bytes = 0;
  std::optional<PoolUse> pools;
  double trim_ms_per_second = 0;
  PoolUse pool() const { return pools.value_or(PoolUse()); }
  std::int64_t heap() const { return heap_used + pool().state_used; }
  std::int64_t direct() const { return mapped_bytes + pool().rows_used; }
  std::int64_t rest() const { return std::max<std::int64_t>(resident - heap() - direct(), 0); }
};

std::int64_t cpu_nanos_of(const rusage& usage) {
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000'000LL +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1'000LL;
}

ProcessView measure(env::Env& env) {
  ProcessView v;
  v.now = env.clock.ticks();
  const std::string text = proc_file("/proc/self/status");
  const auto number = [&](std::string_view key) -> std::int64_t {
    const auto at = text.find(key);
    return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + key.size());
  };
  v.resident = number("VmRSS:") << 10;
  v.files = number("RssFile:") << 10;
  v.code = (number("VmExe:") + number("VmLib:")) << 10;
  v.threads = number("Threads:");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  v.cpu_nanos = cpu_nanos_of(usage);
  v.major_faults = usage.ru_majflt;
  v.involuntary_switches = usage.ru_nivcsw;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* view) {
        static_cast<ProcessView*>(view)->objects_loaded = static_cast<std::int64_t>(info->dlpi_adds);
        static_cast<ProcessView*>(view)->objects_unloaded = static_cast<std::int64_t>(info->dlpi_subs);
        return 1;
      },
      &v);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  v.open_files_max = static_cast<std::int64_t>(files.rlim_cur);
  v.open_files = static_cast<std::int64_t>(env.files.list("/proc/self/fd").value_or({}).size());
  v.physical = physical_memory();
  const struct mallinfo2 heap = mallinfo2();
  v.heap_used = static_cast<std::int64_t>(heap.uordblks);
  v.heap_total = static_cast<std::int64_t>(heap.arena);
  v.mapped_blocks = static_cast<std::int64_t>(heap.hblks);
  v.mapped_bytes = static_cast<std::int64_t>(heap.hblkhd);
  return v;
}

using P = const ProcessView&;
constexpr std::int64_t kSegmentBytes = 32 << 10;  // Flink's
bool has_pools(P v) { return v.pools.has_value(); }

constexpr Row<ProcessView> kRows[] = {
    {"Status.JVM.CPU.Load", [](P v) -> Number { return v.load; },
     "Share of the machine's cores that the process used over the last second or two: 0 to 1."},
    {"Status.JVM.CPU.Time", [](P v) -> Number { return v.cpu_nanos; }, "CPU time of the process, user and system, ns."},
    {"Status.JVM.Threads.Count", [](P v) -> Number { return v.threads; }, "Threads of the process."},
    {"Status.JVM.ClassLoader.ClassesLoaded", [](P v) -> Number { return v.objects_loaded; },
     "Shared objects that were loaded, jobs' programs among them."},
    {"Status.JVM.ClassLoader.ClassesUnloaded", [](P v) -> Number { return v.objects_unloaded; },
     "Shared objects that were unloaded."},
    {"Status.JVM.FileDescriptor.Max", [](P v) -> Number { return v.open_files_max; },
     "File descriptors that the process may have open."},
    {"Status.JVM.FileDescriptor.Open", [](P v) -> Number { return v.open_files; },
     "File descriptors that it has open."},
    {"Status.JVM.Memory.Heap.Used", [](P v) -> Number { return v.heap(); },
     "Bytes of the allocator's arenas that are in use; in a TaskManager with the pages of state."},
    {"Status.JVM.Memory.Heap.Committed", [](P v) -> Number { return v.heap_total + v.pool().state_total; },
     "The same with what arenas and the pool of pages keep for later."},
    {"Status.JVM.Memory.Heap.Max", [](P v) -> Number { return v.physical; },
     "The machine's memory: there is no lower limit."},
    {"Status.JVM.Memory.Direct.Count", [](P v) -> Number { return v.mapped_blocks; },
     "Large blocks that the allocator mapped one by one."},
    {"Status.JVM.Memory.Direct.MemoryUsed", [](P v) -> Number { return v.direct(); },
     "Their bytes; in a TaskManager with the batches of rows that are in use."},
    {"Status.JVM.Memory.Direct.TotalCapacity", [](P v) -> Number { return v.mapped_bytes + v.pool().rows_total; },
     "The same with what the pool of batches keeps for later."},
    {"Status.JVM.Memory.Mapped.Count", [](P v) -> Number { return v.objects_loaded - v.objects_unloaded; },
     "Shared objects that are mapped now."},
    {"Status.JVM.Memory.Mapped.MemoryUsed", [](P v) -> Number { return v.files; }, "Resident bytes of mapped files."},
    {"Status.JVM.Memory.Mapped.TotalCapacity", [](P v) -> Number { return v.files; }, "The same."},
    {"Status.JVM.Memory.Metaspace.Used", [](P v) -> Number { return v.code; },
     "Bytes of code: the program and its shared objects."},
    {"Status.JVM.Memory.Metaspace.Committed", [](P v) -> Number { return v.code; }, "The same."},
    {"Status.JVM.Memory.Metaspace.Max", [](P v) -> Number { return v.code; },
     "The same: code does not grow into room kept for it."},
    {"Status.JVM.Memory.NonHeap.Used", [](P v) -> Number { return v.rest(); },
     "Resident bytes that are neither Heap nor Direct."},
    {"Status.JVM.Memory.NonHeap.Committed", [](P v) -> Number { return v.rest(); }, "The same."},
    {"Status.JVM.Memory.NonHeap.Max", [](P v) -> Number { return v.physical; }, "The machine's memory."},
    {"Status.JVM.GarbageCollector.All.Count",
     [](P v) -> Number { return v.pool().trims; },
     "How often a TaskManager's pools gave the memory they kept back to the system, which is the "
     "only collecting there is.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.JVM.GarbageCollector.All.Time",
     [](P v) -> Number { return v.pool().trim_nanos / 1'000'000; },
     "How long that took, ms.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.JVM.GarbageCollector.All.TimeMsPerSecond",
     [](P v) -> Number { return v.trim_ms_per_second; },
     "The same per second of the last minute.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Flink.Memory.Managed.Used",
     [](P v) -> Number { return v.pool().state_used; },
     "Bytes of pages that hold state.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Flink.Memory.Managed.Total",
     [](P v) -> Number { return v.pool().state_max; },
     "Bytes that the TaskManager was given for state.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Shuffle.Netty.UsedMemory",
     [](P v) -> Number { return v.pool().rows_used; },
     "Bytes of batches of rows that are in use.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Shuffle.Netty.AvailableMemory",
     [](P v) -> Number { return v.pool().rows_total - v.pool().rows_used; },
     "Bytes that the pool of batches keeps for later. It grows with the need.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Shuffle.Netty.TotalMemory",
     [](P v) -> Number { return v.pool().rows_total; },
     "Both.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Shuffle.Netty.UsedMemorySegments",
     [](P v) -> Number { return v.pool().rows_used / kSegmentBytes; },
     "The same in Flink's segments of 32 KiB.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Shuffle.Netty.AvailableMemorySegments",
     [](P v) -> Number { return (v.pool().rows_total - v.pool().rows_used) / kSegmentBytes; }, "The same in segments.",
     Also::kNothing, "Status.Network.AvailableMemorySegments", has_pools},
    {"Status.Shuffle.Netty.TotalMemorySegments", [](P v) -> Number { return v.pool().rows_total / kSegmentBytes; },
     "The same in segments.", Also::kNothing, "Status.Network.TotalMemorySegments", has_pools},
    {"Status.Shuffle.Netty.RequestedMemoryUsage",
     [](P v) -> Number { return v.pool().rows_total == 0 ? 0 : v.pool().rows_used * 100 / v.pool().rows_total; },
     "UsedMemory in percent of TotalMemory.",
     Also::kNothing,
     {},
     has_pools},
    {"Status.Drey.Memory.Resident", [](P v) -> Number { return v.resident; }, "Resident bytes of the process."},
    {"Status.Drey.PageFaults.Major", [](P v) -> Number { return v.major_faults; },
     "Page faults that had to wait for a disk."},
    {"Status.Drey.ContextSwitches.Involuntary", [](P v) -> Number { return v.involuntary_switches; },
     "How often the system took a core away from a thread that had work."},
};

}  // namespace

std::int64_t physical_memory() { return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE); }

ProcessMeter::ProcessMeter(env::Env& env) : env_(env) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  before_ = last_ = {env.clock.ticks(), cpu_nanos_of(usage)};
}

metrics::Metrics ProcessMeter::read(const std::optional<PoolUse>& pools) {
  ProcessView view = measure(env_);
  view.pools = pools;
  {
    std::lock_guard lock(mutex_);
    const double wall = static_cast<double>((view.now - before_.at).count()) *
                        static_cast<double>(std::max(env_.threads.core_count(), 1));
    if (wall > 0) view.load = std::clamp(static_cast<double>(view.cpu_nanos - before_.cpu_nanos) / wall, 0.0, 1.0);
    if (view.now - last_.at >= Millis(1000)) {
      before_ = last_;
      last_ = {view.now, view.cpu_nanos};
    }
    view.trim_ms_per_second = rates_.update(view.now, {view.pool().trim_nanos})[0] / 1e6;
  }
  metrics::Metrics out;
  for (const Row<ProcessView>& row : kRows) {
    if (row.is_had != nullptr && !row.is_had(view)) continue;
    const Number number = row.of(view);
    for (const std::string_view name : {row.name, row.twin}) {
      if (!name.empty()) std::visit([&](auto value) { out.add(name, value); }, number);
    }
  }
  return out;
}

void ProcessMeter::document(std::vector<metrics::Documented>& out) {
  metrics::document<ProcessView>("JobManager and TaskManagers: their processes", kRows, out);
}

}  // namespace drey::runtime
