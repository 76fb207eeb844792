// drey operators: the kinds of operators that a cluster has, and their options.
#include <cstdio>

#include "commands.h"
#include "connectors/all.h"

namespace drey::apps {

int operators(int argc, char** argv) {
  constexpr const char* kUsage =
      "drey operators --reference   all kinds of operators and their options, as a page (docs/reference/operators.md)\n"
      "  example: drey operators --reference | grep out_of_orderness_ms\n";
  const Arguments args = parse_arguments(argc, argv, {}, {"--reference", "--help", "-h=--help"}, false);
  if (!args.has("--reference") || args.unknown || !args.rest.empty()) {
    const bool asked = args.has("--help");
    std::fputs(kUsage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  std::fputs(connectors::all_kinds().reference().c_str(), stdout);
  return 0;
}

}  // namespace drey::apps
