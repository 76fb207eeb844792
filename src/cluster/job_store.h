// JobStore: what the JobManager must not forget: jobs, their checkpoints, the records of ended ones, results of
// operations.
//
// put() is durable when it returns. A stored job that cannot be read is kCorrupt. Threading: the JobManager's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "control/checkpoint/coordinator.h"
#include "gateway/model.h"
#include "graph/job_graph.h"
#include "wire/field.h"

namespace drey::cluster {

using wire::field;
using wire::Fields;

struct StoredJob {
  JobId id;
  graph::JobGraph graph;  // resolved
  std::string module;
  std::uint64_t digest = 0;
  std::uint64_t incarnation = 0;  // the last one that was used
  std::int64_t submitted = 0;
  std::int64_t next_checkpoint = 1;
  std::vector<control::Checkpoint> checkpoints;  // retained, oldest first
  bool ended = false;
  std::string model;  // gateway::JobModel, encoded; of an ended job the last word
  // A checkpoint or savepoint of somebody else that it starts from; empty: none.
  std::string restore_path;
  graph::Plan plan;  // chains as they were at submission: another parallelism does not change them
  gateway::ResourceRequirements requirements;
  gateway::RescalesModel rescales;
  static constexpr auto fields() {
    using M = StoredJob;
    return Fields{field("id", &M::id),
                  field("graph", &M::graph),
                  field("module", &M::module),
                  field("digest", &M::digest),
                  field("incarnation", &M::incarnation),
                  field("submitted", &M::submitted),
                  field("next-checkpoint", &M::next_checkpoint),
                  field("checkpoints", &M::checkpoints),
                  field("ended", &M::ended),
                  field("model", &M::model),
                  field("restore-path", &M::restore_path),
                  field("plan", &M::plan),
                  field("requirements", &M::requirements),
                  field("rescales", &M::rescales)};
  }
};
static_assert(wire::EveryMemberHasARow<StoredJob>);

class JobStore {
 public:
  virtual ~JobStore() = default;
  virtual Status put(const StoredJob& job) = 0;
  // Every job in turn, in no order: of ten thousand ended ones only what `visit` keeps stays in memory. `visit` does
  // not use the store.
  virtual Status each(const std::function<void(StoredJob)>& visit) = 0;
  virtual Result<StoredJob> get(JobId id) = 0;  // FAILS WITH: kNotFound
  virtual Status remove(JobId id) = 0;
  // Triggered operations (operations.h), by key.
  virtual Status put_operation(const std::string& key, const std::string& operation) = 0;
  virtual Result<std::vector<std::pair<std::string, std::string>>> load_operations() = 0;
  virtual Status remove_operation(const std::string& key) = 0;
};

// On SQLite (WAL, synchronous=FULL). FAILS WITH: kCorrupt, kIo, kIncompatible (a newer format).
Result<std::unique_ptr<JobStore>> open_sqlite_store(const std::string& path);
// Forgets when its memory goes; for the simulation, whose JobManager's memory is its disk, share one over restarts.
struct StoreMemory {
  std::map<JobId, std::string> jobs;
  std::map<std::string, std::string> operations;
};
std::unique_ptr<JobStore> make_memory_store(std::shared_ptr<StoreMemory> memory);

}  // namespace drey::cluster
