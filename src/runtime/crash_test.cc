#include "runtime/crash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "env/env.h"

namespace drey::runtime {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

volatile int* volatile g_nowhere = reinterpret_cast<volatile int*>(8);  // not for the compiler to know

// Neither is in the dynamic table: one is inlined, one has no name outside of this file.
[[gnu::always_inline]] inline void innermost(volatile int* where) { *where = 1; }
[[gnu::noinline]] void calls_it(volatile int* where) {
  innermost(where);
  asm volatile("");  // no tail call
}

class CrashTest : public testing::Test {
 protected:
  void TearDown() override { static_cast<void>(env::posix().files.remove(path_)); }
  const std::string path_ = testing::TempDir() + "drey_crash_test_" + std::to_string(getpid());
};

TEST_F(CrashTest, NamesSignalAndStackWithStaticAndInlinedFunctions) {
  const auto crash = [&] {
    ASSERT_TRUE(install_crash_handler(path_).ok());
    calls_it(g_nowhere);
  };
  EXPECT_EXIT(crash(), testing::KilledBySignal(SIGSEGV), "");
  const CrashReport report = take_crash_report(path_);
  EXPECT_EQ(report.summary, "SIGSEGV");
  const auto inner = report.stack.find("innermost");
  const auto outer = report.stack.find(
      "at drey::runtime::(anonymous namespace)::calls_it(int volatile*) (runtime_test, "
      "crash_test.cc:");
  ASSERT_NE(inner, std::string::npos) << report.stack;
  ASSERT_NE(outer, std::string::npos) << report.stack;
  EXPECT_LT(inner, outer);
  EXPECT_FALSE(report.in_job_code);
}

TEST_F(CrashTest, AbortIsReported) {
  const auto crash = [&] {
    ASSERT_TRUE(install_crash_handler(path_).ok());
    std::abort();
  };
  EXPECT_EXIT(crash(), testing::KilledBySignal(SIGABRT), "");
  const CrashReport report = take_crash_report(path_);
  EXPECT_EQ(report.summary, "SIGABRT");
  EXPECT_THAT(report.stack, HasSubstr("AbortIsReported"));
}

TEST_F(CrashTest, AReportIsTakenOnceAndADamagedOneIsNoTrouble) {
  env::FileSystem& files = env::posix().files;
  for (const char* text : {"", "SIGSEGV", "SIGSEGV in a\n", "SIGSEGV in a\nzzz\n", "SIGSEGV in a\n7f00 8\n",
                           "SIGSEGV in a\n7f00 8\ngarbage\n"}) {
    ASSERT_TRUE(files.write_atomic(path_, text).ok());
    const CrashReport report = take_crash_report(path_);
    EXPECT_THAT(text, StartsWith(report.summary));
    EXPECT_FALSE(report.in_job_code);
    EXPECT_THAT(take_crash_report(path_).summary, IsEmpty());
  }
}

}  // namespace
}  // namespace drey::runtime
