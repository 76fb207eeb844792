// Documentation cannot go stale: every C++ snippet of docs/datastream.md stands in an example that
// is compiled, and every example builds a graph.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "fake_host.h"

namespace {

std::string read(const std::string& path) {
  std::ifstream f(std::string(DREY_SOURCE_DIR) + "/" + path);
  std::stringstream s;
  s << f.rdbuf();
  return s.str();
}

}  // namespace

namespace {
void expect_compiled(const std::string& page_path, const std::string& code, int fewest) {
  const std::string page = read(page_path);
  ASSERT_FALSE(page.empty());
  int snippets = 0;
  for (std::size_t at = 0; (at = page.find("```cpp\n", at)) != std::string::npos;) {
    at += 7;
    const std::size_t end = page.find("```", at);
    EXPECT_NE(code.find(page.substr(at, end - at)), std::string::npos) << page.substr(at, end - at);
    at = end + 3;
    ++snippets;
  }
  EXPECT_GE(snippets, fewest);
}
}  // namespace

TEST(Examples, SnippetsOfTheDocumentationAreCompiled) {
  expect_compiled("docs/datastream.md", read("tests/api/examples/datastream.cc"), 9);
  expect_compiled("README.md", read("tests/api/readme.cc"), 2);
}

TEST(Examples, BuildGraphs) {
  const std::vector<std::string> paths{"--input", "/i", "--output", "/o"};
  for (const char* job : {"hits", "words", "lambdas", "sessions", "windows", "triggers"}) {
    EXPECT_EQ(fake::build(job, paths)->failed, "") << job;
  }
  EXPECT_EQ(fake::build("two_streams", {"--hits", "/h", "--titles", "/t", "--other", "/x"})->failed, "");
  EXPECT_EQ(fake::build("settings")->failed, "");
}

TEST(Examples, Sessions) {
  const fake::Files files{
      {"/i", {{"/a", "ann", "10", "0"}, {"/b", "ann", "NA", "60000"}, {"/a", "bob", "2000000", "5000"}}}};
  auto run = fake::run("sessions", {"--input", "/i", "--output", "/o"}, files);
  EXPECT_EQ(run.failed, "");
  EXPECT_EQ(run.rows["/o"], (std::vector<std::string>{"bob|1805000|1", "ann|1860000|2"}));
  EXPECT_EQ(run.accumulators["hugeHits"], 1);
}
