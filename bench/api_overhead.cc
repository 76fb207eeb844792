// drey-api-bench: what a lambda of the DataStream API costs per row, against the loop one would
// write by hand, and a keyed reduce against the engine's own loop over the same state. The
// operators run on a host that does nothing else. Prints one JSON line each; goals: at most 1.5
// and 1.3 times.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "drey/testing.h"
#include "engine_table.h"

namespace {

constexpr std::uint32_t kBatch = 2048;
constexpr int kBatches = 20'000;

std::int64_t times_three(std::int64_t v) { return v * 3 + 1; }
bool odd(std::int64_t v) { return (v & 1) != 0; }

// Columns of numbers under construction, and the operator behind them.
struct Stage : drey_task {
  static constexpr std::uint32_t kColumnsMax = 2;
  std::vector<std::int64_t> values[kColumnsMax];
  std::vector<std::uint64_t> validity = std::vector<std::uint64_t>(kBatch / 64 + 1, ~std::uint64_t{0});
  std::vector<std::int64_t> times = std::vector<std::int64_t>(kBatch);
  drey_builder_column written[kColumnsMax] = {};
  drey_builder builder{};
  const void* buffers[kColumnsMax][2] = {};
  ArrowArray arrays[kColumnsMax] = {};
  ArrowArray* columns[kColumnsMax] = {};
  drey_batch batch{};
  const drey_functions* next = nullptr;  // of the following operator
  void* next_self = nullptr;
  bench::EngineTable* table = nullptr;  // of a keyed operator
  std::uint64_t sum = 0;                // what reached the end

