// A host for one operator instance in this process: what drey/testing.h runs functions on. State
// lies in std::map, batches in std::vector; made for clarity and for checking, not for speed.
//
// Threading: one thread. Lifetime: batches live as long as the task that emitted them, or who holds
// them.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drey/types.h"

namespace drey {
inline namespace api {
namespace testing {

// A column and its memory: under construction, then sealed.
struct Column {
  const ArrowSchema* schema = nullptr;
  std::vector<char> values;
  std::vector<std::uint64_t> validity;
  std::vector<drey_builder_column> child_columns;
  std::vector<std::unique_ptr<Column>> children;
  ArrowArray array{};
  const void* buffers[2] = {nullptr, nullptr};
  std::vector<ArrowArray*> array_children;

  bool is_list() const { return schema->format[0] == '+' && schema->format[1] == 'l'; }
  inline void resize(std::uint32_t capacity);
  inline bool grow(drey_builder_column& list, std::uint32_t capacity);
  inline void make(const ArrowSchema* s, std::uint32_t capacity);
  inline void bind(drey_builder_column& c, std::uint32_t capacity);
  inline void seal(const drey_builder_column& c, std::uint32_t rows);
};

struct Batch {
  const ArrowSchema* schema = nullptr;
  std::vector<std::unique_ptr<Column>> columns;
  std::vector<drey_builder_column> builder_columns;
  std::vector<ArrowArray*> arrays;
  std::vector<std::int64_t> times;
  std::vector<std::int8_t> kinds;
  std::deque<std::string> text;
  std::vector<drey_span> arenas;
  std::vector<std::uint32_t> selection;
  std::shared_ptr<Batch> base;  // far views may point into it; emit_rows: the rows are its rows
  drey_builder builder{};
  drey_batch view{};
};

inline std::shared_ptr<Batch> start_batch(const ArrowSchema* schema, std::uint32_t capacity);
inline void seal_batch(Batch& b);
// Columns of a row joined by `|`.
inline std::string row_text(const Batch& b, std::uint32_t physical);

struct TimerKey {
  std::int64_t time;
  std::string key;
  int kind;
  friend auto operator<=>(const TimerKey&, const TimerKey&) = default;
};

// What one registered state holds; copied by snapshots.
struct StateData {
  std::map<std::string, std::vector<std::uint64_t>> rows;  // VALUE with fixed_bytes
  std::map<std::string, std::string> values;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, std::map<std::string, std::string>> maps;
  std::vector<std::string> items;  // operator lists
};

inline const drey_host* host();

}  // namespace testing
}  // namespace api
}  // namespace drey

struct drey_state : drey::testing::StateData {
  drey_state_kind kind{};
  std::uint32_t fixed = 0;
};

struct drey_task {
  std::vector<const ArrowSchema*> outputs;
  std::vector<std::vector<std::shared_ptr<drey::testing::Batch>>> out;
  std::map<std::string, drey_state> states;
  std::set<drey::testing::TimerKey> timers;
  std::int64_t watermark = INT64_MIN;
  std::int64_t processing_time = 0;
  std::shared_ptr<drey::testing::Batch> input;  // the batch being processed
  std::map<drey_builder*, std::shared_ptr<drey::testing::Batch>> builders;
  std::map<std::string, std::int64_t> whole;  // accumulators
  std::map<std::string, double> real;
  std::map<std::string, std::int64_t> metrics;
  std::vector<std::pair<int, std::string>> logs;
  std::string failed_type, failed;
};

