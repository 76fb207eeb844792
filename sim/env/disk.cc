#include "sim/env/disk.h"

#include "env/blocking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace drey::sim {
namespace {

Status failure(Code code, std::string_view what, const std::string& path, std::string_view why) {
  return fail(code, fmt::format("{}: path={}, errno={}", what, path, why));
}

std::string clean(std::string path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || out.empty() || out.back() != '/') out += c;
  }
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

}  // namespace

Disk::Disk() {
  names_["/"] = std::make_shared<File>();
  names_["/"]->is_directory = true;
}

Disk::FileRef Disk::find(const std::string& path) const {
  const auto found = names_.find(clean(path));
  return found == names_.end() ? nullptr : found->second;
}

void Disk::link(const std::string& raw, FileRef file) {
  const std::string path = clean(raw);
  FileRef& name = names_[path];
  if (!file->is_directory) changes_.push_back({"", path, file, name});
  name = std::move(file);
}

void Disk::unlink(const std::string& raw) {
  const std::string path = clean(raw);
  const auto found = names_.find(path);
  if (found == names_.end()) return;
  if (!found->second->is_directory) changes_.push_back({path, "", found->second, nullptr});
  names_.erase(found);
}

void Disk::rename(const std::string& raw_from, const std::string& raw_to) {
  const std::string from = clean(raw_from);
  const std::string to = clean(raw_to);
  const FileRef file = find(from);
  if (file->is_directory) {
    for (const std::string& path : children(from, true)) {
      names_[to + path.substr(from.size())] = names_[path];
      names_.erase(path);
    }
  } else {
    changes_.push_back({from, to, file, find(to)});
  }
  names_.erase(from);
  names_[to] = file;
}

void Disk::sync_directory(const std::string& raw) {
  const std::string path = clean(raw);
  std::erase_if(changes_, [&](const Change& change) {
    return env::directory_of(change.to.empty() ? change.from : change.to) == path;
  });
}

void Disk::append(File& file, std::string_view bytes) { file.bytes.append(bytes); }

void Disk::replace_bytes(File& file) {
  if (!file.before_create.has_value()) file.before_create = file.bytes.substr(0, file.synced_bytes);
  file.bytes.clear();
  file.synced_bytes = 0;
}

std::vector<std::string> Disk::children(const std::string& directory, bool is_deep) const {
  const std::string prefix = clean(directory) == "/" ? "/" : clean(directory) + "/";
  std::vector<std::string> out;
  for (auto it = names_.lower_bound(prefix); it != names_.end() && it->first.starts_with(prefix); ++it) {
    if (it->first.size() == prefix.size()) continue;
    if (is_deep || it->first.find('/', prefix.size()) == std::string::npos) out.push_back(it->first);
  }
  return out;
}

std::uint64_t Disk::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [path, file] : names_) used += file->bytes.size();
  return used;
}

std::uint64_t Disk::free_bytes() const {
  if (capacity_ == UINT64_MAX) return std::uint64_t{1} << 40;
  const std::uint64_t used = used_bytes();
  return used < capacity_ ? capacity_ - used : 0;
}

bool Disk::flip_bit(const std::string& path, Prng& chance) {
  const FileRef file = find(path);
  if (file == nullptr || file->bytes.empty()) return false;
  char& byte = file->bytes[chance.below(file->bytes.size())];
  byte = static_cast<char>(byte ^ (1 << chance.below(8)));
  return true;
}

void Disk::flip_when_due(const std::string& path, char* bytes, std::size_t count, Prng& chance) {
  if (flipped_ending_.empty() || count == 0 || !path.ends_with(flipped_ending_)) return;
  flipped_ending_.clear();
  char& byte = bytes[chance.below(count)];
  byte = static_cast<char>(byte ^ (1 << chance.below(8)));
}

void Disk::undo(const Change& change) {
  if (!change.to.empty()) {
    const auto found = names_.find(change.to);
    if (found == names_.end() || found->second != change.file) return;
    if (change.replaced != nullptr) {
      found->second = change.replaced;
    } else {
      names_.erase(found);
    }
  }
  if (!change.from.empty()) names_.try_emplace(change.from, change.file);
}

