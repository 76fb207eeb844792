#include "runtime/user_host.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "env/log.h"
#include "operators/operator.h"

namespace drey::runtime {
namespace {

using data::View;
using state::Address;
using state::kNoRow;

int record(UserTask& task, Status status) {
  if (status.ok()) return 0;
  if (task.failure.ok()) task.failure = std::move(status);
  return -1;
}

std::string_view text_of(drey_span span) { return {span.data, span.size}; }

void host_fail(drey_task* task, const char* type, const char* message) {
  record(task->user, fail(Code::kUserCode, message != nullptr ? message : "").with_origin(type != nullptr ? type : ""));
}

void host_log(drey_task* task, int level, const char* message) {
  env::log(static_cast<env::LogLevel>(std::clamp(level, 0, 3)), "user", "{}: {}", task->user.context->task_name(),
           message);
}

// --- output ---

drey_builder* batch_begin(drey_task* task, std::uint32_t output, std::uint32_t capacity) {
  UserTask& user = task->user;
  user.builders.push_back(std::make_unique<data::BatchBuilder>(user.context->output_schema(output),
                                                               std::max(capacity, 1u), user.context->pool()));
  return &user.builders.back()->abi();
}

std::unique_ptr<data::BatchBuilder> take(UserTask& user, drey_builder* builder) {
  for (auto it = user.builders.rbegin(); it != user.builders.rend(); ++it) {
    if (&(*it)->abi() != builder) continue;
    auto taken = std::move(*it);
    user.builders.erase(std::next(it).base());
    return taken;
  }
  return nullptr;
}

int batch_emit(drey_task* task, std::uint32_t output, drey_builder* builder) {
  UserTask& user = task->user;
  auto taken = take(user, builder);
  if (taken == nullptr) return record(user, fail(Code::kUserCode, "batch_emit: no such builder"));
  if (user.out == nullptr)
    return record(user, fail(Code::kUserCode, "Rows can only be emitted while rows or timers are processed"));
  if (taken->rows() == 0) return 0;
  if (user.batch != nullptr && *user.batch) taken->share_arenas(**user.batch);
  return record(user, user.out->emit(output, taken->build()));
}

void batch_drop(drey_task* task, drey_builder* builder) { take(task->user, builder); }

int emit_rows(drey_task* task, std::uint32_t output, const drey_batch* batch, const std::uint32_t* ids,
              std::uint32_t count) {
  UserTask& user = task->user;
  if (count == 0) return 0;
  if (user.out == nullptr || user.batch == nullptr || &(*user.batch)->abi() != batch) {
    return record(user, fail(Code::kUserCode, "emit_rows is for the batch being processed"));
  }
  if (count == batch->rows) return record(user, user.out->emit(output, *user.batch));
  return record(user, user.out->emit(output, data::RowBatch::select(*user.batch, {ids, count}, user.context->pool())));
}

char* host_text(drey_task*, drey_builder* builder, std::size_t size) {
  return data::BatchBuilder::of(*builder).text(size);
}

int list_reserve(drey_task*, drey_builder* builder, drey_builder_column* list, std::uint32_t child_capacity) {
  data::BatchBuilder::of(*builder).reserve_list(*list, child_capacity);
  return 0;
}

// --- state ---

drey_state* state_open(drey_task* task, const drey_state_spec* spec) {
  UserTask& user = task->user;
  operators::OperatorContext& context = *user.context;
  const std::string name = spec->name;
  drey_state& handle = user.states[name];
  if (handle.task != nullptr) return &handle;
  handle.task = &user;
  handle.kind = spec->kind;
  handle.fixed_bytes = spec->fixed_bytes;
  Status status;
  const auto open_table = [&](state::TableSpec table) {
    auto opened = context.state().table(context.operator_id(), context.node().name, name, table);
    if (opened.ok()) handle.table = *opened;
    status = opened.status();
  };
  switch (spec->kind) {
    case DREY_STATE_VALUE:
      open_table({spec->fixed_bytes, false, false});
      break;
    case DREY_STATE_LIST:
      open_table({0, false, false});
      break;
    case DREY_STATE_MAP:
      open_table({0, true, true});
      break;
    case DREY_STATE_OPERATOR_LIST:
    case DREY_STATE_OPERATOR_UNION: {
      auto opened = context.state().operator_list(context.operator_id(), name, spec->kind == DREY_STATE_OPERATOR_UNION);
      if (opened.ok()) handle.list = *opened;
      status = opened.status();
      break;
    }
    case DREY_STATE_BROADCAST: {
      auto opened = context.state().broadcast(context.operator_id(), name);
      if (opened.ok()) handle.broadcast = *opened;
      status = opened.status();
      break;
    }
  }
  if (record(user, std::move(status)) != 0) return nullptr;
  return &handle;
}

int state_rows(drey_state* s, std::uint32_t n, const drey_view* keys, const std::uint64_t* hashes, int upsert,
               void** rows, std::uint8_t* fresh) {
  return record(*s->task, s->table->values({keys, n}, {hashes, n}, {}, upsert != 0, rows, fresh));
}

int value_get(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span* value) {
  const Address row = s->table->find(*key, hash);
  if (row == kNoRow) return 1;
  const std::string_view bytes = s->table->value_of(row);
  *value = {bytes.data(), bytes.size()};
  return 0;
}

// Replaces the bytes of a row, which may have to move.
int put(drey_state* s, const View& key, std::uint64_t hash, std::int64_t group, std::string_view value) {
  // The new value may lie in the row that moves.
  s->scratch.assign(value);
  auto row = s->table->upsert(key, hash, group, 0);
  if (row.ok()) row = s->table->resize(*row, static_cast<std::uint32_t>(s->scratch.size()));
  if (!row.ok()) return record(*s->task, row.status());
  if (!s->scratch.empty()) std::memcpy(s->table->writable_value(*row), s->scratch.data(), s->scratch.size());
  return 0;
}

int value_put(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span value) {
  return put(s, *key, hash, 0, text_of(value));
}

int state_clear(drey_state* s, const drey_view* key, std::uint64_t hash);

// list value := (u32 size, bytes)*
int list_add(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span element) {
  s->scratch.assign(element.data, element.size);
  auto row = s->table->upsert(*key, hash, 0, 0);
  if (!row.ok()) return record(*s->task, row.status());
  const std::size_t before = s->table->value_of(*row).size();
  const auto size = static_cast<std::uint32_t>(s->scratch.size());
  row = s->table->resize(*row, static_cast<std::uint32_t>(before + 4 + size));
  if (!row.ok()) return record(*s->task, row.status());
  char* at = s->table->writable_part(*row, static_cast<std::uint32_t>(before), 4 + size);
  std::memcpy(at, &size, 4);
  if (size != 0) std::memcpy(at + 4, s->scratch.data(), size);
  return 0;
}

int list_each(drey_state* s, const drey_view* key, std::uint64_t hash, int (*visit)(void*, drey_span), void* self) {
  const Address row = s->table->find(*key, hash);
  if (row == kNoRow) return 0;
  // A copy: the visitor may write to this state.
  const std::string bytes(s->table->value_of(row));
  for (std::size_t at = 0; at + 4 <= bytes.size();) {
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at, 4);
    if (const int answer = visit(self, {bytes.data() + at + 4, size}); answer != 0) return answer;
    at += 4 + size;
  }
  return 0;
}

int list_assign(drey_state* s, const drey_view* key, std::uint64_t hash, std::uint32_t n, const drey_span* elements) {
  if (n == 0) return state_clear(s, key, hash);
  std::string bytes;
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto size = static_cast<std::uint32_t>(elements[i].size);
    bytes.append(reinterpret_cast<const char*>(&size), 4).append(elements[i].data, size);
  }
  return put(s, *key, hash, 0, bytes);
}

