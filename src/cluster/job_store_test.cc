#include "cluster/job_store.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include "wire/binary/shape.h"

namespace drey::cluster {
namespace {

// A store that another shape wrote is not read wrong but refused by its number, so the two change together: when this
// fails, raise kFormat in job_store.cc and pin the digest that is printed.
TEST(JobStore, TheFormatNumberStandsForTheShapeOfWhatIsStored) {
  const std::string shapes = wire::shape_of<StoredJob>() + wire::shape_of<gateway::JobModel>() + wire::shape_of<gateway::OperationModel>();
  EXPECT_EQ(XXH3_64bits(shapes.data(), shapes.size()), 7506681649549122u) << "of format 2";
}

}  // namespace
}  // namespace drey::cluster
