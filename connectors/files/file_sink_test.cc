#include "connectors/files/file_sink.h"

#include <gmock/gmock.h>

#include "connectors/files/test_job.h"
#include "runtime/task_meter.h"

namespace drey::connectors::files {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class FileSinkTest : public FilesTest {};

// The real file system, whose disk takes no more than so many bytes below one directory.
class FullDisk final : public env::FileSystem {
 public:
  FullDisk(env::FileSystem& real, std::string directory, std::uint64_t bytes)
      : real_(real), directory_(std::move(directory)), left_(bytes) {}
  Result<std::unique_ptr<env::ReadableFile>> open(const std::string& path) override { return real_.open(path); }
  Result<std::unique_ptr<env::WritableFile>> create(const std::string& path, bool append) override {
    DREY_TRY_ASSIGN(auto file, real_.create(path, append));
    if (!path.starts_with(directory_)) return file;
    return std::unique_ptr<env::WritableFile>(std::make_unique<File>(std::move(file), path, left_));
  }
  Status rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Status remove(const std::string& path) override { return real_.remove(path); }
  Status remove_tree(const std::string& path) override { return real_.remove_tree(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Status make_directories(const std::string& path, std::uint32_t mode) override {
    return real_.make_directories(path, mode);
  }
  Result<env::FileStat> stat(const std::string& path) override { return real_.stat(path); }
  Status sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Status hard_link(const std::string& from, const std::string& to) override { return real_.hard_link(from, to); }
  Result<std::uint64_t> free_bytes(const std::string& path) override { return real_.free_bytes(path); }

 private:
  class File final : public env::WritableFile {
   public:
    File(std::unique_ptr<env::WritableFile> real, std::string path, std::uint64_t& left)
        : real_(std::move(real)), path_(std::move(path)), left_(left) {}
    Status append(std::string_view bytes) override {
      const std::uint64_t fits = std::min<std::uint64_t>(bytes.size(), left_);
      left_ -= fits;
      DREY_TRY(real_->append(bytes.substr(0, fits)));
      return fits == bytes.size() ? Status() : fail(Code::kResourceExhausted, "No space left: path=" + path_);
    }
    Status sync() override { return real_->sync(); }
    Status close() override { return real_->close(); }

   private:
    std::unique_ptr<env::WritableFile> real_;
    const std::string path_;
    std::uint64_t& left_;
  };
  env::FileSystem& real_;
  const std::string directory_;
  std::uint64_t left_;
};

TEST_F(FileSinkTest, WritesWhatCsvNeeds) {
  const std::string path = write("in.csv", "a,b,c\n1,\"x,y\",2013-01-01T10:00:00Z\n,plain,2013-01-02T00:00:00Z\n");
  ASSERT_TRUE(run("a:l?;b:vu;c:tsm:UTC", {{"path", path}}).ok());
  EXPECT_THAT(lines(), ElementsAre(",plain,2013-01-02T00:00:00Z", "1,\"x,y\",2013-01-01T10:00:00Z"));
}

TEST_F(FileSinkTest, EachFileBeginsWithAHeaderThatTheSourceReads) {
  const std::string path = write("in.csv", "a;b\n1;x,y\n2;\n");
  ASSERT_TRUE(run("a:l;b:vu", {{"path", path}, {"delimiter", ";"}}, {{"header", "true"}, {"delimiter", "|"}}).ok());
  EXPECT_THAT(lines(), ElementsAre("1|x,y", "2|", "a|b"));
  ASSERT_TRUE(disk_.rename(directory_ + "/out", directory_ + "/again").ok());
  ASSERT_TRUE(run("b:vu;a:l", {{"path", directory_ + "/again"}, {"delimiter", "|"}}).ok());
  EXPECT_THAT(lines(), ElementsAre("\"x,y\",1", ",2"));
}

TEST_F(FileSinkTest, WritesJsonLines) {
  const std::string path = write("in.csv", "a,b\n1,say \"hi\"\n,x\n");
  ASSERT_TRUE(run("a:l?;b:vu", {{"path", path}}, {{"format", "json"}}).ok());
  EXPECT_THAT(lines(), ElementsAre(R"({"a":1,"b":"say \"hi\""})", R"({"a":null,"b":"x"})"));
  EXPECT_THAT(visible(), ElementsAre(testing::EndsWith(".jsonl")));
}

TEST_F(FileSinkTest, MeasuresWhatItHasWritten) {
  std::string text = "n\n";
  for (int i = 0; i < 50'000; ++i) text += fmt::format("{}\n", 1'000'000 + i);
  metrics::Metrics seen;
  Tap tap;
  runtime::LocalJobOptions options;
  options.on_tasks_ended = [&](const std::vector<std::shared_ptr<runtime::Task>>& tasks) {
    ASSERT_EQ(tasks.size(), 1u);
    const auto reading = tasks[0]->meter().read({}, {});
    seen = {reading.names, reading.values};
  };
  tap.on_row = [](std::int64_t) { return Status(); };
  ASSERT_TRUE(run("n:l", {{"path", write("in.csv", text)}}, {}, options, &tap).ok());
  EXPECT_EQ(seen.whole("out.numRecordsSend"), 50'000);
  EXPECT_EQ(seen.whole("out.numBytesSend"), 50'000 * 8);
  EXPECT_EQ(seen.find("out.pendingCommittables"), metrics::Value(std::int64_t{0}));
  EXPECT_GE(seen.whole("out.currentSendTime"), 0);
  EXPECT_TRUE(seen.find("out.currentSendTime").has_value());
  EXPECT_EQ(seen.whole("Source__files.numRecordsIn"), 50'000);
  EXPECT_EQ(seen.find("Source__files.numRecordsInErrors"), metrics::Value(std::int64_t{0}));
}

TEST_F(FileSinkTest, AFullDiskFailsTheJobAndShowsNoFile) {
  std::string text = "n\n";
  for (int i = 0; i < 50'000; ++i) text += fmt::format("{}\n", 1'000'000 + i);
  const std::string path = write("in.csv", text);
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{300'000}}) {
    FullDisk files(disk_, directory_ + "/out", bytes);
    env::Env& real = env::posix();
    env::Env env{real.clock, real.random, files, real.network, real.processes, real.io, real.threads};
    const auto result = run("n:l", {{"path", path}}, {}, 1, env);
    ASSERT_FALSE(result.ok()) << bytes;
    EXPECT_EQ(result.status().code(), Code::kResourceExhausted);
    EXPECT_THAT(result.status().to_string(), HasSubstr(directory_ + "/out/."));
    EXPECT_THAT(visible(), IsEmpty()) << bytes;
  }
  // There is space again.
  ASSERT_TRUE(run("n:l", {{"path", path}}).ok());
  EXPECT_EQ(lines().size(), 50'000u);
}

TEST_F(FileSinkTest, FilesOfOtherJobsStayUnlessTheyAreToBeOverwritten) {
  const std::string path = write("in.csv", "n\n1\n");
  ASSERT_TRUE(disk_.make_directories(directory_ + "/out").ok());
  const auto leave = [&] {
    for (const char* name : {"out/part-0badf00d-0-0.csv", "out/.part-0badf00d-0-1.csv", "out/notes.txt"})
      write(name, "7\n");
  };
  leave();
  ASSERT_TRUE(run("n:l", {{"path", path}}).ok());
  EXPECT_EQ(names().size(), 4u);
  ASSERT_TRUE(run("n:l", {{"path", path}}, {{"overwrite", "true"}}).ok());
  EXPECT_THAT(names(), Not(testing::Contains(HasSubstr("0badf00d"))));
  EXPECT_THAT(names(), testing::Contains("notes.txt"));
}

TEST_F(FileSinkTest, WithoutCheckpointsFilesAreShownAtTheEnd) {
  runtime::LocalJobOptions options;
  options.state_directory = "none";
  ASSERT_TRUE(run("n:l", {{"path", write("in.csv", "n\n1\n2\n")}}, {}, options, nullptr).ok());
  EXPECT_THAT(lines(), ElementsAre("1", "2"));
}

TEST_F(FileSinkTest, AFailedJobLeavesOnlyHiddenFiles) {
  std::string text = "n\n";
  for (int i = 0; i < 100'000; ++i) text += fmt::format("{}\n", i);
  ASSERT_FALSE(run("n:l", {{"path", write("in.csv", text + "x\n")}}).ok());
  EXPECT_THAT(names(), Not(IsEmpty()));
  EXPECT_THAT(names(), Each(StartsWith(".part-")));
}

TEST_F(FileSinkTest, ADirectoryThatCannotBeMadeIsNamed) {
  write("file", "");
  const auto result = run("n:l", {{"path", write("in.csv", "n\n1\n")}}, {{"path", directory_ + "/file/out"}});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().to_string(), HasSubstr(directory_ + "/file"));
}

}  // namespace
}  // namespace drey::connectors::files