// A map's rows: key = u32 size of the user's key, that key, the map's key; group = hash of the user's key.
std::string map_row_key(const drey_view& key, drey_span map_key) {
  std::string out;
  out.append(reinterpret_cast<const char*>(&key.size), 4)
      .append(data::data_of(key), key.size)
      .append(map_key.data, map_key.size);
  return out;
}

int map_get(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span map_key, drey_span* value) {
  if (s->kind == DREY_STATE_BROADCAST) {
    const auto found = s->broadcast->find(text_of(map_key));
    if (found == s->broadcast->end()) return 1;
    *value = {found->second.data(), found->second.size()};
    return 0;
  }
  const std::string row_key = map_row_key(*key, map_key);
  const View k = data::make_view(row_key);
  const Address row = s->table->find(k, data::hash_of(k), static_cast<std::int64_t>(hash));
  if (row == kNoRow) return 1;
  const std::string_view bytes = s->table->value_of(row);
  *value = {bytes.data(), bytes.size()};
  return 0;
}

int map_put(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span map_key, drey_span value) {
  if (s->kind == DREY_STATE_BROADCAST) {
    (*s->broadcast)[std::string(text_of(map_key))] = std::string(text_of(value));
    return 0;
  }
  const std::string row_key = map_row_key(*key, map_key);
  const View k = data::make_view(row_key);
  return put(s, k, data::hash_of(k), static_cast<std::int64_t>(hash), text_of(value));
}

int map_remove(drey_state* s, const drey_view* key, std::uint64_t hash, drey_span map_key) {
  if (s->kind == DREY_STATE_BROADCAST) {
    if (const auto found = s->broadcast->find(text_of(map_key)); found != s->broadcast->end())
      s->broadcast->erase(found);
    return 0;
  }
  const std::string row_key = map_row_key(*key, map_key);
  const View k = data::make_view(row_key);
  const Address row = s->table->find(k, data::hash_of(k), static_cast<std::int64_t>(hash));
  if (row != kNoRow) s->table->erase(row);
  return 0;
}

