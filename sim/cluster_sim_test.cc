#include "sim/cluster_sim.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "env/env.h"
#include "env/log.h"

namespace drey::sim {
namespace {

// Sanitizers make a seed ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 3;
constexpr std::uint64_t kBrokenSeeds = 3;
#else
constexpr std::uint64_t kSeeds = 64;
constexpr std::uint64_t kBrokenSeeds = 8;
#endif

TEST(ClusterSim, EveryRowIsCommittedOnceUnderFaults) {
  const std::string only = env::environment_variable("DREY_SIM_SEED");
  // A single seed is replayed to be understood: the cluster's log tells its story.
  if (!only.empty()) env::open_log({"", true, env::LogLevel::kInfo});
  // Fixed seeds and one that nobody has seen.
  const std::uint64_t fresh = env::posix().random.next();
  const std::string more = env::environment_variable("DREY_SIM_SEEDS");
  const std::uint64_t seeds = more.empty() ? kSeeds : std::strtoull(more.c_str(), nullptr, 10);
  std::int64_t checkpoints = 0;
  std::int64_t faults = 0;
  std::int64_t narrowed = 0;
  for (std::uint64_t i = 0; i <= seeds; ++i) {
    const std::uint64_t seed = !only.empty() ? std::strtoull(only.c_str(), nullptr, 10) : i < seeds ? i + 1 : fresh;
    const ClusterSimResult result = run_cluster_sim({seed, false});
    checkpoints += result.checkpoints;
    faults += result.faults;
    narrowed += result.narrowed;
    ASSERT_EQ(result.problem, "") << "seed " << seed << " (replay with ./test.sh --seed " << seed
                                  << "), faults: " << result.fault_list;
    EXPECT_GE(result.checkpoints, 50) << "seed " << seed;
    EXPECT_GE(result.faults, 5) << "seed " << seed << ": " << result.fault_list;
    if (!only.empty()) break;
  }
  if (only.empty() && seeds >= 64) {
    EXPECT_GT(narrowed, 0) << "no job went on with fewer slots";
  }
  RecordProperty("checkpoints", static_cast<int>(checkpoints));
  std::printf("%llu seeds and one fresh (%llu): %lld checkpoints, %lld faults\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(fresh),
              static_cast<long long>(checkpoints), static_cast<long long>(faults));
}

TEST(ClusterSim, OneSeedIsOneHistory) {
  for (const std::uint64_t seed : {1, 2})
    EXPECT_EQ(run_cluster_sim({seed, false}).trace, run_cluster_sim({seed, false}).trace) << seed;
}

TEST(ClusterSim, ASinkThatCommitsEarlyIsCaught) {
  int caught = 0;
  for (std::uint64_t seed = 1; seed <= kBrokenSeeds; ++seed)
    caught += run_cluster_sim({seed, true}).problem.empty() ? 0 : 1;
  EXPECT_GE(caught, 1);
}

}  // namespace
}  // namespace drey::sim
