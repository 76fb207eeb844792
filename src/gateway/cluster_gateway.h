// ClusterGateway: what REST and the command line may ask of a cluster. Every answer is a model or a Status.
//
// Threading: any thread; answers come on a thread of the cluster. Errors carry Flink's texts where clients know them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/future.h"
#include "gateway/model.h"

namespace drey::gateway {

struct RunRequest {
  std::string jar;                      // id
  std::string entry;                    // empty: the manifest's
  std::vector<std::string> arguments;
  std::int32_t parallelism = 0;         // 0: default
  std::optional<JobId> job_id;
  std::string savepoint_path;           // a retained checkpoint
  bool allow_non_restored = false;
  std::map<std::string, std::string> configuration;
};

struct ConfigEntry {
  std::string key;
  std::string value;
};

class ClusterGateway {
 public:
  virtual ~ClusterGateway() = default;
  virtual Future<std::vector<JobModelRef>> jobs() = 0;                  // newest first
  virtual Future<JobModelRef> job(JobId id) = 0;                        // kNotFound
  virtual Future<bool> cancel(JobId id) = 0;                            // kNotFound, kConflict (already terminal)
  virtual Future<JobId> run_jar(RunRequest request) = 0;
  virtual Future<JobModelRef> plan_jar(RunRequest request) = 0;         // vertices and edges only
  virtual Future<std::vector<JarModel>> jars() = 0;                     // newest first
  virtual Future<std::string> add_jar(std::string path, std::string name) = 0;  // moves the file; absolute path of the jar
  virtual Future<bool> delete_jar(std::string id) = 0;
  virtual Future<std::vector<TaskManagerModel>> task_managers() = 0;
  virtual Future<Metrics> metrics() = 0;                                // of the JobManager
  virtual std::vector<ConfigEntry> configuration() = 0;
  virtual std::string option(const std::string& key, const std::string& fallback) = 0;
};

}  // namespace drey::gateway
