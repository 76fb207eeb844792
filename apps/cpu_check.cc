// The rest of the program is compiled for x86-64-v3; this file is compiled for any x86-64 and runs before everything
// else, constructors of other files included: an older processor gets a sentence instead of an illegal instruction.
#if defined(__x86_64__)

#include <unistd.h>

namespace {

void check_cpu(int, char**, char**) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma")) return;
  constexpr char kText[] =
      "drey needs a processor of the level x86-64-v3 (AVX2, BMI2, FMA): Intel Haswell, AMD Excavator or newer.\n";
  [[maybe_unused]] const auto put = ::write(2, kText, sizeof kText - 1);
  ::_exit(2);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const g_check)(int, char**, char**) = check_cpu;

}  // namespace

#endif
