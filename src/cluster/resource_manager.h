// ResourceManager: the TaskManagers of the cluster: their registration, heartbeats and slots, and the messages to and
// from them.
//
// A TaskManager that is silent for heartbeat.timeout is lost, and its jobs are told. Jobs ask for slots and get them
// whole, in the order in which they asked; a job that waits longer than slot.request.timeout fails.
// Threading: the JobManager's loop; refused() on any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/cluster_events.h"
#include "cluster/cluster_options.h"
#include "cluster/inspections.h"
#include "cluster/job_catalog.h"
#include "control/messages.h"
#include "control/slots/slot_pool.h"
#include "env/env.h"
#include "runtime/crash.h"

namespace drey::cluster {

class ResourceManager {
 public:
  // What is known of the end of a TaskManager's process; an empty summary when nothing is. May block.
  using CrashReports = std::function<runtime::CrashReport(const std::string& id)>;
  ResourceManager(const ClusterOptions& options, env::Env& env, env::Loop& loop, JobCatalog& jobs,
                  ClusterEvents& events, CrashReports crash_reports);

  // Takes connections from now on. FAILS WITH: what listen fails with.
  Status listen(const std::string& host);
  void stop_listening() { listener_.reset(); }
  std::uint16_t port() const { return listener_->port(); }

  // Looks for silent TaskManagers, late requests and late inspections.
  void tick();
  // Jobs with bounds run as wide as slots allow: rescales one whose width is another now.
  void adapt();

  void request_slots(JobId job, std::int32_t slots);
  void release_slots(JobId job);
  const control::SlotPool& slots() const { return slots_; }
  // Dropped when the TaskManager has gone: its job learns of that.
  void send(const std::string& task_manager, const control::ToTaskManager& message);
  void inspect(const std::string& task_manager, const gateway::Inspection& inspection,
               gateway::Promise<std::string> promise);
  std::vector<gateway::TaskManagerModel> task_managers() const;
  std::size_t size() const { return task_managers_.size(); }
  // Connections that were closed: without the secret, of another version, garbage.
  std::int64_t refused() const { return refused_; }
  void close();

 private:
  struct TaskManagerEntry {
    gateway::TaskManagerModel model;
    env::ConnectionRef connection;
    Ticks last_heard{};
  };
  void on_connection(const env::ConnectionRef& connection);
  void on_frame(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id, std::string_view frame);
  void on_register(const env::ConnectionRef& connection, const std::shared_ptr<std::string>& id,
                   const control::Register& message);
  void on_message(const std::string& id, TaskManagerEntry& entry, control::ToJobManager message);
  void on_heartbeat(TaskManagerEntry& entry, const control::Heartbeat& beat);
  void on_lost(const std::string& id, const std::string& why);
  // Empty: the TaskManager may join.
  std::string objections_to(const control::Register& message) const;
  void grant_slots();
  void judge_waiting();

  const ClusterOptions& options_;
  env::Env& env_;
  env::Loop& loop_;
  JobCatalog& jobs_;
  ClusterEvents& events_;
  const CrashReports crash_reports_;
  std::map<std::string, TaskManagerEntry> task_managers_;
  std::set<env::ConnectionRef> unregistered_;
  control::SlotPool slots_;  // of task_managers_
  Inspections inspections_;
  Ticks adapt_after_{};
  std::atomic<std::int64_t> refused_{0};
  std::unique_ptr<env::Listener> listener_;
};

}  // namespace drey::cluster