std::vector<Address> map_rows(drey_state* s, const drey_view& key, std::uint64_t hash) {
  std::vector<Address> rows;
  const auto found = s->table->groups().find(static_cast<std::int64_t>(hash));
  if (found == s->table->groups().end()) return rows;
  const std::string prefix = map_row_key(key, {nullptr, 0});
  for (const Address row : found->second) {
    // Another key of the same hash is possible, if unlikely.
    const View k = s->table->key_of(row);
    if (data::text_of(k).starts_with(prefix)) rows.push_back(row);
  }
  return rows;
}

int map_each(drey_state* s, const drey_view* key, std::uint64_t hash, int (*visit)(void*, drey_span, drey_span),
             void* self) {
  if (s->kind == DREY_STATE_BROADCAST) {
    const state::BroadcastMap copy = *s->broadcast;
    for (const auto& [k, v] : copy) {
      if (const int answer = visit(self, {k.data(), k.size()}, {v.data(), v.size()}); answer != 0) return answer;
    }
    return 0;
  }
  // Copies first: the visitor may write to this state.
  std::vector<std::pair<std::string, std::string>> entries;
  for (const Address row : map_rows(s, *key, hash)) {
    const View k = s->table->key_of(row);
    entries.emplace_back(data::text_of(k).substr(4 + key->size), s->table->value_of(row));
  }
  for (const auto& [k, v] : entries) {
    if (const int answer = visit(self, {k.data(), k.size()}, {v.data(), v.size()}); answer != 0) return answer;
  }
  return 0;
}

int state_clear(drey_state* s, const drey_view* key, std::uint64_t hash) {
  if (s->kind == DREY_STATE_BROADCAST) {
    s->broadcast->clear();
  } else if (s->kind == DREY_STATE_MAP) {
    while (true) {
      const auto rows = map_rows(s, *key, hash);
      if (rows.empty()) break;
      s->table->erase(rows.back());
    }
  } else if (const Address row = s->table->find(*key, hash); row != kNoRow) {
    s->table->erase(row);
  }
  return 0;
}

int operator_list_each(drey_state* s, int (*visit)(void*, drey_span), void* self) {
  for (const std::string& element : s->list->elements()) {
    if (const int answer = visit(self, {element.data(), element.size()}); answer != 0) return answer;
  }
  return 0;
}

int operator_list_assign(drey_state* s, std::uint32_t n, const drey_span* elements) {
  std::vector<std::string> all;
  for (std::uint32_t i = 0; i < n; ++i) all.emplace_back(text_of(elements[i]));
  s->list->assign(std::move(all));
  return 0;
}

// --- timers, surroundings ---

state::TimeKind kind_of(drey_time_kind kind) {
  return kind == DREY_EVENT_TIME ? state::TimeKind::kEvent : state::TimeKind::kProcessing;
}

int timer_set(drey_task* task, drey_time_kind kind, const drey_view* key, std::uint64_t hash, std::int64_t time) {
  operators::OperatorContext& context = *task->user.context;
  auto timers = context.state().timers(context.operator_id());
  return record(task->user, timers.ok() ? (*timers)->set(kind_of(kind), *key, hash, time) : timers.status());
}

int timer_delete(drey_task* task, drey_time_kind kind, const drey_view* key, std::uint64_t hash, std::int64_t time) {
  operators::OperatorContext& context = *task->user.context;
  auto timers = context.state().timers(context.operator_id());
  if (timers.ok()) (*timers)->remove(kind_of(kind), *key, hash, time);
  return record(task->user, timers.status());
}

std::int64_t host_watermark(drey_task* task) { return task->user.context->watermark(); }
std::int64_t host_processing_time(drey_task* task) { return task->user.context->processing_time(); }
std::uint32_t subtask_index(drey_task* task) { return task->user.context->subtask(); }
std::uint32_t host_parallelism(drey_task* task) { return task->user.context->parallelism(); }
std::uint32_t host_attempt(drey_task* task) { return task->user.context->attempt(); }
void accumulator_add(drey_task* task, const char* name, drey_accumulator_kind kind, std::int64_t whole, double real) {
  task->user.context->accumulate(name, kind, whole, real);
}
std::int64_t* host_metric(drey_task* task, const char* name, drey_metric_kind kind) {
  return task->user.context->metric(name, kind);
}
std::uint64_t hash_key(const drey_view* key) { return data::hash_of(*key); }

}  // namespace

const drey_host& user_host() {
  static const drey_host host{sizeof(drey_host),
                              DREY_ABI_VERSION,
                              host_fail,
                              host_log,
                              batch_begin,
                              batch_emit,
                              batch_drop,
                              emit_rows,
                              host_text,
                              list_reserve,
                              state_open,
                              state_rows,
                              value_get,
                              value_put,
                              state_clear,
                              list_add,
                              list_each,
                              list_assign,
                              map_get,
                              map_put,
                              map_remove,
                              map_each,
                              operator_list_each,
                              operator_list_assign,
                              timer_set,
                              timer_delete,
                              host_watermark,
                              host_processing_time,
                              subtask_index,
                              host_parallelism,
                              host_attempt,
                              accumulator_add,
                              host_metric,
                              hash_key};
  return host;
}

}  // namespace drey::runtime
