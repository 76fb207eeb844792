#include "connectors/files/file_source.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>

#include "connectors/files/test_job.h"

namespace drey::connectors::files {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FileSourceTest : public FilesTest {};

std::string numbers(int count) {
  std::string text = "n,text\n";
  for (int i = 0; i < count; ++i) text += fmt::format("{},this is row number {}\n", i, i);
  return text;
}

TEST_F(FileSourceTest, LocalPathsMayBeUrls) {
  for (const char* path : {"/a/b", "file:/a/b", "file:///a/b"}) EXPECT_EQ(local_path(path), "/a/b");
}

// A file is cut into ranges for the subtasks; each row belongs to exactly one, wherever the cut
// falls.
TEST_F(FileSourceTest, EveryRowIsReadOnceAtAnyParallelism) {
  const std::string path = write("in.csv", numbers(20'000));
  for (const std::int32_t parallelism : {1, 2, 3, 7}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    const auto result = run("n:l", {{"path", path}}, {}, parallelism);
    ASSERT_TRUE(result.ok()) << result.status().to_string();
    const std::vector<std::string> found = lines();
    ASSERT_EQ(found.size(), 20'000u) << parallelism;
    EXPECT_EQ(std::adjacent_find(found.begin(), found.end()), found.end()) << parallelism;
    EXPECT_EQ(visible().size(), static_cast<std::size_t>(parallelism));
  }
}

// After a failure the job goes on at another parallelism: what is unread is dealt out anew, cut further where that
// gives every subtask something, and each row is read once all the same.
TEST_F(FileSourceTest, WhatIsUnreadIsSharedByAllAtAnotherParallelism) {
  ASSERT_TRUE(disk_.make_directories(directory_ + "/small").ok());
  constexpr int kRows = 14'000;
  write("large.csv", numbers(kRows));
  for (int f = 0; f < 20; ++f) {
    std::string text = "n,text\n";
    for (int i = f * kRows / 20; i < (f + 1) * kRows / 20; ++i) text += fmt::format("{},row\n", i);
    write(fmt::format("small/{}.csv", f), text);
  }
  for (const char* input : {"/large.csv", "/small"}) {
    for (const auto& [before, after] : std::vector<std::pair<int, int>>{{1, 4}, {2, 3}, {3, 2}, {2, 5}, {4, 1}}) {
      const std::string what = fmt::format("{} from {} to {}", input, before, after);
      ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
      registry_ = {};
      operators::add_builtin_kinds(registry_);
      add_connector_kinds(registry_);
      Tap tap;
      std::atomic<int> rows{0};
      std::atomic<bool> has_failed{false};
      tap.on_row = [&](std::int64_t) -> Status {
        if (++rows < kRows / 8 || tap.checkpoints < 2 * before || has_failed.exchange(true)) return {};
        return fail(Code::kIo, "on purpose");
      };
      runtime::LocalJobOptions options;
      options.parallelism = before;
      options.restarts = {after};
      options.checkpoint_interval = Millis(5);
      const auto result = run("n:l", {{"path", directory_ + input}, {"rate", "60000"}}, {}, options, &tap);
      ASSERT_TRUE(result.ok()) << what << ": " << result.status().to_string();
      ASSERT_TRUE(has_failed) << what;
      const std::vector<std::string> found = lines();
      EXPECT_EQ(found.size(), static_cast<std::size_t>(kRows)) << what;
      EXPECT_EQ(std::adjacent_find(found.begin(), found.end()), found.end()) << what;
      std::map<int, std::size_t> bytes_of;
      for (const std::string& name : visible()) {
        int subtask = 0;
        ASSERT_EQ(std::sscanf(name.c_str(), "part-%*32c-%*32c-%d", &subtask), 1) << name;
        bytes_of[subtask] += disk_.stat(directory_ + "/out/" + name)->size;
      }
      for (int s = before; s < after; ++s)
        EXPECT_GT(bytes_of[s], 1000u) << what << ": subtask " << s << " had nothing to read";
    }
  }
}

// Files that come into a directory are found by the subtask whose they are, also when a subtask has several shares.
TEST_F(FileSourceTest, AWatchedDirectoryIsReadOnceBeforeAndAfterAnotherParallelism) {
  ASSERT_TRUE(disk_.make_directories(directory_ + "/in").ok());
  constexpr int kFiles = 24;
  const auto add = [&](int file) {
    const std::string fresh = write("fresh.csv", fmt::format("n\n{}\n", file));
    EXPECT_TRUE(disk_.rename(fresh, fmt::format("{}/in/{}.csv", directory_, (file * 7) % kFiles)).ok());
  };
  add(0);
  Tap tap;
  std::mutex mutex;
  std::set<std::int64_t> seen;
  std::size_t wanted = kFiles / 3;
  tap.on_row = [&](std::int64_t value) -> Status {
    const std::lock_guard lock(mutex);
    if (!seen.insert(value).second) return {};  // what no checkpoint had is read again
    if (value + 1 < kFiles) add(static_cast<int>(value) + 1);
    if (seen.size() < wanted) return {};
    wanted += kFiles / 3;
    return fail(Code::kIo, "that is all for now");
  };
  runtime::LocalJobOptions options;
  options.parallelism = 4;
  options.restarts = {2, 3};
  options.checkpoint_interval = Millis(2);
  const auto result = run("n:l", {{"path", directory_ + "/in"}, {"watch_ms", "1"}}, {}, options, &tap);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kFiles)) << "the job hangs before, should a file be nobody's";
  const std::vector<std::string> found = lines();
  EXPECT_EQ(std::adjacent_find(found.begin(), found.end()), found.end());
}

TEST_F(FileSourceTest, CompressionIsToldByContent) {
  const std::string plain = numbers(5000);
  std::string zstd(ZSTD_compressBound(plain.size()), '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), plain.data(), plain.size(), 1));
  const std::string gzip_path = directory_ + "/gzip";
  gzFile gzip = gzopen(gzip_path.c_str(), "wb");
  ASSERT_EQ(gzwrite(gzip, plain.data(), static_cast<unsigned>(plain.size())), static_cast<int>(plain.size()));
  gzclose(gzip);
  for (const std::string& path : {write("zstd", zstd), gzip_path}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    ASSERT_TRUE(run("n:l", {{"path", path}}, {}, 2).ok());
    EXPECT_EQ(lines().size(), 5000u) << path;
    // Cut off at the end, it is an error and not a short file.
    std::string whole = *disk_.read_all(path);
    const std::string cut = write("cut", whole.substr(0, whole.size() - 20));
    const auto result = run("n:l", {{"path", cut}});
    ASSERT_FALSE(result.ok()) << path;
    EXPECT_EQ(result.status().code(), Code::kCorrupt);
    EXPECT_THAT(result.status().to_string(), HasSubstr(cut));
  }
}

TEST_F(FileSourceTest, ADirectoryIsAllItsFilesButHiddenOnes) {
  for (const char* name : {"a.csv", "b.csv", ".c.csv", "_d.csv"}) {
    ASSERT_TRUE(disk_.make_directories(directory_ + "/in").ok());
    write(std::string("in/") + name, fmt::format("n\n{}\n", static_cast<int>(name[0])));
  }
  ASSERT_TRUE(run("n:l", {{"path", directory_ + "/in"}}, {}, 2).ok());
  EXPECT_THAT(lines(), ElementsAre("97", "98"));
}

TEST_F(FileSourceTest, BadRowsFailTheJobByFileLineAndColumn) {
  const std::string path = write("in.csv", "n,m\n1,2\n3,x\n5,6\n");
  const auto result = run("n:l;m:l", {{"path", path}});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  for (const std::string& word : {path, std::string("line=3"), std::string("column 'm'"), std::string("value=x")}) {
    EXPECT_THAT(result.status().to_string(), HasSubstr(word));
  }
}

TEST_F(FileSourceTest, BadRowsAreSkippedAndCountedWhenAskedFor) {
  const std::string path = write("in.csv", "n,m\n1,2\n3,x\n5\n7,8,9\n\"10\n11,12\n");
  const auto result = run("n:l;m:l", {{"path", path}, {"on_error", "skip"}});
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_THAT(lines(), ElementsAre("1,2", "11,12"));
  EXPECT_EQ(result->accumulators.at("numRecordsInErrors").whole, 4);
}

TEST_F(FileSourceTest, JsonLinesAndText) {
  const std::string json = write("in.jsonl",
                                 "{\"n\":1,\"t\":\"caf\\u00e9\"}\n\n{\"t\":\"b\",\"n\":2,\"more\":["
                                 "]}\n{\"n\":\"x\",\"t\":\"c\"}\n");
  auto result = run("n:l;t:vu", {{"path", json}, {"format", "json"}});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().to_string(), HasSubstr("line=4"));
  ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
  ASSERT_TRUE(run("n:l;t:vu", {{"path", json}, {"format", "json"}, {"on_error", "skip"}}).ok());
  EXPECT_THAT(lines(), ElementsAre("1,caf\xC3\xA9", "2,b"));
  ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
  ASSERT_TRUE(run("line:vu", {{"path", write("in.txt", "one\r\n\nlast")}, {"format", "text"}}).ok());
  EXPECT_THAT(lines(), ElementsAre("\"\"", "last", "one"));
}

TEST_F(FileSourceTest, AMissingFileAndAMissingColumnAreNamed) {
  auto result = run("n:l", {{"path", directory_ + "/nothing.csv"}});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().to_string(), HasSubstr("nothing.csv"));
  result = run("gone:l", {{"path", write("in.csv", "n\n1\n")}});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().to_string(), HasSubstr("'gone'"));
}

