// Rows, digests and settings that the benchmark jobs share. The rows are those of the Flink
// harness: a pure function of the row's number, so that both engines work on the same ones.
//
//   h = splitmix64(seq); key = (h >>> 1) % keys; value = h >>> 48
//   event time: the source gives each of its p subtasks one contiguous range of seq; the i-th row
//   of range s has position i * p + s, and ts = position * 1000 / rows_per_second
#pragma once

#include <drey/datastream.h>

#include "mix.h"

namespace bench {

using namespace drey::literals;

// Division by a number that is known at the start: a multiplication and one correction.
class Divisor {
 public:
  explicit Divisor(std::uint64_t d)
      : d_(d), inverse_(d == 1 ? UINT64_MAX : static_cast<std::uint64_t>((Wide{1} << 64) / d)) {}
  std::uint64_t quotient(std::uint64_t x) const {
    const auto q = static_cast<std::uint64_t>((Wide{x} * inverse_) >> 64);  // right, or one less
    return x - q * d_ >= d_ ? q + 1 : q;
  }
  std::uint64_t remainder(std::uint64_t x) const {
    const std::uint64_t r = x - static_cast<std::uint64_t>((Wide{x} * inverse_) >> 64) * d_;
    return r >= d_ ? r - d_ : r;
  }
  std::uint64_t value() const { return d_; }

 private:
  __extension__ typedef unsigned __int128 Wide;
  std::uint64_t d_, inverse_;
};

struct Row {
  std::int64_t key = 0, value = 0;
  drey::Timestamp ts;
  std::int64_t seq = 0;
  DREY_FIELDS(Row, key, value, ts, seq)
};

struct MakeRow {
  Divisor keys, range, rows_per_second;
  std::uint64_t subtasks;
  Row operator()(std::int64_t number) const {
    const auto seq = static_cast<std::uint64_t>(number);
    const std::uint64_t h = mix(seq);
    const std::uint64_t part = subtasks == 1 ? 0 : range.quotient(seq);
    const std::uint64_t position = (seq - part * range.value()) * subtasks + part;
    return {static_cast<std::int64_t>(keys.remainder(h >> 1)),
            static_cast<std::int64_t>(h >> 48),
            {static_cast<std::int64_t>(rows_per_second.quotient(position * 1000))},
            number};
  }
};

// Options of every case: --parallelism, --checkpoint-interval, --verify.
struct Case {
  drey::Environment& env;
  drey::ProgramArgs& args;
  int parallelism;
  bool verify;

  Case(drey::Environment& e, drey::ProgramArgs& a)
      : env(e),
        args(a),
        parallelism(a.get<int>("parallelism", std::stoi(e.get("parallelism.default").value_or("1")))),
        verify(a.flag("verify")) {
    env.parallelism(parallelism);
    if (args.has("checkpoint-interval")) env.checkpointing(args.duration("checkpoint-interval"));
  }

  // --rows, --keys, --rows-per-second (of event time), --rate (rows a second in all; left out: as
  // fast as it goes).
  drey::DataStream<Row> rows(std::int64_t default_keys) {
    const auto count = args.get<std::int64_t>("rows");
    const auto keys = args.get<std::int64_t>("keys", default_keys);
    const auto per_second = args.get<std::int64_t>("rows-per-second", 1'000'000);
    if (count < parallelism || count % parallelism != 0) {
      throw drey::ArgumentError("--rows (" + std::to_string(count) + ") must be a multiple of the parallelism");
    }
    if (keys < 1 || per_second < 1) throw drey::ArgumentError("--keys and --rows-per-second must be at least 1");
    const MakeRow make{Divisor(static_cast<std::uint64_t>(keys)),
                       Divisor(static_cast<std::uint64_t>(count / parallelism)),
                       Divisor(static_cast<std::uint64_t>(per_second)), static_cast<std::uint64_t>(parallelism)};
    auto made = drey::generator<Row>(count, make);
    if (args.has("rate")) made.rate(static_cast<double>(args.get<std::int64_t>("rate")));
    return env.from(made);
  }

  // With --verify: counts the results and adds up their digests (accumulators `results` and
  // `digest`).
  template <class T, class F>
  void discard(const drey::DataStream<T>& results, F digest);
};

template <class T, class F>
struct Tally : drey::Process<T, T> {
  F digest;
  drey::LongCounter count{"results"};
  drey::LongCounter sum{"digest"};
  explicit Tally(F f) : digest(f) {}
  void process(const T& row, drey::Context&, drey::Out<T>& out) {
    count.add(1);
    sum.add(static_cast<std::int64_t>(digest(row)));
    out.pass();
  }
};

template <class T, class F>
void Case::discard(const drey::DataStream<T>& results, F digest) {
  if (verify) {
    results.process(Tally<T, F>(digest)).to(drey::discard());
  } else {
    results.to(drey::discard());
  }
  args.done();
}

}  // namespace bench
