// ClusterGateway: what REST and the command line may ask of a cluster. Every answer is a model or a Status.
//
// Threading: any thread; answers come on a thread of the cluster. Errors carry Flink's texts where clients know them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gateway/event_model.h"
#include "gateway/future.h"
#include "gateway/job_outline.h"
#include "gateway/model.h"
#include "gateway/process_model.h"

namespace drey::gateway {

struct RunRequest {
  std::string jar;    // id
  std::string entry;  // empty: the manifest's
  std::vector<std::string> arguments;
  std::int32_t parallelism = 0;  // 0: default
  std::optional<JobId> job_id;
  std::string savepoint_path;       // or a retained checkpoint; empty: none
  bool allow_non_restored = false;  // state that fits no operator is left out instead of refused
  bool claim = false;               // the savepoint becomes the job's: deleted when it is not needed any more
  std::map<std::string, std::string> configuration;
};

// A graph of Drey's own with the jar that holds its code.
struct SubmitRequest {
  std::string graph;  // as `drey program` writes it
  std::string jar_path;
  std::string jar_name;
};

struct ConfigEntry {
  std::string key;
  std::string value;
};

struct SavepointRequest {
  std::string target;  // directory to make the savepoint's own in; empty: the configured one
  bool canonical = true;
  bool cancel_job = false;  // when it is complete
  bool stop = false;        // tasks take nothing after it and the job finishes
  bool drain = false;       // with stop: as if all input had ended
};
struct CheckpointRequest {
  bool full = false;
};
struct DisposalRequest {
  std::string path;
};
struct RescaleRequest {
  std::int32_t parallelism = 0;  // of all vertices
};
struct OperationRequest {
  JobId job;                    // zero for a disposal
  std::optional<TriggerId> id;  // chosen by the caller: a known one starts nothing
  std::variant<SavepointRequest, CheckpointRequest, DisposalRequest, RescaleRequest> action;
};

// What a cluster is, beside its options: the same from its start to its end.
struct ClusterFacts {
  std::string rest_address;              // "http://localhost:8081"
  std::string spool_directory = "/tmp";  // for answers that are too large for memory
  std::string version = "Drey";          // and of what built it
};

class ClusterGateway {
 public:
  virtual ~ClusterGateway() = default;
  // A question to the process of a TaskManager, or with an empty id to the JobManager's; the answer
  // is what process_model.h says. FAILS WITH: kNotFound, kTimeout.
  virtual Future<std::string> inspect(std::string task_manager, Inspection question) = 0;
  virtual Future<JobId> submit(SubmitRequest request) = 0;
  // A job whose client does not come again until then is cancelled. Unknown jobs are fine.
  virtual void heartbeat(JobId id, std::int64_t expires) = 0;
  // There are no cached data sets, so their deletion is done at once.
  virtual Future<TriggerId> delete_dataset(std::string id) = 0;
  virtual Future<bool> dataset_deletion(TriggerId trigger) = 0;  // kNotFound
  // Ends all processes of the cluster in order; jobs resume at the next start.
  virtual void end_cluster() = 0;
  virtual Future<std::vector<JobOutlineRef>> jobs() = 0;        // newest first
  virtual Future<std::vector<JobModelRef>> running_jobs() = 0;  // those that have not ended, newest first
  virtual Future<JobModelRef> job(JobId id) = 0;                // kNotFound
  virtual Future<bool> cancel(JobId id) = 0;                    // kNotFound, kConflict (already terminal)
  // Starts something and answers its id at once; whether it worked is in the operation's result. FAILS WITH:
  // kInvalidArgument (a savepoint without a place).
  virtual Future<TriggerId> trigger(OperationRequest request) = 0;
  virtual Future<OperationModel> operation(OperationKind kind, JobId job, TriggerId id) = 0;  // kNotFound
  virtual Future<ResourceRequirements> resource_requirements(JobId id) = 0;                   // kNotFound
  // Refuses with every objection, a line each: kInvalidArgument; kNotFound. Answers before the job has changed.
  virtual Future<bool> set_resource_requirements(JobId id, ResourceRequirements requirements) = 0;
  virtual Future<JobId> run_jar(RunRequest request) = 0;
  virtual Future<JobModelRef> plan_jar(RunRequest request) = 0;  // vertices and edges only
  virtual Future<std::vector<JarModel>> jars() = 0;              // newest first
  virtual Future<std::string> add_jar(std::string path,
                                      std::string name) = 0;  // moves the file; absolute path of the jar
  virtual Future<bool> delete_jar(std::string id) = 0;
  virtual Future<std::vector<TaskManagerModel>> task_managers() = 0;
  // Grows before anything that answers tell changes, but what changes all by itself: metrics, times. Never 0.
  virtual std::uint64_t changes() const = 0;
  // Tells one watcher, on a thread of the cluster, what happens from now on, in order; an empty one ends it. A call
  // that is under way may still come.
  virtual void watch(std::function<void(const EventModel&)> watcher) = 0;
  virtual Future<Metrics> metrics() = 0;  // of the JobManager
  // The options that are set, secrets masked, and those that follow from the machine.
  virtual std::vector<ConfigEntry> configuration() = 0;
  virtual const ClusterFacts& facts() const = 0;
};

}  // namespace drey::gateway
