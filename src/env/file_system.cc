#include "env/file_system.h"

#include <fmt/format.h>

namespace drey::env {

Result<std::string> FileSystem::read_all(const std::string& path) {
  DREY_TRY_ASSIGN(auto file, open(path));
  std::string bytes(file->size(), '\0');
  DREY_TRY_ASSIGN(const std::size_t got, file->read_at(0, bytes.data(), bytes.size()));
  bytes.resize(got);
  return bytes;
}

Status FileSystem::write_atomic(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    DREY_TRY_ASSIGN(auto file, create(temporary));
    DREY_TRY(file->append(bytes));
    DREY_TRY(file->sync());
    DREY_TRY(file->close());
  }
  DREY_TRY(rename(temporary, path));
  return sync_directory(directory_of(path));
}

Result<std::string> path_beneath(FileSystem& files, const std::string& directory, const std::string& name) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (plain) {
    const auto stat = files.stat(directory + "/" + name);
    if (stat.ok() && !stat->is_link) return directory + "/" + name;
  }
  return fail(Code::kNotFound, fmt::format("There is no file {} in {}", name, directory));
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_name_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace drey::env
