// Files of a task's snapshot.
//
//   file := image* manifest | block* manifest               (the second one of a canonical savepoint: see canonical.h)
//   image := magic u32, bytes u32, checksum u64, blocks     (of one page up to its last slot used: all, or those
//   written) manifest := wire encoding of TaskState::Manifest        (where it is and its checksum: in the handle)
//
// The manifest names for each page its images, in this file and those of earlier checkpoints: one of the whole page and
// on top of it the blocks that were written later. A page gets a new whole image when that costs little more, or when
// its images are many; pages reach that bound at different checkpoints.
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "state/canonical.h"
#include "state/task_state.h"
#include "state/task_state_entry.h"
#include "wire/binary/codec.h"

namespace drey::state {
namespace {

constexpr std::size_t kWriteBytes = 1u << 20;
// A file of which less than this share is still needed is given up: its last pages are written again.
constexpr std::uint64_t kLivePercentMin = 30;
constexpr std::string_view kWatermarkState = "/~watermark";  // every vertex has it: not what a job would miss
constexpr std::size_t kImagesMin = 4, kImagesSpread = 5;     // the bound of page p is kImagesMin + p % kImagesSpread

Status unwanted() { return fail(Code::kCancelled, "Nobody waits for this restore any more"); }

Status corrupt(const std::string& path, std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("Checkpoint file is damaged: {}: path={}", what, path));
}

// Calls visit(offset, bytes) for each run of blocks within the first `used` bytes.
template <typename Visit>
void for_blocks(std::uint64_t blocks, std::uint32_t used, Visit&& visit) {
  if (blocks == kAllBlocks) return visit(std::uint32_t{0}, used);
  const std::uint32_t block = block_bytes_of(used);  // a page that is larger than kPageBytes is always used whole
  while (blocks != 0) {
    const auto first = static_cast<std::uint32_t>(std::countr_zero(blocks));
    const auto count = static_cast<std::uint32_t>(std::countr_one(blocks >> first));
    blocks &= ~(kAllBlocks >> (64 - count) << first);
    const std::uint32_t begin = std::min(first * block, used);
    const std::uint32_t end = std::min((first + count) * block, used);
    if (begin < end) visit(begin, end - begin);
  }
}

std::uint32_t bytes_of(std::uint64_t blocks, std::uint32_t used) {
  std::uint32_t sum = 0;
  for_blocks(blocks, used, [&](std::uint32_t, std::uint32_t bytes) { sum += bytes; });
  return sum;
}

// What the next image of a page holds.
std::uint64_t blocks_to_write(const Table::PageEntry& page, std::uint64_t dirty_blocks, std::uint32_t id, bool sparse) {
  if (page.images.empty() || sparse) return kAllBlocks;
  std::uint64_t bytes = bytes_of(dirty_blocks, page.used());
  std::size_t later = 0;
  for (std::size_t i = 1; i < page.images.size(); ++i) {
    const Table::PageImage& image = page.images[i];
    if ((image.blocks & ~dirty_blocks) == 0) continue;  // no longer needed
    ++later;
    bytes += bytes_of(image.blocks, image.used);
  }
  return later + 2 > kImagesMin + id % kImagesSpread || bytes * 2 > page.used() ? kAllBlocks : dirty_blocks;
}

}  // namespace

class SnapshotWriter final : public SnapshotJob {
 public:
  ~SnapshotWriter() override {
    for (const Image& image : images_) {
      if (image.page != nullptr) image.page->release();
    }
  }

