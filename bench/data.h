// The data of the file cases, written by a seed: the same seed and sizes give the same bytes.
//
//   DIR/words/text-NN.txt            ten words a line out of 100,000, drawn by Zipf's law
//   DIR/flights/flights-NN.csv       the flights of 2013, copy NN moved to the year 2013 + NN
//   DIR/flights_zst/...csv.zst       the same rows, compressed
//   DIR/data.json                    what was asked for; written last
// With seed 1 the text is that of the Flink harness, byte by byte.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "env/env.h"

namespace drey::bench {

struct DataOptions {
  std::string directory;
  std::string flights;  // flights.csv of nycflights13, plain, gzip or zstd
  std::uint64_t seed = 1;
  int text_files = 8;
  int lines_a_file = 300'000;
  int years = 20;
};

Status write_data(env::Env& env, const DataOptions& options);
// Reads all files of a folder as the file source does, decompressed, and does nothing with them:
// what the file cases cannot do without. Returns bytes.
Result<std::uint64_t> read_files(env::FileSystem& files, const std::string& directory);

}  // namespace drey::bench
