// A flame graph as one page of HTML that needs nothing else, and as collapsed stacks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace drey::runtime {

// Frames, outermost first, and how often they were seen.
using FlameStacks = std::map<std::vector<std::string>, std::int64_t>;

std::string flame_page(const std::string& title, const FlameStacks& stacks);
// "a;b;c 12" a line.
std::string collapsed(const FlameStacks& stacks);

}  // namespace drey::runtime
