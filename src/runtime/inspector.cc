#include "runtime/inspector.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "runtime/flame_page.h"
#include "runtime/worker.h"
#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

using gateway::Inspection;
using std::chrono::milliseconds;

constexpr milliseconds kSampleInterval{50};
constexpr milliseconds kIdleInterval{500};
constexpr milliseconds kProfileInterval{10};
constexpr std::int64_t kWindowMillis = 30'000;
constexpr std::size_t kStacksMax = 20'000;
constexpr std::size_t kProfilesMax = 10;
constexpr std::int64_t kPieceBytesMax = 8 << 20;

int this_thread() { return static_cast<int>(::syscall(SYS_gettid)); }

const char* words_of(char state) {
  switch (state) {
    case 'R':
      return "RUNNABLE";
    case 'D':
      return "BLOCKED";
    default:
      return "WAITING";
  }
}

// From the step of the task on; all of it when there is no step.
std::vector<std::string> within_step(std::vector<std::string> frames) {
  for (std::size_t i = frames.size(); i-- > 0;) {
    if (!frames[i].starts_with("drey::runtime::Task::step")) continue;
    frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return frames;
}

}  // namespace

Inspector::Inspector(InspectorOptions options, env::Env& env) : options_(std::move(options)), env_(env) {
  if (options_.samples_tasks) {
    sampler_ = env::start_thread("drey-sampler", [this] { sample_loop(); });
  }
}

void Inspector::stop() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  wake_.notify_all();
  wake_.wait(lock, [this] { return under_way_ == 0; });
}

Inspector::~Inspector() {
  stop();
  sampler_.reset();
  profiler_.reset();
}

void Inspector::answer(Inspection inspection, Done done) {
  {
    std::lock_guard guard(mutex_);
    if (ending_) return done(fail(Code::kUnavailable, "This process ends."));
    ++under_way_;
  }
  env_.io.post([this, inspection = std::move(inspection), done = std::move(done)] {
    Result<std::string> out = answer_now(inspection);
    done(std::move(out));
    std::lock_guard guard(mutex_);
    --under_way_;
    wake_.notify_all();
  });
}

Result<std::string> Inspector::answer_now(const Inspection& inspection) {
  switch (inspection.what) {
    case Inspection::What::kLogs:
      return wire::encode(logs());
    case Inspection::What::kLog: {
      const std::string& name = inspection.name == "log"      ? options_.log_name
                                : inspection.name == "stdout" ? options_.stdout_name
                                                              : inspection.name;
      if (!name.starts_with(options_.log_prefix))
        return fail(Code::kNotFound, fmt::format("There is no log file {}", name));
      return read_file(options_.log_directory, name, inspection);
    }
    case Inspection::What::kThreads:
      return wire::encode(threads());
    case Inspection::What::kStacks:
      return wire::encode(stacks(inspection.job, static_cast<std::uint32_t>(inspection.vertex)));
    case Inspection::What::kProfile: {
      DREY_TRY_ASSIGN(const gateway::ProfileModel started, start_profile(inspection.name, inspection.bytes));
      return wire::encode(started);
    }
    case Inspection::What::kProfiles: {
      std::lock_guard guard(mutex_);
      return wire::encode(std::vector<gateway::ProfileModel>(profiles_.begin(), profiles_.end()));
    }
    case Inspection::What::kProfileFile:
      return read_file(options_.profile_directory, inspection.name, inspection);
  }
  return fail(Code::kInvalidArgument, "This process cannot be inspected so.");
}

std::vector<gateway::LogFile> Inspector::logs() {
  std::vector<gateway::LogFile> out;
  if (options_.log_directory.empty()) return out;
  for (const std::string& name : env_.files.list(options_.log_directory).value_or({})) {
    const auto path = env::path_beneath(env_.files, options_.log_directory, name);
    if (!path.ok() || !name.starts_with(options_.log_prefix)) continue;
    const auto stat = env_.files.stat(*path);
    if (stat.ok() && !stat->is_directory)
      out.push_back({name, static_cast<std::int64_t>(stat->size), stat->modified.millis});
  }
  return out;
}

