// A table of the engine's state for drey-api-bench, whose other part knows the job's headers only: the two do not mix
// in one translation unit.
#pragma once

#include <cstdint>
#include <memory>

#include "drey/abi.h"

namespace bench {

class EngineTable {
 public:
  explicit EngineTable(std::uint32_t value_bytes);
  ~EngineTable();
  // As drey_host.state_rows, keys that are absent being made.
  bool rows(std::uint32_t n, const drey_view* keys, const std::uint64_t* hashes, void** rows, std::uint8_t* fresh);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

drey_view key_of(std::int64_t value);
std::uint64_t hash_of(const drey_view& key);

}  // namespace bench
