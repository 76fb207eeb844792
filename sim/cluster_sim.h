// A whole cluster in the simulated world: the production JobManager, JobMaster, TaskManagers, tasks and checkpoints,
// under faults drawn from one seed, with a ledger as oracle.
//
// Workload: a seeded source -> hash exchange -> running count and sum by key -> a transactional ledger. Each row of the
// input must be in the committed ledger exactly once: per key the counts 1..n, each once, and the right last sum.
// Beside it, in the same job, sources that count into the ledger: regions of one subtask each, which a failure
// elsewhere leaves running.
#pragma once

#include <cstdint>
#include <string>

namespace drey::sim {

struct ClusterSimOptions {
  std::uint64_t seed = 1;
  // Broken on purpose, to see that the oracle sees: the sink commits when the barrier passes.
  bool commits_early = false;
};

struct ClusterSimResult {
  std::string problem;           // empty: the promise held
  std::int64_t checkpoints = 0;  // completed
  std::int64_t faults = 0;
  std::int64_t narrowed = 0;  // times that a job went on with fewer slots
  std::string fault_list;     // in order, for the banner of a failing seed
  std::uint64_t trace = 0;    // equal for equal seeds
};

ClusterSimResult run_cluster_sim(const ClusterSimOptions& options);

}  // namespace drey::sim
