// Kernels over one column of a CsvIndex: four whole numbers at once, and short text as views.
//
// read_four(): the fields of four neighbouring rows as whole numbers, by AVX2: each field's eight
// bytes are one lane, the digits of a lane are folded pair by pair. It takes what nearly all
// numbers are (a minus, one to eight digits; seven behind a minus) and refuses everything else
// without saying why: null, a point, too long, no number. ViewMaker: the view of a field up to 12
// bytes with one load of 16; remembers whether all of it was ASCII. Without AVX2 read_four()
// refuses always. Threading: pure functions; a ViewMaker has one owner. REQUIRES of both:
// FieldSpans::kPadding readable bytes behind the begin of a field.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "data/view.h"
#include "formats/csv_index.h"

namespace drey::formats {

#if defined(__AVX2__)
static_assert(FieldSpans::kPadding >= 16);

// Magnitudes below 10^8, and per lane all ones where there is a minus.
struct FourNumbers {
  __m256i magnitudes;
  __m256i minus;
  __m256i values() const { return _mm256_sub_epi64(_mm256_xor_si256(magnitudes, minus), minus); }
  // As four int32.
  __m128i narrow() const { return low_halves(values()); }
  __m128i narrow_magnitudes() const { return low_halves(magnitudes); }

 private:
  static __m128i low_halves(__m256i four) {
    return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(four, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)));
  }
};

// Of the rows `row` to `row` + 3. False: at least one of them is none for this kernel.
inline bool read_four(const FieldSpans& fields, std::size_t row, FourNumbers* out) {
  const std::uint32_t* b[4] = {fields.bounds(row), fields.bounds(row + 1), fields.bounds(row + 2),
                               fields.bounds(row + 3)};
  // (A gather would say the same; on many processors it is slower than four loads.)
  const auto four = [](const void* p0, const void* p1, const void* p2, const void* p3) {
    const auto word = [](const void* p) {
      long long bytes = 0;
      std::memcpy(&bytes, p, 8);
      return bytes;
    };
    return _mm256_set_epi64x(word(p3), word(p2), word(p1), word(p0));
  };
  const __m256i bounds = four(b[0], b[1], b[2], b[3]);
  const char* const input = fields.input();
  const __m256i text = four(input + *b[0], input + *b[1], input + *b[2], input + *b[3]);
  const __m256i low_word = _mm256_set1_epi64x(0xFFFFFFFF);
  // From begin to begin of the next field, which is one more than the size.
  __m256i size = _mm256_sub_epi64(_mm256_srli_epi64(bounds, 32), _mm256_and_si256(bounds, low_word));
  const __m256i first = _mm256_and_si256(text, _mm256_set1_epi64x(0xFF));
  const __m256i minus = _mm256_cmpeq_epi64(first, _mm256_set1_epi64x('-'));
  size = _mm256_add_epi64(size, minus);
  __m256i digits = _mm256_srlv_epi64(text, _mm256_and_si256(minus, _mm256_set1_epi64x(8)));
  digits = _mm256_xor_si256(digits, _mm256_set1_epi8('0'));
  // The last digit to the top of the lane, zeroes below the first.
  const __m256i missing = _mm256_sub_epi64(_mm256_set1_epi64x(9), size);
  digits = _mm256_sllv_epi64(digits, _mm256_slli_epi64(missing, 3));
  const __m256i bad_size = _mm256_and_si256(missing, _mm256_set1_epi64x(~7LL));
  const __m256i bad = _mm256_or_si256(_mm256_subs_epu8(digits, _mm256_set1_epi8(9)), bad_size);
  if (_mm256_testz_si256(bad, bad) == 0) return false;
  const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010A));  // 10, 1
  const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010064));  // 100, 1
  const __m256i high = _mm256_mul_epu32(fours, _mm256_set1_epi64x(10'000));
  out->magnitudes = _mm256_add_epi64(high, _mm256_srli_epi64(fours, 32));
  out->minus = minus;
  return true;
}
#endif

class ViewMaker {
 public:
  // REQUIRES: size <= DREY_VIEW_INLINE_MAX.
  data::ViewWords make(const char* begin, std::size_t size) {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::memcpy(&low, begin, 8);
    std::memcpy(&high, begin + 8, 8);
    low &= kMasks[size].low;
    high &= kMasks[size].high;
    seen_ |= low | high;
    return {low << 32 | size, low >> 32 | high << 32};
  }
  bool all_ascii() const { return (seen_ & 0x8080808080808080ULL) == 0; }

 private:
  struct Mask {
    std::uint64_t low, high;
  };
  static constexpr auto kMasks = [] {
    struct {
      Mask of_size[DREY_VIEW_INLINE_MAX + 1];
      constexpr const Mask& operator[](std::size_t size) const { return of_size[size]; }
    } masks{};
    for (unsigned size = 0; size <= DREY_VIEW_INLINE_MAX; ++size) {
      const auto bytes = [](unsigned n) { return n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (n * 8)) - 1; };
      masks.of_size[size] = {bytes(size), size > 8 ? bytes(size - 8) : 0};
    }
    return masks;
  }();

  std::uint64_t seen_ = 0;
};

}  // namespace drey::formats
