#include "rest/static_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace drey::rest {
namespace {

using testing::Contains;
using testing::Pair;

// A folder with a page, an asset, a hidden file and, beside it, a file that is none of its
// business.
class StaticFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = testing::TempDir() + "static_files_test";
    ASSERT_TRUE(files_.remove_tree(base_).ok());
    ASSERT_TRUE(files_.make_directories(base_ + "/web/assets").ok());
    write("/secret.txt", "not served");
    write("/web/index.html", "<p>page</p>");
    write("/web/.hidden", "not served");
    write("/web/assets/a.svg", "<svg/>");
  }
  void write(const std::string& name, std::string_view bytes) {
    ASSERT_TRUE(files_.write_atomic(base_ + name, bytes).ok());
  }
  StaticFiles made() { return *StaticFiles::make(base_ + "/web", files_); }

  env::FileSystem& files_ = env::posix().files;
  std::string base_;
  const Instant now_{1'795'311'000'000};
};

TEST_F(StaticFilesTest, ADirectoryMeansItsIndexAndTypesGoByTheEnding) {
  const StaticFiles files = made();
  const auto page = files.get("/", "", now_);
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->body, "<p>page</p>");
  EXPECT_THAT(page->headers, Contains(Pair("content-type", "text/html")));
  EXPECT_THAT(page->headers, Contains(Pair("cache-control", "private, max-age=300")));
  EXPECT_THAT(files.get("/assets/a.svg", "", now_)->headers, Contains(Pair("content-type", "image/svg+xml")));
}

TEST_F(StaticFilesTest, TheFilesOwnTimeIsNotModified) {
  const StaticFiles files = made();
  std::string modified;
  const auto first = files.get("/index.html", "", now_);
  for (const auto& [name, value] : first->headers) {
    if (name == "last-modified") modified = value;
  }
  const auto again = files.get("/index.html", modified, now_);
  EXPECT_EQ(again->status, 304);
  EXPECT_TRUE(again->close);
  EXPECT_EQ(files.get("/index.html", "no date at all", now_)->status, 200);
  EXPECT_EQ(files.get("//index.html", "", now_)->status, 200);
  EXPECT_TRUE(files.is_folder("/assets"));
  EXPECT_FALSE(files.is_folder("/index.html"));
}

TEST_F(StaticFilesTest, NothingOutsideAndNothingHiddenIsServed) {
  const StaticFiles files = made();
  for (const char* path : {"/assets", "/assets/", "/.hidden", "/../secret.txt", "/assets/../../secret.txt",
                           "/%2e%2e/secret.txt", "/..\\secret.txt", "index.html", "", "/nothing"}) {
    EXPECT_FALSE(files.get(path, "", now_).has_value()) << path;
  }
}

TEST_F(StaticFilesTest, SymbolicLinksAreNotFollowed) {
  namespace fs = std::filesystem;
  fs::create_symlink(base_ + "/secret.txt", base_ + "/web/secret.txt");
  fs::create_directory_symlink(base_, base_ + "/web/up");  // a loop, if it were followed
  const StaticFiles files = made();
  for (const char* path : {"/secret.txt", "/up/secret.txt", "/up/web/index.html"})
    EXPECT_FALSE(files.get(path, "", now_).has_value()) << path;
  EXPECT_TRUE(files.get("/", "", now_).has_value());
  // A file that became a link after the start is not followed either.
  fs::remove(base_ + "/web/assets/a.svg");
  fs::create_symlink(base_ + "/secret.txt", base_ + "/web/assets/a.svg");
  EXPECT_FALSE(files.get("/assets/a.svg", "", now_).has_value());
}

TEST_F(StaticFilesTest, AFolderWithoutAPageIsRefused) {
  const auto refused = StaticFiles::make(base_ + "/web/assets", files_);
  EXPECT_EQ(refused.status().code(), Code::kNotFound);
  EXPECT_FALSE(StaticFiles::make(base_ + "/none", files_).ok());
}

TEST(HttpDate, IsTheFixedForm) {
  EXPECT_EQ(http_date(Instant{1'795'310'920'500}), "Sun, 22 Nov 2026 01:28:40 GMT");
  EXPECT_EQ(http_date(Instant{0}), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace drey::rest
