// Inspector: answers what this process is asked about itself: logs, threads, stacks of its tasks,
// profiles (gateway/process_model.h).
//
// Tasks' stacks are sampled all the time, 20 times a second, the last minute is kept; a process
// without tasks samples nothing. Threading: any thread; answers come on a thread of the inspector's
// env.io pool or its own. Bounds: 20,000 different stacks, 10 profiles. Blocks: never the caller.
// Lifetime: inspections under way end before the destructor returns.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "env/env.h"
#include "gateway/process_model.h"
#include "runtime/stacks.h"

namespace drey::runtime {

struct InspectorOptions {
  std::string log_directory;  // empty: there are no logs
  std::string log_prefix;     // only files that begin so; empty: all
  std::string log_name;       // what "log" means
  std::string stdout_name;    // what "stdout" means
  std::string profile_directory;
  std::string profile_prefix;  // "JobManager" or the TaskManager's id
  bool samples_tasks = true;
};

class Inspector {
 public:
  Inspector(InspectorOptions options, env::Env& env);
  ~Inspector();

  using Done = std::function<void(Result<std::string>)>;
  void answer(gateway::Inspection inspection, Done done);
  // Later inspections are refused; returns when none is under way.
  void stop();

 private:
  struct Key {
    JobId job;
    std::uint32_t vertex = 0;
    std::uint32_t subtask = 0;
    bool on_cpu = false;
    std::vector<std::uintptr_t> frames;
    const char* waits_for = "";  // of a task that no thread is stepping
    auto operator<=>(const Key&) const = default;
  };
  using Window = std::map<Key, std::int64_t>;

  Result<std::string> answer_now(const gateway::Inspection& inspection);
  std::vector<gateway::LogFile> logs();
  Result<std::string> read_file(const std::string& directory, const std::string& name,
                                const gateway::Inspection& inspection);
  std::vector<gateway::ThreadText> threads();
  gateway::StackSamples stacks(JobId job, std::uint32_t vertex);
  Result<gateway::ProfileModel> start_profile(const std::string& mode, std::int64_t seconds);
  void profile(std::string mode, std::int64_t seconds);
  void sample_loop();
  void sample_tasks();

  const InspectorOptions options_;
  env::Env& env_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  bool ending_ = false;
  int under_way_ = 0;
  Window windows_[2];  // this half minute, the one before
  std::int64_t window_began_ = 0;
  std::int64_t last_sample_ = -1;
  std::deque<gateway::ProfileModel> profiles_;  // newest first
  bool profiling_ = false;
  std::unique_ptr<env::Thread> profiler_;
  std::unique_ptr<env::Thread> sampler_;
};

}  // namespace drey::runtime
