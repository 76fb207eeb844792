// For tests: files -> files, run in this process.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/all.h"
#include "env/env.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

namespace drey::connectors::files {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        fmt::format("{}/scratch/{}-{}", DREY_BINARY_DIR,
                    testing::UnitTest::GetInstance()->current_test_info()->name(), getpid());
    ASSERT_TRUE(disk_.remove_tree(directory_).ok());
    ASSERT_TRUE(disk_.make_directories(directory_ + "/state").ok());
    operators::add_builtin_kinds(registry_);
    add_connector_kinds(registry_);
  }
  void TearDown() override { ASSERT_TRUE(disk_.remove_tree(directory_).ok()); }

  using Options = std::map<std::string, std::string>;

  // The graph: source.files with `source` options -> sink.files with `sink` options into out/.
  Result<runtime::LocalJobResult> run(const std::string& schema, Options source, Options sink = {},
                                      std::int32_t parallelism = 1, env::Env& env = env::posix()) {
    auto code = std::make_shared<runtime::JobCode>();
    graph::OperatorNode from;
    from.kind = "source.files";
    from.name = "files";
    from.options = std::move(source);
    from.outputs = {schema};
    graph::OperatorNode to;
    to.number = 1;
    to.kind = "sink.files";
    to.name = "out";
    to.options = std::move(sink);
    to.options.emplace("path", directory_ + "/out");
    code->graph.operators = {from, to};
    code->graph.edges = {{0, 0, 1, 0, graph::Partitioner::kForward, {}}};
    code->operators.resize(2);
    code->edges.resize(1);
    runtime::LocalJobOptions options;
    options.parallelism = parallelism;
    options.state_directory = directory_ + "/state";
    return runtime::run_local_job(code, options, env, registry_);
  }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    EXPECT_TRUE(disk_.write_atomic(path, text).ok());
    return path;
  }
  // Lines of all visible files, sorted.
  std::vector<std::string> lines() {
    std::vector<std::string> all;
    for (const std::string& name : visible()) {
      std::string text = *disk_.read_all(directory_ + "/out/" + name);
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        all.push_back(text.substr(at, end - at));
        at = end + 1;
      }
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  std::vector<std::string> names() { return disk_.list(directory_ + "/out").value_or({}); }
  std::vector<std::string> visible() {
    std::vector<std::string> found = names();
    std::erase_if(found, [](const std::string& name) { return name.starts_with('.'); });
    return found;
  }

  env::FileSystem& disk_ = env::posix().files;
  std::string directory_;
  operators::Registry registry_;
};

}  // namespace drey::connectors::files
