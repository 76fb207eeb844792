#include "state/canonical.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

namespace drey::state {
namespace {

constexpr std::uint32_t kBlockMagic = 0x57455244;  // "DREW"
constexpr std::size_t kRawBytesMax = 1u << 20;     // a block is closed behind it; one row may be larger
constexpr std::uint32_t kRowsMax = 64u << 10;
constexpr std::uint32_t kNullKey = 0xfffffffe;
constexpr int kLevel = 1;
constexpr std::size_t kStoredMax = std::size_t{1} << 31;

struct BlockHeader {
  std::uint32_t magic;
  std::uint32_t rows;
  std::uint32_t raw_bytes;
  std::uint32_t stored_bytes;
  std::uint64_t checksum;
};

bool is_null(const data::View& key) { return key.size == 0 && key.u.inlined[0] != 0; }

// The first bytes of a key, so that most comparisons need not look at the row.
std::uint64_t prefix_of(std::string_view key) {
  std::uint64_t prefix = 0;
  std::memcpy(&prefix, key.data(), std::min<std::size_t>(key.size(), sizeof prefix));
  return __builtin_bswap64(prefix);
}

struct SortedRow {
  std::int64_t group;
  std::uint64_t prefix;
  Address row;
};

class BlockWriter {
 public:
  BlockWriter(const TableSpec& spec, env::WritableFile& file, std::uint64_t& offset, std::vector<BlockRecord>& blocks)
      : spec_(spec), file_(file), offset_(offset), blocks_(blocks) {}

  Status add(std::uint32_t key_group, const data::View& key, std::int64_t group, std::string_view value) {
    const std::string_view bytes = data::text_of(key);
    if (rows_ > 0 && (key_group != key_group_ || rows_ == kRowsMax ||
                      keys_.size() + values_.size() + bytes.size() + value.size() > kRawBytesMax)) {
      DREY_TRY(close());
    }
    key_group_ = key_group;
    ++rows_;
    if (spec_.grouped) append(groups_, group);
    append(key_sizes_, is_null(key) ? kNullKey : static_cast<std::uint32_t>(bytes.size()));
    if (spec_.fixed_bytes == 0) append(value_sizes_, static_cast<std::uint32_t>(value.size()));
    keys_ += bytes;
    values_ += value;
    return {};
  }

  Status close() {
    if (rows_ == 0) return {};
    std::string raw;
    for (std::string* column : {&groups_, &key_sizes_, &value_sizes_, &keys_, &values_}) {
      raw += *column;
      column->clear();
    }
    std::string out(sizeof(BlockHeader) + ZSTD_compressBound(raw.size()), '\0');
    const std::size_t stored = ZSTD_compress(out.data() + sizeof(BlockHeader), out.size() - sizeof(BlockHeader),
                                             raw.data(), raw.size(), kLevel);
    if (ZSTD_isError(stored) != 0 || raw.size() > kStoredMax)
      return fail(Code::kInternal, "Rows of a savepoint cannot be compressed");
    const BlockHeader header{kBlockMagic, rows_, static_cast<std::uint32_t>(raw.size()),
                             static_cast<std::uint32_t>(stored), XXH3_64bits(out.data() + sizeof(BlockHeader), stored)};
    std::memcpy(out.data(), &header, sizeof header);
    out.resize(sizeof header + stored);
    DREY_TRY(file_.append(out));
    blocks_.push_back({key_group_, offset_, rows_, static_cast<std::uint32_t>(out.size())});
    offset_ += out.size();
    rows_ = 0;
    return {};
  }