void Disk::lose_power(Prng& chance) {
  // A journal: names are lost from some moment on.
  const std::size_t kept = chance.below(changes_.size() + 1);
  while (changes_.size() > kept) {
    undo(changes_.back());
    changes_.pop_back();
  }
  changes_.clear();
  for (auto& [path, file] : names_) {
    if (file->before_create.has_value() && chance.chance(0.5)) {
      file->bytes = *file->before_create;
    } else if (file->bytes.size() > file->synced_bytes) {
      const std::size_t loose = file->bytes.size() - file->synced_bytes;
      const std::size_t left = chance.chance(0.3) ? 0 : chance.below(loose + 1);
      file->bytes.resize(file->synced_bytes + left);
      // Blocks that were allotted and never written read as zeros.
      if (left > 0 && chance.chance(0.3)) {
        const std::size_t zeros = chance.below(left + 1);
        std::memset(file->bytes.data() + file->bytes.size() - zeros, 0, zeros);
      }
    }
    file->before_create.reset();
    file->synced_bytes = file->bytes.size();
  }
}

class SimFile final : public env::ReadableFile, public env::WritableFile {
 public:
  SimFile(SimFileSystem& files, std::string path, Disk::FileRef file)
      : files_(files), path_(std::move(path)), file_(std::move(file)), size_(file_->bytes.size()) {}

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read_at(std::uint64_t offset, char* out, std::size_t bytes) override {
    DREY_TRY(files_.begin("read", path_, false));
    if (offset >= file_->bytes.size()) return std::size_t{0};
    const std::size_t count = std::min(bytes, file_->bytes.size() - static_cast<std::size_t>(offset));
    std::memcpy(out, file_->bytes.data() + offset, count);
    files_.disk_->flip_when_due(path_, out, count, files_.scheduler_.prng());
    return count;
  }

  Status append(std::string_view bytes) override {
    DREY_TRY(files_.begin("append", path_, true));
    const std::uint64_t room = bytes.empty() ? 0 : files_.disk_->free_bytes();
    files_.disk_->append(*file_,
                         bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size()))));
    file_->modified_millis = files_.clock_.wall().millis;
    if (room < bytes.size())
      return failure(Code::kResourceExhausted, "Cannot write a file", path_, "28 (No space left on device)");
    return {};
  }

  Status sync() override {
    DREY_TRY(files_.begin("sync", path_, true));
    file_->synced_bytes = file_->bytes.size();
    file_->before_create.reset();
    return {};
  }

  Status close() override { return files_.begin("close", path_, false); }

 private:
  SimFileSystem& files_;
  std::string path_;
  Disk::FileRef file_;
  std::uint64_t size_;
};

Status SimFileSystem::begin(std::string_view operation, const std::string& path, bool changes) {
  env::check_blocking(operation.data());
  if (node_->operations_left > 0 && changes && --node_->operations_left == 0) node_->is_dying = true;
  if (!node_->acts()) return failure(Code::kIo, "The process has been killed", path, operation);
  const std::int64_t microseconds = operation == "sync" || operation == "sync directory" ? 500 : 5;
  scheduler_.spend(std::chrono::microseconds(
      1 + static_cast<std::int64_t>(scheduler_.prng().below(static_cast<std::uint64_t>(microseconds)))));
  return changes ? disk_->fault(operation, path) : Status();
}

Result<std::unique_ptr<env::ReadableFile>> SimFileSystem::open(const std::string& path) {
  DREY_TRY(begin("open", path, false));
  const auto file = disk_->find(path);
  if (file == nullptr) return failure(Code::kNotFound, "Cannot open a file", path, "2 (No such file or directory)");
  if (file->is_directory) return failure(Code::kIo, "Cannot open a file", path, "21 (Is a directory)");
  return std::unique_ptr<env::ReadableFile>(std::make_unique<SimFile>(*this, path, file));
}

Result<std::unique_ptr<env::WritableFile>> SimFileSystem::create(const std::string& path, bool append) {
  DREY_TRY(begin("create", path, true));
  const auto parent = disk_->find(env::directory_of(path));
  if (parent == nullptr || !parent->is_directory) {
    return failure(Code::kNotFound, "Cannot create a file", path, "2 (No such file or directory)");
  }
  auto file = disk_->find(path);
  if (file == nullptr) {
    file = std::make_shared<Disk::File>();
    disk_->link(path, file);
  } else if (file->is_directory) {
    return failure(Code::kIo, "Cannot create a file", path, "21 (Is a directory)");
  } else if (!append) {
    disk_->replace_bytes(*file);
  }
  file->modified_millis = clock_.wall().millis;
  return std::unique_ptr<env::WritableFile>(std::make_unique<SimFile>(*this, path, file));
}

