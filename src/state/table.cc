#include "state/table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/prng.h"

namespace drey::state {
namespace {

// Slots come in steps of 16 bytes up to 256, then in four sizes a power of two; a page holds at least two of them. What
// is larger has pages of its own.
constexpr std::uint32_t kSlotBytesMax = kPageBytes / 2;

std::size_t size_class_of(std::uint32_t bytes) {
  if (bytes <= 256) return (bytes + 15) / 16;
  const auto top = static_cast<std::uint32_t>(std::bit_width(bytes - 1));  // 9: up to 512
  return 16 + (top - 9) * 4 + ((bytes - 1) >> (top - 3)) - 3;
}
std::uint32_t slot_bytes_of(std::size_t size_class) {
  if (size_class <= 16) return static_cast<std::uint32_t>(size_class) * 16;
  const auto step = static_cast<std::uint32_t>(size_class - 17);
  return (64u << step / 4) * (step % 4 + 5);
}

std::uint64_t word_at(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, 8);
  return word;
}

// `stored`: the bytes of a key in a row, followed by zeroes up to a multiple of 8.
bool equal_far_keys(const char* stored, const data::View& key) {
  // In words, the last two overlapping: most keys are short.
  const char* bytes = key.u.far.data;
  if (key.size > 64) return std::memcmp(stored, bytes, key.size) == 0;
  for (std::uint32_t at = 0; at + 8 < key.size; at += 8) {
    if (word_at(stored + at) != word_at(bytes + at)) return false;
  }
  return word_at(stored + key.size - 8) == word_at(bytes + key.size - 8);
}

inline bool equal_keys(const char* stored, const data::View& key) {
  if (data::is_inline(key)) [[likely]] {
    const data::ViewWords words = data::words_of(key);
    if (key.size != 0 && word_at(stored) != (words.low >> 32 | words.high << 32)) return false;
    return key.size <= 8 || word_at(stored + 8) == words.high >> 32;
  }
  return equal_far_keys(stored, key);
}

}  // namespace

Table::Table(std::string owner, TableSpec spec, PagePool& pool, Budget& budget)
    : owner_(std::move(owner)), spec_(spec), pool_(pool), budget_(budget), pages_(1), heads_(1) {}

Table::~Table() {
  for (PageEntry& entry : pages_) {
    if (entry.page != nullptr) entry.page->release();
  }
  budget_.used_bytes.fetch_sub(page_bytes_, std::memory_order_relaxed);
}

std::uint64_t Table::group_hash(std::int64_t group) const {
  return spec_.grouped ? mix64(static_cast<std::uint64_t>(group)) : 0;
}

inline bool Table::matches(Address row, const data::View& key, std::int64_t group) const {
  char* at = row_at(row);
  if (header(at).key_size != stored_size(key)) return false;
  if (spec_.grouped && group_part(at).group != group) return false;
  return equal_keys(key_bytes(at), key);
}

Address Table::find(const data::View& key, std::uint64_t hash, std::int64_t group) const {
  return index_.find(index_hash(hash, group), [&](Address row) { return matches(row, key, group); });
}

void Table::reindex() {
  const RowIndex old = std::exchange(index_, RowIndex(rows_));
  // The hash is worked out again from the key; rows are visited in blocks so that their misses overlap.
  constexpr std::size_t kBlock = 64;
  Address block[kBlock];
  std::size_t count = 0;
  const auto flush = [&] {
    std::uint64_t hashes[kBlock];
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = index_hash(data::hash_of(key_of(block[i])), group_of(block[i]));
      index_.prefetch(hashes[i]);
    }
    for (std::size_t i = 0; i < count; ++i) index_.insert(hashes[i], block[i]);
    count = 0;
  };
  old.for_each([&](Address row) {
    __builtin_prefetch(row_at(row));
    block[count] = row;
    if (++count == kBlock) flush();
  });
  flush();
}

