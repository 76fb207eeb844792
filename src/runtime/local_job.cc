#include "runtime/local_job.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "runtime/worker.h"

namespace drey::runtime {

std::shared_ptr<Channel> ChannelTable::at(std::uint32_t edge, std::uint32_t from, std::uint32_t to) {
  auto& channel = channels_[{edge, from, to}];
  if (channel == nullptr) channel = std::make_shared<Channel>(channel_bytes_);
  return channel;
}

void ChannelTable::connect(TaskSpec& spec, std::uint32_t vertex) {
  for (const graph::VertexEdge& crossing : plan_.edges) {
    const graph::OperatorEdge& edge = graph_.edges[crossing.edge];
    const auto producers = static_cast<std::uint32_t>(plan_.vertices[crossing.from].parallelism);
    const auto consumers = static_cast<std::uint32_t>(plan_.vertices[crossing.to].parallelism);
    if (crossing.from == vertex) {
      TaskOutputEdge out;
      out.edge = crossing.edge;
      out.consumer_parallelism = consumers;
      for (const std::uint32_t to : graph::consumers_of(edge.partitioner, spec.subtask, producers, consumers)) {
        out.channels.push_back(at(crossing.edge, spec.subtask, to));
      }
      spec.outputs.push_back(std::move(out));
    }
    if (crossing.to == vertex) {
      TaskInputEdge in;
      in.edge = crossing.edge;
      for (std::uint32_t from = 0; from < producers; ++from) {
        for (const std::uint32_t to : graph::consumers_of(edge.partitioner, from, producers, consumers)) {
          if (to == spec.subtask) in.channels.push_back(at(crossing.edge, from, to));
        }
      }
      spec.inputs.push_back(std::move(in));
    }
  }
}

namespace {

class LocalCoordinator final : public TaskListener {
 public:
  void on_state(Task& task, TaskState state, const Status& why) override {
    std::lock_guard lock(mutex_);
    if (state == TaskState::kRunning) ++running_;
    if (state == TaskState::kFailed && failure_.ok()) failure_ = why;
    if (state >= TaskState::kFinished) {
      ++done_;
      finished_.insert(&task);
    }
    condition_.notify_all();
  }
  void on_end_of_data(Task&) override {
    std::lock_guard lock(mutex_);
    ++ended_;
    condition_.notify_all();
  }
  void on_snapshot(Task& task, const control::Barrier&, Result<state::TaskStateHandle> handle, const CheckpointNumbers&) override {
    std::lock_guard lock(mutex_);
    if (handle.ok()) {
      acked_.insert(&task);
      files_.push_back(handle->manifest.path);
      bytes_ += handle->written_bytes;
    } else if (failure_.ok()) {
      failure_ = handle.status();
    }
    condition_.notify_all();
  }

  // A task that has finished with an earlier checkpoint acknowledges no more.
  bool all_acked(std::size_t tasks) const {
    std::set<const Task*> all = acked_;
    all.insert(finished_.begin(), finished_.end());
    return all.size() == tasks;
  }

  std::mutex mutex_;
  std::condition_variable condition_;
  Status failure_;
  std::size_t running_ = 0, done_ = 0, ended_ = 0;
  std::set<const Task*> acked_, finished_;
  std::vector<std::string> files_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<LocalJobResult> run_local_job(std::shared_ptr<JobCode> code, const LocalJobOptions& options, env::Env& env,
                                     const operators::Registry& registry) {
  auto graph = std::make_shared<graph::JobGraph>(code->graph);
  DREY_TRY(graph::resolve(*graph, options.parallelism, 0));
  const graph::Plan plan = graph::plan_of(*graph);
  LocalCoordinator coordinator;
  data::BlockPool blocks;
  state::PagePool pages;
  state::Budget budget;
  budget.bytes_max = options.state_bytes_max;
  std::vector<std::shared_ptr<Task>> tasks;
  LocalJobResult result;
  {
    ChannelTable channels(*graph, plan, options.channel_bytes);
    WorkerPool workers(env, options.workers);
    for (std::uint32_t v = 0; v < plan.vertices.size(); ++v) {
      for (std::int32_t s = 0; s < plan.vertices[v].parallelism; ++s) {
        TaskSpec spec;
        spec.vertex = plan.vertices[v];
        spec.subtask = static_cast<std::uint32_t>(s);
        spec.graph = graph;
        spec.code = code;
        spec.waits_at_end_of_data = !options.state_directory.empty();
        spec.state_directory = options.state_directory;
        channels.connect(spec, v);
        tasks.push_back(std::make_shared<Task>(std::move(spec), TaskSurroundings{env, registry, blocks, pages, budget, coordinator}));
      }
    }
    for (const auto& task : tasks) workers.add(task, task->spec().subtask);

    std::unique_lock lock(coordinator.mutex_);
    const auto failed = [&] { return !coordinator.failure_.ok(); };
    std::int64_t id = 0;
    const auto checkpoint = [&](bool is_final) {
      ++id;
      coordinator.acked_.clear();
      coordinator.bytes_ = 0;
      lock.unlock();
      for (const auto& task : tasks) {
        if (task->is_source()) task->trigger_checkpoint({id, env.clock.wall().millis});
      }
      lock.lock();
      coordinator.condition_.wait(lock, [&] { return failed() || coordinator.all_acked(tasks.size()); });
      if (failed()) return;
      result.checkpoints = id;
      result.checkpoint_bytes_last = coordinator.bytes_;
      lock.unlock();
      for (const auto& task : tasks) task->checkpoint_complete(id, is_final);
      lock.lock();
    };
    coordinator.condition_.wait(lock, [&] { return failed() || coordinator.running_ == tasks.size(); });
    const auto ended = [&] { return failed() || coordinator.done_ == tasks.size() || coordinator.ended_ == tasks.size(); };
    while (!ended()) {
      if (options.checkpoint_interval.count() == 0) {
        coordinator.condition_.wait(lock, ended);
      } else if (!coordinator.condition_.wait_for(lock, options.checkpoint_interval, ended)) {
        checkpoint(false);
      }
    }
    if (!failed() && coordinator.done_ < tasks.size()) checkpoint(true);
    if (failed()) {
      lock.unlock();
      for (const auto& task : tasks) task->cancel();
      lock.lock();
    }
    coordinator.condition_.wait(lock, [&] { return coordinator.done_ == tasks.size(); });
    lock.unlock();
    for (const auto& task : tasks) {
      if (task->is_source()) result.source_rows += task->metrics().records_out.get();
      for (const auto& [name, value] : task->accumulators()) {
        auto& total = result.accumulators[name];
        total.kind = value.kind;
        total.whole += value.whole;
        total.real += value.real;
      }
    }
  }
  for (const std::string& file : coordinator.files_) static_cast<void>(env.files.remove(file));
  tasks.clear();
  if (!coordinator.failure_.ok()) return coordinator.failure_;
  return result;
}

}  // namespace drey::runtime
