#include "engine_table.h"

#include "data/key.h"
#include "state/table.h"

namespace bench {

struct EngineTable::Parts {
  drey::state::PagePool pool;
  drey::state::Budget budget;
  drey::state::Table table;
  explicit Parts(std::uint32_t value_bytes) : table("bench", {value_bytes, false, false}, pool, budget) {}
};

EngineTable::EngineTable(std::uint32_t value_bytes) : parts_(std::make_unique<Parts>(value_bytes)) {}
EngineTable::~EngineTable() = default;

bool EngineTable::rows(std::uint32_t n, const drey_view* keys, const std::uint64_t* hashes, void** rows,
                       std::uint8_t* fresh) {
  return parts_->table.values({keys, n}, {hashes, n}, {}, true, rows, fresh).ok();
}

drey_view key_of(std::int64_t value) {
  return drey::data::make_view(reinterpret_cast<const char*>(&value), sizeof value);
}
std::uint64_t hash_of(const drey_view& key) { return drey::data::hash_of(key); }

}  // namespace bench
