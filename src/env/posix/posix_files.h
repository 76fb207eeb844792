// PosixFileSystem: the machine's files.
#pragma once

#include "env/file_system.h"

namespace drey::env {

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> create(const std::string& path, bool append) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status make_directories(const std::string& path, std::uint32_t mode) override;
  Result<FileStat> stat(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Status hard_link(const std::string& from, const std::string& to) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
};

}  // namespace drey::env