TEST_F(FileSourceTest, AFileWithoutPermissionIsNamed) {
  // Below a directory that another user may walk through, which a checkout need not be.
  directory_ = std::filesystem::temp_directory_path() / "drey-permission-XXXXXX";
  ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  const std::string path = write("in.csv", "n\n1\n");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  // Root reads everything: the test is another user meanwhile (of this process's file accesses
  // alone).
  const bool is_root = geteuid() == 0;
  if (is_root && (chmod(directory_.c_str(), 0777) != 0 || seteuid(65'534) != 0))
    GTEST_SKIP() << "cannot become another user";
  const auto result = run("n:l", {{"path", path}}, {{"path", directory_ + "/out"}});
  if (is_root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kForbidden) << result.status().to_string();
  EXPECT_THAT(result.status().to_string(), HasSubstr(path));
  EXPECT_TRUE(disk_.remove_tree(directory_).ok());
}

TEST_F(FileSourceTest, PassesMoveTheirTimestampsByYears) {
  const std::string path = write("in.csv", "t\n2013-03-01T00:00:00Z\n");
  ASSERT_TRUE(run("t:tsm:UTC", {{"path", path}, {"passes", "3"}, {"pass_shift_years_column", "0"}}).ok());
  EXPECT_THAT(lines(), ElementsAre("2013-03-01T00:00:00Z", "2014-03-01T00:00:00Z", "2015-03-01T00:00:00Z"));
}

TEST_F(FileSourceTest, LinesMayEndWithCarriageReturnsAlone) {
  ASSERT_TRUE(run("a:l", {{"path", write("cr.csv", "b,a\r1,2\r3,4\r")}}).ok());
  EXPECT_THAT(lines(), ElementsAre("2", "4"));
  for (const auto& [format, text] : {std::pair{"json", "{\"a\":2}\r{\"a\":4}"}, {"text", "2\r4\r"}, {"csv", "2\r4"}}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    const Options source{{"path", write("cr", text)}, {"format", format}, {"header", "false"}};
    ASSERT_TRUE(run(std::string(format) == "text" ? "a:vu" : "a:l", source).ok()) << format;
    EXPECT_THAT(lines(), ElementsAre("2", "4")) << format;
  }
  // Large enough to be cut; an error's line counts these lines.
  std::string large = "n,text\r";
  for (int i = 0; i < 20'000; ++i) large += fmt::format("{},row {}\r", i, i);
  ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
  ASSERT_TRUE(run("n:l", {{"path", write("large.csv", large)}}, {}, 3).ok());
  EXPECT_EQ(lines().size(), 20'000u);
  const auto bad = run("n:l", {{"path", write("bad.csv", "n\r1\r2\rx\r")}});
  EXPECT_THAT(bad.status().message(), HasSubstr("line=4"));
  // Where newlines end the lines a carriage return is text, and in a header an error.
  ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
  ASSERT_TRUE(run("t:vu", {{"path", write("mixed.csv", "t,u\n1\r2,3\n")}}).ok());
  EXPECT_THAT(lines(), ElementsAre("\"1\r2\""));
  EXPECT_THAT(run("a:l", {{"path", write("mixed.csv", "a,b\r1,2\n3,4\n")}}).status().message(),
              HasSubstr("carriage return"));
}

TEST_F(FileSourceTest, AByteOrderMarkIsNoPartOfTheFirstRow) {
  const std::string mark = "\xEF\xBB\xBF";
  for (const auto& [format, header, text] : {std::tuple{"json", "false", "{\"a\":1}\n"},
                                             {"csv", "false", "1\n"},
                                             {"csv", "true", "a\n1\n"},
                                             {"csv", "true", "\"a\"\r\n1\r\n"},
                                             {"text", "false", "1\n"}}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    const Options source{{"path", write("in", mark + text)}, {"format", format}, {"header", header}};
    const auto result = run(std::string(format) == "text" ? "a:vu" : "a:l", source);
    ASSERT_TRUE(result.ok()) << result.status().to_string();
    EXPECT_THAT(lines(), ElementsAre("1")) << format;
  }
}

TEST_F(FileSourceTest, FilesWithoutRowsAreNoError) {
  ASSERT_TRUE(disk_.make_directories(directory_ + "/in").ok());
  write("in/a.csv", "n\n1\n");
  write("in/empty.csv", "");
  write("in/mark.csv", "\xEF\xBB\xBF");
  write("in/lines.csv", "\n\r\n\n");
  write("in/header.csv", "n");
  std::string packed(64, '\0');
  z_stream z{};
  ASSERT_EQ(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  write("in/packed.csv.gz", packed);
  for (const std::int32_t parallelism : {1, 3}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    const auto result = run("n:l", {{"path", directory_ + "/in"}}, {}, parallelism);
    ASSERT_TRUE(result.ok()) << result.status().to_string();
    EXPECT_THAT(lines(), ElementsAre("1"));
  }
}

TEST_F(FileSourceTest, AHeaderMayBeLongAndItsBoundIsNamed) {
  std::string header, row;
  for (int i = 0; i < 20'000; ++i) {
    header += fmt::format("column_{},", i);
    row += fmt::format("{},", i);
  }
  const std::string path = write("in.csv", header + "last\n" + row + "7\n");
  ASSERT_TRUE(run("column_19999:l;last:l", {{"path", path}}).ok());
  EXPECT_THAT(lines(), ElementsAre("19999,7"));
  EXPECT_THAT(run("last:l", {{"path", path}, {"row_bytes_max", "100000"}}).status().message(),
              testing::AllOf(HasSubstr("100000 bytes"), HasSubstr("row_bytes_max"), HasSubstr("in.csv")));
}

TEST_F(FileSourceTest, ALongRowIsSkippedAndCountedWhenAskedFor) {
  const std::string text = "1\n" + std::string(300'000, '7') + "\n2\n" + std::string(700'000, '8');
  for (const std::int32_t parallelism : {1, 4}) {
    ASSERT_TRUE(disk_.remove_tree(directory_ + "/out").ok());
    const std::string path = write("in.txt", text);
    const Options source{{"path", path}, {"format", "text"}, {"row_bytes_max", "200000"}};
    const auto failed = run("t:vu", source, {}, parallelism);
    EXPECT_THAT(failed.status().message(),
                testing::AllOf(HasSubstr(parallelism == 1 ? "line=2" : "line="), HasSubstr("longer than 200000 bytes"),
                               HasSubstr("row_bytes_max")));
    Options skipping = source;
    skipping["on_error"] = "skip";
    const auto result = run("t:vu", skipping, {}, parallelism);
    ASSERT_TRUE(result.ok()) << result.status().to_string();
    EXPECT_THAT(lines(), ElementsAre("1", "2"));
  }
}

TEST_F(FileSourceTest, ZstdMayBeginWithASkippableFrame) {
  const std::string text = "n\n1\n2\n";
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  const std::string skippable = std::string("\x52\x2A\x4D\x18\x03\x00\x00\x00", 8) + "abc";
  ASSERT_TRUE(run("n:l", {{"path", write("in.csv.zst", skippable + packed)}}).ok());
  EXPECT_THAT(lines(), ElementsAre("1", "2"));
}

TEST_F(FileSourceTest, JsonOfEveryKindIsReadAndWritten) {
  const std::string row = R"({"id":1,"user":{"name":"a","geo":null},"tags":["x","y"],"amount":799.929496989092949698})";
  const Options source{{"path", write("in.jsonl", row + "\n")}, {"format", "json"}};
  const std::string schema = "id:l;user:+s{name:vu;geo:+s?{city:vu?}};tags:+l{item:vu};amount:d:38,18";
  const auto result = run(schema, source, {{"format", "json"}});
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_THAT(lines(), ElementsAre(row));
}

}  // namespace
}  // namespace drey::connectors::files
