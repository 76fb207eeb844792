#include "runtime/inspector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "env/env.h"
#include "runtime/flame_page.h"
#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

using gateway::Inspection;
using testing::Contains;
using testing::HasSubstr;

std::atomic<bool> g_stop{false};
std::atomic<int> g_thread{0};

// A function that calls none may have no frame of its own; then the one that called it is not seen.
__attribute__((noinline)) void spins() {
  for (int i = 0; i < 1000; ++i) asm volatile("");
}
__attribute__((noinline)) void burns_time() {
  while (!g_stop.load(std::memory_order_relaxed)) spins();
  asm volatile("");  // no tail call
}
__attribute__((noinline)) void calls_it() {
  burns_time();
  asm volatile("");
}

// A thread in a known place while the test looks at it.
class Burning : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer holds signals back until a thread calls it";
#endif
    g_stop = false;
    g_thread = 0;
    thread_ = env::start_thread("burning", [] {
      g_thread = static_cast<int>(::syscall(SYS_gettid));
      calls_it();
    });
    while (g_thread == 0) std::this_thread::yield();
  }
  void TearDown() override {
    g_stop = true;
    thread_.reset();
  }
  std::unique_ptr<env::Thread> thread_;
};

bool holds(const std::vector<std::string>& frames, const std::string& text) {
  return std::any_of(frames.begin(), frames.end(),
                     [&](const std::string& f) { return f.find(text) != std::string::npos; });
}

TEST_F(Burning, AStackShowsWhereItsThreadIs) {
  FrameNames names;
  // The thread may not have entered yet.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto stack = take_stack(g_thread);
    if (!stack) continue;
    const auto frames = names.of(stack->frames);
    if (!holds(frames, "spins")) continue;
    EXPECT_TRUE(holds(frames, "calls_it")) << testing::PrintToString(frames);
    EXPECT_FALSE(stack->in_task);
    return;
  }
  FAIL() << "the thread never showed where it is";
}

TEST(Stacks, AThreadThatIsNotThereHasNone) { EXPECT_FALSE(take_stack(1 << 30)); }

TEST(Stacks, NamesAreFolded) {
  EXPECT_EQ(folded("a::b<c<d>, e>::f(g<h> const&) const"), "a::b<…>::f");
  EXPECT_EQ(folded("void std::sort<int*>(int*, int*)"), "std::sort<…>");
  EXPECT_EQ(folded("drey::(anonymous namespace)::x(int)"), "drey::(anonymous namespace)::x");
  EXPECT_EQ(folded("main"), "main");
  EXPECT_EQ(folded("a::operator()(int) const"), "a::operator()");
  EXPECT_EQ(folded("f()::{lambda(int)#3}::operator()(int) const"), "f::{lambda}::operator()");
}