Result<std::uint32_t> Table::add_page(std::uint32_t page_bytes, std::uint32_t slot_bytes) {
  if (budget_.used_bytes.load(std::memory_order_relaxed) + page_bytes > budget_.bytes_max) {
    return fail(
        Code::kResourceExhausted,
        fmt::format("State has outgrown its managed memory: {} needs {} more bytes, it holds {} bytes in {} rows, the "
                    "slot has {} bytes. Raise taskmanager.memory.managed.size, or give the job more slots",
                    owner_, page_bytes, page_bytes_, rows_, budget_.bytes_max));
  }
  budget_.used_bytes.fetch_add(page_bytes, std::memory_order_relaxed);
  page_bytes_ += page_bytes;
  std::uint32_t id = 0;
  if (free_ids_.empty()) {
    id = static_cast<std::uint32_t>(pages_.size());
    pages_.emplace_back();
    heads_.emplace_back();
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  Page* page = pool_.allocate(page_bytes);
  pages_[id] = {page, slot_bytes, 1, 1, {}};
  heads_[id] = {page->memory, kAllBlocks, std::min(slot_bytes, kPageBytes), false};
  return id;
}

// As much as the table has, at least four slots.
std::uint32_t Table::next_page_bytes(std::uint32_t slot_bytes) const {
  const std::uint64_t wanted = std::max<std::uint64_t>(page_bytes_, std::uint64_t{slot_bytes} * 4);
  return static_cast<std::uint32_t>(std::bit_ceil(std::clamp<std::uint64_t>(wanted, kPageBytesMin, kPageBytes)));
}

Result<Address> Table::allocate_slot(std::uint64_t bytes, std::uint64_t spare) {
  if (bytes > kSlotBytesMax) {
    const auto pages_for = [](std::uint64_t n) { return (n + kPageBytes - 1) / kPageBytes * kPageBytes; };
    std::uint64_t page_bytes = pages_for(bytes + spare);
    if (!is_page_size(page_bytes)) page_bytes = pages_for(bytes);
    if (!is_page_size(page_bytes)) {
      return fail(Code::kResourceExhausted, fmt::format("A value is too large: {}, {} bytes", owner_, bytes));
    }
    DREY_TRY_ASSIGN(const std::uint32_t id,
                    add_page(static_cast<std::uint32_t>(page_bytes), static_cast<std::uint32_t>(page_bytes)));
    return Address{id} << 16;
  }
  const std::size_t number = size_class_of(static_cast<std::uint32_t>(bytes));
  SizeClass& sizes = size_class(number);
  if (!sizes.free.empty()) {
    const Address row = sizes.free.back();
    sizes.free.pop_back();
    ++pages_[row >> 16].live;
    return row;
  }
  const std::uint32_t slot_bytes = slot_bytes_of(number);
  if (sizes.open_page != 0 && pages_[sizes.open_page].slots < pages_[sizes.open_page].page->bytes / slot_bytes) {
    PageEntry& entry = pages_[sizes.open_page];
    ++entry.live;
    return Address{sizes.open_page} << 16 | entry.slots++ * slot_bytes;
  }
  DREY_TRY_ASSIGN(const std::uint32_t id, add_page(next_page_bytes(slot_bytes), slot_bytes));
  sizes.open_page = id;
  return Address{id} << 16;
}

void Table::free_slot(Address row) {
  const auto id = static_cast<std::uint32_t>(row >> 16);
  header(for_write(row)).key_size = kFree;
  PageEntry& entry = pages_[id];
  if (entry.slot_bytes >= kPageBytes) {
    page_bytes_ -= entry.page->bytes;
    budget_.used_bytes.fetch_sub(entry.page->bytes, std::memory_order_relaxed);
    entry.page->release();
    entry = {};
    heads_[id] = {};
    free_ids_.push_back(id);
    return;
  }
  --entry.live;
  size_class(size_class_of(entry.slot_bytes)).free.push_back(row);
}

void Table::unshare(std::uint32_t id) {
  PageEntry& entry = pages_[id];
  if (entry.page->is_shared()) {
    Page* copy = pool_.allocate(entry.page->bytes);
    std::memcpy(copy->memory, entry.page->memory, entry.used());
    entry.page->release();
    entry.page = copy;
    heads_[id].memory = copy->memory;
  }
  heads_[id].maybe_shared = false;
}

Page* Table::share(std::uint32_t id) {
  heads_[id].maybe_shared = true;
  pages_[id].page->retain();
  return pages_[id].page;
}

Result<Address> Table::upsert(const data::View& key, std::uint64_t hash, std::int64_t group, std::uint32_t value_size,
                              bool* fresh) {
  const Address there = find(key, hash, group);
  if (fresh != nullptr) *fresh = there == kNoRow;
  return there != kNoRow ? there : insert(key, hash, group, value_size);
}

Result<Address> Table::insert(const data::View& key, std::uint64_t hash, std::int64_t group, std::uint32_t value_size) {
  if (key.size >= kFree / 2)
    return fail(Code::kInvalidArgument, fmt::format("A key is too long: {}, {} bytes", owner_, key.size));
  DREY_TRY_ASSIGN(const Address row, allocate_slot(row_bytes(key.size, value_size)));
  char* at = for_write(row);
  header(at) = {stored_size(key), value_size};
  if (spec_.grouped) {
    auto& members = groups_[group];
    group_part(at) = {group, static_cast<std::uint32_t>(members.size()), 0};
    members.push_back(row);
  }
  char* const value = value_bytes(at);
  if (key.size != 0) std::memset(value - 8, 0, 8);  // the zeroes behind the key
  std::memcpy(key_bytes(at), data::data_of(key), key.size);
  std::memset(value, 0, value_size);
  ++rows_;
  // Grows when rows fill it, else only sweeps out the erased.
  if (!index_.has_room()) reindex();
  index_.insert(index_hash(hash, group), row);
  return row;
}

Status Table::values(std::span<const data::View> keys, std::span<const std::uint64_t> hashes,
                     std::span<const std::int64_t> groups, bool upsert_rows, void** out, std::uint8_t* fresh) {
  if (!spec_.grouped) return values_of<false>(keys, hashes, hashes.data(), nullptr, upsert_rows, out, fresh);
  DREY_DCHECK(groups.size() == keys.size());
  index_hashes_.resize(keys.size());
  std::int64_t last = 0;
  std::uint64_t mixed = group_hash(last);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (groups[i] != last) mixed = group_hash(last = groups[i]);
    index_hashes_[i] = hashes[i] ^ mixed;
  }
  return values_of<true>(keys, hashes, index_hashes_.data(), groups.data(), upsert_rows, out, fresh);
}

