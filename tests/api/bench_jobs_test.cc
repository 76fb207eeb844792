// The benchmark jobs compute what the Flink harness computes: counts and digests worked out
// independently.
#include <gtest/gtest.h>

#include "fake_host.h"

namespace {

struct Expected {
  const char* job;
  std::vector<std::string> args;
  std::int64_t results, digest;
};

}  // namespace

TEST(BenchJobs, Digests) {
  const Expected all[] = {
      {"keyed_sum", {"--rows", "20000", "--parallelism", "1"}, 20000, 3252823019211442192},
      {"exchange", {"--rows", "20000", "--parallelism", "1"}, 20000, 5838105513935741234},
      {"chain", {"--rows", "20000", "--parallelism", "1"}, 9969, 5980090839},
      {"window", {"--rows", "20000", "--parallelism", "1"}, 8640, -8855092517222586473},
      {"window", {"--rows", "20000", "--parallelism", "2"}, 8640, -8855092517222586473},
  };
  for (const auto& e : all) {
    auto args = e.args;
    args.push_back("--verify");
    auto r = fake::run(e.job, args);
    EXPECT_EQ(r.failed, "") << e.job;
    EXPECT_EQ(r.accumulators["results"], e.results) << e.job;
    EXPECT_EQ(r.accumulators["digest"], e.digest) << e.job;
  }
}

TEST(BenchJobs, Files) {
  const fake::Files files{{"/words", {{"a b  a"}, {"b a"}}},
                          {"/flights",
                           {{"2013", "1", "1", "2", "UA", "EWR", "1400", "5"},
                            {"2013", "1", "1", "NA", "UA", "EWR", "1400", "5"},
                            {"2013", "1", "2", "-7.5", "AA", "LGA", "100", "23"}}}};
  auto words = fake::run("wordcount", {"--path", "/words", "--verify"}, files);
  EXPECT_EQ(words.failed, "");
  EXPECT_EQ(words.accumulators["results"], 5);
  EXPECT_EQ(words.accumulators["digest"], 1 + 2 + 3 + 1 + 2);
  auto flights = fake::run("flights", {"--path", "/flights", "--verify"}, files);
  EXPECT_EQ(flights.failed, "");
  EXPECT_EQ(flights.accumulators["results"], 2);
}
