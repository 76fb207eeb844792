#include "cluster/job_store.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <map>

#include "env/env.h"
#include "wire/binary/shape.h"

namespace drey::cluster {
namespace {

// A store that another shape wrote is not read wrong but refused by its number, so the two change together: when this
// fails, raise kFormat in job_store.cc and pin the digest that is printed.
TEST(JobStore, TheFormatNumberStandsForTheShapeOfWhatIsStored) {
  const std::string shapes =
      wire::shape_of<StoredJob>() + wire::shape_of<gateway::JobModel>() + wire::shape_of<gateway::OperationModel>();
  EXPECT_EQ(XXH3_64bits(shapes.data(), shapes.size()), 18120102386010934943u) << "of format 4";
}

class Stores : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const std::string path = testing::TempDir() + "/job_store_test.sqlite";
    for (const char* end : {"", "-wal", "-shm"}) static_cast<void>(env::posix().files.remove(path + end));
    store_ =
        GetParam() ? std::move(open_sqlite_store(path)).value() : make_memory_store(std::make_shared<StoreMemory>());
  }
  static StoredJob job(std::uint64_t id, const std::string& model) {
    StoredJob out;
    out.id = JobId::from_halves(0, id);
    out.model = model;
    return out;
  }
  std::map<JobId, std::string> models() {
    std::map<JobId, std::string> found;
    EXPECT_TRUE(store_->each([&](StoredJob stored) { found[stored.id] = stored.model; }).ok());
    return found;
  }
  std::unique_ptr<JobStore> store_;
};
INSTANTIATE_TEST_SUITE_P(JobStore, Stores, testing::Bool(),
                         [](const auto& store) { return store.param ? "Sqlite" : "Memory"; });

TEST_P(Stores, WhatIsPutIsFoundAloneAndAmongAll) {
  const JobId one = JobId::from_halves(0, 1);
  EXPECT_TRUE(models().empty());
  ASSERT_TRUE(store_->put(job(1, "first")).ok());
  ASSERT_TRUE(store_->put(job(2, "second")).ok());
  ASSERT_TRUE(store_->put(job(1, "last word")).ok());
  EXPECT_EQ(models(), (std::map<JobId, std::string>{{one, "last word"}, {JobId::from_halves(0, 2), "second"}}));
  EXPECT_EQ(store_->get(one)->model, "last word");
  ASSERT_TRUE(store_->remove(one).ok());
  EXPECT_EQ(store_->get(one).status().code(), Code::kNotFound);
  EXPECT_EQ(models().size(), 1u);
}

}  // namespace
}  // namespace drey::cluster
