#include "fake_host.h"

#include <algorithm>
#include <cstring>

#include "drey/kinds.h"

extern "C" const drey_module* drey_module_entry(std::uint32_t host_abi);

namespace fake {
namespace {

// The key of a row as abi.h has it.
std::string key_bytes(const Batch& b, const std::vector<std::uint32_t>& columns, std::uint32_t i, bool* null) {
  std::string out;
  *null = false;
  for (std::uint32_t c : columns) {
    const ArrowSchema& s = *b.schema->children[c];
    const ArrowArray& a = *b.view.columns[c];
    const bool none = (s.flags & ARROW_FLAG_NULLABLE) != 0 && is_null(a, i);
    const bool text = s.format[0] == 'v';
    std::string v;
    if (none) {
    } else if (text) {
      v = bytes_of_view(value_at<drey_view>(a, i));
    } else if (s.format[0] == 'b') {
      v = std::string(1, (static_cast<const std::uint8_t*>(a.buffers[1])[i >> 3] >> (i & 7)) & 1);
    } else {
      v = std::string(static_cast<const char*>(a.buffers[1]) + i * width(s.format), width(s.format));
    }
    if (columns.size() == 1) {
      *null = none;
      return v;
    }
    out += none ? '\0' : '\1';
    if (!none && text) {
      const auto n = static_cast<std::uint32_t>(v.size());
      out.append(reinterpret_cast<const char*>(&n), 4);
    }
    out += v;
  }
  return out;
}

}  // namespace

const drey_graph_builder* builder() {
  static const drey_graph_builder table = [] {
    drey_graph_builder b{};
    b.size = sizeof b;
    b.abi = DREY_ABI_VERSION;
    b.add_operator = [](drey_graph* g, const drey_operator_spec* s) {
      Spec n;
      n.kind = s->kind;
      n.name = s->name;
      n.has_uid = s->uid != nullptr;
      if (n.has_uid) n.uid = s->uid;
      if (s->slot_sharing_group != nullptr) n.group = s->slot_sharing_group;
      n.parallelism = s->parallelism;
      n.max_parallelism = s->max_parallelism;
      n.chaining = s->chaining;
      n.accumulator_bytes = s->accumulator_bytes;
      n.outputs.assign(s->outputs, s->outputs + s->output_count);
      for (std::uint32_t i = 0; i < s->option_count; ++i) n.options[s->options[2 * i]] = s->options[2 * i + 1];
      n.functions = s->functions;
      n.closure = s->closure;
      n.release = s->release_closure;
      g->operators.push_back(std::move(n));
      return static_cast<std::uint32_t>(g->operators.size() - 1);
    };
    b.add_edge = [](drey_graph* g, const drey_edge_spec* e) {
      g->edges.push_back({e->from, e->output, e->to, e->input, e->partitioner,
                          std::vector<std::uint32_t>(e->key_columns, e->key_columns + e->key_column_count)});
      if (e->closure != nullptr) e->release_closure(e->closure);
      return 0;
    };
    b.set = [](drey_graph* g, const char* k, const char* v) {
      g->settings[k] = v;
      return 0;
    };
    b.get = [](drey_graph* g, const char* k) -> const char* {
      auto it = g->settings.find(k);
      return it == g->settings.end() ? nullptr : (g->got = it->second).c_str();
    };
    b.fail = [](drey_graph* g, const char* type, const char* message) {
      g->failed_type = type;
      g->failed = message;
    };
    return b;
  }();
  return &table;
}

std::unique_ptr<drey_graph> build(const std::string& job, const std::vector<std::string>& args) {
  auto g = std::make_unique<drey_graph>();
  const drey_module* m = drey_module_entry(DREY_ABI_VERSION);
  for (std::uint32_t i = 0; i < m->job_count; ++i) {
    if (m->jobs[i].name != job) continue;
    std::vector<const char*> argv;
    for (const auto& a : args) argv.push_back(a.c_str());
    const int rc = m->jobs[i].build(g.get(), builder(), static_cast<std::uint32_t>(argv.size()), argv.data());
    if (rc != 0 && g->failed_type.empty()) g->failed_type = "no reason given";
    return g;
  }
  g->failed_type = "no such job";
  return g;
}

namespace {

struct Runner {
  drey_graph& g;
  const Files& files;
  Run result;
  std::vector<std::unique_ptr<Task>> tasks;

  bool ok(std::size_t i, int rc) {
    Task& t = *tasks[i];
    if (rc == 0 && t.failed_type.empty()) return true;
    result.failed_type = t.failed_type;
    result.failed = t.failed;
    return false;
  }

