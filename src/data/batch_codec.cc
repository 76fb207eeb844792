#include "data/batch_codec.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"

namespace drey::data {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kHasTimes = 1;
constexpr std::uint8_t kHasKinds = 2;

std::size_t words_of_bits(std::size_t bits) { return (bits + 63) / 64; }

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// The rows of a column to write: physical rows, in a row from `first` on or one by one.
struct Rows {
  const std::uint32_t* ids = nullptr;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t operator[](std::uint32_t i) const { return ids != nullptr ? ids[i] : first + i; }
};

// Whether row i is hidden by a null of the column or of a struct around it.
using Hidden = std::vector<std::uint8_t>;

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  void column(const ArrowArray& array, const Type& type, const Rows& rows, const Hidden* outer) {
    const auto* validity = static_cast<const std::uint64_t*>(array.buffers[0]);
    put<std::uint8_t>(out_, validity != nullptr ? 1 : 0);
    Hidden own;
    const Hidden* hidden = outer;
    if (validity != nullptr) {
      bits(validity, rows);
      own = outer != nullptr ? *outer : Hidden(rows.count);
      for (std::uint32_t i = 0; i < rows.count; ++i) {
        if (!is_valid(validity, rows[i])) own[i] = 1;
      }
      hidden = &own;
    }
    switch (type.kind) {
      case TypeKind::kBool:
        bits(array.buffers[1], rows);
        break;
      case TypeKind::kText:
      case TypeKind::kBytes:
        texts(static_cast<const View*>(array.buffers[1]), rows, hidden);
        break;
      case TypeKind::kStruct:
        for (std::size_t i = 0; i < type.children.size(); ++i) {
          column(*array.children[i], type.children[i].type, rows, hidden);
        }
        break;
      case TypeKind::kList:
        list(array, type, rows, hidden);
        break;
      default:
        values(array.buffers[1], type.width(), rows);
        break;
    }
  }

  void values(const void* from, std::uint32_t width, const Rows& rows) {
    const char* source = static_cast<const char*>(from);
    if (rows.ids == nullptr) {
      out_.append(source + std::size_t{rows.first} * width, std::size_t{rows.count} * width);
      return;
    }
    const std::size_t at = grow(std::size_t{rows.count} * width);
    char* target = out_.data() + at;
    switch (width) {
      case 1:
        gather<1>(source, target, rows);
        break;
      case 2:
        gather<2>(source, target, rows);
        break;
      case 4:
        gather<4>(source, target, rows);
        break;
      case 8:
        gather<8>(source, target, rows);
        break;
      default:
        gather<16>(source, target, rows);
        break;
    }
  }

 private:
  std::size_t grow(std::size_t bytes) {
    const std::size_t at = out_.size();
    out_.resize(at + bytes);
    return at;
  }

  template <std::size_t kWidth>
  static void gather(const char* source, char* target, const Rows& rows) {
    for (std::uint32_t i = 0; i < rows.count; ++i)
      std::memcpy(target + i * kWidth, source + rows.ids[i] * kWidth, kWidth);
  }

  void bits(const void* from, const Rows& rows) {
    const std::size_t words = words_of_bits(rows.count);
    if (rows.ids == nullptr && rows.first % 64 == 0) {
      out_.append(static_cast<const char*>(from) + rows.first / 8, words * 8);
      return;
    }
    const std::size_t at = grow(words * 8);
    for (std::size_t w = 0; w < words; ++w) {
      std::uint64_t word = 0;
      const std::size_t end = std::min<std::size_t>(64, rows.count - w * 64);
      for (std::size_t b = 0; b < end; ++b) {
        word |= std::uint64_t{get_bit(from, rows[static_cast<std::uint32_t>(w * 64 + b)])} << b;
      }
      std::memcpy(out_.data() + at + w * 8, &word, 8);
    }
  }

  void texts(const View* views, const Rows& rows, const Hidden* hidden) {
    const std::size_t at = grow(std::size_t{rows.count} * 4);
    std::size_t total = 0;
    for (std::uint32_t i = 0; i < rows.count; ++i) {
      const std::uint32_t size = hidden != nullptr && (*hidden)[i] != 0 ? 0 : views[rows[i]].size;
      std::memcpy(out_.data() + at + std::size_t{i} * 4, &size, 4);
      total += size;
    }
    std::size_t to = grow(total);
    for (std::uint32_t i = 0; i < rows.count; ++i) {
      if (hidden != nullptr && (*hidden)[i] != 0) continue;
      const View& view = views[rows[i]];
      std::memcpy(out_.data() + to, data_of(view), view.size);
      to += view.size;
    }
  }