template <bool kGrouped>
Status Table::values_of(std::span<const data::View> keys, std::span<const std::uint64_t> hashes,
                        const std::uint64_t* index_hashes, const std::int64_t* groups, bool upsert_rows, void** out,
                        std::uint8_t* fresh) {
  // Three stages, a block of rows apart: fetch the index lines, fetch the rows they lead to, match. So the misses of
  // many rows are under way at once, and work goes on meanwhile (engine.md 2.2).
  constexpr std::size_t kBlock = 32;
  Address likely[2][kBlock];  // of the rows between the second and the third stage
  const std::size_t n = keys.size();
  const auto span =
      static_cast<std::size_t>(row_bytes(8, spec_.fixed_bytes) - 1);  // a row may straddle two cache lines
  const auto fetch = [&](std::size_t begin) {
    for (std::size_t i = begin, end = std::min(begin + kBlock, n); i < end; ++i) index_.prefetch(index_hashes[i]);
  };
  const auto follow = [&](std::size_t begin) {
    Address* const rows = likely[begin / kBlock % 2];
    for (std::size_t i = begin, end = std::min(begin + kBlock, n); i < end; ++i) {
      const Address row = index_.likely(index_hashes[i]);
      rows[i - begin] = row;
      if (row == kNoRow) continue;
      __builtin_prefetch(row_at(row), 1);
      __builtin_prefetch(row_at(row) + span, 1);
    }
  };
  fetch(0);
  follow(0);
  fetch(kBlock);
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    fetch(begin + 2 * kBlock);
    follow(begin + kBlock);
    const Address* const rows = likely[begin / kBlock % 2];
    for (std::size_t i = begin, end = std::min(begin + kBlock, n); i < end; ++i) {
      // Rows do not move here, so a match is the key's row whatever was added meanwhile.
      Address row = rows[i - begin];
      bool is_fresh = false;
      if (row == kNoRow || !matches(row, keys[i], kGrouped ? groups[i] : 0)) [[unlikely]] {
        DREY_TRY_ASSIGN(row, look_up(keys[i], hashes[i], kGrouped ? groups[i] : 0, upsert_rows, is_fresh));
      }
      if (fresh != nullptr) fresh[i] = is_fresh ? 1 : 0;
      out[i] = row == kNoRow ? nullptr : value_bytes(for_write(row));
    }
  }
  // An address handed out early may belong to a page that a later row's first write copied. That cannot be:
  // for_write() copies a page once, before its first address is handed out, and snapshots start between calls.
  return {};
}

