// What fuzzers share: a place for an input, a failed expectation, and the planted fault of the
// canary.
//
// Each fuzzer is built twice: the second one, the canary, ends when an input reaches a state that
// its corpus does not. A canary that is not caught in the time shows that the fuzzer is blind.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace drey::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: this does not hold: %s\n", what);
  std::abort();
}

// NOLINTNEXTLINE(misc-unused-parameters)
inline void planted([[maybe_unused]] bool reached) {
#ifdef DREY_CANARY
  if (!reached) return;
  std::fprintf(stderr, "fuzz: the planted fault was reached\n");
  std::abort();
#endif
}

}  // namespace drey::fuzz