  struct Keys {
    std::vector<std::string> text;
    std::vector<drey_view> views;
    std::vector<std::uint64_t> hashes;
    drey_keys keys{};
    Keys(const Batch& b, const std::vector<std::uint32_t>& columns) {
      bool null = false;
      for (std::uint32_t k = 0; k < b.view.rows; ++k) {
        text.push_back(key_bytes(b, columns, b.view.selection ? b.view.selection[k] : k, &null));
      }
      for (const auto& s : text) {
        views.push_back(view_of(s));
        hashes.push_back(std::hash<std::string>()(s));
      }
      keys = {views.data(), hashes.data()};
    }
  };

  bool timers(std::size_t i, std::int64_t upto) {
    Task& t = *tasks[i];
    while (!t.timers.empty() && t.timers.begin()->time <= upto) {
      std::vector<TimerKey> due;
      const std::int64_t time = t.timers.begin()->time;
      while (!t.timers.empty() && t.timers.begin()->time == time) {
        due.push_back(*t.timers.begin());
        t.timers.erase(t.timers.begin());
      }
      std::vector<drey_timer> all;
      for (const TimerKey& d : due) {
        all.push_back({d.time, view_of(d.key), std::hash<std::string>()(d.key), static_cast<std::uint32_t>(d.kind), 0});
      }
      t.watermark = time;
      if (t.spec->functions->on_timers == nullptr) return ok(i, 1);
      if (!ok(i, t.spec->functions->on_timers(t.self, static_cast<std::uint32_t>(all.size()), all.data())))
        return false;
    }
    t.watermark = upto;
    return true;
  }

  bool user(std::size_t i) {
    Task& t = *tasks[i];
    const drey_functions& f = *t.spec->functions;
    for (std::uint32_t input : {1u, 0u}) {  // the broadcast side first
      bool any = false;
      for (const EdgeSpec& e : g.edges) {
        if (e.to != i || e.input != input) continue;
        any = true;
        for (const auto& b : tasks[e.from]->out.at(e.output)) {
          const Keys keys(*b, e.keys);
          t.input = b;
          if (!ok(i, f.process(t.self, input, &b->view, e.partitioner == DREY_HASH ? &keys.keys : nullptr)))
            return false;
          t.input = nullptr;
        }
      }
      if (any && f.on_input_end != nullptr && !ok(i, f.on_input_end(t.self, input))) return false;
    }
    if (!timers(i, INT64_MAX)) return false;
    if (f.on_watermark != nullptr && !ok(i, f.on_watermark(t.self, INT64_MAX))) return false;
    if (f.snapshot != nullptr && !ok(i, f.snapshot(t.self, 1))) return false;
    return f.finish == nullptr || ok(i, f.finish(t.self));
  }

