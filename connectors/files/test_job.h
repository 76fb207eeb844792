// For tests: files -> files, run in this process.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/all.h"
#include "env/env.h"
#include "operators/operator.h"
#include "operators/registry.h"
#include "runtime/local_job.h"

namespace drey::connectors::files {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fmt::format("{}/scratch/{}-{}", DREY_BINARY_DIR,
                             testing::UnitTest::GetInstance()->current_test_info()->name(), getpid());
    ASSERT_TRUE(disk_.remove_tree(directory_).ok());
    ASSERT_TRUE(disk_.make_directories(directory_ + "/state").ok());
    operators::add_builtin_kinds(registry_);
    add_connector_kinds(registry_);
  }
  void TearDown() override { ASSERT_TRUE(disk_.remove_tree(directory_).ok()); }

  using Options = std::map<std::string, std::string>;

  // Sees the first column of what passes between source and sink, and the checkpoints that are complete. A status that
  // is not ok fails the job. Called by all subtasks.
  struct Tap {
    std::function<Status(std::int64_t value)> on_row;
    std::atomic<int> checkpoints{0};
  };
  // The graph: source.files with `source` options -> sink.files with `sink` options into out/.
  Result<runtime::LocalJobResult> run(const std::string& schema, Options source, Options sink = {},
                                      std::int32_t parallelism = 1, env::Env& env = env::posix()) {
    runtime::LocalJobOptions options;
    options.parallelism = parallelism;
    return run(schema, std::move(source), std::move(sink), std::move(options), nullptr, env);
  }
  Result<runtime::LocalJobResult> run(const std::string& schema, Options source, Options sink,
                                      runtime::LocalJobOptions options, Tap* tap, env::Env& env = env::posix()) {
    auto code = std::make_shared<runtime::JobCode>();
    graph::OperatorNode from;
    from.kind = DREY_KIND_FILE_SOURCE;
    from.name = "files";
    from.options = std::move(source);
    from.outputs = {schema};
    graph::OperatorNode to;
    to.kind = DREY_KIND_FILE_SINK;
    to.name = "out";
    to.options = std::move(sink);
    to.options.emplace("path", directory_ + "/out");
    code->graph.operators = {from, to};
    if (tap != nullptr) {
      registry_.add(operators::declare<operators::NoOptions>({
          .name = "test.tap",
          .doc = "",
          .make_operator = [tap](operators::OperatorContext&, const operators::NoOptions&) { return make_tap(tap); },
      }));
      graph::OperatorNode between;
      between.kind = "test.tap";
      between.name = "tap";
      between.outputs = {schema};
      code->graph.operators.insert(code->graph.operators.begin() + 1, between);
    }
    const auto count = static_cast<std::uint32_t>(code->graph.operators.size());
    for (std::uint32_t i = 0; i < count; ++i) code->graph.operators[i].number = i;
    for (std::uint32_t i = 1; i < count; ++i)
      code->graph.edges.push_back({i - 1, 0, i, 0, graph::Partitioner::kForward, {}});
    code->operators.resize(count);
    code->edges.resize(count - 1);
    options.state_directory = options.state_directory == "none" ? "" : directory_ + "/state";
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

  static std::unique_ptr<operators::Operator> make_tap(Tap* tap) {
    class TapOperator final : public operators::Operator {
     public:
      explicit TapOperator(Tap& tap) : tap_(tap) {}
      Status open(operators::OperatorContext&) override { return {}; }
      Status process(std::uint32_t, const data::BatchRef& batch, operators::Emitter& out) override {
        for (std::uint32_t i = 0; i < batch->rows(); ++i) {
          DREY_TRY(tap_.on_row(batch->values<std::int64_t>(0)[batch->physical(i)]));
        }
        return out.emit(batch);
      }
      Status on_checkpoint_complete(std::int64_t) override {
        ++tap_.checkpoints;
        return {};
      }

     private:
      Tap& tap_;
    };
    return std::make_unique<TapOperator>(*tap);
  }

  env::FileSystem& disk_ = env::posix().files;
  std::string directory_;
  operators::Registry registry_;
};

}  // namespace drey::connectors::files
