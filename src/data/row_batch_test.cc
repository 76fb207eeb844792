#include "data/row_batch.h"

#include <gtest/gtest.h>

#include "data/batch_codec.h"

#include "data/key.h"

namespace drey::data {
namespace {

Schema flights() { return *Schema::parse("carrier:vu;delay:i?;tags:+l{item:vu};at:tsm:UTC"); }

BatchRef two_rows(const Schema& schema, BlockPool& pool) {
  BatchBuilder b(schema, 8, pool);
  b.values<View>(0)[0] = b.copy_text("UA");
  b.values<View>(0)[1] = b.copy_text("a carrier with a long name");
  b.values<std::int32_t>(1)[0] = 7;
  b.set_null(1, 1);
  auto& tags = b.abi().columns[2];
  b.reserve_list(tags, 3);
  auto* items = static_cast<View*>(tags.children[0].values);
  items[0] = b.copy_text("x");
  items[1] = b.copy_text("y");
  items[2] = b.copy_text("something longer than twelve");
  tags.child_rows = 3;
  auto* offsets = static_cast<std::int32_t*>(tags.values);
  offsets[1] = 2;
  offsets[2] = 3;
  b.values<std::int64_t>(3)[0] = 100;
  b.values<std::int64_t>(3)[1] = 200;
  b.abi().row_times[0] = 100;
  b.abi().row_times[1] = 200;
  b.abi().has_row_times = 1;
  b.abi().rows = 2;
  return b.build();
}

TEST(Schema, PrintsAndParsesItself) {
  EXPECT_EQ(Schema::parse(flights().to_string())->to_string(), flights().to_string());
  EXPECT_FALSE(Schema::parse("a:q").ok());
  EXPECT_FALSE(Schema::parse("a:+s{b:l").ok());
}

TEST(RowBatch, WhatABlockHeldBeforeDoesNotCountAsTextOfNullRows) {
  BlockPool pool;
  const Schema schema = *Schema::parse("tail:vu?");
  const auto with = [&](bool null) {
    BatchBuilder b(schema, 8, pool);
    b.values<View>(0)[0] = b.copy_text("a text too long to lie in the view");
    if (null) b.set_null(0, 0);
    b.abi().rows = 1;
    return b.build();
  };
  EXPECT_EQ(with(false)->bytes(), 16u + 34u);
  EXPECT_EQ(with(true)->bytes(), 16u);
}

TEST(RowBatch, SelectionSharesColumnsAndAppendGathersThem) {
  BlockPool pool;
  const Schema schema = flights();
  BatchRef copy;
  {
    BatchRef batch = two_rows(schema, pool);
    EXPECT_EQ(batch->abi().arena_count, 2u);  // far text, list items
    const std::uint32_t second[] = {1};
    BatchRef selected = RowBatch::select(batch, second, pool);
    EXPECT_EQ(selected->rows(), 1u);
    EXPECT_EQ(selected->values<View>(0), batch->values<View>(0));
    BatchBuilder b(schema, 4, pool);
    b.append(*selected, second);
    b.append(*batch, second);
    copy = b.build();
  }
  ASSERT_EQ(copy->rows(), 2u);
  for (std::uint32_t row : {0u, 1u}) {
    EXPECT_EQ(text_of(copy->values<View>(0)[row]), "a carrier with a long name");
    EXPECT_FALSE(is_valid(copy->validity(1), row));
    EXPECT_EQ(copy->row_times()[row], 200);
  }
  const ArrowArray& tags = copy->column(2);
  EXPECT_EQ(static_cast<const std::int32_t*>(tags.buffers[1])[2], 2);
  EXPECT_EQ(text_of(static_cast<const View*>(tags.children[0]->buffers[1])[1]), "something longer than twelve");
}

TEST(RowBatch, NestedListsThatAreAllEmptyAreBatchesLikeOthers) {
  for (const char* text : {"lists:+l{inner:+l{n:l}}", "places:+l{place:+s{city:vu?;tags:+l{tag:vu}}}"}) {
    const Schema schema = *Schema::parse(text);
    BlockPool pool;
    BatchBuilder b(schema, 4, pool);
    b.abi().rows = 2;  // offsets are zero
    const BatchRef batch = b.build();
    BatchBuilder copy(schema, 4, pool);
    copy.append(*batch, std::vector<std::uint32_t>{0, 1});
    const BatchRef copied = copy.build();
    std::string once, again;
    encode_batch(*copied, schema, 0, 2, copied->bytes(), once);
    const auto decoded = decode_batch(once, schema, pool);
    ASSERT_TRUE(decoded.ok()) << text;
    encode_batch(**decoded, schema, 0, 2, (*decoded)->bytes(), again);
    EXPECT_EQ(again, once);
  }
}

TEST(RowBatch, ASelectionOfFewRowsOutlivesItsSourceAlsoWithTimesOfItsOwn) {
  BlockPool pool;
  const Schema schema = flights();
  BatchRef selected = RowBatch::select(two_rows(schema, pool), std::vector<std::uint32_t>{1}, pool);
  const std::vector<std::int64_t> times{5, 6};
  const BatchRef timed = RowBatch::with_times(selected, times, pool);
  selected = BatchRef();
  ASSERT_EQ(timed->rows(), 1u);
  EXPECT_EQ(timed->physical(0), 1u);
  EXPECT_EQ(timed->row_times()[timed->physical(0)], 6);
  EXPECT_EQ(text_of(timed->values<View>(0)[1]), "a carrier with a long name");
}

TEST(Key, NullsEmptyTextAndZeroesAreWhatTheHeaderSays) {
  BlockPool pool;
  const Schema schema = *Schema::parse("t:vu?;d:g");
  BatchBuilder b(schema, 4, pool);
  b.values<View>(0)[0] = make_view("");
  b.values<View>(0)[1] = View{};
  b.set_null(0, 1);
  b.values<double>(1)[0] = 0.0;
  b.values<double>(1)[1] = -0.0;
  b.abi().rows = 2;
  const BatchRef batch = b.build();
  KeyVector keys;
  const std::uint32_t text[] = {0};
  keys.encode(*batch, key_columns(schema, text));
  EXPECT_FALSE(equal(keys.keys()[0], keys.keys()[1]));
  const std::uint32_t number[] = {1};
  keys.encode(*batch, key_columns(schema, number));
  EXPECT_TRUE(equal(keys.keys()[0], keys.keys()[1]));
  EXPECT_EQ(keys.hashes()[0], keys.hashes()[1]);
  const std::uint32_t both[] = {0, 1};
  keys.encode(*batch, key_columns(schema, both));
  EXPECT_FALSE(equal(keys.keys()[0], keys.keys()[1]));
}

// The producer of an exchange hashes without writing keys down, its consumer encodes them: both must say the same.
TEST(Key, HashesAreThoseOfTheKeysWhateverTheColumnAndTheSelection) {
  BlockPool pool;
  const Schema schema = *Schema::parse("short:vu;any:vu;maybe:vu?;l:l;g:g;i:i");
  constexpr std::uint32_t kRows = 64;
  BatchBuilder b(schema, kRows, pool);
  const std::string letters(40, 'k');
  for (std::uint32_t i = 0; i < kRows; ++i) {
    b.values<View>(0)[i] = b.copy_text(letters.substr(0, i % 13));
    b.values<View>(1)[i] = b.copy_text(letters.substr(0, i % 40));
    b.values<View>(2)[i] = b.copy_text(letters.substr(0, i % 40));
    if (i % 3 == 0) b.set_null(2, i);
    b.values<std::int64_t>(3)[i] = i % 5 - 2;
    b.values<double>(4)[i] = i % 2 == 0 ? 0.0 : -0.0;
    b.values<std::int32_t>(5)[i] = static_cast<std::int32_t>(i) - 7;
  }
  b.abi().rows = kRows;
  const BatchRef all = b.build();
  const std::uint32_t ids[] = {1, 2, 3, 20, 21, 60};
  for (const BatchRef& batch : {all, RowBatch::select(all, ids, pool)}) {
    for (std::uint32_t c = 0; c < schema.size(); ++c) {
      const std::uint32_t column[] = {c};
      KeyVector encoded;
      KeyVector hashed;
      encoded.encode(*batch, key_columns(schema, column));
      hashed.hash(*batch, key_columns(schema, column));
      for (std::uint32_t i = 0; i < batch->rows(); ++i) {
        EXPECT_EQ(encoded.hashes()[i], hash_of(encoded.keys()[i])) << c;
        EXPECT_EQ(hashed.hashes()[i], encoded.hashes()[i]) << c;
      }
    }
  }
}

TEST(Key, GroupsOfAllSubtasksCoverEachGroupOnce) {
  for (std::uint32_t max : {1u, 2u, 128u, 1000u}) {
    for (std::uint32_t p = 1; p <= std::min(max, 9u); ++p) {
      std::uint32_t next = 0;
      for (std::uint32_t s = 0; s < p; ++s) {
        const KeyGroupRange range = key_groups_of(s, p, max);
        EXPECT_EQ(range.first, next);
        for (std::uint32_t g = range.first; g <= range.last; ++g) EXPECT_EQ(subtask_of(g, p, max), s);
        next = range.last + 1;
      }
      EXPECT_EQ(next, max);
    }
  }
}

TEST(Key, SequentialKeysSpreadOverGroups) {
  std::vector<int> hits(128);
  for (std::uint64_t k = 0; k < 128'000; ++k) {
    View v{};
    v.size = 8;
    std::memcpy(v.u.inlined, &k, 8);
    ++hits[key_group_of(hash_of(v), 128)];
  }
  for (int h : hits) EXPECT_NEAR(h, 1000, 200);
}

}  // namespace
}  // namespace drey::data
