#include "connectors/files/csv_index.h"

#include <bit>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace drey::connectors::files {
namespace {

// Bit i stands for byte i of 64.
struct Structure {
  std::uint64_t separators;  // ',' and '\n'
  std::uint64_t lines;       // '\n'
  std::uint64_t quotes;
};

inline Structure structure_of(const char* p) {
#ifdef __AVX2__
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
  const auto bits_of = [&](char c) {
    const __m256i wanted = _mm256_set1_epi8(c);
    const auto a = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)));
    const auto b = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)));
    return a | std::uint64_t{b} << 32;
  };
#else
  const auto bits_of = [&](char c) {
    std::uint64_t bits = 0;
    for (unsigned i = 0; i < 64; ++i) bits |= std::uint64_t{p[i] == c} << i;
    return bits;
  };
#endif
  const std::uint64_t lines = bits_of('\n');
  return {bits_of(',') | lines, lines, bits_of('"')};
}

}  // namespace

std::size_t CsvIndex::find(std::string_view input, std::size_t fields, std::size_t rows_max) {
  input_ = input.data();
  fields_ = fields;
  // A block writes up to 64 words from the last separator on, which may be that of a row with too many.
  const std::size_t needed = 1 + rows_max * fields + 2 * 64;
  if (ends_.size() < needed) ends_.resize(needed);
  ends_[0] = UINT32_MAX;
  std::uint32_t* const ends = ends_.data() + 1;
  std::size_t found = 0;  // separators
  std::size_t rows = 0;
  for (std::size_t at = 0; rows < rows_max && at + 64 + FieldSpans::kPadding <= input.size(); at += 64) {
    Structure block = structure_of(input_ + at);
    const bool has_quote = block.quotes != 0;
    if (has_quote) {
      const std::uint64_t before = (block.quotes & (~block.quotes + 1)) - 1;
      block.separators &= before;
      block.lines &= before;
    }
    const auto count = static_cast<unsigned>(std::popcount(block.separators));
    // A row of more fields than expected would run over the end.
    if (found > rows_max * fields + 64) break;
    std::uint32_t* out = ends + found;
    std::uint64_t bits = block.separators;
    for (unsigned done = 0; done < count; done += 16) {
      for (unsigned i = 0; i < 16 && done + i < 64; ++i) {
        out[done + i] = static_cast<std::uint32_t>(at) + static_cast<std::uint32_t>(std::countr_zero(bits));
        bits &= bits - 1;
      }
    }
    for (std::uint64_t lines = block.lines; lines != 0; lines &= lines - 1) {
      const std::uint64_t before = (lines & (~lines + 1)) - 1;
      const std::size_t number = found + static_cast<std::size_t>(std::popcount(block.separators & before));
      if (number + 1 != (rows + 1) * fields) return rows;
      if (++rows == rows_max) return rows;
    }
    if (has_quote) break;
    found += count;
  }
  return rows;
}

}  // namespace drey::connectors::files