Result<std::string> Inspector::read_file(const std::string& directory, const std::string& name,
                                         const Inspection& inspection) {
  DREY_TRY_ASSIGN(const std::string path, env::path_beneath(env_.files, directory, name));
  DREY_TRY_ASSIGN(const auto file, env_.files.open(path));
  const auto size = static_cast<std::int64_t>(file->size());
  const std::int64_t offset =
      inspection.offset < 0 ? std::max<std::int64_t>(size + inspection.offset, 0) : inspection.offset;
  const std::int64_t wanted =
      std::clamp<std::int64_t>(inspection.bytes, 0, std::min(kPieceBytesMax, std::max<std::int64_t>(size - offset, 0)));
  std::string out(static_cast<std::size_t>(wanted), '\0');
  DREY_TRY_ASSIGN(const std::size_t got, file->read_at(static_cast<std::uint64_t>(offset), out.data(), out.size()));
  out.resize(got);
  return out;
}

std::vector<gateway::ThreadText> Inspector::threads() {
  std::vector<gateway::ThreadText> out;
  FrameNames names;
  const std::vector<ObservedTask> tasks = WorkerPool::observe();
  for (const ThreadState& thread : threads_of_process()) {
    std::string text = fmt::format("\"{}\" Id={} {}\n", thread.name, thread.id, words_of(thread.state));
    const auto stack = thread.id == this_thread() ? std::nullopt : take_stack(thread.id);
    if (stack) {
      const std::vector<std::string> frames = names.of(stack->frames);
      for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) text += fmt::format("\tat {}\n", *frame);
    }
    for (const ObservedTask& task : tasks) {
      if (task.thread != thread.id) continue;
      const char* at = task.at == ObservedTask::At::kStepping  ? "steps"
                       : task.at == ObservedTask::At::kReady   ? "is ready"
                       : task.at == ObservedTask::At::kBlocked ? "waits for credit downstream"
                                                               : "waits for input";
      text += fmt::format("\t-  task of job {}, vertex {}, subtask {}: {}\n", task.job.to_string(), task.vertex,
                          task.subtask, at);
    }
    out.push_back({thread.name, text + "\n"});
  }
  return out;
}

// --- samples of tasks ---

void Inspector::sample_loop() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    const bool some = !WorkerPool::observe().empty();
    if (some) sample_tasks();
    lock.lock();
    wake_.wait_for(lock, some ? kSampleInterval : kIdleInterval, [this] { return ending_; });
  }
}

void Inspector::sample_tasks() {
  std::vector<Key> seen;
  std::map<int, bool> stepping;
  const std::vector<ObservedTask> tasks = WorkerPool::observe();
  for (const ObservedTask& task : tasks) {
    if (task.at == ObservedTask::At::kStepping && task.thread != 0) stepping[task.thread] = true;
  }
  std::map<int, Stack> stacks;
  std::map<int, bool> on_cpu;
  for (const auto& [thread, is] : stepping) {
    // Read before the signal, which makes every thread run.
    on_cpu[thread] = thread_state(thread).state == 'R';
    if (auto stack = take_stack(thread); stack && stack->in_task) stacks[thread] = std::move(*stack);
  }
  for (const ObservedTask& task : tasks) {
    Key key{task.job, task.vertex, task.subtask, false, {}, ""};
    const auto stack = stacks.find(task.thread);
    const bool current = stack != stacks.end() && stack->second.job == task.job &&
                         stack->second.vertex == task.vertex && stack->second.subtask == task.subtask;
    if (current) {
      key.on_cpu = on_cpu[task.thread];
      key.frames = std::move(stack->second.frames);
      stacks.erase(stack);
    } else {
      key.waits_for = task.at == ObservedTask::At::kBlocked ? "[waits for credit downstream]"
                      : task.at == ObservedTask::At::kIdle  ? "[waits for input]"
                                                            : "[waits for its turn]";
    }
    seen.push_back(std::move(key));
  }
  const std::int64_t now = env_.clock.wall().millis;
  std::lock_guard guard(mutex_);
  if (now - window_began_ > kWindowMillis) {
    windows_[1] = std::move(windows_[0]);
    windows_[0].clear();
    window_began_ = now;
  }
  last_sample_ = now;
  for (Key& key : seen) {
    if (windows_[0].size() >= kStacksMax && !windows_[0].contains(key)) key.frames.clear();
    ++windows_[0][std::move(key)];
  }
}

