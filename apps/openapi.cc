// drey openapi: the REST API for machines that write clients.
#include <fmt/format.h>

#include <cstdio>

#include "commands.h"
#include "rest/router.h"
#include "rest/typescript.h"

namespace drey::apps {

int openapi(int argc, char** argv) {
  constexpr const char* kUsage =
      "drey openapi [--typescript]    prints the REST API as OpenAPI 3, as GET /openapi.json "
      "answers\n"
      "  --typescript   a client in TypeScript instead: a type for each message, a method for each "
      "operation\n"
      "example:\n"
      "  drey openapi --typescript > src/drey_client.ts\n";
  const Arguments args = parse_arguments(argc, argv, {}, {"--typescript", "--help", "-h=--help"}, false);
  if (args.has("--help")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (args.unknown || !args.rest.empty()) {
    fmt::print(stderr, "drey openapi: unknown option {}\n{}", args.unknown ? *args.unknown : args.rest[0], kUsage);
    return 2;
  }
  const auto endpoints = rest::all_endpoints();
  std::fputs(args.has("--typescript") ? rest::typescript_client(endpoints).c_str()
                                      : (rest::openapi(endpoints).to_string() + "\n").c_str(),
             stdout);
  return 0;
}

}  // namespace drey::apps