class InspectorTest : public Burning {
 protected:
  void SetUp() override {
    Burning::SetUp();
    if (IsSkipped()) return;
    directory_ = testing::TempDir() + "inspector_test";
    env::FileSystem& files = env::posix().files;
    ASSERT_TRUE(files.remove_tree(directory_).ok());
    ASSERT_TRUE(files.make_directories(directory_ + "/log").ok());
    ASSERT_TRUE(files.write_atomic(directory_ + "/secret", "s").ok());
    ASSERT_TRUE(files.write_atomic(directory_ + "/log/tm.log", "0123456789").ok());
    ASSERT_TRUE(files.write_atomic(directory_ + "/log/other.log", "not ours").ok());
    ASSERT_EQ(symlink("../secret", (directory_ + "/log/tm.link").c_str()), 0);
    InspectorOptions options;
    options.log_directory = directory_ + "/log";
    options.log_prefix = "tm.";
    options.log_name = "tm.log";
    options.stdout_name = "tm.out";
    options.profile_directory = directory_ + "/profiles";
    options.profile_prefix = "tm";
    inspector_ = std::make_unique<Inspector>(options, env::posix());
  }
  void TearDown() override {
    inspector_.reset();
    Burning::TearDown();
  }
  Result<std::string> ask(Inspection inspection) {
    std::promise<Result<std::string>> promise;
    inspector_->answer(std::move(inspection), [&](Result<std::string> r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  }
  std::string directory_;
  std::unique_ptr<Inspector> inspector_;
};

TEST_F(InspectorTest, LogsAreListedAndReadFromAnyPlace) {
  const auto logs = wire::decode<std::vector<gateway::LogFile>>(*ask({.what = Inspection::What::kLogs}));
  ASSERT_TRUE(logs.ok());
  ASSERT_EQ(logs->size(), 1u);
  EXPECT_EQ((*logs)[0].name, "tm.log");
  EXPECT_EQ((*logs)[0].size, 10);
  const auto read = [&](const std::string& name, std::int64_t offset) {
    return ask({.what = Inspection::What::kLog, .name = name, .offset = offset, .bytes = 100});
  };
  EXPECT_EQ(*read("log", 0), "0123456789");
  EXPECT_EQ(*read("tm.log", -3), "789");
  EXPECT_EQ(*read("tm.log", 8), "89");
  EXPECT_EQ(*read("tm.log", 100), "");
}

TEST_F(InspectorTest, NoNameLeavesTheDirectory) {
  for (const char* name : {"stdout", "other.log", "tm.link", "../secret", "tm./../../secret", ".", "..", "",
                           "/etc/passwd", "tm.log/", "tm.\\..\\x"}) {
    const auto answer = ask({.what = Inspection::What::kLog, .name = name, .bytes = 10});
    EXPECT_EQ(answer.status().code(), Code::kNotFound) << name;
  }
  EXPECT_EQ(ask({.what = Inspection::What::kLog, .name = std::string("tm.log\0x", 8), .bytes = 10}).status().code(),
            Code::kNotFound);
}

TEST_F(InspectorTest, ThreadsAreShownAsADashboardWantsThem) {
  const auto threads = wire::decode<std::vector<gateway::ThreadText>>(*ask({.what = Inspection::What::kThreads}));
  ASSERT_TRUE(threads.ok());
  std::string all;
  for (const auto& thread : *threads) {
    EXPECT_TRUE(thread.text.starts_with("\"" + thread.name + "\" Id=")) << thread.text;
    EXPECT_TRUE(thread.text.ends_with("\n\n"));
    all += thread.text;
  }
  EXPECT_THAT(all, HasSubstr("spins"));
}

TEST_F(InspectorTest, AProfileOfWhatRunsNamesIt) {
  const auto started =
      wire::decode<gateway::ProfileModel>(*ask({.what = Inspection::What::kProfile, .name = "ITIMER", .bytes = 1}));
  ASSERT_TRUE(started.ok());
  EXPECT_EQ(started->status, "RUNNING");
  EXPECT_EQ(ask({.what = Inspection::What::kProfile, .name = "CPU", .bytes = 1}).status().code(), Code::kConflict);
  gateway::ProfileModel done;
  const auto end = env::posix().clock.ticks() + std::chrono::seconds(60);
  while (done.status != "FINISHED" && env::posix().clock.ticks() < end) {
    done = wire::decode<std::vector<gateway::ProfileModel>>(*ask({.what = Inspection::What::kProfiles}))->at(0);
    std::this_thread::yield();
  }
  ASSERT_EQ(done.status, "FINISHED") << done.message;
  const auto page = ask({.what = Inspection::What::kProfileFile, .name = done.output, .bytes = 8 << 20});
  EXPECT_THAT(*page, HasSubstr("spins"));
  EXPECT_THAT(*page, HasSubstr("<!DOCTYPE html>"));
  EXPECT_THAT(*ask({.what = Inspection::What::kProfileFile, .name = done.output + ".collapsed", .bytes = 8 << 20}),
              HasSubstr("calls_it"));
  EXPECT_EQ(ask({.what = Inspection::What::kProfile, .name = "ALLOC", .bytes = 1}).status().code(),
            Code::kInvalidArgument);
}

TEST(FlamePage, NamesCannotEndTheScript) {
  const std::string page = flame_page("a<b", {{{"x</script>"}, 3}, {{"x</script>", "y"}, 2}});
  EXPECT_EQ(page.find("x</script>"), std::string::npos);
  EXPECT_EQ(collapsed({{{"a", "b"}, 2}}), "a;b 2\n");
}

}  // namespace
}  // namespace drey::runtime
