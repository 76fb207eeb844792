// Memory from the kernel for the pools of batches and of state.
#pragma once

#include <cstddef>

namespace drey::data {

inline constexpr std::size_t kHugePage = 2u << 20;
// Fresh address space, aligned to huge pages, so that the kernel can back it with them; not `usable`: reserved, until
// mprotect() lets it be touched. Given back by munmap().
char* map_memory(std::size_t bytes, bool usable = true);

}  // namespace drey::data
