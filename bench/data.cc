#include "data.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "connectors/files/byte_stream.h"
#include "jobs/mix.h"

namespace drey::bench {
namespace {

constexpr std::uint64_t kWords = 100'000;
constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;

// Three to ten lower-case letters made from the rank.
std::string word(std::uint64_t rank) {
  std::string out;
  const std::uint64_t h = ::bench::mix(rank);
  for (std::uint64_t i = 0; i < h >> 61; ++i) {
    out.push_back(static_cast<char>('a' + (h >> (5 * i) & 31) % 26));
  }
  for (std::uint64_t v = rank + 26 * 26; v > 0; v /= 26) {
    out.push_back(static_cast<char>('a' + v % 26));
  }
  return out;
}

Status write_text(env::FileSystem& files, const DataOptions& options) {
  const std::string directory = options.directory + "/words";
  DREY_TRY(files.remove_tree(directory));
  DREY_TRY(files.make_directories(directory));
  std::vector<std::string> words;
  std::vector<double> up_to;
  double sum = 0;
  for (std::uint64_t rank = 0; rank < kWords; ++rank) {
    words.push_back(word(rank));
    sum += 1.0 / static_cast<double>(rank + 1);
    up_to.push_back(sum);
  }
  std::uint64_t state = options.seed;  // a splittable generator: the n-th number is mix(seed + n)
  for (int f = 0; f < options.text_files; ++f) {
    DREY_TRY_ASSIGN(auto out, files.create(fmt::format("{}/text-{:02}.txt", directory, f)));
    std::string text;
    for (int line = 0; line < options.lines_a_file; ++line) {
      for (int w = 0; w < 10; ++w) {
        const double at = static_cast<double>(::bench::mix(state) >> 11) * 0x1.0p-53 * sum;
        state += kGolden;
        const auto found = std::lower_bound(up_to.begin(), up_to.end() - 1, at);
        text += words[static_cast<std::size_t>(found - up_to.begin())];
        text += w == 9 ? '\n' : ' ';
      }
      if (text.size() >= 1 << 20) {
        DREY_TRY(out->append(text));
        text.clear();
      }
    }
    DREY_TRY(out->append(text));
    DREY_TRY(out->close());
  }
  return {};
}

Result<std::string> read_whole(env::FileSystem& files, const std::string& path) {
  DREY_TRY_ASSIGN(const auto compression, connectors::files::compression_of(files, path));
  DREY_TRY_ASSIGN(auto stream, connectors::files::open_stream(files, path, compression, 0));
  std::string out;
  for (std::size_t have = 0;;) {
    out.resize(have + (4u << 20));
    DREY_TRY_ASSIGN(const std::size_t bytes, stream->read(out.data() + have, out.size() - have));
    have += bytes;
    if (bytes == 0) {
      out.resize(have);
      return out;
    }
  }
}

// The rows with `year` in place of 2013; time_hour may lie in the year after.
Result<std::string> moved(std::string_view text, int year) {
  std::string out;
  out.reserve(text.size());
  const std::size_t header = text.find('\n') + 1;
  out += text.substr(0, header);
  for (std::size_t at = header; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view row = text.substr(at, end - at);
    const std::size_t comma = row.rfind(',');
    if (!row.starts_with("2013") || comma == row.npos || row.size() < comma + 5) {
      return fail(Code::kInvalidArgument, fmt::format("This is no row of the flights of 2013: {}", row.substr(0, 80)));
    }
    const bool after = row.substr(comma + 1).starts_with("2014");
    fmt::format_to(std::back_inserter(out), "{}{}{}{}", year, row.substr(4, comma - 3), after ? year + 1 : year,
                   row.substr(comma + 5));
    at = end;
  }
  return out;
}

Status write_flights(env::FileSystem& files, const DataOptions& options) {
  for (const char* folder : {"/flights", "/flights_zst"}) {
    DREY_TRY(files.remove_tree(options.directory + folder));
    DREY_TRY(files.make_directories(options.directory + folder));
  }
  DREY_TRY_ASSIGN(const std::string text, read_whole(files, options.flights));
  for (int k = 0; k < options.years; ++k) {
    DREY_TRY_ASSIGN(const std::string rows, moved(text, 2013 + k));
    std::string packed(ZSTD_compressBound(rows.size()), '\0');
    const std::size_t bytes = ZSTD_compress(packed.data(), packed.size(), rows.data(), rows.size(), 3);
    if (ZSTD_isError(bytes) != 0) return fail(Code::kInternal, ZSTD_getErrorName(bytes));
    packed.resize(bytes);
    const std::string& d = options.directory;
    DREY_TRY(files.write_atomic(fmt::format("{}/flights/flights-{:02}.csv", d, k), rows));
    DREY_TRY(files.write_atomic(fmt::format("{}/flights_zst/flights-{:02}.csv.zst", d, k), packed));
  }
  return {};
}

}  // namespace

Result<std::uint64_t> read_files(env::FileSystem& files, const std::string& directory) {
  DREY_TRY_ASSIGN(const auto names, files.list(directory));
  std::vector<char> block(256u << 10);
  std::uint64_t total = 0;
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    DREY_TRY_ASSIGN(const auto compression, connectors::files::compression_of(files, path));
    DREY_TRY_ASSIGN(auto stream, connectors::files::open_stream(files, path, compression, 0));
    for (std::size_t bytes = 1; bytes != 0; total += bytes) {
      DREY_TRY_ASSIGN(bytes, stream->read(block.data(), block.size()));
    }
  }
  return total;
}

Status write_data(env::Env& env, const DataOptions& options) {
  env::FileSystem& files = env.files;
  DREY_TRY(files.make_directories(options.directory));
  const std::string done = options.directory + "/data.json";
  if (files.stat(done).ok()) DREY_TRY(files.remove(done));
  DREY_TRY(write_text(files, options));
  DREY_TRY(write_flights(files, options));
  return files.write_atomic(done, fmt::format("{{\"seed\":{},\"files\":{},\"lines\":{},\"years\":{}}}\n", options.seed,
                                              options.text_files, options.lines_a_file, options.years));
}

}  // namespace drey::bench
