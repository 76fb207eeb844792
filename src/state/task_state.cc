#include "state/task_state.h"

#include <algorithm>
#include <charconv>
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

Result<Slices*> TaskState::slices(OperatorId op, std::string_view op_name, std::string_view name,
                                  std::uint32_t fixed_bytes, std::string_view grouped_name) {
  const std::string prefix = fmt::format("{}/{}/", op.to_string(), name);
  auto& slot = slices_[prefix];
  if (slot != nullptr) return slot.get();
  const TableSpec spec{fixed_bytes, false, false};
  std::unique_ptr<Slices> made(
      new Slices(*this, prefix, fmt::format("operator '{}', state '{}'", op_name, name), spec));
  const auto other_size = [&](const Table& there) {
    return fail(Code::kInvalidArgument,
                fmt::format("State '{}' of operator '{}' has another size than before: it was stored with {} fixed "
                            "bytes, now {} are asked for. Give the operator another uid",
                            name, op_name, there.spec().fixed_bytes, fixed_bytes));
  };
  for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at) {
    std::int64_t number = 0;
    const char* const end = at->first.data() + at->first.size();
    const auto read = std::from_chars(at->first.data() + prefix.size(), end, number);
    if (read.ec != std::errc() || read.ptr != end || at->second->kind != EntryKind::kTable)
      return fail(Code::kCorrupt, fmt::format("State is damaged: no slice has the name {}", at->first));
    if (!(at->second->table->spec() == spec)) return other_size(*at->second->table);
    made->tables_.emplace(number, at->second->table.get());
  }
  const auto grouped = entries_.find(fmt::format("{}/{}", op.to_string(), grouped_name));
  if (grouped != entries_.end() && grouped->second->kind == EntryKind::kTable) {
    Table& all = *grouped->second->table;
    if (all.spec().fixed_bytes != fixed_bytes) return other_size(all);
    DREY_TRY(made->restore_grouped(all));
    entries_.erase(grouped);
  }
  slot = std::move(made);
  return slot.get();
}

Slices::Slices(TaskState& state, std::string prefix, std::string owner, TableSpec spec)
    : state_(state), prefix_(std::move(prefix)), owner_(std::move(owner)), spec_(spec) {}

Table& Slices::table(std::int64_t number) {
  Table*& there = tables_[number];
  if (there == nullptr) {
    auto entry = std::make_unique<TaskState::Entry>();
    entry->kind = EntryKind::kTable;
    entry->table = std::make_unique<Table>(owner_, spec_, state_.pool_, state_.budget_);
    there = entry->table.get();
    state_.entries_[fmt::format("{}{}", prefix_, number)] = std::move(entry);
  }
  return *there;
}

void Slices::erase(std::int64_t number) {
  if (tables_.erase(number) != 0) state_.entries_.erase(fmt::format("{}{}", prefix_, number));
}

Status Slices::restore_grouped(Table& all) {
  for (const auto& [number, rows] : all.groups()) {
    Table& into = table(number);
    for (const Address row : rows) {
      const data::View key = all.key_of(row);
      const std::string_view value = all.value_of(row);
      DREY_TRY_ASSIGN(const Address copy,
                      into.upsert(key, data::hash_of(key), 0, static_cast<std::uint32_t>(value.size())));
      if (!value.empty()) std::memcpy(into.writable_value(copy), value.data(), value.size());
    }
  }
  return {};
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