  Result<TaskStateHandle> run(env::FileSystem& files) override {
    DREY_TRY_ASSIGN(auto file, files.create(path_));
    std::string buffer;
    buffer.reserve(kWriteBytes + kPageBytes * 2);
    for (Image& image : images_) {
      const std::size_t at = buffer.size();
      buffer.resize(at + sizeof(PageImageHeader));
      for_blocks(image.blocks, image.used,
                 [&](std::uint32_t begin, std::uint32_t bytes) { buffer.append(image.page->memory + begin, bytes); });
      // From here on the task may write to the page without a copy.
      std::exchange(image.page, nullptr)->release();
      const std::size_t bytes = buffer.size() - at - sizeof(PageImageHeader);
      const PageImageHeader header{kPageMagic, static_cast<std::uint32_t>(bytes),
                                   XXH3_64bits(buffer.data() + at + sizeof(PageImageHeader), bytes)};
      std::memcpy(buffer.data() + at, &header, sizeof header);
      if (buffer.size() >= kWriteBytes) {
        DREY_TRY(file->append(buffer));
        buffer.clear();
      }
    }
    DREY_TRY(file->append(buffer));
    for (Rows& rows : rows_) {
      DREY_TRY(write_rows(*rows.table, manifest_.max_parallelism, *file, handle_.manifest_offset,
                          manifest_.entries[rows.entry].blocks));
      rows.table.reset();  // its pages go back: the task may write to them without a copy
    }
    const std::string manifest = wire::encode(manifest_);
    DREY_TRY(file->append(manifest));
    DREY_TRY(file->sync());
    DREY_TRY(file->close());
    DREY_TRY(files.sync_directory(env::directory_of(path_)));
    TaskStateHandle handle = handle_;
    handle.manifest = {path_, handle.manifest_offset + manifest.size()};
    handle.manifest_checksum = XXH3_64bits(manifest.data(), manifest.size());
    handle.written_bytes = handle.manifest.bytes;
    handle.state_bytes = stands_alone_ ? handle.written_bytes : handle.state_bytes + manifest.size();
    handle.files = manifest_.files;
    // The new file is always the first one.
    handle.files[0] = handle.manifest;
    return handle;
  }

 private:
  friend class TaskState;
  struct Image {
    Page* page;  // null once it is in the buffer
    std::uint64_t blocks;
    std::uint32_t used;
  };
  // A table of a canonical savepoint, as it was: it shares the pages.
  struct Rows {
    std::unique_ptr<Table> table;
    std::size_t entry;  // in the manifest
  };
  std::string path_;
  bool stands_alone_ = false;
  std::vector<Image> images_;
  Budget unlimited_;
  PagePool none_;
  std::vector<Rows> rows_;
  TaskState::Manifest manifest_;
  TaskStateHandle handle_;
};

