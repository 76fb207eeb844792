#include "runtime/local_job.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "control/checkpoint/coordinator.h"
#include "runtime/worker.h"

namespace drey::runtime {

std::shared_ptr<Channel> ChannelTable::at(std::uint32_t edge, std::uint32_t from, std::uint32_t to) {
  auto& channel = channels_[{edge, from, to}];
  if (channel == nullptr) channel = std::make_shared<Channel>(channel_bytes_);
  return channel;
}

void ChannelTable::connect(TaskSpec& spec, std::uint32_t vertex,
                           const std::function<bool(std::uint32_t, std::uint32_t)>& is_remote) {
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
          if (to != spec.subtask) continue;
          in.channels.push_back(at(crossing.edge, from, to));
          in.is_remote.push_back(is_remote && is_remote(crossing.from, from));
        }
      }
      spec.inputs.push_back(std::move(in));
    }
  }
}

namespace {

constexpr std::chrono::minutes kPoolDeadline{1};

// State of the subtasks of each vertex.
using Parts = std::map<std::uint32_t, std::vector<state::TaskStateHandle>>;

class LocalCoordinator final : public TaskListener {
 public:
  void on_state(Task& task, TaskState state, const Status& why) override {
    std::lock_guard lock(mutex_);
    if (state == TaskState::kRunning) ++running_;
    if (state == TaskState::kFailed && failure_.ok()) failure_ = why;
    if (state >= TaskState::kFinished) {
      ++done_;
      if (state == TaskState::kFinished) finished_.insert(&task);
    }
    condition_.notify_all();
  }
  void on_end_of_data(Task&) override {
    std::lock_guard lock(mutex_);
    ++ended_;
    condition_.notify_all();
  }
  void on_snapshot(Task& task, const control::Barrier& barrier, Result<state::TaskStateHandle> handle,
                   const CheckpointNumbers&) override {
    std::lock_guard lock(mutex_);
    if (handle.ok()) {
      if (barrier.checkpoint_id == checkpoint_) {
        acked_.insert(&task);
        parts_[task.spec().vertex_index].push_back(*handle);
      }
      if (!handle->manifest.path.empty()) files_.push_back(handle->manifest.path);
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
  std::int64_t checkpoint_ = 0;  // the one that is being made
  Parts parts_;
  std::vector<std::string> files_;
  std::uint64_t bytes_ = 0;
};

void merge(AccumulatorValue& total, const AccumulatorValue& value, bool is_first) {
  total.kind = value.kind;
  if (is_first) {
    total = value;
  } else if (value.kind == DREY_LONG_MAX) {
    total.whole = std::max(total.whole, value.whole);
  } else if (value.kind == DREY_LONG_MIN) {
    total.whole = std::min(total.whole, value.whole);
  } else {
    total.whole += value.whole;
    total.real += value.real;
  }
}

// Outlives the job's tasks: a snapshot may still be written when they have gone.
struct Pools {
  data::BlockPool blocks;
  state::PagePool pages;
  state::Budget budget;
};

// What outlives a start of the job.
struct Progress {
  std::shared_ptr<Pools> pools;
  LocalJobResult result;
  std::int64_t last_id = 0;  // of any checkpoint
  std::int64_t complete_id = -1;
  Parts complete;
  std::map<OperatorId, std::uint32_t> vertex_of;  // then: chains depend on the parallelism
  std::vector<std::string> files;
};

// One start of the job, to its end or its failure.
Status run_once(const std::shared_ptr<JobCode>& code, const LocalJobOptions& options, std::int32_t parallelism,
                std::uint32_t attempt, Progress& progress, env::Env& env, const operators::Registry& registry) {
  auto graph = std::make_shared<graph::JobGraph>(code->graph);
  DREY_TRY(registry.check(*graph));
  DREY_TRY(graph::resolve(*graph, parallelism, 0));
  DREY_TRY_ASSIGN(const auto checkpoints, config::read<control::CheckpointOptions>(graph->settings));
  const graph::Plan plan = graph::plan_of(*graph);
  LocalCoordinator coordinator;
  Pools& pools = *progress.pools;
  pools.budget.bytes_max = options.state_bytes_max;
  std::vector<std::shared_ptr<Task>> tasks;
  LocalJobResult& result = progress.result;
  result.accumulators.clear();
  {
    ChannelTable channels(*graph, plan, options.channel_bytes);
    WorkerPool workers(env, options.workers);
    for (std::uint32_t v = 0; v < plan.vertices.size(); ++v) {
      for (std::int32_t s = 0; s < plan.vertices[v].parallelism; ++s) {
        TaskSpec spec;
        spec.vertex = plan.vertices[v];
        spec.vertex_index = v;
        spec.subtask = static_cast<std::uint32_t>(s);
        spec.attempt = attempt;
        spec.graph = graph;
        spec.code = code;
        spec.waits_at_end_of_data = !options.state_directory.empty() || graph::commits_on_completion(*graph);
        spec.state_directory = options.state_directory;
        spec.restored_checkpoint = progress.complete_id;
        spec.exactly_once = checkpoints.exactly_once();
        std::set<std::uint32_t> from;
        for (const std::uint32_t number : plan.vertices[v].operators) {
          if (const auto was = progress.vertex_of.find(graph::operator_id_of(*graph, number));
              was != progress.vertex_of.end()) {
            from.insert(was->second);
          }
        }
        for (const std::uint32_t vertex : from) {
          for (const auto& handle : progress.complete[vertex]) spec.restore.push_back(handle);
        }
        channels.connect(spec, v);
        tasks.push_back(std::make_shared<Task>(
            std::move(spec),
            TaskSurroundings{env, registry, pools.blocks, pools.pages, pools.budget, coordinator, progress.pools}));
      }
    }
    for (const auto& task : tasks) workers.add(task, task->spec().subtask);

    std::unique_lock lock(coordinator.mutex_);
    const auto failed = [&] { return !coordinator.failure_.ok(); };
    const auto checkpoint = [&](bool is_final) {
      const std::int64_t id = ++progress.last_id;
      coordinator.checkpoint_ = id;
      coordinator.acked_.clear();
      coordinator.parts_.clear();
      coordinator.bytes_ = 0;
      lock.unlock();
      for (const auto& task : tasks) {
        if (task->is_source()) task->trigger_checkpoint({id, env.clock.wall().millis});
      }
      lock.lock();
      coordinator.condition_.wait(lock, [&] { return failed() || coordinator.all_acked(tasks.size()); });
      if (!coordinator.all_acked(tasks.size())) return;
      ++result.checkpoints;
      result.checkpoint_bytes_last = coordinator.bytes_;
      progress.complete_id = id;
      progress.complete = coordinator.parts_;
      progress.vertex_of.clear();
      for (std::uint32_t v = 0; v < plan.vertices.size(); ++v) {
        for (const std::uint32_t number : plan.vertices[v].operators)
          progress.vertex_of[graph::operator_id_of(*graph, number)] = v;
      }
      lock.unlock();
      for (const auto& task : tasks) task->checkpoint_complete(id, is_final);
      lock.lock();
    };
    coordinator.condition_.wait(lock, [&] { return failed() || coordinator.running_ == tasks.size(); });
    const auto ended = [&] {
      return failed() || coordinator.done_ == tasks.size() || coordinator.ended_ == tasks.size();
    };
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
    if (options.on_tasks_ended) options.on_tasks_ended(tasks);
    for (const auto& task : tasks) {
      if (task->is_source()) result.source_rows += task->metrics().records_out.get();
      for (const auto& [name, value] : task->accumulators()) {
        const auto [total, is_first] = result.accumulators.try_emplace(name);
        merge(total->second, value, is_first);
      }
    }
  }
  progress.files.insert(progress.files.end(), coordinator.files_.begin(), coordinator.files_.end());
  tasks.clear();
  return coordinator.failure_;
}

}  // namespace

Result<LocalJobResult> run_local_job(std::shared_ptr<JobCode> code, const LocalJobOptions& options, env::Env& env,
                                     const operators::Registry& registry) {
  Progress progress;
  // What the job leaves on the I/O pool owns its pools, and may use the caller's environment: it is waited for.
  const auto is_over = std::make_shared<std::promise<void>>();
  progress.pools = std::shared_ptr<Pools>(new Pools, [is_over](const Pools* pools) {
    delete pools;
    is_over->set_value();
  });
  const auto start = [&](std::int32_t parallelism, std::uint32_t attempt) {
    Status ended = run_once(code, options, parallelism, attempt, progress, env, registry);
    if (options.on_ended) options.on_ended(progress.complete_id);
    return ended;
  };
  Status status = start(options.parallelism, 0);
  for (std::size_t r = 0; r < options.restarts.size() && !status.ok(); ++r) {
    status = start(options.restarts[r], static_cast<std::uint32_t>(r) + 1);
  }
  progress.pools.reset();
  is_over->get_future().wait_for(kPoolDeadline);
  for (const std::string& file : progress.files) static_cast<void>(env.files.remove(file));
  if (!status.ok()) return status;
  return progress.result;
}

}  // namespace drey::runtime