  void list(const ArrowArray& array, const Type& type, const Rows& rows, const Hidden* hidden) {
    const auto* offsets = static_cast<const std::int32_t*>(array.buffers[1]);
    const std::size_t at = grow(std::size_t{rows.count} * 4);
    std::vector<std::uint32_t> children;
    for (std::uint32_t i = 0; i < rows.count; ++i) {
      std::uint32_t length = 0;
      if (hidden == nullptr || (*hidden)[i] == 0) {
        for (std::int32_t k = offsets[rows[i]]; k < offsets[rows[i] + 1]; ++k, ++length) {
          children.push_back(static_cast<std::uint32_t>(k));
        }
      }
      std::memcpy(out_.data() + at + std::size_t{i} * 4, &length, 4);
    }
    if (children.empty()) return;
    column(*array.children[0], type.children[0].type, {children.data(), 0, static_cast<std::uint32_t>(children.size())},
           nullptr);
  }

  std::string& out_;
};

class Decoder {
 public:
  Decoder(std::string_view bytes, BatchBuilder& builder) : at_(bytes.data()), left_(bytes.size()), builder_(builder) {}

  bool column(drey_builder_column& to, const Type& type, std::uint32_t rows) {
    std::uint8_t has_nulls = 0;
    if (!get(has_nulls) || has_nulls > 1) return false;
    if (has_nulls != 0) {
      if (!copy(to.validity, words_of_bits(rows) * 8)) return false;
      // Bits behind the last row are set, as in a batch that was built here.
      if (rows % 64 != 0) to.validity[rows / 64] |= ~std::uint64_t{0} << (rows % 64);
      to.has_nulls = 1;
    }
    switch (type.kind) {
      case TypeKind::kBool:
        return copy(to.values, words_of_bits(rows) * 8);
      case TypeKind::kText:
      case TypeKind::kBytes:
        return texts(static_cast<View*>(to.values), rows);
      case TypeKind::kStruct:
        for (std::uint32_t i = 0; i < to.child_count; ++i) {
          if (!column(to.children[i], type.children[i].type, rows)) return false;
        }
        return true;
      case TypeKind::kList:
        return list(to, type, rows);
      default:
        return copy(to.values, std::size_t{rows} * type.width());
    }
  }

  template <typename T>
  bool get(T& value) {
    return copy(&value, sizeof value);
  }
  bool copy(void* to, std::size_t bytes) {
    const char* from = take(bytes);
    if (from != nullptr && bytes != 0) std::memcpy(to, from, bytes);
    return from != nullptr;
  }
  std::size_t left() const { return left_; }

 private:
  const char* take(std::size_t bytes) {
    if (bytes > left_) return nullptr;
    const char* here = at_;
    at_ += bytes;
    left_ -= bytes;
    return here;
  }

  static std::uint32_t size_at(const char* sizes, std::uint32_t i) {
    std::uint32_t size = 0;
    std::memcpy(&size, sizes + std::size_t{i} * 4, 4);
    return size;
  }

  bool texts(View* views, std::uint32_t rows) {
    const char* sizes = take(std::size_t{rows} * 4);
    if (sizes == nullptr) return false;
    std::size_t total = 0;
    std::size_t far = 0;
    for (std::uint32_t i = 0; i < rows; ++i) {
      const std::uint32_t size = size_at(sizes, i);
      total += size;
      if (size > DREY_VIEW_INLINE_MAX) far += size;
    }
    const char* text = take(total);
    if (text == nullptr) return false;
    char* arena = far != 0 ? builder_.text(far) : nullptr;
    for (std::uint32_t i = 0; i < rows; ++i) {
      const std::uint32_t size = size_at(sizes, i);
      if (size > DREY_VIEW_INLINE_MAX) {
        std::memcpy(arena, text, size);
        views[i] = make_view(arena, size);
        arena += size;
      } else {
        views[i] = make_view(text, size);
      }
      text += size;
    }
    return true;
  }

