#include "base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace drey {
namespace {
std::atomic<void (*)()> g_hook{nullptr};
}  // namespace

void check_failed(const char* file, int line, const char* expression, const std::string& values) {
  std::fprintf(stderr, "CHECK failed: %s at %s:%d%s%s\n", expression, file, line,
               values.empty() ? "" : ", values: ", values.c_str());
  std::fflush(stderr);
  if (auto* hook = g_hook.exchange(nullptr)) hook();
  std::abort();
}

void set_check_hook(void (*hook)()) { g_hook = hook; }

}  // namespace drey