std::unique_ptr<SnapshotJob> TaskState::snapshot(std::int64_t checkpoint_id, const std::string& path,
                                                 control::SnapshotForm form) {
  using control::SnapshotForm;
  const bool stands_alone = control::is_savepoint(form);
  auto job = std::make_unique<SnapshotWriter>();
  job->path_ = path;
  job->stands_alone_ = stands_alone;
  auto file = std::make_shared<PageFile>();
  file->path = path;
  Manifest& manifest = job->manifest_;
  manifest.max_parallelism = options_.max_parallelism;
  manifest.files.push_back({path, 0});
  std::map<const PageFile*, std::uint32_t> file_numbers;

  // Which old files are hardly needed any more.
  std::map<PageFile*, std::uint64_t> live;
  for (const auto& [name, e] : entries_) {
    if (e->table == nullptr) continue;
    for (const Table::PageEntry& page : e->table->pages()) {
      if (page.page == nullptr || page.live == 0) continue;
      for (const Table::PageImage& image : page.images) live[image.file.get()] += bytes_of(image.blocks, image.used);
    }
  }

  std::set<std::string> stateful;
  for (const auto& [name, e] : entries_) {
    if (((e->table != nullptr && e->table->rows() > 0) || !e->list.elements().empty() || !e->broadcast.empty()) &&
        !name.ends_with(kWatermarkState)) {
      stateful.insert(name.substr(0, name.find('/')));
    }
    job->handle_.has_union =
        job->handle_.has_union || (e->kind == EntryKind::kUnion && name.find("/~") == std::string::npos);
    EntryRecord record;
    record.name = name;
    record.kind = e->kind;
    record.list = e->list.elements();
    record.broadcast.insert(e->broadcast.begin(), e->broadcast.end());
    if (e->table != nullptr) {
      record.fixed_bytes = e->table->spec().fixed_bytes;
      record.grouped = e->table->spec().grouped;
      record.group_is_key = e->table->spec().group_is_key;
      auto& pages = e->table->pages();
      std::unique_ptr<Table> rows;
      if (form == SnapshotForm::kCanonical)
        rows = std::make_unique<Table>(name, e->table->spec(), job->none_, job->unlimited_);
      for (std::uint32_t id = 1; id < pages.size(); ++id) {
        Table::PageEntry& page = pages[id];
        if (page.page == nullptr || page.live == 0) continue;
        if (stands_alone) {
          Page* const shared = e->table->share(id);
          if (rows != nullptr) {
            Table::PageEntry same;
            same.page = shared;
            same.slot_bytes = page.slot_bytes;
            same.slots = page.slots;
            rows->adopt(id, std::move(same), kAllBlocks);
          } else {
            job->images_.push_back({shared, kAllBlocks, page.used()});
            record.pages.push_back(
                {id, page.slot_bytes, page.slots, page.page->bytes, {{0, file->bytes, kAllBlocks, page.used()}}});
            file->bytes += sizeof(PageImageHeader) + page.used();
          }
          continue;
        }
        const bool sparse =
            form == SnapshotForm::kFull || std::ranges::any_of(page.images, [&](const Table::PageImage& image) {
              return live[image.file.get()] * 100 < image.file->bytes * kLivePercentMin;
            });
        const std::uint64_t dirty = e->table->dirty_blocks(id);
        if (dirty != 0 || sparse) {
          const std::uint64_t blocks = blocks_to_write(page, dirty, id, sparse);
          if (blocks == kAllBlocks) page.images.clear();
          // The whole image stays below, however much lies over it.
          for (std::size_t i = page.images.size(); i-- > 1;) {
            if ((page.images[i].blocks & ~blocks) == 0)
              page.images.erase(page.images.begin() + static_cast<std::ptrdiff_t>(i));
          }
          job->images_.push_back({e->table->share(id), blocks, page.used()});
          e->table->make_clean(id);
          page.images.push_back({file, file->bytes, blocks, page.used()});
          file->bytes += sizeof(PageImageHeader) + bytes_of(blocks, page.used());
        }
        PageRecord stored{id, page.slot_bytes, page.slots, page.page->bytes, {}};
        for (const Table::PageImage& image : page.images) {
          std::uint32_t number = 0;
          if (image.file != file) {
            const auto [at, added] =
                file_numbers.emplace(image.file.get(), static_cast<std::uint32_t>(manifest.files.size()));
            if (added) manifest.files.push_back({image.file->path, image.file->bytes});
            number = at->second;
          }
          stored.images.push_back({number, image.offset, image.blocks, image.used});
        }
        record.pages.push_back(std::move(stored));
        job->handle_.state_bytes += page.used();
      }
      if (rows != nullptr) job->rows_.push_back({std::move(rows), manifest.entries.size()});
    }
    manifest.entries.push_back(std::move(record));
  }
  job->handle_.manifest_offset = file->bytes;
  job->handle_.subtask = options_.subtask;
  job->handle_.parallelism = options_.parallelism;
  job->handle_.max_parallelism = options_.max_parallelism;
  job->handle_.operators.assign(stateful.begin(), stateful.end());
  if (stands_alone) return job;
  file_of_checkpoint_[checkpoint_id] = file;
  while (file_of_checkpoint_.size() > 16) file_of_checkpoint_.erase(file_of_checkpoint_.begin());
  return job;
}

void TaskState::discard(std::int64_t checkpoint_id) {
  const auto found = file_of_checkpoint_.find(checkpoint_id);
  if (found == file_of_checkpoint_.end()) return;
  for (const auto& [name, e] : entries_) {
    if (e->table == nullptr) continue;
    auto& pages = e->table->pages();
    for (std::uint32_t id = 1; id < pages.size(); ++id) {
      Table::PageEntry& page = pages[id];
      for (std::size_t i = page.images.size(); i-- > 0;) {
        if (page.images[i].file != found->second) continue;
        e->table->make_dirty(id, page.images[i].blocks);
        if (i == 0) {
          page.images.clear();
        } else {
          page.images.erase(page.images.begin() + static_cast<std::ptrdiff_t>(i));
        }
        break;  // a file holds one image of a page
      }
    }
  }
  file_of_checkpoint_.erase(found);
}