  // Tumbling, sliding and session windows in event time; global ones with count:N.
  bool window(std::size_t i) {
    Task& t = *tasks[i];
    const Spec& s = *t.spec;
    const drey_functions& f = *s.functions;
    const std::string assigner = s.options.at("assigner"), how = s.options.at("accumulate");
    auto num = [&](const char* k) { return s.options.contains(k) ? std::stoll(s.options.at(k)) : 0; };
    struct Acc {
      std::vector<std::uint64_t> fixed;
      std::string bytes;
      std::int64_t count = 0;
    };
    std::map<std::pair<std::int64_t, std::int64_t>, std::map<std::string, Acc>> windows;  // (end, start) -> key
    auto fire = [&](std::int64_t start, std::int64_t end, const std::string& key, Acc& a) {
      const drey_view v = view_of(key);
      const drey_span span{a.bytes.data(), a.bytes.size()};
      const void* p = how == "fixed" ? static_cast<const void*>(a.fixed.data()) : &span;
      return ok(i, f.fire(t.self, {start, end}, 1, &v, &p));
    };
    for (const EdgeSpec& e : g.edges) {
      if (e.to != i) continue;
      for (const auto& b : tasks[e.from]->out.at(e.output)) {
        const Keys keys(*b, e.keys);
        for (std::uint32_t k = 0; k < b->view.rows; ++k) {
          const std::uint32_t id = b->view.selection ? b->view.selection[k] : k;
          std::vector<std::pair<std::int64_t, std::int64_t>> in;  // (end, start)
          if (assigner == "global") {
            in.push_back({INT64_MAX, INT64_MIN});
          } else {
            const std::int64_t time = b->view.row_times[id];
            const std::int64_t size = assigner == "session" ? num("gap_ms") : num("size_ms");
            const std::int64_t slide = assigner == "sliding" ? num("slide_ms") : assigner == "session" ? 1 : size;
            std::int64_t start = time - ((time % slide) + slide) % slide;
            if (assigner == "session") {
              in.push_back({start + size, start});
            } else {
              for (; start > time - size; start -= slide) in.push_back({start + size, start});
            }
          }
          for (auto w : in) {
            Acc before;
            bool has = false;
            if (assigner == "session") {
              for (auto it = windows.begin(); it != windows.end();) {
                auto a = it->second.find(keys.text[k]);
                if (a != it->second.end() && it->first.second <= w.first && w.second <= it->first.first) {
                  w = {std::max(w.first, it->first.first), std::min(w.second, it->first.second)};
                  if (!has) {
                    before = a->second;
                  } else if (how == "fixed") {
                    if (!ok(i, f.merge(t.self, before.fixed.data(), a->second.fixed.data()))) return false;
                  } else if (how == "encoded") {
                    drey_span m{};
                    if (!ok(i, f.merge_encoded(t.self, {before.bytes.data(), before.bytes.size()},
                                               {a->second.bytes.data(), a->second.bytes.size()}, &m)))
                      return false;
                    before.bytes = std::string(m.data, m.size);
                  } else {
                    before.bytes += a->second.bytes;
                  }
                  has = true;
                  it->second.erase(a);
                  it = it->second.empty() ? windows.erase(it) : std::next(it);
                } else {
                  ++it;
                }
              }
            }
            auto [slot, fresh] = windows[w].try_emplace(keys.text[k], std::move(before));
            fresh = fresh && !has;
            Acc& a = slot->second;
            t.input = b;
            if (how == "fixed") {
              if (fresh) a.fixed.assign((s.accumulator_bytes + 7) / 8, 0);
              void* row = a.fixed.data();
              const std::uint8_t is_fresh = fresh;
              if (!ok(i, f.accumulate(t.self, &b->view, 1, &id, &row, &is_fresh))) return false;
            } else if (how == "encoded") {
              drey_span after{};
              if (!ok(i, f.accumulate_encoded(t.self, &b->view, id, {a.bytes.data(), a.bytes.size()}, &after)))
                return false;
              a.bytes = std::string(after.data, after.size);
            } else {
              drey_span one{};
              if (!ok(i, f.encode_element(t.self, &b->view, id, &one))) return false;
              const auto n = static_cast<std::uint32_t>(one.size);
              a.bytes.append(reinterpret_cast<const char*>(&n), 4).append(one.data, one.size);
            }
            ++a.count;
            bool now = false, purge = false;
            if (f.on_trigger != nullptr) {
              drey_trigger x{{w.second, w.first}, DREY_NO_TIME, INT64_MIN, 0, a.count,
                             DREY_NO_TIME,        DREY_NO_TIME, nullptr};
              const int r = f.on_trigger(t.self, DREY_ON_ELEMENT, &b->view, id, &x);
              if (!ok(i, r < 0)) return false;
              now = (r & 1) != 0;
              purge = (r & 2) != 0;
            } else if (s.options.contains("trigger")) {
              now = purge = a.count == std::stoll(s.options.at("trigger").substr(6));
            }
            t.input = nullptr;
            if (now && !fire(w.second, w.first, keys.text[k], a)) return false;
            if (purge) windows[w].erase(keys.text[k]);
          }
        }
      }
    }
    if (assigner == "global" || f.on_trigger != nullptr) return true;
    for (auto& [w, all] : windows) {
      for (auto& [key, a] : all) {
        if (!fire(w.second, w.first, key, a)) return false;
      }
    }
    return true;
  }

  bool watermarks(std::size_t i) {
    Task& t = *tasks[i];
    const bool by_function = t.spec->functions != nullptr;
    for (const EdgeSpec& e : g.edges) {
      if (e.to != i) continue;
      for (const auto& b : tasks[e.from]->out.at(e.output)) {
        auto timed = std::make_shared<Batch>();
        timed->schema = b->schema;
        timed->base = b;
        timed->view = b->view;
        timed->times.resize(b->view.physical_rows);
        std::vector<std::int64_t> found(b->view.rows);
        if (by_function && !ok(i, t.spec->functions->row_times(t.self, &b->view, found.data()))) return false;
        for (std::uint32_t k = 0; k < b->view.rows; ++k) {
          const std::uint32_t id = b->view.selection ? b->view.selection[k] : k;
          timed->times[id] =
              by_function ? found[k]
                          : value_at<std::int64_t>(*b->view.columns[std::stoi(t.spec->options.at("time_column"))], id);
        }
        timed->view.row_times = timed->times.data();
        t.out[0].push_back(timed);
      }
    }
    return true;
  }

