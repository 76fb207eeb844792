// CsvIndex: where the fields of plain rows of CSV lie.
//
// A row is plain when it has no quote and as many fields as expected. Separators are found 64 bytes at a time and written
// down without a branch for each; what the caller does with a column then runs over all rows of the index at once.
// Threading: one owner. Lifetime: spans point into the input of the last find().
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace drey::connectors::files {

// Field of one column in consecutive rows. At least kPadding readable bytes follow the begin of each field.
class FieldSpans {
 public:
  static constexpr std::size_t kPadding = 32;
  struct Span {
    const char* begin;
    std::size_t size;
  };

  FieldSpans(const char* input, const std::uint32_t* ends, std::size_t stride, bool is_last)
      : input_(input), ends_(ends), stride_(stride), is_last_(is_last) {}
  Span operator[](std::size_t row) const {
    const std::uint32_t* at = ends_ + row * stride_;
    const std::uint32_t begin = at[0] + 1;
    std::size_t size = at[1] - begin;
    // "\r\n" ends a line as "\n" does.
    if (is_last_ && size > 0 && input_[begin + size - 1] == '\r') --size;
    return {input_ + begin, size};
  }

 private:
  const char* input_;
  const std::uint32_t* ends_;
  std::size_t stride_;
  bool is_last_;
};

class CsvIndex {
 public:
  // Finds up to `rows_max` plain rows at the begin of `input`, and stops before the first that is not, and before the last
  // bytes of the input. Returns how many. REQUIRES: fields > 0, input.size() < 4 GiB.
  std::size_t find(std::string_view input, std::size_t fields, std::size_t rows_max);
  // Bytes of the first `rows` rows, line ends included.
  std::size_t bytes(std::size_t rows) const { return ends_[rows * fields_] + std::size_t{1}; }
  FieldSpans column(std::size_t field) const { return {input_, ends_.data() + field, fields_, field + 1 == fields_}; }

 private:
  const char* input_ = nullptr;
  std::size_t fields_ = 0;
  // [0] is one before the input; then the separator behind each field, row after row.
  std::vector<std::uint32_t> ends_;
};

}  // namespace drey::connectors::files