namespace {

// Open files of one restore, and reading of page images.
class ImageReader {
 public:
  explicit ImageReader(env::FileSystem& files) : files_(files) {}

  // The page's bytes as its images say. REQUIRES: is_sound().
  Status read(const std::vector<StateFile>& state_files, const PageRecord& page, char* out) {
    for (const ImageRecord& image : page.images) DREY_TRY(read_image(state_files[image.file].path, image, out));
    return {};
  }

 private:
  Status read_image(const std::string& path, const ImageRecord& image, char* out) {
    auto& file = open_[path];
    if (file == nullptr) {
      auto opened = files_.open(path);
      if (!opened.ok()) return corrupt(path, opened.status().message());
      file = std::move(*opened);
    }
    PageImageHeader header{};
    const std::uint32_t bytes = bytes_of(image.blocks, image.used);
    auto got = file->read_at(image.offset, reinterpret_cast<char*>(&header), sizeof header);
    if (!got.ok()) return got.status();
    if (*got != sizeof header || header.magic != kPageMagic || header.bytes != bytes)
      return corrupt(path, "no page image where one should be");
    // A whole image goes to its place at once.
    const bool is_whole = image.blocks == kAllBlocks;
    if (!is_whole) blocks_.resize(bytes);
    char* const to = is_whole ? out : blocks_.data();
    got = file->read_at(image.offset + sizeof header, to, bytes);
    if (!got.ok()) return got.status();
    if (*got != bytes) return corrupt(path, "it ends within a page image");
    if (XXH3_64bits(to, bytes) != header.checksum) return corrupt(path, "the checksum of a page image does not match");
    if (is_whole) return {};
    const char* from = to;
    for_blocks(image.blocks, image.used, [&](std::uint32_t begin, std::uint32_t count) {
      std::memcpy(out + begin, from, count);
      from += count;
    });
    return {};
  }

  env::FileSystem& files_;
  std::map<std::string, std::unique_ptr<env::ReadableFile>> open_;
  std::string blocks_;
};

bool is_sound(const PageRecord& p, std::size_t files) {
  const std::uint64_t used = std::uint64_t{p.slots} * p.slot_bytes;
  return p.id != 0 && p.id < (1u << 30) && p.slot_bytes >= 16 && is_page_size(p.page_bytes) && used <= p.page_bytes &&
         p.slots > 0 && p.slots <= 0x10000 && !p.images.empty() && p.images[0].blocks == kAllBlocks &&
         std::ranges::all_of(p.images,
                             [&](const ImageRecord& image) { return image.file < files && image.used <= used; });
}

}  // namespace

bool TaskState::is_of(const std::string& entry_name, const std::vector<OperatorId>& operators) const {
  return std::ranges::any_of(operators,
                             [&](const OperatorId& id) { return entry_name.starts_with(id.to_string() + "/"); });
}

