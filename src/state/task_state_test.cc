#include "state/task_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include <fmt/format.h>

#include "base/prng.h"
#include "env/env.h"

namespace drey::state {
namespace {

const OperatorId kOp = OperatorId::from_halves(1, 1);

data::View view(const std::string& text) { return data::make_view(text); }

class TaskStateTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fmt::format("{}/scratch/state-{}", DREY_BINARY_DIR, getpid());
    ASSERT_TRUE(files_.remove_tree(dir_).ok());
    ASSERT_TRUE(files_.make_directories(dir_).ok());
  }
  void TearDown() override { ASSERT_TRUE(files_.remove_tree(dir_).ok()); }

  std::unique_ptr<TaskState> make(std::uint32_t subtask = 0, std::uint32_t parallelism = 1) {
    return std::make_unique<TaskState>(TaskStateOptions{subtask, parallelism, 128, "test"}, pool_, budget_);
  }
  Result<TaskStateHandle> checkpoint(TaskState& state, std::int64_t id) {
    return state.snapshot(id, fmt::format("{}/{}", dir_, id))->run(files_);
  }

  env::FileSystem& files_ = env::posix().files;
  std::string dir_;
  PagePool pool_;
  Budget budget_;
};

using Model = std::map<std::pair<std::int64_t, std::string>, std::string>;

Model contents(const Table& table) {
  Model model;
  table.for_each([&](Address row) {
    model[{table.group_of(row), std::string(data::text_of(table.key_of(row)))}] = std::string(table.value_of(row));
  });
  return model;
}

