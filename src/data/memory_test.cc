#include "data/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <vector>

namespace drey::data {
namespace {

// On a thread of its own.
template <typename F>
auto elsewhere(F&& f) {
  return std::async(std::launch::async, std::forward<F>(f)).get();
}

TEST(BlockPool, TheLastBlockThatCameBackIsTheNextOneOfItsSize) {
  BlockPool pool;
  const char* first = pool.allocate(5000)->data();
  EXPECT_NE(pool.allocate(50'000)->data(), first);
  EXPECT_EQ(pool.allocate(7000)->data(), first);
}

TEST(BlockPool, BlocksAreAlignedAndAsLargeAsAskedFor) {
  BlockPool pool;
  for (const std::size_t bytes : {0u, 1u, 960u, 961u, 4096u, 1'000'000u, 5'000'000u}) {
    BlockRef block = pool.allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data()) % 64, 0u);
    ASSERT_GE(block->capacity(), bytes);
    std::memset(block->data(), 1, block->capacity());
  }
}

TEST(BlockPool, ABlockThatAnotherThreadReleasedGoesHome) {
  BlockPool pool;
  BlockRef block = pool.allocate(5000);
  const char* memory = block->data();
  const bool taken_there = elsewhere([&] {
    block = BlockRef();
    return pool.allocate(5000)->data() == memory;
  });
  EXPECT_FALSE(taken_there);
  EXPECT_EQ(pool.allocate(5000)->data(), memory);
}

TEST(BlockPool, GivesItsMemoryBackWhenNothingIsInUse) {
  BlockPool pool;
  BlockRef small = pool.allocate(5000);
  BlockRef large = pool.allocate(20u << 20);
  EXPECT_GE(pool.used_bytes(), (20u << 20) + 5000u);
  EXPECT_GE(pool.total_bytes(), pool.used_bytes());
  large = BlockRef();
  EXPECT_LT(pool.total_bytes(), 20u << 20);
  EXPECT_FALSE(pool.trim());
  std::memset(small->data(), 1, small->capacity());
  small = BlockRef();
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_TRUE(pool.trim());
  EXPECT_EQ(pool.total_bytes(), 0u);
  small = pool.allocate(5000);
  std::memset(small->data(), 1, small->capacity());
}

TEST(BlockPool, GrowsPastItsSteps) {
  BlockPool pool;
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 100; ++i) {
    blocks.push_back(pool.allocate(1u << 20));
    std::memset(blocks.back()->data(), i, blocks.back()->capacity());
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(blocks[static_cast<std::size_t>(i)]->data()[1 << 19], i);
}

}  // namespace
}  // namespace drey::data