Status TaskState::restore(const std::vector<TaskStateHandle>& handles, const std::vector<OperatorId>& operators,
                          bool own, env::FileSystem& files, const std::atomic<bool>& is_unwanted) {
  const data::KeyGroupRange range = key_groups();
  const auto is_mine = [&](const TaskStateHandle& h) {
    return h.subtask == options_.subtask && h.parallelism == options_.parallelism;
  };
  const bool has_mine = std::ranges::any_of(handles, is_mine);
  std::map<std::string, std::vector<std::string>> split_lists;
  std::set<std::string> seen_maps;
  for (const TaskStateHandle& handle : handles) {
    if (handle.manifest.path.empty()) continue;
    const std::string& path = handle.manifest.path;
    auto opened = files.open(path);
    if (!opened.ok()) return corrupt(path, opened.status().message());
    if ((*opened)->size() != handle.manifest.bytes || handle.manifest_offset > handle.manifest.bytes) {
      return corrupt(path, fmt::format("it has {} bytes instead of {}", (*opened)->size(), handle.manifest.bytes));
    }
    std::string bytes(handle.manifest.bytes - handle.manifest_offset, '\0');
    DREY_TRY_ASSIGN(const std::size_t got, (*opened)->read_at(handle.manifest_offset, bytes.data(), bytes.size()));
    if (got != bytes.size() || XXH3_64bits(bytes.data(), bytes.size()) != handle.manifest_checksum) {
      return corrupt(path, "the checksum of its manifest does not match");
    }
    auto manifest = wire::decode<Manifest>(bytes);
    if (!manifest.ok() || manifest->files.empty()) return corrupt(path, "its manifest cannot be read");
    if (manifest->format != kFormat || manifest->key_version != data::kKeyVersion) {
      return fail(Code::kIncompatible,
                  fmt::format("Checkpoint has format {} and key version {}, this version reads {} and {}: path={}",
                              manifest->format, manifest->key_version, kFormat, data::kKeyVersion, path));
    }
    if (manifest->max_parallelism != options_.max_parallelism) {
      return fail(Code::kIncompatible,
                  fmt::format("State has the maximum parallelism {}, {} has {}: path={}", manifest->max_parallelism,
                              options_.task_name, options_.max_parallelism, path));
    }
    manifest->files[0].path = path;  // wherever it has been moved to
    for (const StateFile& file : manifest->files) {
      // Sizes are known for all but the manifest's own file.
      if (file.bytes == 0) continue;
      const auto stat = files.stat(file.path);
      if (!stat.ok() || stat->size < file.bytes) return corrupt(file.path, "it is missing or too short");
    }
    std::erase_if(manifest->entries, [&](const EntryRecord& record) { return !is_of(record.name, operators); });
    for (const EntryRecord& record : manifest->entries) {
      auto& slot = entries_[record.name];
      if (slot == nullptr) slot = std::make_unique<Entry>();
      slot->kind = record.kind;
      if (record.kind == EntryKind::kTable && slot->table == nullptr) {
        slot->table = std::make_unique<Table>(
            record.name, TableSpec{record.fixed_bytes, record.grouped, record.group_is_key}, pool_, budget_);
      }
      for (const PageRecord& page : record.pages) {
        if (!is_sound(page, manifest->files.size())) return corrupt(path, "its manifest is not sound");
      }
      if (record.kind == EntryKind::kUnion || (record.kind == EntryKind::kSplit && is_mine(handle))) {
        std::vector<std::string> all = slot->list.elements();
        all.insert(all.end(), record.list.begin(), record.list.end());
        slot->list.assign(std::move(all));
      } else if (record.kind == EntryKind::kSplit && !has_mine) {
        auto& all = split_lists[record.name];
        all.insert(all.end(), record.list.begin(), record.list.end());
      } else if (record.kind == EntryKind::kBroadcast && seen_maps.insert(record.name).second) {
        slot->broadcast.insert(record.broadcast.begin(), record.broadcast.end());
      }
    }
    const data::KeyGroupRange theirs = data::key_groups_of(handle.subtask, handle.parallelism, handle.max_parallelism);
    if (theirs.last < range.first || theirs.first > range.last) continue;
    DREY_TRY(is_mine(handle) ? adopt_pages(*manifest, own, files, is_unwanted)
                             : insert_rows(*manifest, files, is_unwanted));
    DREY_TRY(insert_blocks(*manifest, files));
  }
  for (auto& [name, all] : split_lists) {
    std::vector<std::string> mine;
    for (std::size_t i = options_.subtask; i < all.size(); i += options_.parallelism) mine.push_back(all[i]);
    entries_[name]->list.assign(std::move(mine));
  }
  restored_ = !handles.empty();
  return {};
}

