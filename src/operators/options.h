// Options: typed reading of an operator's options (pairs of text). A bad value is an error that names the
// operator, the option and the value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "graph/job_graph.h"

namespace drey::operators {

class Options {
 public:
  explicit Options(const graph::OperatorNode& node) : node_(node) {}

  bool has(std::string_view key) const;
  std::string text(std::string_view key, std::string_view fallback = "") const;
  Result<std::int64_t> whole(std::string_view key, std::int64_t fallback) const;
  bool flag(std::string_view key, bool fallback = false) const;
  // FAILS WITH: kInvalidArgument when absent.
  Result<std::string> required(std::string_view key) const;

 private:
  const graph::OperatorNode& node_;
};

}  // namespace drey::operators
