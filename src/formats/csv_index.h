// CsvIndex: where the fields of plain rows of CSV lie.
//
// A row is plain when it has no quote and as many fields as expected. Separators are found 64 bytes at a time and
// written down without a branch for each; what the caller does with a column then runs over all rows of the index at
// once. Threading: one owner. Lifetime: spans point into the input of the last find().
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace drey::formats {

// Field of one column in consecutive rows. At least kPadding readable bytes follow the begin of each field.
class FieldSpans {
 public:
  static constexpr std::size_t kPadding = 32;
  struct Span {
    const char* begin;
    std::size_t size;
  };

  FieldSpans(const char* input, const std::uint32_t* begins, std::size_t stride, bool is_last)
      : input_(input), begins_(begins), stride_(stride), is_last_(is_last) {}
  Span operator[](std::size_t row) const {
    const std::uint32_t* at = bounds(row);
    std::size_t size = at[1] - at[0] - 1;
    // "\r\n" ends a line as "\n" does.
    if (is_last_ && size > 0 && input_[at[0] + size - 1] == '\r') --size;
    return {input_ + at[0], size};
  }

  // For kernels: [0] is where the field begins in input(), [1] where the one behind its separator does. A '\r' before
  // the end of a line is still part of the field.
  const std::uint32_t* bounds(std::size_t row) const { return begins_ + row * stride_; }
  const char* input() const { return input_; }

 private:
  const char* input_;
  const std::uint32_t* begins_;
  std::size_t stride_;
  bool is_last_;
};

class CsvIndex {
 public:
  // Finds up to `rows_max` plain rows at the begin of `input`, and stops before the first that is not, and before the
  // last bytes of the input. Returns how many. REQUIRES: fields > 0, input.size() < 4 GiB.
  std::size_t find(std::string_view input, std::size_t fields, char delimiter, std::size_t rows_max);
  // Bytes of the first `rows` rows, line ends included.
  std::size_t bytes(std::size_t rows) const { return begins_[rows * fields_]; }
  FieldSpans column(std::size_t field) const { return {input_, begins_.data() + field, fields_, field + 1 == fields_}; }

 private:
  const char* input_ = nullptr;
  std::size_t fields_ = 0;
  // Where each field begins, row after row: 0, then one behind each separator.
  std::vector<std::uint32_t> begins_;
};

}  // namespace drey::formats