namespace drey {
inline namespace api {
namespace testing {

inline std::size_t width(const char* f) {
  switch (f[0]) {
    case 'c':
      return 1;
    case 's':
      return 2;
    case 'i':
    case 'f':
      return 4;
    case 'v':
      return 16;
    case 't':
      return f[1] == 'd' ? 4 : 8;
    case 'd':
      return std::atoi(f + 2) > 18 ? 16 : 8;
    default:
      return 8;
  }
}

inline std::string bytes_of_view(const drey_view& v) {
  return {v.size <= DREY_VIEW_INLINE_MAX ? v.u.inlined : v.u.far.data, v.size};
}
inline drey_view view_of(std::string_view s) {
  drey_view v{};
  v.size = static_cast<std::uint32_t>(s.size());
  if (s.size() <= DREY_VIEW_INLINE_MAX) {
    if (!s.empty()) std::memcpy(v.u.inlined, s.data(), s.size());
  } else {
    std::memcpy(v.u.far.prefix, s.data(), 4);
    v.u.far.data = s.data();
  }
  return v;
}

inline bool is_null(const ArrowArray& a, std::uint32_t i) {
  const auto* bits = static_cast<const std::uint8_t*>(a.buffers[0]);
  return bits != nullptr && ((bits[i >> 3] >> (i & 7)) & 1) == 0;
}

template <class T>
T value_at(const ArrowArray& a, std::uint32_t i) {
  return static_cast<const T*>(a.buffers[1])[i];
}

inline std::string value_text(const ArrowSchema& s, const ArrowArray& a, std::uint32_t i) {
  if ((s.flags & ARROW_FLAG_NULLABLE) != 0 && is_null(a, i)) return "null";
  switch (s.format[0]) {
    case 'b':
      return (static_cast<const std::uint8_t*>(a.buffers[1])[i >> 3] >> (i & 7)) & 1 ? "true" : "false";
    case 'c':
      return std::to_string(value_at<std::int8_t>(a, i));
    case 's':
      return std::to_string(value_at<std::int16_t>(a, i));
    case 'i':
      return std::to_string(value_at<std::int32_t>(a, i));
    case 'f':
      return std::to_string(value_at<float>(a, i));
    case 'g':
      return std::to_string(value_at<double>(a, i));
    case 'v':
      return bytes_of_view(value_at<drey_view>(a, i));
    case 't':
      return s.format[1] == 'd' ? std::to_string(value_at<std::int32_t>(a, i))
                                : std::to_string(value_at<std::int64_t>(a, i));
    case '+': {
      std::string out = s.format[1] == 's' ? "{" : "[";
      if (s.format[1] == 's') {
        for (int k = 0; k < s.n_children; ++k) out += (k ? "," : "") + value_text(*s.children[k], *a.children[k], i);
        return out + "}";
      }
      for (int k = value_at<std::int32_t>(a, i); k < value_at<std::int32_t>(a, i + 1); ++k) {
        out += (out.size() > 1 ? "," : "") + value_text(*s.children[0], *a.children[0], static_cast<std::uint32_t>(k));
      }
      return out + "]";
    }
    default:
      return std::to_string(value_at<std::int64_t>(a, i));
  }
}

inline void Column::make(const ArrowSchema* s, std::uint32_t capacity) {
  schema = s;
  validity.assign(capacity / 64 + 1, ~std::uint64_t{0});
  const bool list = is_list();
  values.assign(list                  ? (capacity + 1) * 4
                : s->format[0] == 'b' ? capacity / 8 + 8
                                      : capacity * width(s->format),
                '\x5a');
  children.clear();
  for (int i = 0; i < s->n_children; ++i) {
    children.push_back(std::make_unique<Column>());
    children.back()->make(s->children[i], list ? 0 : capacity);
  }
}
inline void Column::bind(drey_builder_column& c, std::uint32_t capacity) {
  c = {};
  c.values = values.data();
  c.validity = validity.data();
  c.child_count = static_cast<std::uint32_t>(children.size());
  child_columns.resize(children.size());
  for (std::size_t i = 0; i < children.size(); ++i) children[i]->bind(child_columns[i], capacity);
  c.children = child_columns.data();
}
// Makes room in the child of a list that is this column or below it.
inline bool Column::grow(drey_builder_column& list, std::uint32_t capacity) {
  if (list.values == values.data() && is_list()) {
    Column& child = *children[0];
    child.resize(capacity);
    child.bind(list.children[0], capacity);
    list.child_capacity = capacity;
    return true;
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (children[i]->grow(list, capacity)) return true;
  }
  return false;
}
inline void Column::resize(std::uint32_t capacity) {
  Column larger;
  larger.make(schema, capacity);
  std::copy(values.begin(), values.end(), larger.values.begin());
  std::copy(validity.begin(), validity.end(), larger.validity.begin());
  values.swap(larger.values);
  validity.swap(larger.validity);
  if (is_list()) return;
  for (auto& child : children) child->resize(capacity);
}
inline void Column::seal(const drey_builder_column& c, std::uint32_t rows) {
  array = {};
  array.length = rows;
  buffers[0] = c.has_nulls ? validity.data() : nullptr;
  buffers[1] = values.data();
  array.n_buffers = 2;
  array.buffers = buffers;
  const bool list = is_list();
  for (std::size_t i = 0; i < children.size(); ++i) {
    children[i]->seal(c.children[i], list ? c.child_rows : rows);
    array_children.push_back(&children[i]->array);
  }
  array.n_children = static_cast<std::int64_t>(children.size());
  array.children = array_children.data();
}

inline std::shared_ptr<Batch> start_batch(const ArrowSchema* schema, std::uint32_t capacity) {
  auto b = std::make_shared<Batch>();
  b->schema = schema;
  b->builder_columns.resize(static_cast<std::size_t>(schema->n_children));
  for (int i = 0; i < schema->n_children; ++i) {
    b->columns.push_back(std::make_unique<Column>());
    b->columns.back()->make(schema->children[i], capacity);
    b->columns.back()->bind(b->builder_columns[static_cast<std::size_t>(i)], capacity);
  }
  b->times.resize(capacity);
  b->kinds.resize(capacity);
  b->builder = {capacity,
                0,
                static_cast<std::uint32_t>(schema->n_children),
                0,
                0,
                0,
                b->builder_columns.data(),
                b->times.data(),
                b->kinds.data(),
                b.get()};
  return b;
}
inline void seal_batch(Batch& b) {
  const std::uint32_t n = b.builder.rows;
  for (std::size_t i = 0; i < b.columns.size(); ++i) {
    b.columns[i]->seal(b.builder_columns[i], n);
    b.arrays.push_back(&b.columns[i]->array);
  }
  for (const std::string& t : b.text) b.arenas.push_back({t.data(), t.size()});
  b.view.physical_rows = b.view.rows = n;
  b.view.column_count = static_cast<std::uint32_t>(b.columns.size());
  b.view.columns = b.arrays.data();
  b.view.row_times = b.builder.has_row_times ? b.times.data() : nullptr;
  b.view.arenas = b.arenas.data();
  b.view.arena_count = static_cast<std::uint32_t>(b.arenas.size());
}

inline std::string row_text(const Batch& b, std::uint32_t i) {
  std::string out;
  for (int c = 0; c < b.schema->n_children; ++c) {
    out += (c ? "|" : "") + value_text(*b.schema->children[c], *b.view.columns[c], i);
  }
  return out;
}

inline const drey_host* host() {
  static const drey_host table = [] {
    drey_host h{};
    h.size = sizeof h;
    h.abi = DREY_ABI_VERSION;
    h.fail = [](drey_task* t, const char* type, const char* message) {
      if (!t->failed_type.empty()) return;
      t->failed_type = type;
      t->failed = message;
    };
    h.log = [](drey_task* t, int level, const char* m) { t->logs.push_back({level, m}); };
    h.batch_begin = [](drey_task* t, std::uint32_t output, std::uint32_t capacity) {
      auto b = start_batch(t->outputs.at(output), capacity);
      t->builders[&b->builder] = b;
      return &b->builder;
    };
    h.batch_emit = [](drey_task* t, std::uint32_t output, drey_builder* b) {
      auto batch = t->builders.at(b);
      t->builders.erase(b);
      batch->base = t->input;  // far views may point there
      seal_batch(*batch);
      if (t->input != nullptr) {
        for (std::uint32_t i = 0; i < t->input->view.arena_count; ++i)
          batch->arenas.push_back(t->input->view.arenas[i]);
        batch->view.arenas = batch->arenas.data();
        batch->view.arena_count = static_cast<std::uint32_t>(batch->arenas.size());
      }
      t->out.at(output).push_back(batch);
      return 0;
    };
    h.batch_drop = [](drey_task* t, drey_builder* b) { t->builders.erase(b); };
    h.emit_rows = [](drey_task* t, std::uint32_t output, const drey_batch* b, const std::uint32_t* ids,
                     std::uint32_t n) {
      auto batch = std::make_shared<Batch>();
      batch->schema = t->outputs.at(output);
      batch->base = t->input;
      batch->selection.assign(ids, ids + n);
      batch->view = *b;
      batch->view.rows = n;
      batch->view.selection = batch->selection.data();
      t->out.at(output).push_back(batch);
      return 0;
    };
    h.text = [](drey_task*, drey_builder* b, std::size_t size) {
      return static_cast<Batch*>(b->host)->text.emplace_back(size, '\0').data();
    };
    h.list_reserve = [](drey_task*, drey_builder* b, drey_builder_column* list, std::uint32_t capacity) {
      for (auto& column : static_cast<Batch*>(b->host)->columns) {
        if (column->grow(*list, capacity)) return 0;
      }
      return 1;
    };
    h.state_open = [](drey_task* t, const drey_state_spec* spec) {
      drey_state& s = t->states[spec->name];
      s.kind = spec->kind;
      s.fixed = spec->fixed_bytes;
      return &s;
    };
    h.state_rows = [](drey_state* s, std::uint32_t n, const drey_view* keys, const std::uint64_t*, int upsert,
                      void** rows, std::uint8_t* fresh) {
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::string k = bytes_of_view(keys[i]);
        auto it = s->rows.find(k);
        const bool made = it == s->rows.end() && upsert != 0;
        if (fresh != nullptr) fresh[i] = made ? 1 : 0;
        if (made) it = s->rows.emplace(k, std::vector<std::uint64_t>((s->fixed + 7) / 8)).first;
        rows[i] = it == s->rows.end() ? nullptr : it->second.data();
      }
      return 0;
    };
    h.value_get = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span* v) {
      auto it = s->values.find(bytes_of_view(*k));
      if (it == s->values.end()) return 1;
      *v = {it->second.data(), it->second.size()};
      return 0;
    };
    h.value_put = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span v) {
      std::string copy(v.data, v.size);
      s->values[bytes_of_view(*k)] = std::move(copy);
      return 0;
    };
    h.state_clear = [](drey_state* s, const drey_view* k, std::uint64_t) {
      s->rows.erase(bytes_of_view(*k));
      s->values.erase(bytes_of_view(*k));
      s->lists.erase(bytes_of_view(*k));
      s->maps.erase(bytes_of_view(*k));
      return 0;
    };
    h.list_add = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span v) {
      s->lists[bytes_of_view(*k)].emplace_back(v.data, v.size);
      return 0;
    };
    h.list_each = [](drey_state* s, const drey_view* k, std::uint64_t, int (*visit)(void*, drey_span), void* self) {
      const auto elements = s->lists[bytes_of_view(*k)];  // a copy: visit may write
      for (const auto& e : elements) {
        if (const int rc = visit(self, {e.data(), e.size()})) return rc;
      }
      return 0;
    };
    h.list_assign = [](drey_state* s, const drey_view* k, std::uint64_t, std::uint32_t n, const drey_span* e) {
      std::vector<std::string> all;
      for (std::uint32_t i = 0; i < n; ++i) all.emplace_back(e[i].data, e[i].size);
      s->lists[bytes_of_view(*k)] = std::move(all);
      return 0;
    };
    h.map_get = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span mk, drey_span* v) {
      auto& m = s->maps[k == nullptr ? "" : bytes_of_view(*k)];
      auto it = m.find(std::string(mk.data, mk.size));
      if (it == m.end()) return 1;
      *v = {it->second.data(), it->second.size()};
      return 0;
    };
    h.map_put = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span mk, drey_span v) {
      s->maps[k == nullptr ? "" : bytes_of_view(*k)][std::string(mk.data, mk.size)] = std::string(v.data, v.size);
      return 0;
    };
    h.map_remove = [](drey_state* s, const drey_view* k, std::uint64_t, drey_span mk) {
      s->maps[k == nullptr ? "" : bytes_of_view(*k)].erase(std::string(mk.data, mk.size));
      return 0;
    };
    h.map_each = [](drey_state* s, const drey_view* k, std::uint64_t, int (*visit)(void*, drey_span, drey_span),
                    void* self) {
      const auto entries = s->maps[k == nullptr ? "" : bytes_of_view(*k)];
      for (const auto& [mk, v] : entries) {
        if (const int rc = visit(self, {mk.data(), mk.size()}, {v.data(), v.size()})) return rc;
      }
      return 0;
    };
    h.operator_list_each = [](drey_state* s, int (*visit)(void*, drey_span), void* self) {
      for (const auto& e : s->items) {
        if (const int rc = visit(self, {e.data(), e.size()})) return rc;
      }
      return 0;
    };
    h.operator_list_assign = [](drey_state* s, std::uint32_t n, const drey_span* e) {
      s->items.clear();
      for (std::uint32_t i = 0; i < n; ++i) s->items.emplace_back(e[i].data, e[i].size);
      return 0;
    };
    h.timer_set = [](drey_task* t, drey_time_kind kind, const drey_view* k, std::uint64_t, std::int64_t time) {
      t->timers.insert({time, bytes_of_view(*k), kind});
      return 0;
    };
    h.timer_delete = [](drey_task* t, drey_time_kind kind, const drey_view* k, std::uint64_t, std::int64_t time) {
      t->timers.erase({time, bytes_of_view(*k), kind});
      return 0;
    };
    h.watermark = [](drey_task* t) { return t->watermark; };
    h.processing_time = [](drey_task* t) { return t->processing_time; };
    h.subtask_index = [](drey_task*) { return 0u; };
    h.parallelism = [](drey_task*) { return 1u; };
    h.attempt = [](drey_task*) { return 0u; };
    h.accumulator_add = [](drey_task* t, const char* name, drey_accumulator_kind kind, std::int64_t n, double d) {
      auto [whole, fresh] = t->whole.try_emplace(name, n);
      if (fresh) {
      } else if (kind == DREY_LONG_MAX) {
        whole->second = std::max(whole->second, n);
      } else if (kind == DREY_LONG_MIN) {
        whole->second = std::min(whole->second, n);
      } else {  // wraps
        whole->second =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(whole->second) + static_cast<std::uint64_t>(n));
      }
      t->real[name] += d;
    };
    h.metric = [](drey_task* t, const char* name, drey_metric_kind) { return &t->metrics[name]; };
    h.hash_key = [](const drey_view* k) { return std::uint64_t{std::hash<std::string>()(bytes_of_view(*k))}; };
    return h;
  }();
  return &table;
}

}  // namespace testing
}  // namespace api
}  // namespace drey
