// FileSystem: files with the durability the words say. Threading: any thread; a file object has one
// owner.
//
// Errors: kNotFound, kResourceExhausted (disk full), kForbidden (permission), kIo; the message
// carries path and errno.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"

namespace drey::env {

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() const = 0;  // when it was opened
  // Bytes read; fewer than asked for only at the end.
  virtual Result<std::size_t> read_at(std::uint64_t offset, char* out, std::size_t bytes) = 0;
};

class WritableFile {
 public:
  virtual ~WritableFile() = default;  // closes; what was not synced may be lost
  virtual Status append(std::string_view bytes) = 0;
  virtual Status sync() = 0;
  virtual Status close() = 0;
};

struct FileStat {
  std::uint64_t size = 0;
  Instant modified{};
  bool is_directory = false;
  std::uint32_t mode = 0;
  bool is_link = false;  // the rest is of what it leads to
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<ReadableFile>> open(const std::string& path) = 0;
  // Replaces the file, or appends to it.
  virtual Result<std::unique_ptr<WritableFile>> create(const std::string& path, bool append = false) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;                               // a file; kNotFound when absent
  virtual Status remove_tree(const std::string& path) = 0;                          // fine when absent
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  virtual Status make_directories(const std::string& path, std::uint32_t mode = 0755) = 0;
  virtual Result<FileStat> stat(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Status hard_link(const std::string& from, const std::string& to) = 0;
  // Of the file system that holds the path.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;

  // Whole files. write_atomic: temporary file, fsync, rename, fsync of the directory.
  Result<std::string> read_all(const std::string& path);
  Status write_atomic(const std::string& path, std::string_view bytes);
};

// The one way from a name that came from outside to a path: of a file or folder directly in
// `directory`. Names with '/', '\\' or NUL, "", "." and ".." name nothing, nor does what is not there
// or is a symbolic link. FAILS WITH: kNotFound.
Result<std::string> path_beneath(FileSystem& files, const std::string& directory, const std::string& name);

// "/a/b/c.txt" -> "/a/b", "c.txt".
std::string directory_of(const std::string& path);
std::string base_name_of(const std::string& path);

}  // namespace drey::env