  explicit Stage(std::uint32_t column_count = 1) {
    for (std::uint32_t c = 0; c < column_count; ++c) {
      values[c].resize(kBatch);
      written[c].values = values[c].data();
      written[c].validity = validity.data();
      buffers[c][1] = values[c].data();
      arrays[c].buffers = buffers[c];
      columns[c] = &arrays[c];
    }
    builder.capacity = kBatch;
    builder.columns = written;
    builder.row_times = times.data();
    batch.columns = columns;
    builder.column_count = batch.column_count = column_count;
  }
  int push(const drey_batch& b) {
    if (next != nullptr) return next->process(next_self, 0, &b, nullptr);
    const auto* v = static_cast<const std::int64_t*>(b.columns[b.column_count - 1]->buffers[1]);
    for (std::uint32_t k = 0; k < b.rows; ++k) {
      sum += static_cast<std::uint64_t>(v[b.selection != nullptr ? b.selection[k] : k]);
    }
    return 0;
  }
};

const drey_host* fast_host() {
  static const drey_host table = [] {
    drey_host h = *drey::testing::host();
    h.batch_begin = [](drey_task* t, std::uint32_t, std::uint32_t) { return &static_cast<Stage*>(t)->builder; };
    h.batch_emit = [](drey_task* t, std::uint32_t, drey_builder* b) {
      auto& stage = *static_cast<Stage*>(t);
      stage.batch.physical_rows = stage.batch.rows = b->rows;
      return stage.push(stage.batch);
    };
    h.batch_drop = [](drey_task*, drey_builder*) {};
    h.emit_rows = [](drey_task* t, std::uint32_t, const drey_batch* b, const std::uint32_t* ids, std::uint32_t n) {
      drey_batch selected = *b;
      selected.rows = n;
      selected.selection = ids;
      return static_cast<Stage*>(t)->push(selected);
    };
    h.state_open = [](drey_task* t, const drey_state_spec*) {
      return reinterpret_cast<drey_state*>(static_cast<Stage*>(t)->table);
    };
    h.state_rows = [](drey_state* s, std::uint32_t n, const drey_view* keys, const std::uint64_t* hashes, int,
                      void** rows, std::uint8_t* fresh) {
      auto& state = *reinterpret_cast<bench::EngineTable*>(s);
      return state.rows(n, keys, hashes, rows, fresh) ? 0 : 1;
    };
    return h;
  }();
  return &table;
}

double seconds_of(auto&& run) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

void print(const char* name, double api, double by_hand, int batches) {
  const double rows = 1e-9 * kBatch * batches;
  std::printf("{\"case\":\"%s\",\"ns_per_row\":%.3f,\"by_hand_ns_per_row\":%.3f,\"ratio\":%.2f}\n", name, api / rows,
              by_hand / rows, api / by_hand);
}

// Whether the results agree.
bool map_filter() {
  namespace d = drey::detail;
  const auto map = [](std::int64_t v) { return times_three(v); };
  const auto filter = [](std::int64_t v) { return odd(v); };
  using Map = d::MapOp<decltype(map), std::int64_t, std::int64_t>;
  using Filter = d::FilterOp<decltype(filter), std::int64_t>;

  Stage source, mapped, filtered;
  const typename Map::Closure map_closure{map};
  const typename Filter::Closure filter_closure{filter};
  source.next = d::Functions<Map>::get();
  source.next_self = source.next->create(&map_closure, &mapped, fast_host());
  mapped.next = d::Functions<Filter>::get();
  mapped.next_self = mapped.next->create(&filter_closure, &filtered, fast_host());
  for (std::uint32_t i = 0; i < kBatch; ++i) source.values[0][i] = (i * 2654435761u) >> 7;
  source.batch.physical_rows = source.batch.rows = kBatch;

  const double api = seconds_of([&] {
    filtered.sum = 0;
    for (int b = 0; b < kBatches; ++b) source.push(source.batch);
  });

  // By hand: the same rows, batches and result, with the map's column and the filter's selection.
  std::vector<std::int64_t> column(kBatch);
  std::vector<std::uint32_t> ids(kBatch);
  std::uint64_t by_hand_sum = 0;
  const double by_hand = seconds_of([&] {
    by_hand_sum = 0;
    for (int b = 0; b < kBatches; ++b) {
      const std::int64_t* in = source.values[0].data();
      asm volatile("" : "+r"(in) : : "memory");  // each batch is new to the compiler
      std::uint32_t n = 0;
      for (std::uint32_t i = 0; i < kBatch; ++i) column[i] = times_three(in[i]);
      for (std::uint32_t i = 0; i < kBatch; ++i) {
        ids[n] = i;
        n += odd(column[i]) ? 1 : 0;
      }
      for (std::uint32_t k = 0; k < n; ++k) by_hand_sum += static_cast<std::uint64_t>(column[ids[k]]);
    }
  });
  source.next->destroy(source.next_self);
  mapped.next->destroy(mapped.next_self);
  print("api_map_filter", api, by_hand, kBatches);
  return by_hand_sum == filtered.sum;
}

struct Pair {
  std::int64_t key = 0, value = 0;
  DREY_FIELDS(Pair, key, value)
};

// Running sums of 10,000 keys: state that stays in the cache, so that the difference shows.
bool keyed_reduce() {
  namespace d = drey::detail;
  constexpr int kKeyedBatches = 4000;
  constexpr std::uint32_t kSources = 64;  // batches that differ
  const auto add = [](const Pair& a, const Pair& b) { return Pair{a.key, a.value + b.value}; };
  using Reduce = d::ReduceOp<decltype(add), Pair>;
  const typename Reduce::Closure closure{add};
  const drey_functions* functions = d::Functions<Reduce>::get();

  std::vector<std::unique_ptr<Stage>> sources;
  std::vector<std::vector<drey_view>> keys(kSources);
  std::vector<std::vector<std::uint64_t>> hashes(kSources);
  std::uint64_t x = 1;
  for (std::uint32_t s = 0; s < kSources; ++s) {
    sources.push_back(std::make_unique<Stage>(2));
    sources[s]->batch.physical_rows = sources[s]->batch.rows = kBatch;
    for (std::uint32_t i = 0; i < kBatch; ++i) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      const auto key = static_cast<std::int64_t>((x >> 33) % 10'000);
      sources[s]->values[0][i] = key;
      sources[s]->values[1][i] = static_cast<std::int64_t>(x >> 60);
      keys[s].push_back(bench::key_of(key));
      hashes[s].push_back(bench::hash_of(keys[s][i]));
    }
  }
  const auto each_batch = [&](auto&& process) {
    for (int b = 0; b < kKeyedBatches; ++b) process(static_cast<std::uint32_t>(b) % kSources);
  };

  bench::EngineTable api_table(sizeof(Pair));
  Stage reduced(2);
  reduced.table = &api_table;
  void* self = functions->create(&closure, &reduced, fast_host());
  functions->open(self);
  const double api = seconds_of([&] {
    each_batch([&](std::uint32_t s) {
      const drey_keys of_rows{keys[s].data(), hashes[s].data()};
      functions->process(self, 0, &sources[s]->batch, &of_rows);
    });
  });
  functions->destroy(self);

  bench::EngineTable own_table(sizeof(Pair));
  Stage summed(2);
  void* rows[kBatch];
  std::uint8_t fresh[kBatch];
  const double by_hand = seconds_of([&] {
    each_batch([&](std::uint32_t s) {
      if (!own_table.rows(kBatch, keys[s].data(), hashes[s].data(), rows, fresh)) return;
      const std::int64_t* key = sources[s]->values[0].data();
      const std::int64_t* value = sources[s]->values[1].data();
      for (std::uint32_t i = 0; i < kBatch; ++i) {
        auto* state = static_cast<Pair*>(rows[i]);
        if (fresh[i] != 0) state->key = key[i];
        state->value += value[i];
        summed.values[0][i] = state->key;
        summed.values[1][i] = state->value;
      }
      summed.batch.physical_rows = summed.batch.rows = kBatch;
      summed.push(summed.batch);
    });
  });
  print("api_keyed_reduce", api, by_hand, kKeyedBatches);
  return summed.sum == reduced.sum;
}

}  // namespace

int main() {
  if (map_filter() && keyed_reduce()) return 0;
  std::fprintf(stderr, "drey-api-bench: the sums differ\n");
  return 1;
}
