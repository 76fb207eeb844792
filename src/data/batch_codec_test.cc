#include "data/batch_codec.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/prng.h"

namespace drey::data {
namespace {

// Every kind of column, nested both ways.
Schema all_kinds() {
  return *Schema::parse(
      "flag:b?;tiny:c;small:s;whole:i?;long:l;real:f;double:g;price:d:30,2?;day:tdD;at:tsm:UTC;name:vu?;raw:vz;"
      "place:+s{city:vu?;tags:+l{item:vu?}?;zip:i}?;lists:+l{inner:+l{n:l}}");
}

std::string text_of_size(Prng& prng) {
  std::string text(prng.below(4) == 0 ? prng.below(60) : prng.below(13), 'a');
  for (char& c : text) c = static_cast<char>('a' + prng.below(26));
  return text;
}

void fill(BatchBuilder& b, drey_builder_column& column, const Field& field, std::uint32_t rows, Prng& prng) {
  for (std::uint32_t i = 0; field.nullable && i < rows; ++i) {
    if (!prng.chance(0.3)) continue;
    set_bit(column.validity, i, false);
    column.has_nulls = 1;
  }
  const Type& type = field.type;
  switch (type.kind) {
    case TypeKind::kBool:
      for (std::uint32_t i = 0; i < rows; ++i) set_bit(column.values, i, prng.chance(0.5));
      break;
    case TypeKind::kText:
    case TypeKind::kBytes:
      for (std::uint32_t i = 0; i < rows; ++i) {
        // What lies under a null is anything: here a view that must not be followed.
        View& view = static_cast<View*>(column.values)[i];
        view = b.copy_text(text_of_size(prng));
        if (is_valid(column.validity, i)) continue;
        view.size = 4'000'000'000u;
        view.u.far.data = nullptr;
      }
      break;
    case TypeKind::kStruct:
      for (std::uint32_t i = 0; i < column.child_count; ++i) fill(b, column.children[i], type.children[i], rows, prng);
      break;
    case TypeKind::kList: {
      auto* offsets = static_cast<std::int32_t*>(column.values);
      std::uint32_t total = 0;
      for (std::uint32_t i = 0; i < rows; ++i) {
        total += static_cast<std::uint32_t>(prng.below(4));
        offsets[i + 1] = static_cast<std::int32_t>(total);
      }
      if (total == 0) break;
      b.reserve_list(column, total);
      column.child_rows = total;
      fill(b, column.children[0], type.children[0], total, prng);
      break;
    }
    default:
      for (std::size_t i = 0; i < std::size_t{type.width()} * rows; ++i)
        static_cast<char*>(column.values)[i] = static_cast<char>(prng.next());
  }
}

BatchRef random_batch(const Schema& schema, std::uint32_t rows, bool with_times, bool with_kinds, Prng& prng,
                      BlockPool& pool) {
  BatchBuilder b(schema, rows, pool);
  for (std::size_t c = 0; c < schema.size(); ++c) fill(b, b.abi().columns[c], schema[c], rows, prng);
  for (std::uint32_t i = 0; i < rows; ++i) {
    b.abi().row_times[i] = static_cast<std::int64_t>(prng.next());
    b.abi().row_kinds[i] = static_cast<std::int8_t>(prng.below(4));
  }
  b.abi().has_row_times = with_times ? 1 : 0;
  b.abi().has_row_kinds = with_kinds ? 1 : 0;
  b.abi().rows = rows;
  return b.build(std::uint64_t{rows} * 100);
}

// One cell as text; nulls hide what is below them.
std::string cell(const ArrowArray& array, const Type& type, std::uint32_t row) {
  if (!is_valid(static_cast<const std::uint64_t*>(array.buffers[0]), row)) return "null";
  switch (type.kind) {
    case TypeKind::kBool:
      return get_bit(array.buffers[1], row) ? "true" : "false";
    case TypeKind::kText:
    case TypeKind::kBytes:
      return "'" + std::string(text_of(static_cast<const View*>(array.buffers[1])[row])) + "'";
    case TypeKind::kStruct: {
      std::string out = "{";
      for (std::size_t i = 0; i < type.children.size(); ++i)
        out += cell(*array.children[i], type.children[i].type, row) + ",";
      return out + "}";
    }
    case TypeKind::kList: {
      const auto* offsets = static_cast<const std::int32_t*>(array.buffers[1]);
      std::string out = "[";
      for (std::int32_t k = offsets[row]; k < offsets[row + 1]; ++k) {
        out += cell(*array.children[0], type.children[0].type, static_cast<std::uint32_t>(k)) + ",";
      }
      return out + "]";
    }
    default:
      return std::string(static_cast<const char*>(array.buffers[1]) + std::size_t{row} * type.width(), type.width());
  }
}

std::string row_text(const RowBatch& batch, const Schema& schema, std::uint32_t i) {
  const std::uint32_t row = batch.physical(i);
  std::string out;
  for (std::size_t c = 0; c < schema.size(); ++c) out += cell(batch.column(c), schema[c].type, row) + "|";
  if (batch.row_times() != nullptr) out += std::to_string(batch.row_times()[row]);
  if (batch.row_kinds() != nullptr) out += "k" + std::to_string(batch.row_kinds()[row]);
  return out;
}

TEST(BatchCodec, ComesBackAsItWas) {
  BlockPool pool;
  const Schema schema = all_kinds();
  Prng prng(1);
  for (int round = 0; round < 200; ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + prng.below(200));
    BatchRef batch = random_batch(schema, rows, round % 2 == 0, round % 3 == 0, prng, pool);
    if (round % 4 == 3) {
      std::vector<std::uint32_t> ids;
      for (std::uint32_t i = 0; i < rows; ++i) {
        if (prng.chance(0.4)) ids.push_back(i);
      }
      if (ids.empty()) ids.push_back(rows - 1);
      batch = RowBatch::select(batch, ids, pool);
    }
    // Whole, or a part from somewhere.
    const auto first = static_cast<std::uint32_t>(round % 5 == 0 ? prng.below(batch->rows()) : 0);
    const std::uint32_t count = batch->rows() - first;
    std::string bytes;
    encode_batch(*batch, schema, first, count, batch->bytes(), bytes);
    auto decoded = decode_batch(bytes, schema, pool);
    ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
    ASSERT_EQ((*decoded)->rows(), count);
    EXPECT_EQ((*decoded)->bytes(), batch->bytes());
    for (std::uint32_t i = 0; i < count; ++i)
      ASSERT_EQ(row_text(**decoded, schema, i), row_text(*batch, schema, first + i)) << round;
  }
}

TEST(BatchCodec, DamageIsAnErrorAndNeverACrash) {
  BlockPool pool;
  const Schema schema = all_kinds();
  Prng prng(2);
  const BatchRef batch = random_batch(schema, 40, true, true, prng, pool);
  std::string bytes;
  encode_batch(*batch, schema, 0, 40, batch->bytes(), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(decode_batch(std::string_view(bytes).substr(0, size), schema, pool).status().code(), Code::kCorrupt)
        << size;
  }
  EXPECT_EQ(decode_batch(bytes + "x", schema, pool).status().code(), Code::kCorrupt);
  // Whatever a turned byte makes of it: an error, or a batch whose every cell can be read.
  for (int round = 0; round < 5000; ++round) {
    std::string other = bytes;
    for (std::uint64_t n = 1 + prng.below(3); n > 0; --n)
      other[prng.below(other.size())] = static_cast<char>(prng.next());
    const auto decoded = decode_batch(other, schema, pool);
    if (!decoded.ok()) continue;
    std::size_t read = 0;
    for (std::uint32_t i = 0; i < (*decoded)->rows(); ++i) read += row_text(**decoded, schema, i).size();
    EXPECT_GT(read, 0u);
  }
}

TEST(BatchCodec, SizesThatLieDoNotBecomeMemory) {
  BlockPool pool;
  const Schema schema = *Schema::parse("n:+l{x:+l{y:l}}");
  std::string bytes("\1\0", 2);
  const auto add = [&](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
  add(std::uint32_t{1});
  add(std::uint64_t{8});
  bytes += '\0';
  add(std::uint32_t{0x7fffffff});
  EXPECT_EQ(decode_batch(bytes, schema, pool).status().code(), Code::kCorrupt);
  std::memset(bytes.data() + 2, 0xff, 4);
  EXPECT_EQ(decode_batch(bytes, schema, pool).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace drey::data
