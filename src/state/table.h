// Table: rows by key in pages, with an index that is rebuilt, never stored.
//
//   row := u32 key_size, u32 value_size, [i64 group, u32 position, u32 0], key, zeroes to a multiple of 8, value
//
// key_size 0xffffffff marks a free slot, 0xfffffffe the null key. Rows lie in slots of one size per page; a row that
// grows moves to a larger slot. A grouped table keeps, beside the index, the rows of each group (a window, a timer's
// time, the key of a map state) in order of insertion; the key of a row is then unique within its group. `position` is
// only of use in memory: it is written anew when a table is restored.
//
// Threading: one task. Bounds: the Budget says when there is too much.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/key.h"
#include "state/page.h"
#include "state/row_index.h"

namespace drey::state {

struct TableSpec {
  std::uint32_t fixed_bytes = 0;  // 0: values have their own sizes
  bool grouped = false;
  bool group_is_key = false;  // the group is the hash of the user's key (map state): it decides the key group
  friend bool operator==(const TableSpec&, const TableSpec&) = default;
};

// Managed memory of a slot, shared by the tables of its tasks. Threading: any thread.
struct Budget {
  std::atomic<std::uint64_t> used_bytes{0};
  std::uint64_t bytes_max = UINT64_MAX;
};

// A page is made durable by blocks, of which it has at most 64.
inline constexpr std::uint32_t kBlockBytes = kPageBytes / 64;
inline constexpr std::uint64_t kAllBlocks = ~std::uint64_t{0};
constexpr std::uint32_t block_bytes_of(std::uint32_t page_bytes) {
  return page_bytes <= kPageBytes ? kBlockBytes : page_bytes / 64;
}

// A file of page images that tables refer to; shared by the pages that lie in it.
struct PageFile {
  std::string path;
  std::uint64_t bytes = 0;  // page images written
};

class Table {
 public:
  Table(std::string owner, TableSpec spec, PagePool& pool, Budget& budget);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  const TableSpec& spec() const { return spec_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t bytes() const { return page_bytes_; }

  // Row of a key (in a group), or kNoRow.
  Address find(const data::View& key, std::uint64_t hash, std::int64_t group = 0) const;
  // Finds or makes the row. A new one has a value of `value_bytes` zeroes. FAILS WITH: kResourceExhausted.
  Result<Address> upsert(const data::View& key, std::uint64_t hash, std::int64_t group, std::uint32_t value_bytes,
                         bool* fresh = nullptr);
  // Addresses of the (writable) values of n keys; see drey_host.state_rows. `groups`: the group of each, empty in a
  // table without groups. Tables of fixed size.
  Status values(std::span<const data::View> keys, std::span<const std::uint64_t> hashes,
                std::span<const std::int64_t> groups, bool upsert, void** out, std::uint8_t* fresh);

  data::View key_of(Address row) const;  // far keys point into the page
  std::int64_t group_of(Address row) const;
  std::string_view value_of(Address row) const;
  char* writable_value(Address row);
  // The same, of which only [from, from + bytes) will be written: a checkpoint then writes no more of a large value.
  char* writable_part(Address row, std::uint32_t from, std::uint32_t bytes);
  // Gives the value another size, keeping its first bytes. Returns where the row is now. A large value that grows gets
  // room to spare, so that many small steps cost no more than linear time.
  Result<Address> resize(Address row, std::uint32_t value_bytes);
  void erase(Address row);

  // Groups in ascending order; rows of a group in order of insertion (an erase may move the last one).
  const std::map<std::int64_t, std::vector<Address>>& groups() const { return groups_; }
  void erase_group(std::int64_t group);

  // Rows in order of pages.
  void for_each(const std::function<void(Address)>& visit) const;
  // Appends up to `count` rows in order of pages to `out`, beginning with `from`, and moves that behind them. Returns
  // whether there may be more. Good as long as nothing is added or erased.
  struct Position {
    std::uint32_t page = 1;
    std::uint32_t slot = 0;
  };
  bool next_rows(Position& from, std::size_t count, std::vector<Address>& out) const;

  // --- for snapshots and restore (state/snapshot.cc) ---
  // Durable bytes of a page: of its first `used` bytes those in `blocks`, bit b for block b of kBlockBytes.
  struct PageImage {
    std::shared_ptr<PageFile> file;
    std::uint64_t offset = 0;
    std::uint64_t blocks = kAllBlocks;
    std::uint32_t used = 0;
  };
  struct PageEntry {
    Page* page = nullptr;  // null: id is free
    std::uint32_t slot_bytes = 0;
    std::uint32_t slots = 0;  // handed out so far; later ones were never used
    std::uint32_t live = 0;
    std::vector<PageImage> images;  // oldest first: one of all blocks, then what changed
    std::uint32_t used() const { return slots * slot_bytes; }
  };
  std::vector<PageEntry>& pages() { return pages_; }
  // Blocks written since the last image.
  std::uint64_t dirty_blocks(std::uint32_t id) const { return heads_[id].dirty_blocks; }
  void make_clean(std::uint32_t id) { heads_[id].dirty_blocks = 0; }
  void make_dirty(std::uint32_t id, std::uint64_t blocks) { heads_[id].dirty_blocks |= blocks; }
  // A reference on the page as it is now, the caller's to release: while it is held, the next write copies the page.
  // The only way to take one.
  Page* share(std::uint32_t id);
  // Takes over a page image (with its rows) at this id. REQUIRES: the id is free.
  void adopt(std::uint32_t id, PageEntry entry, std::uint64_t dirty_blocks);
  // After the last adopt: counts rows, free slots, groups, and builds the index.
  void rebuild();

 private:
  struct Row {
    std::uint32_t key_size;
    std::uint32_t value_size;
  };
  struct GroupPart {
    std::int64_t group;
    std::uint32_t position;
    std::uint32_t zero;
  };
  static constexpr std::uint32_t kFree = 0xffffffff;
  static constexpr std::uint32_t kNull = 0xfffffffe;  // the null key, which is not the empty one
  static std::uint32_t stored_size(const data::View& key) {
    return key.size == 0 && key.u.inlined[0] != 0 ? kNull : key.size;
  }
  static std::uint32_t key_length(const Row& row) { return row.key_size == kNull ? 0 : row.key_size; }

  // What every access needs of a page, side by side: those of thousands of pages stay in the cache.
  struct PageHead {
    char* memory = nullptr;
    std::uint64_t dirty_blocks = kAllBlocks;
    std::uint32_t slot_bytes = 0;  // at most kPageBytes
    bool maybe_shared = false;     // with a snapshot; only share() sets it
  };
  // Free slots of one size.
  struct SizeClass {
    std::vector<Address> free;
    std::uint32_t open_page = 0;  // has slots that were never used
  };

  char* row_at(Address row) const { return heads_[row >> 16].memory + (row & 0xffff); }
  Row& header(char* row) const { return *reinterpret_cast<Row*>(row); }
  GroupPart& group_part(char* row) const { return *reinterpret_cast<GroupPart*>(row + sizeof(Row)); }
  char* key_bytes(char* row) const { return row + sizeof(Row) + (spec_.grouped ? sizeof(GroupPart) : 0); }
  char* value_bytes(char* row) const { return key_bytes(row) + ((key_length(header(row)) + 7) & ~7u); }
  std::uint64_t row_bytes(std::uint32_t key_size, std::uint64_t value_size) const {
    return sizeof(Row) + (spec_.grouped ? sizeof(GroupPart) : 0) + ((std::uint64_t{key_size} + 7) & ~std::uint64_t{7}) +
           value_size;
  }
  // Makes the row's page private and dirty. Every write goes through here.
  char* for_write(Address row) {
    PageHead& head = heads_[row >> 16];
    if (head.maybe_shared) [[unlikely]]
      unshare(static_cast<std::uint32_t>(row >> 16));
    const auto begin = static_cast<std::uint32_t>(row & 0xffff);
    if (head.dirty_blocks != kAllBlocks) mark_dirty(head, begin);
    return head.memory + begin;
  }
  // The same for a part of a row: bytes [from, from + bytes) of it.
  char* for_write(Address row, std::uint64_t from, std::uint64_t bytes);
  static void mark_dirty(PageHead& head, std::uint32_t begin) {
    const std::uint32_t last = (begin + head.slot_bytes - 1) / kBlockBytes;
    head.dirty_blocks |= (std::uint64_t{2} << last) - (std::uint64_t{1} << begin / kBlockBytes);
  }
  void unshare(std::uint32_t id);
  // Of what a page of this class costs next.
  std::uint32_t next_page_bytes(std::uint32_t slot_bytes) const;
  SizeClass& size_class(std::size_t number) {
    if (number >= size_classes_.size()) size_classes_.resize(number + 1);
    return size_classes_[number];
  }
  bool matches(Address row, const data::View& key, std::int64_t group) const;
  // Of the index: rows of one key in several groups must not crowd.
  std::uint64_t index_hash(std::uint64_t hash, std::int64_t group) const { return hash ^ group_hash(group); }
  std::uint64_t group_hash(std::int64_t group) const;
  template <bool kGrouped>
  Status values_of(std::span<const data::View> keys, std::span<const std::uint64_t> hashes,
                   const std::uint64_t* index_hashes, const std::int64_t* groups, bool upsert, void** out,
                   std::uint8_t* fresh);
  Result<Address> look_up(const data::View& key, std::uint64_t hash, std::int64_t group, bool insert_row, bool& fresh);
  // REQUIRES: the row is not there.
  Result<Address> insert(const data::View& key, std::uint64_t hash, std::int64_t group, std::uint32_t value_bytes);
  void reindex();
  // `spare`: more bytes that a large value may grow into.
  Result<Address> allocate_slot(std::uint64_t bytes, std::uint64_t spare = 0);
  void free_slot(Address row);
  // A page of its own id, with one slot handed out.
  Result<std::uint32_t> add_page(std::uint32_t page_bytes, std::uint32_t slot_bytes);
  void leave_group(Address row);

  const std::string owner_;  // "operator 'x', state 'y'" for messages
  const TableSpec spec_;
  PagePool& pool_;
  Budget& budget_;
  std::vector<PageEntry> pages_;  // [0] is never used
  std::vector<PageHead> heads_;   // of the same pages
  std::vector<std::uint32_t> free_ids_;
  std::vector<SizeClass> size_classes_;
  RowIndex index_;
  std::uint64_t rows_ = 0;
  std::uint64_t page_bytes_ = 0;
  std::map<std::int64_t, std::vector<Address>> groups_;
  std::vector<std::uint64_t> index_hashes_;  // of one call of values()
};

}  // namespace drey::state