Result<Address> Table::look_up(const data::View& key, std::uint64_t hash, std::int64_t group, bool insert_row,
                               bool& fresh) {
  const Address row = find(key, hash, group);
  fresh = row == kNoRow && insert_row;
  return fresh ? insert(key, hash, group, spec_.fixed_bytes) : row;
}

data::View Table::key_of(Address row) const {
  char* at = row_at(row);
  if (header(at).key_size != kNull) return data::make_view(key_bytes(at), header(at).key_size);
  data::View null{};
  std::memset(null.u.inlined, 0xff, 4);
  return null;
}

std::int64_t Table::group_of(Address row) const { return spec_.grouped ? group_part(row_at(row)).group : 0; }

std::string_view Table::value_of(Address row) const {
  char* at = row_at(row);
  return {value_bytes(at), header(at).value_size};
}

char* Table::writable_value(Address row) { return value_bytes(for_write(row)); }

char* Table::writable_part(Address row, std::uint32_t from, std::uint32_t bytes) {
  char* const at = row_at(row);
  const auto offset = static_cast<std::uint64_t>(value_bytes(at) - at);
  return value_bytes(for_write(row, offset + from, bytes)) + from;
}

char* Table::for_write(Address row, std::uint64_t from, std::uint64_t bytes) {
  const auto id = static_cast<std::uint32_t>(row >> 16);
  PageHead& head = heads_[id];
  if (head.maybe_shared) unshare(id);
  const std::uint64_t begin = row & 0xffff;
  const std::uint32_t block = block_bytes_of(pages_[id].page->bytes);
  if (bytes > 0) {
    const std::uint64_t first = (begin + from) / block;
    const std::uint64_t last = (begin + from + bytes - 1) / block;
    head.dirty_blocks |= (std::uint64_t{2} << last) - (std::uint64_t{1} << first);
  }
  return head.memory + begin;
}

Result<Address> Table::resize(Address row, std::uint32_t value_size) {
  char* at = row_at(row);
  const std::uint32_t key_size = key_length(header(at));
  const std::uint64_t room = pages_[row >> 16].slot_bytes;
  if (row_bytes(key_size, value_size) <= room) {
    header(for_write(row, 0, sizeof(Row))).value_size = value_size;
    return row;
  }
  const std::uint64_t spare = room > kSlotBytesMax ? room / 2 : 0;
  DREY_TRY_ASSIGN(const Address moved, allocate_slot(row_bytes(key_size, value_size), spare));
  char* from = row_at(row);
  char* to = for_write(moved);
  const std::uint32_t kept = std::min(header(from).value_size, value_size);
  std::memcpy(to, from, row_bytes(key_size, kept));
  header(to).value_size = value_size;
  index_.replace(index_hash(data::hash_of(key_of(row)), group_of(row)), row, moved);
  if (spec_.grouped) groups_[group_part(to).group][group_part(to).position] = moved;
  free_slot(row);
  return moved;
}

