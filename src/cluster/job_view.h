// JobView: what tasks reported of a job, and the job as the models that REST shows. Threading: the JobManager's loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "cluster/job_store.h"
#include "control/checkpoint/coordinator.h"
#include "control/execution/execution_graph.h"
#include "gateway/model.h"

namespace drey::cluster {

gateway::ExceptionModel exception_model(const control::ExceptionEntry& entry);
gateway::CheckpointModel checkpoint_model(const control::Checkpoint& checkpoint);

class JobView {
 public:
  void on_report(const control::TaskReport& report);
  // A subtask is deployed again: what its earlier attempts reported goes.
  void on_deployed(std::uint32_t vertex, std::uint32_t subtask);
  // A checkpoint is complete. `metadata_bytes`: the size of its metadata.
  void on_completed(const control::Checkpoint& checkpoint, std::int64_t metadata_bytes);
  // The job starts from this checkpoint; null: from the beginning.
  void on_restored(const control::Checkpoint* checkpoint, Instant now);

  // The parts that a model is made of. `cluster`, `cluster_version`: of an ended job, what its JobManager ran with.
  struct Parts {
    const StoredJob& job;
    const control::ExecutionGraph& graph;
    const control::CheckpointCoordinator& coordinator;
    const std::string& restart_strategy;
    std::map<std::string, std::string> cluster;
    std::string cluster_version;
  };
  gateway::JobModelRef model(Parts parts) const;

 private:
  std::vector<gateway::VertexModel> vertices(const control::ExecutionGraph& graph) const;
  gateway::CheckpointsModel checkpoints(const control::CheckpointCoordinator& coordinator) const;

  struct Measured {
    metrics::NamesRef names;  // as told last
    gateway::Metrics metrics;
    metrics::TaskTotals totals;
    std::vector<gateway::AccumulatorModel> accumulators;
  };
  std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>, Measured> reports_;  // vertex, subtask, attempt
  std::map<std::uint32_t, metrics::NamesRef> names_;                                     // of metrics, by vertex
  gateway::CheckpointsModel statistics_;  // what is added up over checkpoints, and what was restored
};

}  // namespace drey::cluster
