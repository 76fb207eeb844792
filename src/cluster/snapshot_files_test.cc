#include "cluster/snapshot_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "env/env.h"
#include "state/task_state.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

class SnapshotFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fmt::format("{}/scratch/snapshots-{}", DREY_BINARY_DIR, getpid());
    ASSERT_TRUE(files_.remove_tree(dir_).ok());
    ASSERT_TRUE(files_.make_directories(dir_).ok());
  }
  void TearDown() override { ASSERT_TRUE(files_.remove_tree(dir_).ok()); }

  // A snapshot of one task, with one file.
  control::Checkpoint snapshot(control::SnapshotForm form, const std::string& name) {
    control::Checkpoint c;
    c.id = 7;
    c.form = form;
    c.path = dir_ + "/" + name;
    state::TaskStateHandle handle;
    handle.manifest = {c.path + "/a.state", 3};
    handle.files = {handle.manifest};
    c.tasks.emplace_back();
    c.tasks[0].ack.handle = wire::encode(handle);
    c.tasks[0].ack.files = {{c.path + "/a.state", 3}};
    EXPECT_TRUE(files_.make_directories(c.path).ok());
    EXPECT_TRUE(files_.write_atomic(c.path + "/a.state", "abc").ok());
    EXPECT_TRUE(write_metadata(files_, c).ok());
    return c;
  }

  env::FileSystem& files_ = env::posix().files;
  std::string dir_;
};

TEST_F(SnapshotFilesTest, ASavepointNamesItsFilesWhereverItHasBeenMoved) {
  snapshot(control::SnapshotForm::kCanonical, "savepoint");
  ASSERT_TRUE(files_.rename(dir_ + "/savepoint", dir_ + "/moved").ok());
  for (const std::string& path : {dir_ + "/moved", "file://" + dir_ + "/moved/", "file:" + dir_ + "/moved/_metadata"}) {
    const auto read = read_checkpoint(files_, path);
    ASSERT_TRUE(read.ok()) << path << ": " << read.status().to_string();
    EXPECT_EQ(read->path, dir_ + "/moved");
    EXPECT_EQ(read->tasks[0].ack.files[0].first, dir_ + "/moved/a.state");
    EXPECT_EQ(wire::decode<state::TaskStateHandle>(read->tasks[0].ack.handle)->manifest.path, dir_ + "/moved/a.state");
  }
}

TEST_F(SnapshotFilesTest, WhatIsNoSnapshotOrDamagedIsSaidToBe) {
  EXPECT_EQ(read_checkpoint(files_, dir_ + "/none").status().code(), Code::kNotFound);
  for (const char* path : {"", "x/y", "zz://x", "hdfs:///x"})
    EXPECT_EQ(read_checkpoint(files_, path).status().code(), Code::kInvalidArgument) << path;
  const auto c = snapshot(control::SnapshotForm::kNative, "savepoint");
  const std::string good = *files_.read_all(c.path + "/_metadata");
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    ASSERT_TRUE(files_.write_atomic(c.path + "/_metadata", bad).ok());
    const Code code = read_checkpoint(files_, c.path).status().code();
    EXPECT_TRUE(code == Code::kCorrupt || code == Code::kIncompatible) << "byte " << at;
    if (at > 30 && at + 8 < good.size()) at += good.size() / 30;
  }
  for (const std::string& flinks : {std::string("\x49\x60\x67\x2d\x00\x00\x00\x04", 8), std::string()}) {
    ASSERT_TRUE(files_.write_atomic(c.path + "/_metadata", flinks).ok());
    EXPECT_EQ(read_checkpoint(files_, c.path).status().code(), Code::kCorrupt);
    EXPECT_FALSE(dispose(files_, c.path).ok());
    EXPECT_TRUE(files_.stat(c.path + "/a.state").ok());
  }
}

TEST_F(SnapshotFilesTest, DisposalDeletesExactlyWhatIsNamed) {
  const auto alone = snapshot(control::SnapshotForm::kCanonical, "one");
  ASSERT_TRUE(dispose(files_, alone.path).ok());
  EXPECT_EQ(files_.stat(alone.path).status().code(), Code::kNotFound);
  EXPECT_EQ(dispose(files_, alone.path).code(), Code::kNotFound);
  const auto shared = snapshot(control::SnapshotForm::kCanonical, "two");
  ASSERT_TRUE(files_.write_atomic(shared.path + "/mine.txt", "x").ok());
  ASSERT_TRUE(dispose(files_, shared.path).ok());
  EXPECT_EQ(*files_.list(shared.path), std::vector<std::string>{"mine.txt"});
}

}  // namespace
}  // namespace drey::cluster