Status SimFileSystem::rename(const std::string& from, const std::string& to) {
  DREY_TRY(begin("rename", from, true));
  const auto parent = disk_->find(env::directory_of(to));
  if (disk_->find(from) == nullptr || parent == nullptr || !parent->is_directory) {
    return failure(Code::kNotFound, "Cannot rename a file to " + to, from, "2 (No such file or directory)");
  }
  const auto target = disk_->find(to);
  if (target != nullptr && target->is_directory && !disk_->children(to, false).empty()) {
    return failure(Code::kAlreadyExists, "Cannot rename a file to " + to, from, "39 (Directory not empty)");
  }
  disk_->rename(from, to);
  return {};
}

Status SimFileSystem::remove(const std::string& path) {
  DREY_TRY(begin("remove", path, true));
  const auto file = disk_->find(path);
  if (file == nullptr) return failure(Code::kNotFound, "Cannot remove a file", path, "2 (No such file or directory)");
  if (file->is_directory) return failure(Code::kIo, "Cannot remove a file", path, "21 (Is a directory)");
  disk_->unlink(path);
  return {};
}

Status SimFileSystem::remove_tree(const std::string& path) {
  DREY_TRY(begin("remove", path, true));
  for (const std::string& child : disk_->children(path, true)) disk_->unlink(child);
  disk_->unlink(path);
  return {};
}

Result<std::vector<std::string>> SimFileSystem::list(const std::string& directory) {
  DREY_TRY(begin("list", directory, false));
  const auto file = disk_->find(directory);
  if (file == nullptr || !file->is_directory) {
    return failure(Code::kNotFound, "Cannot list a directory", directory, "2 (No such file or directory)");
  }
  std::vector<std::string> names;
  for (const std::string& child : disk_->children(directory, false)) names.push_back(env::base_name_of(child));
  return names;
}

Status SimFileSystem::make_directories(const std::string& path, std::uint32_t mode) {
  DREY_TRY(begin("make directory", path, true));
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (const auto file = disk_->find(part); file != nullptr) {
      if (!file->is_directory) return failure(Code::kIo, "Cannot make a directory", part, "20 (Not a directory)");
      continue;
    }
    auto directory = std::make_shared<Disk::File>();
    directory->is_directory = true;
    directory->mode = mode;
    directory->modified_millis = clock_.wall().millis;
    disk_->link(part, std::move(directory));
  }
  return {};
}

Result<env::FileStat> SimFileSystem::stat(const std::string& path) {
  DREY_TRY(begin("stat", path, false));
  const auto file = disk_->find(path);
  if (file == nullptr) return failure(Code::kNotFound, "Cannot look at a file", path, "2 (No such file or directory)");
  return env::FileStat{file->bytes.size(), {file->modified_millis}, file->is_directory, file->mode};
}

Status SimFileSystem::sync_directory(const std::string& path) {
  DREY_TRY(begin("sync directory", path, true));
  if (disk_->find(path) == nullptr) {
    return failure(Code::kNotFound, "Cannot open a directory", path, "2 (No such file or directory)");
  }
  disk_->sync_directory(path);
  return {};
}

Status SimFileSystem::hard_link(const std::string& from, const std::string& to) {
  DREY_TRY(begin("link", from, true));
  const auto file = disk_->find(from);
  if (file == nullptr)
    return failure(Code::kNotFound, "Cannot link a file as " + to, from, "2 (No such file or directory)");
  if (disk_->find(to) != nullptr)
    return failure(Code::kAlreadyExists, "Cannot link a file as " + to, from, "17 (File exists)");
  disk_->link(to, file);
  return {};
}

Result<std::uint64_t> SimFileSystem::free_bytes(const std::string& path) {
  DREY_TRY(begin("free", path, false));
  return disk_->free_bytes();
}

}  // namespace drey::sim
