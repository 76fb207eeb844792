// The work of three cases of drey-bench as loops on one core, with nothing around them: no batches that are passed on,
// no state that is saved. What a row costs at least.
//
//   generate    rows into a buffer
//   exchange    rows into a buffer, each copied into one of two partitions, both read
//   keyed_sum   rows into a buffer, running sums in an open-addressing table, results into another buffer
//
// Prints one line of JSON: with --verify the number of results and their digest, as `drey-bench CASE --verify` does.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "../jobs/mix.h"

namespace {

__extension__ typedef unsigned __int128 Wide;

// As in rows.h, which needs the headers of the API.
class Divisor {
 public:
  explicit Divisor(std::uint64_t d) : d_(d), inverse_(static_cast<std::uint64_t>((Wide{1} << 64) / d)) {}
  std::uint64_t quotient(std::uint64_t x) const {
    const std::uint64_t q = guess(x);
    return x - q * d_ >= d_ ? q + 1 : q;
  }
  std::uint64_t remainder(std::uint64_t x) const {
    const std::uint64_t r = x - guess(x) * d_;
    return r >= d_ ? r - d_ : r;
  }

 private:
  std::uint64_t guess(std::uint64_t x) const { return static_cast<std::uint64_t>((Wide{x} * inverse_) >> 64); }
  std::uint64_t d_, inverse_;
};

struct Row {
  std::int64_t key, value, ts, seq;
};

constexpr std::uint64_t kKeys = 1'000'000;
constexpr std::size_t kBufferRows = 256;
constexpr std::size_t kGroup = 16;  // rows whose table entries are fetched together
constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;

// The compiler may not see through a buffer that is handed on.
void hand_on(const void* buffer) { asm volatile("" ::"r"(buffer) : "memory"); }

struct Generator {
  Divisor keys{kKeys}, rows_per_second{1'000'000};
  void fill(Row* out, std::uint64_t first, std::size_t n) const {
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t seq = first + i;
      const std::uint64_t h = bench::mix(seq);
      out[i] = {static_cast<std::int64_t>(keys.remainder(h >> 1)), static_cast<std::int64_t>(h >> 48),
                static_cast<std::int64_t>(rows_per_second.quotient(seq * 1000)), static_cast<std::int64_t>(seq)};
    }
    hand_on(out);
  }
};

struct Outcome {
  std::uint64_t results = 0, digest = 0;
};

Outcome generate(std::uint64_t rows, bool verify) {
  const Generator generator;
  Row in[kBufferRows];
  Outcome outcome;
  for (std::uint64_t first = 0; first < rows; first += kBufferRows) {
    generator.fill(in, first, kBufferRows);
    if (!verify) continue;
    for (const Row& row : in) outcome.digest += static_cast<std::uint64_t>(row.value);
    outcome.results += kBufferRows;
  }
  return outcome;
}

Outcome exchange(std::uint64_t rows, bool verify) {
  const Generator generator;
  static Row in[kBufferRows], parts[2][2 * kBufferRows];
  std::size_t count[2] = {0, 0};
  Outcome outcome;
  std::uint64_t seen = 0;
  for (std::uint64_t first = 0; first < rows; first += kBufferRows) {
    generator.fill(in, first, kBufferRows);
    for (const Row& row : in) {
      const std::size_t target = static_cast<std::uint64_t>(row.key) * kGolden >> 63;
      parts[target][count[target]++] = row;
    }
    const bool is_last = first + kBufferRows == rows;
    for (std::size_t target = 0; target < 2; ++target) {
      if (count[target] < kBufferRows && !is_last) continue;
      hand_on(parts);
      for (std::size_t i = 0; i < count[target]; ++i) {
        const auto seq = static_cast<std::uint64_t>(parts[target][i].seq);
        seen += seq;
        if (verify) outcome.digest += bench::mix(seq);
      }
      outcome.results += count[target];
      count[target] = 0;
    }
  }
  hand_on(&seen);
  return outcome;
}

// Zeroes on pages of 2 MiB.
void* map_huge(std::size_t bytes) {
  constexpr std::size_t kHuge = 2u << 20;
  void* const memory = mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("bare_loops: mmap");
    std::exit(1);
  }
  void* const aligned = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(memory) + kHuge - 1) & ~(kHuge - 1));
  madvise(aligned, bytes, MADV_HUGEPAGE);
  return aligned;
}

Outcome keyed_sum(std::uint64_t rows, bool verify) {
  constexpr std::uint64_t kCapacity = 1u << 21;
  constexpr std::int64_t kFree = -1;
  const Generator generator;
  auto* const table = static_cast<Row*>(map_huge(kCapacity * sizeof(Row)));
  std::memset(static_cast<void*>(table), 0xff, kCapacity * sizeof(Row));
  static Row in[kBufferRows], out[kBufferRows];
  for (std::uint64_t first = 0; first < rows; first += kBufferRows) {
    generator.fill(in, first, kBufferRows);
    for (std::size_t group = 0; group < kBufferRows; group += kGroup) {
      Row* at[kGroup];
      for (std::size_t i = 0; i < kGroup; ++i) {
        at[i] = table + (static_cast<std::uint64_t>(in[group + i].key) * kGolden >> 43);
        __builtin_prefetch(at[i], 1);
      }
      for (std::size_t i = 0; i < kGroup; ++i) {
        const Row& row = in[group + i];
        Row* entry = at[i];
        while (entry->key != row.key && entry->key != kFree) entry = entry + 1 == table + kCapacity ? table : entry + 1;
        const std::int64_t before = entry->key == kFree ? 0 : entry->value;
        *entry = out[group + i] = {row.key, before + row.value, row.ts, row.seq};
      }
    }
    hand_on(out);
  }
  Outcome outcome{rows, 0};
  for (std::uint64_t i = 0; verify && i < kCapacity; ++i) {
    if (table[i].key == kFree) continue;
    outcome.digest += bench::mix(static_cast<std::uint64_t>(table[i].key)) * static_cast<std::uint64_t>(table[i].value);
  }
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view name;
  std::uint64_t rows = 0;
  bool verify = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--verify") {
      verify = true;
    } else if (word == "--rows" && i + 1 < argc) {
      rows = std::strtoull(argv[++i], nullptr, 10);
    } else {
      name = word;
    }
  }
  const auto run = name == "generate"    ? generate
                   : name == "exchange"  ? exchange
                   : name == "keyed_sum" ? keyed_sum
                                         : nullptr;
  if (run == nullptr || rows == 0 || rows % kBufferRows != 0) {
    std::fprintf(stderr, "bare_loops generate|exchange|keyed_sum --rows N [--verify]; N is a multiple of %zu\n",
                 kBufferRows);
    return 2;
  }
  const Outcome outcome = run(rows, verify);
  std::printf("{\"case\":\"%.*s\",\"rows\":%lu,\"workers\":1,\"results\":%lu,\"digest\":%ld}\n",
              static_cast<int>(name.size()), name.data(), rows, verify ? outcome.results : 0,
              static_cast<long>(outcome.digest));
  return 0;
}
