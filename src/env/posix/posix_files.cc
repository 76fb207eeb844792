#include "env/posix/posix_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "env/blocking.h"

namespace drey::env {
namespace {

Status failure(std::string_view what, const std::string& path, int error) {
  Code code = Code::kIo;
  if (error == ENOENT) code = Code::kNotFound;
  if (error == ENOSPC || error == EDQUOT) code = Code::kResourceExhausted;
  if (error == EACCES || error == EPERM || error == EROFS) code = Code::kForbidden;
  if (error == EEXIST) code = Code::kAlreadyExists;
  return fail(code, fmt::format("{}: path={}, errno={} ({})", what, path, error, std::strerror(error)));
}

class File final : public ReadableFile, public WritableFile {
 public:
  File(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
  ~File() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  std::uint64_t size() const override { return size_; }

  Result<std::size_t> read_at(std::uint64_t offset, char* out, std::size_t bytes) override {
    std::size_t done = 0;
    while (done < bytes) {
      const ssize_t got = ::pread(descriptor_, out + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure("Cannot read a file", path_, errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status append(std::string_view bytes) override {
    blocks("writing a file");
    while (!bytes.empty()) {
      const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failure("Cannot write a file", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(put));
      unstarted_ += static_cast<std::uint64_t>(put);
    }
    // On its way to the disk while more comes, so that sync() finds little left. A hint: that it fails does no harm.
    if (unstarted_ >= kStartBytes) {
      unstarted_ = 0;
      ::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    return {};
  }

  Status sync() override {
    blocks("syncing a file");
    return ::fdatasync(descriptor_) == 0 ? Status() : failure("Cannot sync a file", path_, errno);
  }

  Status close() override {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0 ? Status() : failure("Cannot close a file", path_, errno);
  }

 private:
  std::string path_;
  static constexpr std::uint64_t kStartBytes = 16 << 20;
  int descriptor_;
  std::uint64_t size_;
  std::uint64_t unstarted_ = 0;  // bytes appended since the kernel was last told to write
};

}  // namespace

Result<std::unique_ptr<ReadableFile>> PosixFileSystem::open(const std::string& path) {
  blocks("opening a file");
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failure("Cannot open a file", path, errno);
  struct ::stat info {};
  if (fstat(descriptor, &info) != 0 || S_ISDIR(info.st_mode)) {
    const int error = S_ISDIR(info.st_mode) ? EISDIR : errno;
    ::close(descriptor);
    return failure("Cannot open a file", path, error);
  }
  return std::unique_ptr<ReadableFile>(
      std::make_unique<File>(path, descriptor, static_cast<std::uint64_t>(info.st_size)));
}

Result<std::unique_ptr<WritableFile>> PosixFileSystem::create(const std::string& path, bool append) {
  blocks("creating a file");
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0644);
  if (descriptor < 0) return failure("Cannot create a file", path, errno);
  return std::unique_ptr<WritableFile>(std::make_unique<File>(path, descriptor, 0));
}

Status PosixFileSystem::rename(const std::string& from, const std::string& to) {
  blocks("renaming a file");
  return ::rename(from.c_str(), to.c_str()) == 0 ? Status() : failure("Cannot rename a file to " + to, from, errno);
}

Status PosixFileSystem::remove(const std::string& path) {
  blocks("removing a file");
  return ::unlink(path.c_str()) == 0 ? Status() : failure("Cannot remove a file", path, errno);
}

Status PosixFileSystem::remove_tree(const std::string& path) {
  blocks("removing a directory");
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return error ? failure("Cannot remove a directory", path, error.value()) : Status();
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  blocks("listing a directory");
  std::error_code error;
  std::vector<std::string> names;
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return failure("Cannot list a directory", directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Status PosixFileSystem::make_directories(const std::string& path, std::uint32_t mode) {
  blocks("making a directory");
  std::vector<std::string> parents;  // of those that were made
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) == 0) {
      parents.push_back(part.find('/') == std::string::npos ? "." : directory_of(part));
    } else if (errno != EEXIST) {
      return failure("Cannot make a directory", part, errno);
    }
  }
  for (const std::string& parent : parents) DREY_TRY(sync_directory(parent.empty() ? "/" : parent));
  struct ::stat info {};
  if (::stat(path.c_str(), &info) != 0) return failure("Cannot make a directory", path, errno);
  return S_ISDIR(info.st_mode) ? Status() : failure("Cannot make a directory", path, ENOTDIR);
}

Result<FileStat> PosixFileSystem::stat(const std::string& path) {
  struct ::stat info {};
  if (::stat(path.c_str(), &info) != 0) return failure("Cannot look at a file", path, errno);
  FileStat stat;
  stat.size = static_cast<std::uint64_t>(info.st_size);
  stat.modified = {info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1'000'000};
  stat.is_directory = S_ISDIR(info.st_mode);
  struct ::stat own {};
  stat.is_link = ::lstat(path.c_str(), &own) == 0 && S_ISLNK(own.st_mode);
  stat.mode = info.st_mode & 07777;
  return stat;
}

Status PosixFileSystem::sync_directory(const std::string& path) {
  blocks("syncing a directory");
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return failure("Cannot open a directory", path, errno);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  return result == 0 ? Status() : failure("Cannot sync a directory", path, error);
}

Result<std::uint64_t> PosixFileSystem::free_bytes(const std::string& path) {
  struct ::statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return failure("Cannot look at a file system", path, errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Status PosixFileSystem::hard_link(const std::string& from, const std::string& to) {
  blocks("linking a file");
  return ::link(from.c_str(), to.c_str()) == 0 ? Status() : failure("Cannot link a file as " + to, from, errno);
}

}  // namespace drey::env
