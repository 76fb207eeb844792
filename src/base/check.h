// Invariants of our own. On in all builds; a broken one prints the values and ends the process.
// Input from users, peers and disks never reaches a check: it is validated and fails with a Status.
#pragma once

#include <string>

#include <fmt/core.h>

namespace drey {

// Prints to standard error and aborts. `file`, `expression` are string literals.
[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& values);

// Called (once) before the abort, e.g. to flush logs. Null to remove. Not thread-safe: set at start.
void set_check_hook(void (*hook)());

}  // namespace drey

#define DREY_CHECK(cond)                                               \
  (__builtin_expect(static_cast<bool>(cond), 1) ? static_cast<void>(0) \
                                                : ::drey::check_failed(__FILE__, __LINE__, #cond, std::string()))
#define DREY_CHECK_OP_(a, op, b)                                                                              \
  do {                                                                                                        \
    const auto& drey_a = (a);                                                                                 \
    const auto& drey_b = (b);                                                                                 \
    if (__builtin_expect(!(drey_a op drey_b), 0))                                                             \
      ::drey::check_failed(__FILE__, __LINE__, #a " " #op " " #b, ::fmt::format("{} vs {}", drey_a, drey_b)); \
  } while (false)
#define DREY_CHECK_EQ(a, b) DREY_CHECK_OP_(a, ==, b)
#define DREY_CHECK_NE(a, b) DREY_CHECK_OP_(a, !=, b)
#define DREY_CHECK_LE(a, b) DREY_CHECK_OP_(a, <=, b)
#define DREY_CHECK_LT(a, b) DREY_CHECK_OP_(a, <, b)
#define DREY_CHECK_GE(a, b) DREY_CHECK_OP_(a, >=, b)
#define DREY_CHECK_GT(a, b) DREY_CHECK_OP_(a, >, b)

// Only in proven hot loops: checked unless NDEBUG.
#ifdef NDEBUG
#define DREY_DCHECK(cond) static_cast<void>(0)
#else
#define DREY_DCHECK(cond) DREY_CHECK(cond)
#endif
