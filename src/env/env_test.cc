#include "env/env.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <thread>

#include "env/env_conformance.h"

namespace drey::env {
namespace {

std::string scratch(const std::string& name) {
  const std::string path = fmt::format("{}/scratch/{}-{}", DREY_BINARY_DIR, name, getpid());
  EXPECT_TRUE(posix().files.remove_tree(path).ok());
  EXPECT_TRUE(posix().files.make_directories(path).ok());
  return path;
}

struct PosixRig {
  Env& env() { return posix(); }
  std::string scratch() { return env::scratch("conformance"); }
  // The threads that make it hold are not the test's own: they get the turn.
  bool wait(const std::function<bool()>& holds) {
    const Ticks end = env().clock.ticks() + std::chrono::minutes(1);
    while (!holds()) {
      if (env().clock.ticks() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Posix, EnvConformance, PosixRig);

TEST(Processes, ReportHowTheyEnd) {
  auto loop = posix().threads.make_loop("test");
  std::promise<ExitStatus> exit;
  const std::string dir = scratch("process");
  SpawnOptions options;
  options.arguments = {"/bin/sh", "-c", "echo $WORD; exit 3"};
  options.environment["WORD"] = "hello";
  options.stdout_path = dir + "/out";
  ASSERT_TRUE(posix().processes.spawn(*loop, options, [&](ExitStatus s) { exit.set_value(s); }).ok());
  EXPECT_EQ(exit.get_future().get().code, 3);
  EXPECT_EQ(*posix().files.read_all(dir + "/out"), "hello\n");
  std::promise<ExitStatus> killed;
  options.arguments = {"/bin/sleep", "60"};
  auto pid = posix().processes.spawn(*loop, options, [&](ExitStatus s) { killed.set_value(s); });
  ASSERT_TRUE(pid.ok());
  posix().processes.signal(*pid, 9);
  EXPECT_EQ(killed.get_future().get().signal, 9);
}

TEST(Processes, HandOverTheirOutput) {
  auto loop = posix().threads.make_loop("test");
  std::string output;
  std::promise<int> exit;
  SpawnOptions options;
  options.arguments = {"/bin/sh", "-c",
                       "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo oops >&2"};
  options.stderr_path = "&1";
  options.on_output = [&](std::string_view part) { output += part; };
  ASSERT_TRUE(posix().processes.spawn(*loop, options, [&](ExitStatus s) { exit.set_value(s.code); }).ok());
  EXPECT_EQ(exit.get_future().get(), 0);
  EXPECT_TRUE(output.ends_with("line 19999\noops\n"));
}

}  // namespace
}  // namespace drey::env
