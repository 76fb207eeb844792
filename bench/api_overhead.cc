// drey-api-bench: what a lambda of the DataStream API costs per row, against the loop one would
// write by hand. The operators run on a host that does nothing else: prints one JSON line; goal: at
// most 1.5 times the loop.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "drey/testing.h"

namespace {

constexpr std::uint32_t kBatch = 2048;
constexpr int kBatches = 20'000;

std::int64_t times_three(std::int64_t v) { return v * 3 + 1; }
bool odd(std::int64_t v) { return (v & 1) != 0; }

// One column of numbers under construction, and the operator behind it.
struct Stage : drey_task {
  std::vector<std::int64_t> values = std::vector<std::int64_t>(kBatch);
  std::vector<std::uint64_t> validity =
      std::vector<std::uint64_t>(kBatch / 64 + 1, ~std::uint64_t{0});
  std::vector<std::int64_t> times = std::vector<std::int64_t>(kBatch);
  drey_builder_column column{};
  drey_builder builder{};
  const void* buffers[2] = {nullptr, nullptr};
  ArrowArray array{};
  ArrowArray* columns[1] = {&array};
  drey_batch batch{};
  const drey_functions* next = nullptr;  // of the following operator
  void* next_self = nullptr;
  std::uint64_t sum = 0;  // what reached the end

  Stage() {
    column.values = values.data();
    column.validity = validity.data();
    builder.capacity = kBatch;
    builder.column_count = 1;
    builder.columns = &column;
    builder.row_times = times.data();
    buffers[1] = values.data();
    array.buffers = buffers;
    batch.column_count = 1;
    batch.columns = columns;
  }
  int push(const drey_batch& b) {
    if (next != nullptr) return next->process(next_self, 0, &b, nullptr);
    const auto* v = static_cast<const std::int64_t*>(b.columns[0]->buffers[1]);
    for (std::uint32_t k = 0; k < b.rows; ++k) {
      sum += static_cast<std::uint64_t>(v[b.selection != nullptr ? b.selection[k] : k]);
    }
    return 0;
  }
};

const drey_host* fast_host() {
  static const drey_host table = [] {
    drey_host h = *drey::testing::host();
    h.batch_begin = [](drey_task* t, std::uint32_t, std::uint32_t) {
      return &static_cast<Stage*>(t)->builder;
    };
    h.batch_emit = [](drey_task* t, std::uint32_t, drey_builder* b) {
      auto& stage = *static_cast<Stage*>(t);
      stage.batch.physical_rows = stage.batch.rows = b->rows;
      return stage.push(stage.batch);
    };
    h.batch_drop = [](drey_task*, drey_builder*) {};
    h.emit_rows = [](drey_task* t, std::uint32_t, const drey_batch* b, const std::uint32_t* ids,
                     std::uint32_t n) {
      drey_batch selected = *b;
      selected.rows = n;
      selected.selection = ids;
      return static_cast<Stage*>(t)->push(selected);
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
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

int main() {
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
  for (std::uint32_t i = 0; i < kBatch; ++i) source.values[i] = (i * 2654435761u) >> 7;
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
      const std::int64_t* in = source.values.data();
      asm volatile("" : "+r"(in) : : "memory");  // each batch is new to the compiler
      std::uint32_t n = 0;
      for (std::uint32_t i = 0; i < kBatch; ++i) column[i] = times_three(in[i]);
      for (std::uint32_t i = 0; i < kBatch; ++i) {
        ids[n] = i;
        n += odd(column[i]) ? 1 : 0;
      }
      for (std::uint32_t k = 0; k < n; ++k)
        by_hand_sum += static_cast<std::uint64_t>(column[ids[k]]);
    }
  });
  if (by_hand_sum != filtered.sum) {
    std::fprintf(stderr, "drey-api-bench: the sums differ\n");
    return 1;
  }
  const double rows = 1e-9 * kBatch * kBatches;
  std::printf(
      "{\"case\":\"api_map_filter\",\"ns_per_row\":%.3f,\"by_hand_ns_per_row\":%.3f,\"ratio\":%.2f}"
      "\n",
      api / rows, by_hand / rows, api / by_hand);
  source.next->destroy(source.next_self);
  mapped.next->destroy(mapped.next_self);
}
