#include "state/table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/prng.h"

namespace drey::state {
namespace {

constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kErased = 1;
constexpr std::size_t kIndexMin = 64;

// Bits that neither the key group (top) nor the position in the index (bottom) uses.
std::uint64_t tag_of(std::uint64_t hash) { return (hash >> 32) & 0xffff; }

// 16-byte steps up to 256, then four sizes a power of two; at least 2 slots a page, else a page of its own.
std::uint64_t slot_size_for(std::uint64_t bytes) {
  if (bytes <= 256) return (bytes + 15) & ~std::uint64_t{15};
  const auto top = std::bit_width(bytes - 1);
  const std::uint64_t step = std::uint64_t{1} << (top - 3);
  return (bytes + step - 1) & ~(step - 1);
}

}  // namespace

Table::Table(std::string owner, TableSpec spec, PagePool& pool, Budget& budget)
    : owner_(std::move(owner)), spec_(spec), pool_(pool), budget_(budget), pages_(1), index_(kIndexMin) {}

Table::~Table() {
  for (PageEntry& entry : pages_) {
    if (entry.page != nullptr) entry.page->release();
  }
  budget_.used_bytes.fetch_sub(page_bytes_, std::memory_order_relaxed);
}

std::uint64_t Table::mix_group(std::uint64_t hash, std::int64_t group) {
  return hash ^ mix64(static_cast<std::uint64_t>(group));
}

bool Table::matches(Address row, const data::View& key, std::int64_t group) const {
  char* at = row_at(row);
  if (header(at).key_size != stored_size(key)) return false;
  if (spec_.grouped && group_part(at).group != group) return false;
  const char* bytes = key_bytes(at);
  if (key.size == 8) return std::memcmp(bytes, key.u.inlined, 8) == 0;
  return std::memcmp(bytes, data::data_of(key), key.size) == 0;
}

Address Table::find(const data::View& key, std::uint64_t hash, std::int64_t group) const {
  const std::uint64_t h = index_hash(hash, group);
  const std::uint64_t tag = tag_of(h);
  const std::size_t mask = index_.size() - 1;
  for (std::size_t at = h & mask;; at = (at + 1) & mask) {
    const std::uint64_t entry = index_[at];
    if (entry == 0) return kNoRow;
    if (entry != kErased && entry >> 48 == tag && matches(entry & kAddressMask, key, group)) return entry & kAddressMask;
  }
}

void Table::index_insert(std::uint64_t h, Address row) {
  const std::size_t mask = index_.size() - 1;
  std::size_t at = h & mask;
  while (index_[at] > kErased) at = (at + 1) & mask;
  if (index_[at] == 0) ++index_used_;
  index_[at] = tag_of(h) << 48 | row;
}

std::uint64_t* Table::locate(std::uint64_t h, Address row) {
  const std::size_t mask = index_.size() - 1;
  const std::uint64_t wanted = tag_of(h) << 48 | row;
  for (std::size_t at = h & mask;; at = (at + 1) & mask) {
    if (index_[at] == wanted) return &index_[at];
    DREY_CHECK(index_[at] != 0);
  }
}

void Table::reindex(std::size_t capacity) {
  auto old = std::move(index_);
  index_.assign(capacity, 0);
  index_used_ = 0;
  // The hash is worked out again from the key; rows are visited in blocks so that their misses overlap.
  constexpr std::size_t kBlock = 64;
  Address block[kBlock];
  std::size_t count = 0;
  const auto flush = [&] {
    std::uint64_t hashes[kBlock];
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = index_hash(data::hash_of(key_of(block[i])), group_of(block[i]));
      __builtin_prefetch(&index_[hashes[i] & (capacity - 1)], 1);
    }
    for (std::size_t i = 0; i < count; ++i) index_insert(hashes[i], block[i]);
    count = 0;
  };
  for (const std::uint64_t entry : old) {
    if (entry <= kErased) continue;
    block[count] = entry & kAddressMask;
    __builtin_prefetch(row_at(block[count]));
    if (++count == kBlock) flush();
  }
  flush();
}