Status TaskState::insert_blocks(const Manifest& manifest, env::FileSystem& files) {
  const data::KeyGroupRange range = key_groups();
  std::unique_ptr<env::ReadableFile> file;
  const std::string& path = manifest.files[0].path;
  for (const EntryRecord& record : manifest.entries) {
    for (const BlockRecord& block : record.blocks) {
      if (!range.contains(block.key_group)) continue;
      if (file == nullptr) {
        auto opened = files.open(path);
        if (!opened.ok()) return corrupt(path, opened.status().message());
        file = std::move(*opened);
      }
      DREY_TRY(read_rows(*file, path, block, *entries_[record.name]->table));
    }
  }
  return {};
}

Status TaskState::adopt_pages(const Manifest& manifest, bool own, env::FileSystem& files,
                              const std::atomic<bool>& is_unwanted) {
  ImageReader reader(files);
  std::vector<std::shared_ptr<PageFile>> page_files;
  for (const StateFile& file : manifest.files) {
    page_files.push_back(std::make_shared<PageFile>(PageFile{file.path, file.bytes}));
  }
  for (const EntryRecord& record : manifest.entries) {
    if (record.kind != EntryKind::kTable) continue;
    Table& table = *entries_[record.name]->table;
    for (const PageRecord& page : record.pages) {
      if (is_unwanted.load(std::memory_order_relaxed)) return unwanted();
      Table::PageEntry entry;
      entry.page = pool_.allocate(page.page_bytes);
      entry.slot_bytes = page.slot_bytes;
      entry.slots = page.slots;
      for (const ImageRecord& image : page.images) {
        if (!own) break;
        const auto& file = page_files[image.file];
        entry.images.push_back({file, image.offset, image.blocks, image.used});
        // The first file's page bytes are not in the manifest (it was not finished when that was made).
        file->bytes =
            std::max(file->bytes, image.offset + sizeof(PageImageHeader) + bytes_of(image.blocks, image.used));
      }
      char* memory = entry.page->memory;
      table.adopt(page.id, std::move(entry), own ? 0 : kAllBlocks);
      DREY_TRY(reader.read(manifest.files, page, memory));
    }
    if (budget_.used_bytes > budget_.bytes_max) {
      return fail(Code::kResourceExhausted,
                  fmt::format("The checkpoint's state does not fit the slot's managed memory: {} bytes. "
                              "Raise taskmanager.memory.managed.size",
                              budget_.bytes_max));
    }
    table.rebuild();
  }
  return {};
}

Status TaskState::insert_rows(const Manifest& manifest, env::FileSystem& files, const std::atomic<bool>& is_unwanted) {
  const data::KeyGroupRange range = key_groups();
  ImageReader reader(files);
  PagePool scratch_pool;
  for (const EntryRecord& record : manifest.entries) {
    if (record.kind != EntryKind::kTable) continue;
    Table& table = *entries_[record.name]->table;
    Budget unlimited;
    for (const PageRecord& page : record.pages) {
      if (is_unwanted.load(std::memory_order_relaxed)) return unwanted();
      // One page at a time through a table of its own, which knows the layout of rows.
      Table source(record.name, TableSpec{record.fixed_bytes, record.grouped, record.group_is_key}, scratch_pool,
                   unlimited);
      Table::PageEntry entry;
      entry.page = scratch_pool.allocate(page.page_bytes);
      entry.slot_bytes = page.slot_bytes;
      entry.slots = page.slots;
      char* memory = entry.page->memory;
      source.adopt(1, std::move(entry), 0);
      DREY_TRY(reader.read(manifest.files, page, memory));
      Status status;
      source.for_each([&](Address row) {
        const data::View key = source.key_of(row);
        const std::uint64_t hash = data::hash_of(key);
        const std::uint64_t owner = record.group_is_key ? static_cast<std::uint64_t>(source.group_of(row)) : hash;
        if (!status.ok() || !range.contains(data::key_group_of(owner, manifest.max_parallelism))) return;
        const std::string_view value = source.value_of(row);
        auto target = table.upsert(key, hash, source.group_of(row), static_cast<std::uint32_t>(value.size()));
        if (!target.ok()) {
          status = target.status();
          return;
        }
        if (!value.empty()) std::memcpy(table.writable_value(*target), value.data(), value.size());
      });
      DREY_TRY(std::move(status));
    }
  }
  return {};
}

}  // namespace drey::state