gateway::StackSamples Inspector::stacks(JobId job, std::uint32_t vertex) {
  gateway::StackSamples out;
  std::vector<std::pair<Key, std::int64_t>> kept;
  {
    std::lock_guard guard(mutex_);
    for (const Window& window : windows_) {
      for (const auto& [key, count] : window) {
        if (key.job == job && key.vertex == vertex) kept.emplace_back(key, count);
      }
    }
    if (!kept.empty()) out.end = last_sample_;
  }
  FrameNames names;
  for (auto& [key, count] : kept) {
    gateway::StackCount stack{key.subtask, key.on_cpu, count, {}};
    if (*key.waits_for != '\0') {
      stack.frames = {key.waits_for};
    } else {
      stack.frames = within_step(names.of(key.frames));
    }
    out.stacks.push_back(std::move(stack));
  }
  return out;
}

// --- profiles ---

Result<gateway::ProfileModel> Inspector::start_profile(const std::string& mode, std::int64_t seconds) {
  if (mode != "CPU" && mode != "ITIMER" && mode != "WALL")
    return fail(Code::kInvalidArgument, fmt::format("There is no profile of mode {}", mode));
  DREY_TRY(env_.files.make_directories(options_.profile_directory, 0700));
  std::lock_guard guard(mutex_);
  if (profiling_) return fail(Code::kConflict, "A profile is being taken already: one at a time.");
  profiler_.reset();  // the one before has ended
  profiling_ = true;
  gateway::ProfileModel made;
  made.status = "RUNNING";
  made.mode = mode;
  made.triggered = env_.clock.wall().millis;
  made.seconds = seconds;
  profiles_.push_front(made);
  while (profiles_.size() > kProfilesMax) {
    for (const char* ending : {"", ".collapsed"})
      static_cast<void>(env_.files.remove(options_.profile_directory + "/" + profiles_.back().output + ending));
    profiles_.pop_back();
  }
  profiler_ = env::start_thread("drey-profiler", [this, mode, seconds] { profile(mode, seconds); });
  return made;
}

void Inspector::profile(std::string mode, std::int64_t seconds) {
  std::map<std::pair<std::string, std::vector<std::uintptr_t>>, std::int64_t> counts;
  const auto end = env::posix().clock.ticks() + std::chrono::seconds(seconds);
  const int me = this_thread();
  {
    std::unique_lock lock(mutex_);
    while (!ending_ && env::posix().clock.ticks() < end) {
      lock.unlock();
      for (const ThreadState& thread : threads_of_process()) {
        if (thread.id == me || (mode != "WALL" && thread.state != 'R')) continue;
        if (auto stack = take_stack(thread.id); stack && counts.size() < kStacksMax)
          ++counts[{thread.name, std::move(stack->frames)}];
      }
      lock.lock();
      wake_.wait_for(lock, kProfileInterval, [this] { return ending_; });
    }
  }
  FlameStacks stacks;
  {
    FrameNames names;
    for (const auto& [key, count] : counts) {
      std::vector<std::string> frames = names.of(key.second);
      frames.insert(frames.begin(), key.first);
      stacks[std::move(frames)] += count;
    }
  }
  const std::int64_t now = env_.clock.wall().millis;
  const std::time_t wall = now / 1000;
  std::tm parts{};
  gmtime_r(&wall, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%d_%H_%M_%S", &parts);
  const std::string name = fmt::format("{}_{}_{}.html", options_.profile_prefix, mode, stamp);
  const std::string path = options_.profile_directory + "/" + name;
  Status written = env_.files.write_atomic(
      path, flame_page(fmt::format("{} {} {} s", options_.profile_prefix, mode, seconds), stacks));
  if (written.ok()) written = env_.files.write_atomic(path + ".collapsed", collapsed(stacks));
  std::lock_guard guard(mutex_);
  profiling_ = false;
  gateway::ProfileModel& model = profiles_.front();
  model.status = written.ok() ? "FINISHED" : "FAILED";
  model.finished = now;
  model.message = written.ok() ? "Profiling Successful" : written.to_string();
  if (written.ok()) model.output = name;
}

}  // namespace drey::runtime