 private:
  template <typename T>
  static void append(std::string& column, T value) {
    column.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  const TableSpec& spec_;
  env::WritableFile& file_;
  std::uint64_t& offset_;
  std::vector<BlockRecord>& blocks_;
  std::uint32_t key_group_ = 0;
  std::uint32_t rows_ = 0;
  std::string groups_, key_sizes_, value_sizes_, keys_, values_;
};

Status corrupt(const std::string& path, std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("Savepoint file is damaged: {}: path={}", what, path));
}

// Columns of a block, each checked to lie within it.
class BlockReader {
 public:
  explicit BlockReader(std::string_view raw) : rest_(raw) {}
  bool take(std::uint64_t bytes, std::string_view& out) {
    if (bytes > rest_.size()) return false;
    out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return true;
  }
  bool is_at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

template <typename T>
T value_at(std::string_view column, std::size_t row) {
  T value;
  std::memcpy(&value, column.data() + row * sizeof value, sizeof value);
  return value;
}

}  // namespace

Status write_rows(const Table& table, std::uint32_t max_parallelism, env::WritableFile& file, std::uint64_t& offset,
                  std::vector<BlockRecord>& blocks) {
  const TableSpec& spec = table.spec();
  // First by key group, then each group for itself: short sorts, and groups are needed one after another anyway.
  std::vector<std::vector<SortedRow>> groups(max_parallelism);
  table.for_each([&](Address row) {
    const data::View key = table.key_of(row);
    const std::int64_t group = spec.grouped ? table.group_of(row) : 0;
    const std::uint64_t owner = spec.group_is_key ? static_cast<std::uint64_t>(group) : data::hash_of(key);
    groups[data::key_group_of(owner, max_parallelism)].push_back({group, prefix_of(data::text_of(key)), row});
  });
  BlockWriter writer(spec, file, offset, blocks);
  for (std::uint32_t g = 0; g < max_parallelism; ++g) {
    auto& rows = groups[g];
    std::sort(rows.begin(), rows.end(), [&](const SortedRow& a, const SortedRow& b) {
      if (a.group != b.group) return a.group < b.group;
      if (a.prefix != b.prefix) return a.prefix < b.prefix;
      const data::View x = table.key_of(a.row), y = table.key_of(b.row);
      const int order = data::text_of(x).compare(data::text_of(y));
      return order != 0 ? order < 0 : is_null(x) && !is_null(y);
    });
    for (const SortedRow& row : rows)
      DREY_TRY(writer.add(g, table.key_of(row.row), row.group, table.value_of(row.row)));
    rows = {};
  }
  return writer.close();
}

Status read_rows(env::ReadableFile& file, const std::string& path, const BlockRecord& block, Table& into) {
  const TableSpec& spec = into.spec();
  BlockHeader header{};
  if (block.bytes < sizeof header || block.offset > file.size() || block.bytes > file.size() - block.offset) {
    return corrupt(path, "it ends within a block of rows");
  }
  std::string stored(block.bytes, '\0');
  DREY_TRY_ASSIGN(const std::size_t got, file.read_at(block.offset, stored.data(), stored.size()));
  std::memcpy(&header, stored.data(), sizeof header);
  if (got != stored.size() || header.magic != kBlockMagic || header.rows != block.rows ||
      header.stored_bytes != stored.size() - sizeof header) {
    return corrupt(path, "no block of rows where one should be");
  }
  const char* const packed = stored.data() + sizeof header;
  if (XXH3_64bits(packed, header.stored_bytes) != header.checksum)
    return corrupt(path, "the checksum of a block of rows does not match");
  std::string raw(header.raw_bytes, '\0');
  if (ZSTD_decompress(raw.data(), raw.size(), packed, header.stored_bytes) != raw.size())
    return corrupt(path, "a block of rows cannot be unpacked");
  BlockReader columns(raw);
  const std::uint64_t rows = header.rows;
  std::string_view groups, key_sizes, value_sizes;
  bool good = columns.take(spec.grouped ? rows * 8 : 0, groups) && columns.take(rows * 4, key_sizes) &&
              columns.take(spec.fixed_bytes == 0 ? rows * 4 : 0, value_sizes);
  std::uint64_t key_bytes = 0;
  for (std::size_t i = 0; good && i < rows; ++i) {
    const auto size = value_at<std::uint32_t>(key_sizes, i);
    key_bytes += size == kNullKey ? 0 : size;
  }
  std::string_view keys, values;
  good = good && columns.take(key_bytes, keys);
  std::uint64_t value_bytes = spec.fixed_bytes * rows;
  for (std::size_t i = 0; good && spec.fixed_bytes == 0 && i < rows; ++i)
    value_bytes += value_at<std::uint32_t>(value_sizes, i);
  good = good && columns.take(value_bytes, values) && columns.is_at_end();
  if (!good) return corrupt(path, "the columns of a block of rows do not fit together");
  for (std::size_t i = 0; i < rows; ++i) {
    const auto key_size = value_at<std::uint32_t>(key_sizes, i);
    data::View key{};
    if (key_size == kNullKey) {
      std::memset(key.u.inlined, 0xff, 4);
    } else {
      key = data::make_view(keys.substr(0, key_size));
      keys.remove_prefix(key_size);
    }
    const std::uint32_t value_size = spec.fixed_bytes != 0 ? spec.fixed_bytes : value_at<std::uint32_t>(value_sizes, i);
    const std::int64_t group = spec.grouped ? value_at<std::int64_t>(groups, i) : 0;
    DREY_TRY_ASSIGN(const Address row, into.upsert(key, data::hash_of(key), group, value_size));
    if (value_size > 0) std::memcpy(into.writable_value(row), values.data(), value_size);
    values.remove_prefix(value_size);
  }
  return {};
}

}  // namespace drey::state
