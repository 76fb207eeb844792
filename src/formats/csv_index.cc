#include "formats/csv_index.h"

#include <bit>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace drey::formats {
namespace {

// Bit i stands for byte i of 64.
struct Structure {
  std::uint64_t separators;  // delimiters and '\n'
  std::uint64_t lines;       // '\n'
  std::uint64_t quotes;
};

inline Structure structure_of(const char* p, char delimiter) {
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
  return {bits_of(delimiter) | lines, lines, bits_of('"')};
}

// Number of the lowest bit; any number when there is none. (std::countr_zero asks whether there is one, each time.)
inline std::uint32_t lowest_bit(std::uint64_t bits) {
#ifdef __BMI__
  return static_cast<std::uint32_t>(_tzcnt_u64(bits));
#else
  return static_cast<std::uint32_t>(std::countr_zero(bits));
#endif
}

// Writes at + (number of the bit) for each bit that is set, in order. Goes by eights, so `out` needs room for 64
// numbers whatever there are: how many there are is then a rare branch, not one a number.
inline void write_positions(std::uint64_t bits, unsigned count, std::uint32_t at, std::uint32_t* out) {
  const auto eight = [&](unsigned from) {
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; ++i) {
      out[from + i] = at + lowest_bit(bits);
      bits &= bits - 1;
    }
  };
  eight(0);
  if (count <= 8) return;
  eight(8);
  for (unsigned from = 16; from < count; from += 8) eight(from);
}

}  // namespace

std::size_t CsvIndex::find(std::string_view input, std::size_t fields, char delimiter, std::size_t rows_max) {
  input_ = input.data();
  fields_ = fields;
  // A block writes up to 64 words from the last separator on, which may be that of a row with too many.
  const std::size_t needed = 1 + rows_max * fields + 2 * 64;
  if (begins_.size() < needed) begins_.resize(needed);
  begins_[0] = 0;
  std::uint32_t* const begins = begins_.data() + 1;
  std::size_t found = 0;  // separators
  std::size_t rows = 0;
  std::size_t row_end = fields;  // separators up to the end of the row under way
  for (std::size_t at = 0; rows < rows_max && at + 64 + FieldSpans::kPadding <= input.size(); at += 64) {
    Structure block = structure_of(input_ + at, delimiter);
    const bool has_quote = block.quotes != 0;
    if (has_quote) {
      const std::uint64_t before = (block.quotes & (~block.quotes + 1)) - 1;
      block.separators &= before;
      block.lines &= before;
    }
    // A row of more fields than expected would run over the end.
    if (found > rows_max * fields + 64) break;
    const auto count = static_cast<unsigned>(std::popcount(block.separators));
    write_positions(block.separators, count, static_cast<std::uint32_t>(at) + 1, begins + found);
    for (std::uint64_t lines = block.lines; lines != 0; lines &= lines - 1) {
      const std::uint64_t up_to = lines ^ (lines - 1);
      if (found + static_cast<std::size_t>(std::popcount(block.separators & up_to)) != row_end) return rows;
      row_end += fields;
      if (++rows == rows_max) return rows;
    }
    if (has_quote) break;
    found += count;
  }
  return rows;
}

}  // namespace drey::formats
