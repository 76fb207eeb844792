// What the system measures of this process, under the names that Flink has for a JVM.
//
// Heap is the allocator's (with pools that come from it), NonHeap the rest of what is resident,
// Mapped the resident pages of files, Metaspace their code; classes are loaded shared objects.
// There is no collector, so its figures are 0. Threading: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace drey::runtime {

std::vector<std::pair<std::string, std::int64_t>> process_metrics();

// Bytes of memory that this machine has.
std::int64_t physical_memory();

}  // namespace drey::runtime
