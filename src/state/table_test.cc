#include "state/table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/prng.h"

namespace drey::state {
namespace {

data::View null_key() {
  data::View null{};
  std::memset(null.u.inlined, 0xff, 4);
  return null;
}

// Rows whose hashes are all equal: one tag, one bucket, and those after it.
TEST(RowIndex, RowsOfOneHashAreFoundThroughFullBucketsAndErasedOnes) {
  constexpr std::uint64_t kHash = 0x1234567800000007;
  RowIndex index(100);
  const auto has = [&](Address row) { return index.find(kHash, [&](Address r) { return r == row; }) == row; };
  for (Address row = 1; row <= 40; ++row) {
    ASSERT_TRUE(index.has_room());
    index.insert(kHash, row << 16);
  }
  for (Address row = 1; row <= 40; row += 2) index.erase(kHash, row << 16);
  for (Address row = 1; row <= 40; ++row) EXPECT_EQ(has(row << 16), row % 2 == 0) << row;
  index.replace(kHash, 2 << 16, 99 << 16);
  EXPECT_FALSE(has(2 << 16));
  EXPECT_TRUE(has(99 << 16));
  for (Address row = 1; row <= 40; row += 2) index.insert(kHash, row << 16);
  for (Address row = 3; row <= 40; ++row) EXPECT_TRUE(has(row << 16)) << row;
  EXPECT_EQ(index.likely(kHash ^ std::uint64_t{1} << 32), kNoRow);
  std::size_t rows = 0;
  index.for_each([&](Address) { ++rows; });
  EXPECT_EQ(rows, 40u);
}

TEST(RowIndex, ErasedEntriesAreRoomForOthers) {
  RowIndex index;
  Prng random(1);
  std::map<Address, std::uint64_t> rows;
  // Never more than 30 rows: the index must not fill up with erased ones where buckets have free entries.
  for (Address next = 1; next < 20'000; ++next) {
    if (rows.size() == 30) {
      const auto [row, hash] = *rows.begin();
      index.erase(hash, row);
      rows.erase(rows.begin());
    }
    if (!index.has_room()) {
      index = RowIndex(rows.size());
      for (const auto& [row, hash] : rows) index.insert(hash, row);
    }
    const std::uint64_t hash = random.next();
    index.insert(hash, next << 16);
    rows[next << 16] = hash;
    for (const auto& [row, h] : rows) ASSERT_EQ(index.find(h, [&, r = row](Address a) { return a == r; }), row);
  }
}

class TableTest : public testing::Test {
 protected:
  static std::vector<std::uint64_t> hashes_of(const std::vector<data::View>& keys) {
    std::vector<std::uint64_t> hashes;
    for (const data::View& k : keys) hashes.push_back(data::hash_of(k));
    return hashes;
  }
  // Adds 1 to the value of each key.
  static void count(Table& table, const std::vector<data::View>& keys, const std::vector<std::int64_t>& groups) {
    std::vector<void*> rows(keys.size());
    std::vector<std::uint8_t> fresh(keys.size());
    ASSERT_TRUE(table.values(keys, hashes_of(keys), groups, true, rows.data(), fresh.data()).ok());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto* n = static_cast<std::int64_t*>(rows[i]);
      ASSERT_EQ(fresh[i] != 0, *n == 0);
      ++*n;
    }
  }