// Random writes against a map, with snapshots taken in between and run later.
TEST_F(TaskStateTest, SnapshotsHoldTheMomentTheyWereTakenWhileWritingGoesOn) {
  for (const bool grouped : {false, true}) {
    Prng random(grouped ? 1 : 2);
    auto state = make();
    Table* table = *state->table(kOp, "op", "t", {0, grouped, false});
    Model model;
    std::vector<std::tuple<std::unique_ptr<SnapshotJob>, Model>> snapshots;
    for (int step = 0; step < 60'000; ++step) {
      const std::string key = fmt::format("key-{}", random.below(4000) * (random.chance(0.5) ? 1 : 1'000'003));
      const std::int64_t group = grouped ? static_cast<std::int64_t>(random.below(5)) : 0;
      const data::View k = view(key);
      const std::uint64_t hash = data::hash_of(k);
      Address row = table->find(k, hash, group);
      ASSERT_EQ(row != kNoRow, model.contains({group, key}));
      if (row != kNoRow && random.chance(0.2)) {
        table->erase(row);
        model.erase({group, key});
      } else {
        const std::string value(random.below(random.chance(0.01) ? 90'000 : 60),
                                static_cast<char>('a' + random.below(26)));
        row = *table->upsert(k, hash, group, static_cast<std::uint32_t>(value.size()));
        row = *table->resize(row, static_cast<std::uint32_t>(value.size()));
        std::memcpy(table->writable_value(row), value.data(), value.size());
        model[{group, key}] = value;
      }
      if (grouped && step % 9973 == 0) {
        table->erase_group(3);
        std::erase_if(model, [](const auto& e) { return e.first.first == 3; });
      }
      if (step % 20'000 == 19'999) {
        snapshots.emplace_back(state->snapshot(step, fmt::format("{}/{}-{}", dir_, grouped, step)), model);
      }
    }
    EXPECT_EQ(contents(*table), model);
    for (auto& [job, expected] : snapshots) {
      const auto handle = job->run(files_);
      ASSERT_TRUE(handle.ok());
      auto restored = make();
      ASSERT_TRUE(restored->restore({*handle}, {kOp}, true, files_).ok());
      EXPECT_EQ(contents(**restored->table(kOp, "op", "t", {0, grouped, false})), expected);
      for (const auto& [id, value] : expected) {
        const data::View k = view(id.second);
        ASSERT_NE((*restored->table(kOp, "op", "t", {0, grouped, false}))->find(k, data::hash_of(k), id.first), kNoRow);
      }
    }
  }
}

TEST_F(TaskStateTest, LaterCheckpointsWriteOnlyWhatChanged) {
  auto state = make();
  Table* table = *state->table(kOp, "op", "t", {8, false, false});
  std::vector<std::string> keys;
  for (int i = 0; i < 100'000; ++i) keys.push_back(fmt::format("{:08}", i));
  for (const std::string& key : keys) ASSERT_TRUE(table->upsert(view(key), data::hash_of(view(key)), 0, 8).ok());
  const auto first = checkpoint(*state, 1);
  *table->writable_value(table->find(view(keys[5]), data::hash_of(view(keys[5])))) = 'x';
  const auto second = checkpoint(*state, 2);
  EXPECT_LT(second->written_bytes, first->written_bytes / 10);
  EXPECT_EQ(second->files.size(), 2u);
  auto restored = make();
  ASSERT_TRUE(restored->restore({*second}, {kOp}, true, files_).ok());
  Table* again = *restored->table(kOp, "op", "t", {8, false, false});
  EXPECT_EQ(contents(*again), contents(*table));
  // And incremental again after the restore.
  const auto third = checkpoint(*restored, 3);
  EXPECT_LT(third->written_bytes, first->written_bytes / 10);
  // A discarded checkpoint's pages are written again.
  restored->discard(3);
  *again->writable_value(again->find(view(keys[6]), data::hash_of(view(keys[6])))) = 'y';
  const auto fourth = checkpoint(*restored, 4);
  restored->discard(4);
  const auto fifth = checkpoint(*restored, 5);
  EXPECT_EQ(fifth->written_bytes, fourth->written_bytes);
}

// Writes all over the table: checkpoints hold the blocks that changed, and each is restored from its own files alone.
TEST_F(TaskStateTest, CheckpointsOfScatteredWritesHoldBlocksAndAreExact) {
  Prng random(7);
  auto state = make();
  Table* table = *state->table(kOp, "op", "t", {100, false, false});
  constexpr std::uint64_t kRows = 30'000;
  std::vector<std::string> keys;
  const auto write = [&](std::uint64_t i) {
    const data::View k = view(keys[i]);
    char* value = table->writable_value(*table->upsert(k, data::hash_of(k), 0, 100));
    for (int b = 0; b < 100; b += 8) {
      const std::uint64_t v = random.next();
      std::memcpy(value + b, &v, b + 8 <= 100 ? 8 : 4);
    }
  };
  for (std::uint64_t i = 0; i < kRows; ++i) {
    keys.push_back(fmt::format("{:08}", i));
    write(i);
  }
  const auto first = checkpoint(*state, 1);
  std::map<std::string, std::string> all_files;  // by path; those a checkpoint does not name are taken away
  all_files[first->manifest.path] = *files_.read_all(first->manifest.path);
  std::uint64_t written = 0;
  constexpr int kRounds = 20;
  for (int round = 2; round < 2 + kRounds; ++round) {
    for (std::uint64_t i = 0; i < kRows / 100; ++i) write(random.below(kRows));
    if (random.chance(0.3)) {  // some rows go, and come back as others
      for (int i = 0; i < 20; ++i) {
        const std::string& key = keys[random.below(kRows)];
        const Address row = table->find(view(key), data::hash_of(view(key)));
        if (row != kNoRow) table->erase(row);
      }
    }
    if (random.chance(0.3)) {
      for (int i = 0; i < 50; ++i) {
        keys.push_back(fmt::format("new-{}-{}", round, i));
        write(keys.size() - 1);
      }
    }
    const auto handle = checkpoint(*state, round);
    ASSERT_TRUE(handle.ok());
    const Model expected = contents(*table);
    written += handle->written_bytes;
    all_files[handle->manifest.path] = *files_.read_all(handle->manifest.path);
    ASSERT_TRUE(files_.remove_tree(dir_).ok());
    ASSERT_TRUE(files_.make_directories(dir_).ok());
    for (const StateFile& file : handle->files)
      ASSERT_TRUE(files_.write_atomic(file.path, all_files.at(file.path)).ok());
    const bool moves_on = random.chance(0.3);
    auto restored = make();
    ASSERT_TRUE(restored->restore({*handle}, {kOp}, true, files_).ok());
    Table* again = *restored->table(kOp, "op", "t", {100, false, false});
    ASSERT_EQ(contents(*again), expected) << round;
    std::size_t rows_elsewhere = 0;
    for (std::uint32_t subtask : {0u, 1u}) {
      auto half = make(subtask, 2);
      ASSERT_TRUE(half->restore({*handle}, {kOp}, false, files_).ok());
      rows_elsewhere += (*half->table(kOp, "op", "t", {100, false, false}))->rows();
    }
    ASSERT_EQ(rows_elsewhere, expected.size());
    if (moves_on) {  // from here the restored one goes on
      state = std::move(restored);
      table = again;
    } else if (random.chance(0.3)) {
      state->discard(round);
    }
  }
  EXPECT_LT(written / kRounds, first->written_bytes * 40 / 100);
}

TEST_F(TaskStateTest, DamageIsFoundAndNamed) {
  auto state = make();
  Table* table = *state->table(kOp, "op", "t", {8, false, false});
  for (int i = 0; i < 5000; ++i) {
    const std::string key = fmt::format("{:08}", i);
    ASSERT_TRUE(table->upsert(view(key), data::hash_of(view(key)), 0, 8).ok());
  }
  const auto handle = checkpoint(*state, 1);
  const std::string good = *files_.read_all(handle->manifest.path);
  const auto restore_of = [&](const std::string& bytes) {
    EXPECT_TRUE(files_.write_atomic(handle->manifest.path, bytes).ok());
    return make()->restore({*handle}, {kOp}, true, files_);
  };
  for (std::size_t at = 0; at < good.size(); at += good.size() / 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    const Status status = restore_of(bad);
    EXPECT_EQ(status.code(), Code::kCorrupt) << at;
    EXPECT_NE(status.message().find(handle->manifest.path), std::string::npos);
  }
  EXPECT_EQ(restore_of(good.substr(0, good.size() - 1)).code(), Code::kCorrupt);
  EXPECT_TRUE(restore_of(good).ok());
  ASSERT_TRUE(files_.remove(handle->manifest.path).ok());
  EXPECT_EQ(make()->restore({*handle}, {kOp}, true, files_).code(), Code::kCorrupt);
}

TEST_F(TaskStateTest, RescalingMovesEveryRowListAndTimerOnce) {
  auto one = make();
  Table* table = *one->table(kOp, "op", "t", {0, false, false});
  for (int i = 0; i < 3000; ++i) {
    const std::string key = fmt::format("a key that is longer than a view {}", i);
    ASSERT_TRUE(table->upsert(view(key), data::hash_of(view(key)), 0, 4).ok());
    ASSERT_TRUE((*one->timers(kOp))->set(TimeKind::kEvent, view(key), data::hash_of(view(key)), i % 7).ok());
  }
  (*one->operator_list(kOp, "split", false))->assign({"1", "2", "3", "4", "5"});
  (*one->operator_list(kOp, "union", true))->assign({"u"});
  (**one->broadcast(kOp, "b"))["k"] = "v";
  std::vector<TaskStateHandle> handles{*checkpoint(*one, 1)};
  for (const std::uint32_t p : {2u, 3u, 1u}) {
    std::vector<TaskStateHandle> next;
    Model all;
    std::size_t split = 0;
    std::size_t timers = 0;
    for (std::uint32_t s = 0; s < p; ++s) {
      auto state = make(s, p);
      ASSERT_TRUE(state->restore(handles, {kOp}, true, files_).ok());
      const Model mine = contents(**state->table(kOp, "op", "t", {0, false, false}));
      for (const auto& [key, value] : mine) {
        EXPECT_TRUE(state->key_groups().contains(data::key_group_of(data::hash_of(view(key.second)), 128)));
      }
      all.insert(mine.begin(), mine.end());
      split += (*state->operator_list(kOp, "split", false))->elements().size();
      EXPECT_GE((*state->operator_list(kOp, "union", true))->elements().size(), 1u);
      (*state->operator_list(kOp, "union", true))
          ->assign(s == 0 ? std::vector<std::string>{"u"} : std::vector<std::string>{});
      EXPECT_EQ((**state->broadcast(kOp, "b")).at("k"), "v");
      next.push_back(*state->snapshot(10 * p + s, fmt::format("{}/{}-{}", dir_, p, s))->run(files_));
      std::vector<drey_timer> due;
      (*state->timers(kOp))->pop_due(TimeKind::kEvent, 100, 10'000, due);
      EXPECT_TRUE(std::is_sorted(due.begin(), due.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
      timers += due.size();
    }
    EXPECT_EQ(all.size(), 3000u);
    EXPECT_EQ(split, 5u);
    EXPECT_EQ(timers, 3000u);
    handles = next;
  }
}

// Rows of kinds that differ in the file: keys short, long, empty and null; values of fixed and of own sizes; groups.
void fill(TaskState& state, int rows) {
  Table* own = *state.table(kOp, "op", "own", {0, false, false});
  Table* fixed = *state.table(kOp, "op", "fixed", {8, false, false});
  Table* map = *state.table(kOp, "op", "map", {0, true, true});
  for (int i = 0; i < rows; ++i) {
    const std::string key = i == 0       ? ""
                            : i % 3 == 0 ? fmt::format("a key that is longer than a view {}", i)
                                         : fmt::format("{}", i);
    const data::View k = view(key);
    const std::string value(static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26));
    const Address row = *own->upsert(k, data::hash_of(k), 0, static_cast<std::uint32_t>(value.size()));
    if (!value.empty()) std::memcpy(own->writable_value(row), value.data(), value.size());
    std::memcpy(fixed->writable_value(*fixed->upsert(k, data::hash_of(k), 0, 8)), &i, sizeof i);
    const auto group = static_cast<std::int64_t>(data::hash_of(view(fmt::format("{}", i % 17))));
    ASSERT_TRUE(map->upsert(k, data::hash_of(k), group, 0).ok());
  }
  data::View null{};
  std::memset(null.u.inlined, 0xff, 4);
  ASSERT_TRUE(own->upsert(null, data::hash_of(null), 0, 3).ok());
}

// As contents(), but the null key differs from the empty one.
Model all_of(TaskState& state) {
  Model all;
  int number = 0;
  for (const auto& [name, spec] : {std::pair<const char*, TableSpec>{"own", {0, false, false}},
                                   {"fixed", {8, false, false}},
                                   {"map", {0, true, true}}}) {
    const Table& table = **state.table(kOp, "op", name, spec);
    table.for_each([&, &name = name, &spec = spec](Address row) {
      const data::View key = table.key_of(row);
      const bool null = key.size == 0 && key.u.inlined[0] != 0;
      all[{spec.grouped ? table.group_of(row) : number,
           name + std::string(null ? "<null>" : "=") + std::string(data::text_of(key))}] =
          std::string(table.value_of(row));
    });
    ++number;
  }
  return all;
}

TEST_F(TaskStateTest, ASavepointStandsAloneCanBeMovedAndIsRestoredAtAnyParallelism) {
  for (const auto form : {control::SnapshotForm::kNative, control::SnapshotForm::kCanonical}) {
    auto state = make();
    fill(*state, 4000);
    ASSERT_TRUE(checkpoint(*state, 1).ok());  // so that pages are clean
    fill(*state, 5000);
    const Model model = all_of(*state);
    const std::string written = fmt::format("{}/savepoint", dir_);
    auto job = state->snapshot(2, written, form);
    fill(*state, 9000);  // goes on meanwhile
    auto handle = job->run(files_);
    ASSERT_TRUE(handle.ok()) << handle.status().to_string();
    EXPECT_EQ(handle->files.size(), 1u);
    EXPECT_EQ(handle->operators, std::vector<std::string>{kOp.to_string()});
    const auto after = checkpoint(*state, 3);
    for (const StateFile& file : after->files) EXPECT_NE(file.path, written);
    ASSERT_TRUE(files_.make_directories(dir_ + "/elsewhere").ok());
    ASSERT_TRUE(files_.rename(written, dir_ + "/elsewhere/moved").ok());
    ASSERT_TRUE(files_.remove(fmt::format("{}/1", dir_)).ok());
    handle->manifest.path = dir_ + "/elsewhere/moved";
    for (const std::uint32_t p : {1u, 2u, 3u, 128u}) {
      Model all;
      std::size_t rows = 0;
      for (std::uint32_t s = 0; s < p; ++s) {
        auto part = make(s, p);
        const Status restored = part->restore({*handle}, {kOp}, false, files_);
        ASSERT_TRUE(restored.ok()) << restored.to_string();
        const Model mine = all_of(*part);
        rows += mine.size();
        all.insert(mine.begin(), mine.end());
        if (p > 3) continue;
        // A checkpoint of a restored task refers to nothing of the savepoint's.
        const auto own = part->snapshot(10, fmt::format("{}/own", dir_))->run(files_);
        EXPECT_EQ(own->files.size(), 1u);
      }
      EXPECT_EQ(rows, model.size());
      EXPECT_EQ(all, model) << "parallelism " << p;
    }
  }
}

TEST_F(TaskStateTest, CanonicalSavepointsOfEqualStateAreEqualHoweverItCameAbout) {
  auto one = make();
  fill(*one, 3000);
  auto other = make();
  fill(*other, 7000);
  Table* own = *other->table(kOp, "op", "own", {0, false, false});
  Table* fixed = *other->table(kOp, "op", "fixed", {8, false, false});
  Table* map = *other->table(kOp, "op", "map", {0, true, true});
  for (Table* table : {own, fixed, map}) {
    std::vector<Address> rows;
    table->for_each([&](Address row) { rows.push_back(row); });
    for (const Address row : rows) table->erase(row);
  }
  fill(*other, 3000);
  std::string bytes[2];
  int i = 0;
  for (TaskState* state : {one.get(), other.get()}) {
    ASSERT_TRUE(state->snapshot(1, dir_ + "/same", control::SnapshotForm::kCanonical)->run(files_).ok());
    bytes[i++] = *files_.read_all(dir_ + "/same");
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST_F(TaskStateTest, EveryDamagedByteOfACanonicalSavepointIsFound) {
  auto state = make();
  fill(*state, 60);
  const std::string path = dir_ + "/c";
  const auto handle = state->snapshot(1, path, control::SnapshotForm::kCanonical)->run(files_);
  const std::string good = *files_.read_all(path);
  for (std::size_t at = 0; at < good.size(); at += good.size() / 40) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    ASSERT_TRUE(files_.write_atomic(path, bad).ok());
    EXPECT_EQ(make()->restore({*handle}, {kOp}, false, files_).code(), Code::kCorrupt) << "byte " << at;
  }
  ASSERT_TRUE(files_.write_atomic(path, good).ok());
  EXPECT_TRUE(make()->restore({*handle}, {kOp}, false, files_).ok());
}

TEST_F(TaskStateTest, OnlyTheStateOfTheTasksOperatorsIsTaken) {
  const OperatorId other = OperatorId::from_halves(2, 2);
  auto state = make();
  fill(*state, 10);
  (*state->operator_list(other, "list", false))->assign({"x"});
  const auto handle = checkpoint(*state, 1);
  EXPECT_EQ(handle->operators.size(), 2u);
  auto first = make();
  ASSERT_TRUE(first->restore({*handle}, {kOp}, true, files_).ok());
  EXPECT_EQ(all_of(*first).size(), all_of(*state).size());
  EXPECT_TRUE((*first->operator_list(other, "list", false))->elements().empty());
  auto second = make();
  ASSERT_TRUE(second->restore({*handle}, {other}, true, files_).ok());
  EXPECT_EQ((*second->operator_list(other, "list", false))->elements(), std::vector<std::string>{"x"});
  EXPECT_TRUE(all_of(*second).empty());
}

TEST_F(TaskStateTest, AFullCheckpointRefersToNoOlderFileAndLaterOnesBuildOnIt) {
  auto state = make();
  fill(*state, 5000);
  ASSERT_TRUE(checkpoint(*state, 1).ok());
  const auto full = state->snapshot(2, dir_ + "/2", control::SnapshotForm::kFull)->run(files_);
  EXPECT_EQ(full->files.size(), 1u);
  const auto next = checkpoint(*state, 3);
  EXPECT_EQ(next->files.size(), 2u);
  EXPECT_LT(next->written_bytes, full->written_bytes / 2);
  ASSERT_TRUE(files_.remove(dir_ + "/1").ok());
  auto restored = make();
  ASSERT_TRUE(restored->restore({*next}, {kOp}, true, files_).ok());
  EXPECT_EQ(all_of(*restored), all_of(*state));
}

using SliceModel = std::map<std::int64_t, Model>;

SliceModel contents(const Slices& slices) {
  SliceModel model;
  for (const auto& [number, table] : slices.tables()) {
    if (table->rows() > 0) model[number] = contents(*table);
  }
  return model;
}
void put(Slices& slices, std::int64_t number, const std::string& key, const std::string& value) {
  Table& table = slices.table(number);
  const auto row = table.upsert(view(key), data::hash_of(view(key)), 0, static_cast<std::uint32_t>(value.size()));
  ASSERT_TRUE(row.ok());
  std::memcpy(table.writable_value(*row), value.data(), value.size());
}

// Slices come and go between checkpoints; each is restored from its own files, also at other parallelisms.
TEST_F(TaskStateTest, SlicesAreRestoredAtAnyParallelismAndGoWithTheirPages) {
  auto state = make();
  Slices* slices = *state->slices(kOp, "op", "~slices", 8, "~windows");
  for (std::int64_t number = -5; number < 5; ++number) {
    for (int key = 0; key < (number == 0 ? 20'000 : 3); ++key)
      put(*slices, number, fmt::format("{:08}", key), fmt::format("{:4}{:4}", number, key % 1000));
  }
  const auto first = checkpoint(*state, 1);
  const std::uint64_t before = pool_.used_bytes();
  slices->erase(-5);
  slices->erase(3);
  put(*slices, 1'000'000'007, "late", "12345678");
  const auto second = checkpoint(*state, 2);
  ASSERT_TRUE(second.ok());
  EXPECT_LT(second->written_bytes, first->written_bytes / 10);  // the large slice stays where it was written
  for (const std::uint32_t parallelism : {1u, 3u}) {
    SliceModel together;
    for (std::uint32_t subtask = 0; subtask < parallelism; ++subtask) {
      auto restored = make(subtask, parallelism);
      ASSERT_TRUE(restored->restore({*second}, {kOp}, true, files_).ok());
      for (const auto& [number, rows] : contents(**restored->slices(kOp, "op", "~slices", 8, "~windows")))
        together[number].insert(rows.begin(), rows.end());
    }
    EXPECT_EQ(together, contents(*slices));
  }
  slices->erase(0);
  EXPECT_LT(pool_.used_bytes(), before / 10);
}

// What versions before slices kept in one grouped table.
TEST_F(TaskStateTest, SlicesTakeOverAGroupedTable) {
  auto old = make();
  Table* grouped = *old->table(kOp, "op", "~windows", {8, true, false});
  for (int i = 0; i < 1000; ++i) {
    const std::string key = fmt::format("{}", i % 300);
    const auto row = grouped->upsert(view(key), data::hash_of(view(key)), i % 7, 8);
    std::memcpy(grouped->writable_value(*row), fmt::format("{:8}", i).data(), 8);
  }
  const auto handle = checkpoint(*old, 1);
  auto state = make();
  ASSERT_TRUE(state->restore({*handle}, {kOp}, true, files_).ok());
  const auto slices = state->slices(kOp, "op", "~slices", 8, "~windows");
  ASSERT_TRUE(slices.ok());
  SliceModel expected;
  for (const auto& [id, value] : contents(*grouped)) expected[id.first][{0, id.second}] = value;
  EXPECT_EQ(contents(**slices), expected);
  // And from then on as slices alone.
  auto again = make();
  ASSERT_TRUE(again->restore({*checkpoint(*state, 2)}, {kOp}, true, files_).ok());
  EXPECT_EQ(contents(**again->slices(kOp, "op", "~slices", 8, "~windows")), expected);
}

TEST_F(TaskStateTest, ManySlicesOfFewRowsTakeLittleMemory) {
  auto state = make();
  Slices* slices = *state->slices(kOp, "op", "~slices", 8, "~windows");
  constexpr int kSlices = 10'000;
  for (int i = 0; i < kSlices; ++i) put(*slices, i, "a key", "12345678");
  EXPECT_LE(pool_.used_bytes(), std::uint64_t{kSlices} * kPageBytesMin);
  EXPECT_LT(pool_.total_bytes(), 8u << 20);
  while (!slices->tables().empty()) slices->erase(slices->tables().begin()->first);
  EXPECT_EQ(pool_.used_bytes(), 0u);
  EXPECT_TRUE(pool_.trim());
}

// A value grows in steps; time is linear, and a checkpoint writes what was added.
TEST_F(TaskStateTest, LargeValuesGrowInPlaceAndCheckpointsWriteWhatChanged) {
  auto state = make();
  Table* table = *state->table(kOp, "op", "t", {0, false, false});
  Address row = *table->upsert(view("key"), data::hash_of(view("key")), 0, 0);
  constexpr std::uint32_t kStep = 1000, kSteps = 20'000;
  int moves = 0;
  const auto append = [&] {
    const auto at = static_cast<std::uint32_t>(table->value_of(row).size());
    const Address before = row;
    row = *table->resize(row, at + kStep);
    moves += row != before ? 1 : 0;
    std::memset(table->writable_part(row, at, kStep), static_cast<int>('a' + at / kStep % 26), kStep);
  };
  for (std::uint32_t i = 0; i < kSteps; ++i) append();
  EXPECT_LT(moves, 60);
  const auto first = checkpoint(*state, 1);
  append();
  const auto second = checkpoint(*state, 2);
  EXPECT_LT(second->written_bytes, first->written_bytes / 10);
  auto restored = make();
  ASSERT_TRUE(restored->restore({*second}, {kOp}, true, files_).ok());
  EXPECT_EQ(contents(**restored->table(kOp, "op", "t", {0, false, false})), contents(*table));
}

TEST_F(TaskStateTest, SaysWhoOutgrewItsMemory) {
  budget_.bytes_max = 4 * kPageBytes;
  auto state = make();
  Table* table = *state->table(kOp, "joins", "left", {1000, false, false});
  Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) {
    const std::string key = fmt::format("{}", i);
    const auto row = table->upsert(view(key), data::hash_of(view(key)), 0, 1000);
    if (!row.ok()) status = row.status();
  }
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_NE(status.message().find("operator 'joins', state 'left'"), std::string::npos);
}

TEST_F(TaskStateTest, BatchedAccessGivesOneAddressToEqualKeysAndKnowsNullFromEmpty) {
  auto state = make();
  Table* table = *state->table(kOp, "op", "t", {8, false, false});
  data::View null{};
  std::memset(null.u.inlined, 0xff, 4);
  const std::vector<data::View> keys{view("a"), view(""), null, view("a"), view("b")};
  std::vector<std::uint64_t> hashes;
  for (const data::View& k : keys) hashes.push_back(data::hash_of(k));
  void* rows[5];
  std::uint8_t fresh[5];
  ASSERT_TRUE(table->values(keys, hashes, {}, true, rows, fresh).ok());
  EXPECT_EQ(rows[0], rows[3]);
  EXPECT_NE(rows[1], rows[2]);
  EXPECT_EQ(std::vector<int>(fresh, fresh + 5), (std::vector<int>{1, 1, 1, 0, 1}));
  ASSERT_TRUE(table->values(std::span(keys).subspan(4), std::span(hashes).subspan(4), {}, false, rows, nullptr).ok());
  EXPECT_NE(rows[0], nullptr);
}

}  // namespace
}  // namespace drey::state