Result<Address> Table::allocate_slot(std::uint64_t bytes) {
  const std::uint64_t wanted = slot_size_for(bytes);
  const bool own_page = wanted > kPageBytes / 2;
  const std::uint64_t page_bytes = own_page ? (wanted + kPageBytes - 1) / kPageBytes * kPageBytes : kPageBytes;
  const auto slot_bytes = static_cast<std::uint32_t>(own_page ? page_bytes : wanted);
  if (!own_page) {
    auto& free = free_slots_[slot_bytes];
    if (!free.empty()) {
      const Address row = free.back();
      free.pop_back();
      ++pages_[row >> 16].live;
      return row;
    }
    std::uint32_t& open = open_page_[slot_bytes];
    if (open != 0 && pages_[open].slots < kPageBytes / slot_bytes) {
      PageEntry& entry = pages_[open];
      ++entry.live;
      return Address{open} << 16 | entry.slots++;
    }
  }
  if (page_bytes > UINT32_MAX ||
      budget_.used_bytes.load(std::memory_order_relaxed) + page_bytes > budget_.bytes_max) {
    return fail(Code::kResourceExhausted,
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
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  PageEntry& entry = pages_[id];
  entry = {};
  entry.page = pool_.allocate(static_cast<std::uint32_t>(page_bytes));
  entry.slot_bytes = slot_bytes;
  entry.slots = 1;
  entry.live = 1;
  if (!own_page) open_page_[slot_bytes] = id;
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
    free_ids_.push_back(id);
    return;
  }
  --entry.live;
  free_slots_[entry.slot_bytes].push_back(row);
}

char* Table::for_write(Address row) {
  PageEntry& entry = pages_[row >> 16];
  if (entry.page->is_shared()) {
    Page* copy = pool_.allocate(entry.page->bytes);
    std::memcpy(copy->memory, entry.page->memory, std::size_t{entry.slots} * entry.slot_bytes);
    entry.page->release();
    entry.page = copy;
  }
  const std::uint64_t begin = (row & 0xffff) * entry.slot_bytes;
  // The last block of a page larger than kPageBytes is beyond the bits: it has one slot, whose bits are all set here.
  const std::uint64_t last = std::min<std::uint64_t>((begin + entry.slot_bytes - 1) / kBlockBytes, 63);
  entry.dirty_blocks |= kAllBlocks >> (63 - last) & kAllBlocks << begin / kBlockBytes;
  return entry.page->memory + begin;
}

Result<Address> Table::upsert(const data::View& key, std::uint64_t hash, std::int64_t group, std::uint32_t value_size,
                              bool* fresh) {
  if (fresh != nullptr) *fresh = false;
  if (const Address there = find(key, hash, group); there != kNoRow) return there;
  if (key.size >= kFree / 2) return fail(Code::kInvalidArgument, fmt::format("A key is too long: {}, {} bytes", owner_, key.size));
  DREY_TRY_ASSIGN(const Address row, allocate_slot(row_bytes(key.size, value_size)));
  char* at = for_write(row);
  header(at) = {stored_size(key), value_size};
  if (spec_.grouped) {
    auto& members = groups_[group];
    group_part(at) = {group, static_cast<std::uint32_t>(members.size()), 0};
    members.push_back(row);
  }
  std::memcpy(key_bytes(at), data::data_of(key), key.size);
  std::memset(value_bytes(at), 0, value_size);
  ++rows_;
  if ((index_used_ + 1) * 8 > index_.size() * 5) {
    // Grows when rows fill it, else only sweeps out the erased.
    reindex(std::bit_ceil(std::max<std::size_t>(kIndexMin, rows_ * 3)));
  }
  index_insert(index_hash(hash, group), row);
  if (fresh != nullptr) *fresh = true;
  return row;
}

Status Table::values(std::span<const data::View> keys, std::span<const std::uint64_t> hashes, std::int64_t group,
                     bool upsert_rows, void** out, std::uint8_t* fresh) {
  // Index lines first, then rows: the misses of a whole block overlap (engine.md 2.2).
  constexpr std::size_t kBlock = 64;
  const std::uint64_t span = row_bytes(8, spec_.fixed_bytes) - 1;  // a row may straddle two cache lines
  for (std::size_t begin = 0; begin < keys.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, keys.size());
    const std::size_t mask = index_.size() - 1;
    for (std::size_t i = begin; i < end; ++i) __builtin_prefetch(&index_[index_hash(hashes[i], group) & mask]);
    // The row that a key's tag leads to, past the entries of other keys; nearly always the right one.
    Address likely[kBlock];
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t h = index_hash(hashes[i], group);
      const std::uint64_t tag = tag_of(h);
      std::size_t at = h & mask;
      while (index_[at] != 0 && (index_[at] == kErased || index_[at] >> 48 != tag)) at = (at + 1) & mask;
      likely[i - begin] = index_[at] & kAddressMask;
      if (likely[i - begin] == kNoRow) continue;
      const char* row = row_at(likely[i - begin]);
      __builtin_prefetch(row, 1);
      __builtin_prefetch(row + span, 1);
    }
    for (std::size_t i = begin; i < end; ++i) {
      // Rows do not move here, so a match is the key's row whatever was added meanwhile.
      Address row = likely[i - begin];
      if (row == kNoRow || !matches(row, keys[i], group)) row = find(keys[i], hashes[i], group);
      bool is_fresh = false;
      if (row == kNoRow && upsert_rows) {
        DREY_TRY_ASSIGN(row, upsert(keys[i], hashes[i], group, spec_.fixed_bytes, &is_fresh));
      }
      if (fresh != nullptr) fresh[i] = is_fresh ? 1 : 0;
      out[i] = row == kNoRow ? nullptr : value_bytes(for_write(row));
    }
  }
  // An address handed out early may belong to a page that a later row's first write copied. That cannot be:
  // for_write() copies a page once, before its first address is handed out, and snapshots start between calls.
  return {};
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

