#include "state/task_state.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "state/task_state_entry.h"

namespace drey::state {

Status Timers::set(TimeKind kind, const data::View& key, std::uint64_t hash, std::int64_t time) {
  const auto row = tables_[static_cast<int>(kind)]->upsert(key, hash, time, 0);
  return row.ok() ? Status() : row.status();
}

void Timers::remove(TimeKind kind, const data::View& key, std::uint64_t hash, std::int64_t time) {
  Table& table = *tables_[static_cast<int>(kind)];
  if (const Address row = table.find(key, hash, time); row != kNoRow) table.erase(row);
}

void Timers::pop_due(TimeKind kind, std::int64_t up_to, std::size_t count, std::vector<drey_timer>& out) {
  Table& table = *tables_[static_cast<int>(kind)];
  const std::size_t before = out.size();
  keys_.clear();
  while (!table.groups().empty() && table.groups().begin()->first <= up_to && out.size() < count) {
    const auto& [time, rows] = *table.groups().begin();
    const std::size_t taken = std::min(rows.size(), count - out.size());
    const std::int64_t group = time;
    const bool all = taken == rows.size();
    std::vector<Address> popped(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(taken));
    for (const Address row : popped) {
      data::View key = table.key_of(row);
      const std::uint64_t hash = data::hash_of(key);
      if (!data::is_inline(key)) {
        keys_.emplace_back(data::text_of(key));
        key = data::make_view(keys_.back());
      }
      out.push_back({group, key, hash, static_cast<std::uint32_t>(kind), 0});
    }
    if (all) {
      table.erase_group(group);
    } else {
      for (const Address row : popped) table.erase(row);
    }
  }
  count_up(fired_, out.size() - before);
}

std::int64_t Timers::next(TimeKind kind) const {
  const auto& groups = tables_[static_cast<int>(kind)]->groups();
  return groups.empty() ? INT64_MAX : groups.begin()->first;
}

TaskState::TaskState(TaskStateOptions options, PagePool& pool, Budget& budget)
    : options_(std::move(options)), pool_(pool), budget_(budget) {}

TaskState::~TaskState() = default;

TaskState::Entry& TaskState::entry(OperatorId op, std::string_view name) {
  auto& slot = entries_[fmt::format("{}/{}", op.to_string(), name)];
  if (slot == nullptr) slot = std::make_unique<Entry>();
  return *slot;
}

Result<Table*> TaskState::table(OperatorId op, std::string_view op_name, std::string_view name, TableSpec spec) {
  Entry& e = entry(op, name);
  if (e.kind == EntryKind::kNone) {
    e.kind = EntryKind::kTable;
    e.table = std::make_unique<Table>(fmt::format("operator '{}', state '{}'", op_name, name), spec, pool_, budget_);
  }
  if (e.kind != EntryKind::kTable || !(e.table->spec() == spec)) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("State '{}' of operator '{}' has another kind or size than before: it was stored with {} fixed "
                    "bytes, now {} are asked for. Give changed state another name",
                    name, op_name, e.table != nullptr ? e.table->spec().fixed_bytes : 0, spec.fixed_bytes));
  }
  return e.table.get();
}

Result<Timers*> TaskState::timers(OperatorId op) {
  auto& slot = timers_[op];
  if (slot == nullptr) {
    DREY_TRY_ASSIGN(Table * event, table(op, "timers", "~event-timers", {0, true, false}));
    DREY_TRY_ASSIGN(Table * processing, table(op, "timers", "~processing-timers", {0, true, false}));
    slot = std::make_unique<Timers>(*event, *processing, fired_);
  }
  return slot.get();
}

Result<OperatorList*> TaskState::operator_list(OperatorId op, std::string_view name, bool is_union) {
  Entry& e = entry(op, name);
  const EntryKind kind = is_union ? EntryKind::kUnion : EntryKind::kSplit;
  if (e.kind == EntryKind::kNone) e.kind = kind;
  if (e.kind != kind) return fail(Code::kInvalidArgument, fmt::format("State '{}' has another kind than before", name));
  return &e.list;
}

Result<BroadcastMap*> TaskState::broadcast(OperatorId op, std::string_view name) {
  Entry& e = entry(op, name);
  if (e.kind == EntryKind::kNone) e.kind = EntryKind::kBroadcast;
  if (e.kind != EntryKind::kBroadcast) {
    return fail(Code::kInvalidArgument, fmt::format("State '{}' has another kind than before", name));
  }
  return &e.broadcast;
}

data::KeyGroupRange TaskState::key_groups() const {
  return data::key_groups_of(options_.subtask, options_.parallelism, options_.max_parallelism);
}

std::uint64_t TaskState::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, e] : entries_) {
    if (e->table != nullptr) bytes += e->table->bytes();
  }
  return bytes;
}

}  // namespace drey::state