  bool generator(std::size_t i) {
    Task& t = *tasks[i];
    const std::int64_t rows = std::stoll(t.spec->options.at("rows"));
    for (std::int64_t first = 0; first < rows; first += 100) {
      const auto n = static_cast<std::uint32_t>(std::min<std::int64_t>(100, rows - first));
      auto b = start_batch(t.spec->outputs[0], n);
      if (!ok(i, t.spec->functions->generate(t.self, &b->builder, first, n))) return false;
      seal_batch(*b);
      t.out[0].push_back(b);
    }
    return true;
  }

  bool read(std::size_t i) {
    Task& t = *tasks[i];
    const auto& rows = files.at(t.spec->options.at("path"));
    const ArrowSchema& s = *t.spec->outputs[0];
    auto b = start_batch(&s, static_cast<std::uint32_t>(rows.size()));
    for (std::uint32_t r = 0; r < rows.size(); ++r) {
      for (int c = 0; c < s.n_children; ++c) {
        const std::string& text = rows[r].at(static_cast<std::size_t>(c));
        drey_builder_column& col = b->builder_columns[static_cast<std::size_t>(c)];
        const bool none = text == "NA" && (s.children[c]->flags & ARROW_FLAG_NULLABLE) != 0;
        if (none) {
          col.validity[r >> 6] &= ~(std::uint64_t{1} << (r & 63));
          col.has_nulls = 1;
        }
        switch (s.children[c]->format[0]) {
          case 'v':
            static_cast<drey_view*>(col.values)[r] = view_of(b->text.emplace_back(text));
            break;
          case 'i':
            static_cast<std::int32_t*>(col.values)[r] = none ? 0 : std::stoi(text);
            break;
          case 'g':
            static_cast<double*>(col.values)[r] = none ? 0 : std::stod(text);
            break;
          default:
            static_cast<std::int64_t*>(col.values)[r] = none ? 0 : std::stoll(text);
        }
      }
    }
    b->builder.rows = static_cast<std::uint32_t>(rows.size());
    seal_batch(*b);
    t.out[0].push_back(b);
    return true;
  }

  bool sink(std::size_t i) {
    Task& t = *tasks[i];
    const auto name = t.spec->options.find(t.spec->kind == DREY_KIND_FILE_SINK ? "path" : "name");
    auto& to = result.rows[name == t.spec->options.end() ? t.spec->name : name->second];
    for (const EdgeSpec& e : g.edges) {
      if (e.to != i) continue;
      for (const auto& b : tasks[e.from]->out.at(e.output)) {
        for (std::uint32_t k = 0; k < b->view.rows; ++k)
          to.push_back(row_text(*b, b->view.selection ? b->view.selection[k] : k));
      }
    }
    return true;
  }

  void run() {
    bool good = true;
    for (std::size_t i = 0; i < g.operators.size() && good; ++i) {
      const Spec& s = g.operators[i];
      tasks.push_back(std::make_unique<Task>());
      Task& t = *tasks.back();
      t.spec = &s;
      t.outputs = s.outputs;
      t.out.resize(s.outputs.size());
      if (s.functions != nullptr) {
        t.self = s.functions->create(s.closure, &t, host());
        good = ok(i, t.self == nullptr) && (s.functions->open == nullptr || ok(i, s.functions->open(t.self)));
        if (!good) break;
      }
      if (s.kind == DREY_KIND_USER)
        good = user(i);
      else if (s.kind == DREY_KIND_WINDOW)
        good = window(i);
      else if (s.kind == DREY_KIND_WATERMARKS)
        good = watermarks(i);
      else if (s.kind == DREY_KIND_GENERATOR)
        good = generator(i);
      else if (s.kind == DREY_KIND_FILE_SOURCE)
        good = read(i);
      else
        good = sink(i);
    }
    for (auto& t : tasks) {
      for (const auto& [k, v] : t->whole) result.accumulators[k] += v;
      if (t->self != nullptr) t->spec->functions->destroy(t->self);
    }
    for (auto& t : tasks) {
      if (!t->builders.empty()) result.failed_type = "a builder was neither emitted nor dropped";
    }
    tasks.clear();
  }
};

}  // namespace

Run run(drey_graph& graph, const Files& files) {
  if (!graph.failed_type.empty()) return {{}, {}, graph.failed_type, graph.failed};
  Runner r{graph, files, {}, {}};
  r.run();
  return r.result;
}
Run run(const std::string& job, const std::vector<std::string>& args, const Files& files) {
  return run(*build(job, args), files);
}

}  // namespace fake

drey_graph::~drey_graph() {
  for (auto& o : operators) {
    if (o.closure != nullptr && o.release != nullptr) o.release(o.closure);
  }
}