Result<Address> Table::resize(Address row, std::uint32_t value_size) {
  char* at = row_at(row);
  const std::uint32_t key_size = key_length(header(at));
  if (row_bytes(key_size, value_size) <= pages_[row >> 16].slot_bytes) {
    header(for_write(row)).value_size = value_size;
    return row;
  }
  DREY_TRY_ASSIGN(const Address moved, allocate_slot(row_bytes(key_size, value_size)));
  char* from = row_at(row);
  char* to = for_write(moved);
  const std::uint32_t kept = std::min(header(from).value_size, value_size);
  std::memcpy(to, from, row_bytes(key_size, kept));
  header(to).value_size = value_size;
  const std::uint64_t h = index_hash(data::hash_of(key_of(row)), group_of(row));
  *locate(h, row) = tag_of(h) << 48 | moved;
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
  *locate(index_hash(data::hash_of(key_of(row)), group_of(row)), row) = kErased;
  if (spec_.grouped) leave_group(row);
  free_slot(row);
  --rows_;
}

void Table::erase_group(std::int64_t group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  for (const Address row : found->second) {
    *locate(index_hash(data::hash_of(key_of(row)), group), row) = kErased;
    free_slot(row);
  }
  rows_ -= found->second.size();
  groups_.erase(found);
}

void Table::for_each(const std::function<void(Address)>& visit) const {
  for (std::size_t id = 1; id < pages_.size(); ++id) {
    for (std::uint32_t slot = 0; slot < pages_[id].slots; ++slot) {
      const Address row = Address{id} << 16 | slot;
      if (header(row_at(row)).key_size != kFree) visit(row);
    }
  }
}

void Table::adopt(std::uint32_t id, PageEntry entry) {
  if (id >= pages_.size()) pages_.resize(id + 1);
  DREY_CHECK(pages_[id].page == nullptr);
  page_bytes_ += entry.page->bytes;
  budget_.used_bytes.fetch_add(entry.page->bytes, std::memory_order_relaxed);
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
    for (std::uint32_t slot = 0; slot < entry.slots; ++slot) {
      const Address row = Address{id} << 16 | slot;
      char* at = row_at(row);
      if (header(at).key_size == kFree) {
        free_slots_[entry.slot_bytes].push_back(row);
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
    if (entry.slot_bytes < kPageBytes && entry.slots < kPageBytes / entry.slot_bytes) open_page_[entry.slot_bytes] = id;
  }
  index_.assign(std::bit_ceil(std::max<std::size_t>(kIndexMin, rows_ * 2)), 0);
  index_used_ = 0;
  // As reindex(), but from the pages.
  constexpr std::size_t kBlock = 64;
  Address block[kBlock];
  std::uint64_t hashes[kBlock];
  std::size_t count = 0;
  const auto flush = [&] {
    for (std::size_t i = 0; i < count; ++i) index_insert(hashes[i], block[i]);
    count = 0;
  };
  for_each([&](Address row) {
    hashes[count] = index_hash(data::hash_of(key_of(row)), group_of(row));
    __builtin_prefetch(&index_[hashes[count] & (index_.size() - 1)], 1);
    block[count] = row;
    if (++count == kBlock) flush();
  });
  flush();
}

}  // namespace drey::state
