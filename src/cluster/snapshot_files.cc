#include "cluster/snapshot_files.h"

#include <cstring>
#include <set>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "state/task_state.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::string_view kMagic = "DREYCP2\n";
constexpr const char* kMetadata = "/_metadata";

// Calls change(path) for every path of a file in the checkpoint.
template <typename Change>
Status change_paths(control::Checkpoint& checkpoint, Change&& change) {
  for (control::TaskCheckpoint& task : checkpoint.tasks) {
    DREY_TRY_ASSIGN(auto handle, wire::decode<state::TaskStateHandle>(task.ack.handle));
    change(handle.manifest.path);
    for (state::StateFile& file : handle.files) change(file.path);
    for (auto& file : task.ack.files) change(file.first);
    task.ack.handle = wire::encode(handle);
  }
  return {};
}

}  // namespace

Result<std::string> local_directory(std::string path) {
  if (path.starts_with("file:")) {
    path = path.substr(5);
    while (path.starts_with("//")) path = path.substr(1);
  }
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.empty()) return fail(Code::kInvalidArgument, "empty checkpoint pointer");
  if (!path.starts_with('/') || path.find('\0') != std::string::npos) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot access file system for checkpoint/savepoint path '{}'. It must be an absolute path "
                            "of a local file system: /a/b or file:///a/b",
                            path));
  }
  return path;
}

Result<std::int64_t> write_metadata(env::FileSystem& files, const control::Checkpoint& checkpoint) {
  control::Checkpoint stored = checkpoint;
  if (control::is_savepoint(stored.form)) {
    DREY_TRY(change_paths(stored, [](std::string& path) { path = env::base_name_of(path); }));
    stored.path.clear();
  }
  const std::string payload = wire::encode(stored);
  const std::uint64_t numbers[2] = {payload.size(), XXH3_64bits(payload.data(), payload.size())};
  std::string bytes(kMagic);
  bytes.append(reinterpret_cast<const char*>(numbers), sizeof numbers);
  bytes += payload;
  DREY_TRY(files.make_directories(checkpoint.path));
  DREY_TRY(files.write_atomic(checkpoint.path + kMetadata, bytes));
  DREY_TRY(files.sync_directory(env::directory_of(checkpoint.path)));
  return static_cast<std::int64_t>(bytes.size());
}

Result<control::Checkpoint> read_checkpoint(env::FileSystem& files, const std::string& wanted) {
  DREY_TRY_ASSIGN(std::string path, local_directory(wanted));
  if (!path.ends_with(kMetadata)) path += kMetadata;
  auto bytes = files.read_all(path);
  if (!bytes.ok()) {
    if (files.stat(env::directory_of(path)).ok()) {
      return fail(Code::kNotFound,
                  fmt::format("Cannot find meta data file '_metadata' in directory '{}'.", env::directory_of(path)));
    }
    return fail(Code::kNotFound,
                fmt::format("Cannot find checkpoint or savepoint file/directory '{}' on file system 'file'.", wanted));
  }
  std::uint64_t numbers[2];
  const std::size_t head = kMagic.size() + sizeof numbers;
  if (!bytes->starts_with(kMagic.substr(0, 6)) || bytes->size() < head) {
    return fail(
        Code::kCorrupt,
        fmt::format(
            "This is no checkpoint or savepoint of Drey (Flink's own cannot be read: they hold Java objects): path={}",
            path));
  }
  if (!bytes->starts_with(kMagic)) {
    return fail(Code::kIncompatible,
                fmt::format("The checkpoint or savepoint is of another version's format: path={}", path));
  }
  std::memcpy(numbers, bytes->data() + kMagic.size(), sizeof numbers);
  const std::string_view payload = std::string_view(*bytes).substr(head);
  const auto damaged = [&] {
    return fail(Code::kCorrupt, fmt::format("The checkpoint's metadata is damaged: path={}", path));
  };
  if (payload.size() != numbers[0] || XXH3_64bits(payload.data(), payload.size()) != numbers[1]) return damaged();
  auto checkpoint = wire::decode<control::Checkpoint>(payload);
  if (!checkpoint.ok()) return damaged();
  checkpoint->path = env::directory_of(path);
  if (control::is_savepoint(checkpoint->form)) {
    const Status changed =
        change_paths(*checkpoint, [&](std::string& file) { file = checkpoint->path + "/" + env::base_name_of(file); });
    if (!changed.ok()) return damaged();
  }
  return checkpoint;
}

Status dispose(env::FileSystem& files, const std::string& path) {
  DREY_TRY_ASSIGN(const control::Checkpoint checkpoint, read_checkpoint(files, path));
  std::set<std::string> named;
  for (const control::TaskCheckpoint& task : checkpoint.tasks) {
    for (const auto& [file, bytes] : task.ack.files) named.insert(file);
  }
  // First, so that nobody restores from what is half gone.
  DREY_TRY(files.remove(checkpoint.path + kMetadata));
  for (const std::string& file : named) {
    if (const Status removed = files.remove(file); !removed.ok() && removed.code() != Code::kNotFound) return removed;
  }
  auto left = files.list(checkpoint.path);
  return left.ok() && left->empty() ? files.remove_tree(checkpoint.path) : Status();
}

}  // namespace drey::cluster