  PagePool pool_;
  Budget budget_;
};

// Keys of every length, alike but for one byte; batches with repeats; a table that grows meanwhile.
TEST_F(TableTest, BatchesOfKeysOfAnyLengthCountAsAMapDoes) {
  std::vector<std::string> texts;
  for (std::size_t size = 0; size <= 100; ++size) {
    for (const std::size_t changed : {std::size_t{0}, size / 2, size - 1}) {
      std::string text(size, 'k');
      if (size != 0) text[changed] = static_cast<char>('a' + changed % 7);
      texts.push_back(text);
    }
  }
  for (int i = 0; i < 20'000; ++i) texts.push_back(fmt::format("{}", i * 7919));
  std::vector<data::View> keys{null_key()};
  for (const std::string& text : texts) keys.push_back(data::make_view(text));
  for (const bool grouped : {false, true}) {
    Table table("t", {8, grouped, false}, pool_, budget_);
    Prng random(grouped ? 5 : 6);
    std::map<std::pair<std::int64_t, std::string>, std::int64_t> expected;
    const auto name = [&](const data::View& k) {
      return k.size == 0 && k.u.inlined[0] != 0 ? "null" : "=" + std::string(data::text_of(k));
    };
    for (int batch = 0; batch < 300; ++batch) {
      std::vector<data::View> some;
      std::vector<std::int64_t> groups;  // one, or any of them row by row
      for (std::size_t i = random.below(500); i-- > 0;) {
        some.push_back(keys[random.below(batch % 2 == 0 ? 310 : keys.size())]);
        if (grouped) groups.push_back(static_cast<std::int64_t>(batch % 5 == 0 ? random.below(3) : batch % 3));
      }
      count(table, some, groups);
      for (std::size_t i = 0; i < some.size(); ++i) ++expected[{grouped ? groups[i] : 0, name(some[i])}];
    }
    ASSERT_EQ(table.rows(), expected.size());
    for (std::int64_t group = 0; group < (grouped ? 3 : 1); ++group) {
      std::vector<void*> rows(keys.size());
      const std::vector<std::int64_t> groups(grouped ? keys.size() : 0, group);
      ASSERT_TRUE(table.values(keys, hashes_of(keys), groups, false, rows.data(), nullptr).ok());
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto found = expected.find({group, name(keys[i])});
        ASSERT_EQ(rows[i] != nullptr, found != expected.end()) << name(keys[i]);
        if (rows[i] != nullptr) {
          ASSERT_EQ(*static_cast<std::int64_t*>(rows[i]), found->second) << name(keys[i]);
        }
      }
    }
  }
}

// Values of every size that a slot can have, and beyond; each row moves through many.
TEST_F(TableTest, RowsKeepTheirBytesThroughAllSizes) {
  Table table("t", {0, false, false}, pool_, budget_);
  const std::string text = "a key that lies in the row";
  for (std::uint32_t size = 1; size < 70'000; size += 1 + size / 9) {
    for (const std::string& key : {text, fmt::format("{}", size)}) {
      const data::View k = data::make_view(key);
      Address row = *table.upsert(k, data::hash_of(k), 0, 0);
      const std::string before(table.value_of(row));
      row = *table.resize(row, size);
      ASSERT_EQ(table.value_of(row).substr(0, before.size()), before);
      std::memset(table.writable_value(row), static_cast<int>('a' + size % 26), size);
      ASSERT_EQ(data::text_of(table.key_of(row)), key);
    }
  }
  for (std::uint32_t size = 1; size < 70'000; size += 1 + size / 9) {
    const std::string key = fmt::format("{}", size);
    const data::View k = data::make_view(key);
    const Address row = table.find(k, data::hash_of(k));
    ASSERT_EQ(table.value_of(row), std::string(size, static_cast<char>('a' + size % 26)));
  }
}

TEST_F(TableTest, ASharedPageIsCopiedOnceByItsFirstWriteAndNotAfterTheSnapshotHasGone) {
  Table table("t", {8, false, false}, pool_, budget_);
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(fmt::format("{}", i));
  std::vector<data::View> keys;
  for (const std::string& text : texts) keys.push_back(data::make_view(text));
  count(table, keys, {});
  const std::uint64_t alone = pool_.used_bytes();
  Page* held = table.share(1);
  table.make_clean(1);
  const std::string before(held->memory, table.pages()[1].used());
  table.make_dirty(1, 1);  // as when the checkpoint is given up while its pages are still being written
  count(table, keys, {});
  count(table, keys, {});
  EXPECT_EQ(pool_.used_bytes(), alone + kPageBytesMin);  // the first page is a small one
  EXPECT_EQ(std::string(held->memory, before.size()), before);
  EXPECT_NE(table.dirty_blocks(1), 0u);
  for (const data::View& k : keys) {
    ASSERT_EQ(*reinterpret_cast<const std::int64_t*>(table.value_of(table.find(k, data::hash_of(k))).data()), 3);
  }
  held->release();
  table.share(1)->release();
  const Page* page = table.pages()[1].page;
  count(table, keys, {});
  EXPECT_EQ(table.pages()[1].page, page);
  EXPECT_EQ(pool_.used_bytes(), alone);
}

}  // namespace
}  // namespace drey::state