  bool list(drey_builder_column& to, const Type& type, std::uint32_t rows) {
    const char* lengths = take(std::size_t{rows} * 4);
    if (lengths == nullptr) return false;
    auto* offsets = static_cast<std::int32_t*>(to.values);
    std::uint64_t total = 0;
    // A row of a column takes a bit at least: what is left bounds what is asked of the memory.
    const std::uint64_t total_max = std::min<std::uint64_t>(std::uint64_t{left_} * 8, INT32_MAX);
    for (std::uint32_t i = 0; i < rows; ++i) {
      total += size_at(lengths, i);
      if (total > total_max) return false;
      offsets[i + 1] = static_cast<std::int32_t>(total);
    }
    if (total == 0) return true;
    const auto children = static_cast<std::uint32_t>(total);
    builder_.reserve_list(to, children);
    to.child_rows = children;
    return column(to.children[0], type.children[0].type, children);
  }

  const char* at_;
  std::size_t left_;
  BatchBuilder& builder_;
};

}  // namespace

void encode_batch(const RowBatch& batch, const Schema& schema, std::uint32_t first, std::uint32_t count,
                  std::uint64_t bytes, std::string& out) {
  DREY_CHECK_EQ(batch.columns(), schema.size());
  DREY_CHECK(count > 0 && count <= kEncodedRowsMax && first + count <= batch.rows());
  // A guess: text under nulls may count for anything in `bytes`.
  out.reserve(out.size() + std::min<std::uint64_t>(bytes, kBatchBytesMax) + 64 +
              std::size_t{count} * (schema.size() + 1) * 4);
  put(out, kVersion);
  put<std::uint8_t>(out, static_cast<std::uint8_t>((batch.row_times() != nullptr ? kHasTimes : 0) |
                                                   (batch.row_kinds() != nullptr ? kHasKinds : 0)));
  put(out, count);
  put(out, bytes);
  Rows rows;
  rows.count = count;
  if (batch.selection() != nullptr) {
    rows.ids = batch.selection() + first;
  } else {
    rows.first = first;
  }
  Encoder encoder(out);
  for (std::size_t c = 0; c < schema.size(); ++c) encoder.column(batch.column(c), schema[c].type, rows, nullptr);
  if (batch.row_times() != nullptr) encoder.values(batch.row_times(), 8, rows);
  if (batch.row_kinds() != nullptr) encoder.values(batch.row_kinds(), 1, rows);
}

Result<BatchRef> decode_batch(std::string_view encoded, const Schema& schema, BlockPool& pool) {
  const auto damaged = [&](std::string_view what) {
    return fail(Code::kCorrupt, fmt::format("A batch from a peer cannot be read: {}, {} bytes", what, encoded.size()));
  };
  constexpr std::size_t kHeaderBytes = 14;
  if (encoded.size() < kHeaderBytes) return damaged("no header");
  const auto version = static_cast<std::uint8_t>(encoded[0]);
  const auto flags = static_cast<std::uint8_t>(encoded[1]);
  std::uint32_t rows = 0;
  std::uint64_t bytes = 0;
  std::memcpy(&rows, encoded.data() + 2, 4);
  std::memcpy(&bytes, encoded.data() + 6, 8);
  if (version != kVersion) return damaged(fmt::format("version {}", version));
  if ((flags & ~(kHasTimes | kHasKinds)) != 0) return damaged("unknown flags");
  // Each column says with a byte whether it has nulls; beyond that a row may take as little as a bit.
  if (rows == 0 || rows > kEncodedRowsMax) return damaged(fmt::format("{} rows", rows));
  if (rows > 65'536 && rows / 8 > encoded.size()) return damaged(fmt::format("{} rows", rows));
  BatchBuilder builder(schema, rows, pool);
  Decoder decoder(encoded.substr(kHeaderBytes), builder);
  for (std::size_t c = 0; c < schema.size(); ++c) {
    if (!decoder.column(builder.abi().columns[c], schema[c].type, rows))
      return damaged(fmt::format("column {}", schema[c].name));
  }
  if ((flags & kHasTimes) != 0) {
    if (!decoder.copy(builder.abi().row_times, std::size_t{rows} * 8)) return damaged("row times");
    builder.abi().has_row_times = 1;
  }
  if ((flags & kHasKinds) != 0) {
    std::int8_t* kinds = builder.abi().row_kinds;
    if (!decoder.copy(kinds, rows) || std::any_of(kinds, kinds + rows, [](std::int8_t k) { return k < 0 || k > 3; })) {
      return damaged("row kinds");
    }
    builder.abi().has_row_kinds = 1;
  }
  if (decoder.left() != 0) return damaged("bytes behind its end");
  builder.abi().rows = rows;
  return builder.build(bytes);
}

}  // namespace drey::data
