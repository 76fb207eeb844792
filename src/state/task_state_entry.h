// What one registered state is, and the manifest that a snapshot ends with. Internal to state/.
#pragma once

#include "state/task_state.h"

namespace drey::state {

enum class EntryKind { kNone, kTable, kSplit, kUnion, kBroadcast };

struct TaskState::Entry {
  EntryKind kind = EntryKind::kNone;
  std::unique_ptr<Table> table;
  OperatorList list;
  BroadcastMap broadcast;
};

// Where an image of a page lies; see Table::PageImage.
struct ImageRecord {
  std::uint32_t file = 0;  // index into the manifest's files
  std::uint64_t offset = 0;
  std::uint64_t blocks = 0;
  std::uint32_t used = 0;
  static constexpr auto fields() {
    using M = ImageRecord;
    return Fields{field("file", &M::file), field("offset", &M::offset), field("blocks", &M::blocks),
                  field("used", &M::used)};
  }
};
static_assert(wire::EveryMemberHasARow<ImageRecord>);

struct PageRecord {
  std::uint32_t id = 0;
  std::uint32_t slot_bytes = 0;
  std::uint32_t slots = 0;
  std::uint32_t page_bytes = 0;
  std::vector<ImageRecord> images;  // laid over each other in this order
  static constexpr auto fields() {
    using M = PageRecord;
    return Fields{field("id", &M::id), field("slot-bytes", &M::slot_bytes), field("slots", &M::slots),
                  field("page-bytes", &M::page_bytes), field("images", &M::images)};
  }
};
static_assert(wire::EveryMemberHasARow<PageRecord>);

// A block of rows of a canonical savepoint, in the manifest's own file; see canonical.h.
struct BlockRecord {
  std::uint32_t key_group = 0;
  std::uint64_t offset = 0;
  std::uint32_t rows = 0;
  std::uint32_t bytes = 0;
  static constexpr auto fields() {
    using M = BlockRecord;
    return Fields{field("key-group", &M::key_group), field("offset", &M::offset), field("rows", &M::rows),
                  field("bytes", &M::bytes)};
  }
};
static_assert(wire::EveryMemberHasARow<BlockRecord>);

struct EntryRecord {
  std::string name;  // key of TaskState::entries_
  EntryKind kind = EntryKind::kNone;
  std::uint32_t fixed_bytes = 0;
  bool grouped = false;
  bool group_is_key = false;
  std::vector<PageRecord> pages;
  std::vector<BlockRecord> blocks;  // instead of pages
  std::vector<std::string> list;
  std::map<std::string, std::string> broadcast;
  static constexpr auto fields() {
    using M = EntryRecord;
    return Fields{field("name", &M::name),
                  field("kind", &M::kind),
                  field("fixed-bytes", &M::fixed_bytes),
                  field("grouped", &M::grouped),
                  field("group-is-key", &M::group_is_key),
                  field("pages", &M::pages),
                  field("blocks", &M::blocks),
                  field("list", &M::list),
                  field("broadcast", &M::broadcast)};
  }
};
static_assert(wire::EveryMemberHasARow<EntryRecord>);

inline constexpr std::uint32_t kFormat = 4;

struct TaskState::Manifest {
  std::uint32_t format = kFormat;
  std::uint32_t key_version = data::kKeyVersion;
  std::uint32_t max_parallelism = 0;
  std::vector<StateFile> files;  // the first one is the manifest's own, wherever it lies
  std::vector<EntryRecord> entries;
  static constexpr auto fields() {
    using M = Manifest;
    return Fields{field("format", &M::format), field("key-version", &M::key_version),
                  field("max-parallelism", &M::max_parallelism), field("files", &M::files),
                  field("entries", &M::entries)};
  }
};

// Every page image in a file begins with this.
struct PageImageHeader {
  std::uint32_t magic;
  std::uint32_t bytes;     // of the blocks behind the header
  std::uint64_t checksum;  // XXH3 of these
};
inline constexpr std::uint32_t kPageMagic = 0x59455244;  // "DREY"

}  // namespace drey::state
