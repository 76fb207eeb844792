// LocalJob: runs a job's graph to its end inside this process, without a cluster: benchmarks and drey/testing.h.
//
// With a checkpoint interval it coordinates checkpoints itself (one at a time, none kept). Sinks commit by a last one
// at the end of input. Threading: run() from one thread; it blocks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/env.h"
#include "operators/registry.h"
#include "runtime/module.h"
#include "runtime/task.h"

namespace drey::runtime {

struct LocalJobOptions {
  std::int32_t parallelism = 1;
  std::size_t workers = 1;
  Millis checkpoint_interval{0};  // 0: only the last one
  std::string state_directory;    // needed with checkpoints; empty: the last one, by which sinks commit, stores nothing
  // After a failure the job goes on from its last complete checkpoint, once for each number, at that parallelism.
  std::vector<std::int32_t> restarts;
  // After each start has ended: what is kept of it must be let go; the last complete checkpoint, or -1.
  std::function<void(std::int64_t checkpoint_id)> on_ended = {};
  // Before that: its tasks, which have ended, with what was measured of them.
  std::function<void(const std::vector<std::shared_ptr<Task>>& tasks)> on_tasks_ended = {};
  std::uint64_t state_bytes_max = UINT64_MAX;
  std::uint64_t channel_bytes = 512u << 10;
};

struct LocalJobResult {
  std::map<std::string, AccumulatorValue> accumulators;  // of the last start
  std::int64_t checkpoints = 0;
  std::int64_t source_rows = 0;  // that left the tasks of the sources, operators chained to them included
  std::uint64_t checkpoint_bytes_last = 0;
};

Result<LocalJobResult> run_local_job(std::shared_ptr<JobCode> code, const LocalJobOptions& options, env::Env& env,
                                     const operators::Registry& registry);

// All channels of a graph by (edge, from, to), made when first asked for. Threading: one thread.
class ChannelTable {
 public:
  ChannelTable(const graph::JobGraph& graph, const graph::Plan& plan, std::uint64_t channel_bytes)
      : graph_(graph), plan_(plan), channel_bytes_(channel_bytes) {}
  // Adds the edges of one subtask to its spec. `is_remote`: whether that producer is in another process; empty: none
  // is.
  void connect(TaskSpec& spec, std::uint32_t vertex,
               const std::function<bool(std::uint32_t vertex, std::uint32_t subtask)>& is_remote = {});

  // Edge, producer, consumer.
  using Name = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;
  const std::map<Name, std::shared_ptr<Channel>>& all() const { return channels_; }

 private:
  std::shared_ptr<Channel> at(std::uint32_t edge, std::uint32_t from, std::uint32_t to);

  const graph::JobGraph& graph_;
  const graph::Plan& plan_;
  std::uint64_t channel_bytes_;
  std::map<Name, std::shared_ptr<Channel>> channels_;
};

}  // namespace drey::runtime
