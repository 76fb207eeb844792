// TaskManager: an actor on one loop that runs the tasks the JobManager deploys to it.
//
// Registers with the cluster's secret, heartbeats with what its tasks measured, deploys, cancels, reports. Programs are
// loaded, and their main runs, on the I/O pool: one at a time of each program. When the
// JobManager's connection breaks, or nothing has come over it for the heartbeat timeout, it cancels its tasks and
// connects again until stop(). Tasks of a job on this TaskManager exchange rows in memory, with those on others through
// the DataExchange. Threading: everything on the loop; tasks run on the workers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "control/messages.h"
#include "env/env.h"
#include "env/io_lane.h"
#include "env/mutex.h"
#include "runtime/data_exchange.h"
#include "runtime/local_job.h"
#include "runtime/process_meter.h"
#include "runtime/worker.h"

namespace drey::runtime {

struct TaskManagerOptions {
  std::string id;
  std::string job_manager_host = "127.0.0.1";
  std::uint16_t job_manager_port = 0;
  std::string secret;
  std::int32_t slots = 1;
  std::uint64_t managed_bytes = 1u << 30;  // over all slots
  std::uint64_t channel_bytes = 512u << 10;
  std::string host = "localhost";        // where other TaskManagers reach this one
  std::uint16_t data_port = 0;           // 0: any free one
  Millis peer_timeout{120'000};          // DataExchangeOptions::peer_timeout
  Millis cancellation_timeout{180'000};  // then the process ends itself: user code does not let go
  Millis program_timeout{120'000};       // for loading a program and its main; then its tasks fail
  Millis start_timeout{60'000};          // for a worker to take a new task; then the task fails
  std::int64_t physical_memory = 0;      // bytes of the machine, told when registering
  // What the system measures of this process, with each heartbeat; unset: nothing.
  std::function<metrics::Metrics(const std::optional<PoolUse>& pools)> process_metrics;
  // Inspects the process (gateway::Inspection, encoded); unset: it cannot be inspected.
  std::function<void(const std::string& inspection, std::function<void(Result<std::string>)> done)> inspect;
  // How a job's code is had, on the I/O pool; the default loads Deploy::module.
  std::function<Result<std::shared_ptr<JobCode>>(const control::Deploy&)> load_code;
};

class TaskManager final : public TaskListener {
 public:
  TaskManager(TaskManagerOptions options, env::Env& env, const operators::Registry& registry);
  ~TaskManager() override;

  // Listens for other TaskManagers, connects to the JobManager, and again after each loss. `on_refused`: the JobManager
  // does not want this TaskManager, for good. FAILS WITH: kUnavailable naming the data port that is in use.
  Status start(std::function<void(const std::string& why)> on_refused);

  // TaskListener
  void on_state(Task& task, TaskState state, const Status& why) override;
  void on_end_of_data(Task& task) override;
  void on_snapshot(Task& task, const control::Barrier& barrier, Result<state::TaskStateHandle> handle,
                   const CheckpointNumbers& numbers) override;

 private:
  struct Job {
    std::uint64_t incarnation = 0;
    std::shared_ptr<JobCode> code;
    std::shared_ptr<graph::JobGraph> graph;
    std::map<control::TaskAddress, std::shared_ptr<Task>> tasks;
    // Names of metrics that this connection has told.
    std::map<control::TaskAddress, metrics::NamesRef> told;
    // Those that are to be made once the code is there. Not empty: the code is awaited.
    std::set<control::TaskAddress> awaited;
  };
  using JobKey = std::pair<JobId, std::uint64_t>;

  void connect();
  void on_frame(std::string_view frame);
  void on_lost(const Status& why);
  void send(const control::ToJobManager& message);
  void deploy(control::Deploy message);
  void load_code(std::shared_ptr<const control::Deploy> message);
  void on_code(const control::Deploy& message, Result<std::shared_ptr<JobCode>> code);
  Status make_tasks(const control::Deploy& message, Job& job);
  void refuse(const control::Deploy& message, const Status& why);
  void cancel(const control::CancelTask& message);
  void command(const control::CheckpointCommand& message);
  void heartbeat();
  void cancel(Task& task);
  void cancel_all();
  void check_started(const control::TaskAddress& address);
  void drop_ended_jobs();
  RemoteDeployment remote_ends(const control::Deploy& message, const Job& job, const ChannelTable& channels) const;
  // `told`: the names that the JobManager knows, which the report leaves out; null: it knows none.
  control::TaskReport report_of(const control::TaskAddress& address, Task& task, metrics::NamesRef* told);
  PoolUse pool_use();
  static control::TaskAddress address_of(const Task& task);
  // The way to the loop from tasks' threads and the I/O pool, which may outlive this object.
  struct Door {
    env::Mutex mutex;
    env::Loop* loop DREY_GUARDED_BY(mutex) = nullptr;  // null: destruction has begun
    void post(std::function<void()> function) {
      env::MutexLock lock(mutex);
      if (loop != nullptr) loop->post(std::move(function));
    }
  };

  const TaskManagerOptions options_;
  env::Env& env_;
  const operators::Registry& registry_;
  std::function<void(const std::string&)> on_refused_;
  struct Pools {
    data::BlockPool blocks;
    state::PagePool pages;
  };
  // What tasks of a job, and what outlives them, take memory from.
  struct JobMemory {
    std::shared_ptr<Pools> pools;
    state::Budget budget;
  };
  const std::shared_ptr<Pools> pools_ = std::make_shared<Pools>();
  std::int64_t trims_ = 0;  // of the pools, that gave something back
  Nanos trim_time_{0};
  std::map<JobKey, std::unique_ptr<Job>> jobs_;
  env::ConnectionRef connection_;
  bool registered_ = false;
  bool is_unreachable_ = false;  // the JobManager, and it has been said
  std::int64_t heartbeat_ms_ = 1000;
  Nanos heartbeat_timeout_{0};
  Ticks last_heard_{};  // of the JobManager
  std::unique_ptr<DataExchange> exchange_;
  std::unique_ptr<WorkerPool> workers_;
  std::map<std::string, env::IoLane> programs_;  // by path; what loads them, one at a time
  bool suspects_silence_ = false;                // the JobManager's
  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
  std::unique_ptr<env::Loop> loop_;
};

control::FailureReport failure_of(const Status& status);
Status status_of(const control::FailureReport& failure);

}  // namespace drey::runtime