void Table::leave_group(Address row) {
  const GroupPart part = group_part(row_at(row));
  const auto found = groups_.find(part.group);
  std::vector<Address>& members = found->second;
  const Address last = members.back();
  members.pop_back();
  if (last != row) {
    members[part.position] = last;
    group_part(for_write(last)).position = part.position;
  }
  if (members.empty()) groups_.erase(found);
}

void Table::erase(Address row) {
  index_.erase(index_hash(data::hash_of(key_of(row)), group_of(row)), row);
  if (spec_.grouped) leave_group(row);
  free_slot(row);
  --rows_;
}

void Table::erase_group(std::int64_t group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  for (const Address row : found->second) {
    index_.erase(index_hash(data::hash_of(key_of(row)), group), row);
    free_slot(row);
  }
  rows_ -= found->second.size();
  groups_.erase(found);
}

void Table::for_each(const std::function<void(Address)>& visit) const {
  for (std::size_t id = 1; id < pages_.size(); ++id) {
    for (std::uint32_t slot = 0; slot < pages_[id].slots; ++slot) {
      const Address row = Address{id} << 16 | std::uint64_t{slot} * pages_[id].slot_bytes;
      if (header(row_at(row)).key_size != kFree) visit(row);
    }
  }
}

bool Table::next_rows(Position& from, std::size_t count, std::vector<Address>& out) const {
  for (; from.page < pages_.size(); ++from.page, from.slot = 0) {
    const PageEntry& page = pages_[from.page];
    for (; from.slot < page.slots; ++from.slot) {
      if (count == 0) return true;
      const Address row = Address{from.page} << 16 | std::uint64_t{from.slot} * page.slot_bytes;
      if (header(row_at(row)).key_size == kFree) continue;
      out.push_back(row);
      --count;
    }
  }
  return false;
}

void Table::adopt(std::uint32_t id, PageEntry entry, std::uint64_t dirty_blocks) {
  if (id >= pages_.size()) {
    pages_.resize(id + 1);
    heads_.resize(id + 1);
  }
  DREY_CHECK(pages_[id].page == nullptr);
  page_bytes_ += entry.page->bytes;
  budget_.used_bytes.fetch_add(entry.page->bytes, std::memory_order_relaxed);
  heads_[id] = {entry.page->memory, dirty_blocks, std::min(entry.slot_bytes, kPageBytes), false};
  pages_[id] = std::move(entry);
}

void Table::rebuild() {
  rows_ = 0;
  for (std::uint32_t id = 1; id < pages_.size(); ++id) {
    PageEntry& entry = pages_[id];
    if (entry.page == nullptr) {
      free_ids_.push_back(id);
      continue;
    }
    entry.live = 0;
    const bool own_page = entry.slot_bytes > kSlotBytesMax;
    for (std::uint32_t slot = 0; slot < entry.slots; ++slot) {
      const Address row = Address{id} << 16 | std::uint64_t{slot} * entry.slot_bytes;
      char* at = row_at(row);
      if (header(at).key_size == kFree) {
        if (!own_page) size_class(size_class_of(entry.slot_bytes)).free.push_back(row);
        continue;
      }
      ++entry.live;
      ++rows_;
      if (spec_.grouped) {
        auto& members = groups_[group_part(at).group];
        group_part(at).position = static_cast<std::uint32_t>(members.size());
        members.push_back(row);
      }
    }
    if (!own_page && entry.slots < entry.page->bytes / entry.slot_bytes)
      size_class(size_class_of(entry.slot_bytes)).open_page = id;
  }
  index_ = RowIndex(rows_);
  // As reindex(), but from the pages.
  constexpr std::size_t kBlock = 64;
  Address block[kBlock];
  std::uint64_t hashes[kBlock];
  std::size_t count = 0;
  const auto flush = [&] {
    for (std::size_t i = 0; i < count; ++i) index_.insert(hashes[i], block[i]);
    count = 0;
  };
  for_each([&](Address row) {
    hashes[count] = index_hash(data::hash_of(key_of(row)), group_of(row));
    index_.prefetch(hashes[count]);
    block[count] = row;
    if (++count == kBlock) flush();
  });
  flush();
}

}  // namespace drey::state
