#include "directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "commands.h"
#include "env/env.h"

namespace drey::apps {
namespace {

constexpr int kFormat = 1;

std::int64_t pid_in(int descriptor) {
  std::array<char, 32> text{};
  [[maybe_unused]] const auto got = ::pread(descriptor, text.data(), text.size() - 1, 0);
  return std::atoll(text.data());
}

}  // namespace

ClusterDirectory::~ClusterDirectory() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status ClusterDirectory::open(env::FileSystem& files) {
  if (path_.empty() || path_[0] != '/')
    return fail(Code::kInvalidArgument, fmt::format("--dir must be an absolute path: {}", path_));
  DREY_TRY(files.make_directories(path_, 0700));
  const std::string lock = path_ + "/lock";
  descriptor_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor_ < 0) return fail(Code::kIo, "Cannot open " + lock);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    return fail(Code::kUnavailable, fmt::format("The directory {} is in use by the drey with pid {}: end it with `drey "
                                                "down --dir {}`, or choose another --dir",
                                                path_, pid_in(descriptor_), path_));
  }
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, text.data(), text.size(), 0) < 0)
    return fail(Code::kIo, "Cannot write " + lock);

  if (const auto format = files.read_all(path_ + "/format"); format.ok()) {
    if (std::atoi(format->c_str()) > kFormat) {
      return fail(Code::kIncompatible, fmt::format("The directory {} was written by a newer drey (format {}, this one, "
                                                   "{}, knows {}): use that version",
                                                   path_, std::atoi(format->c_str()), kVersion, kFormat));
    }
  } else {
    // Not everything becomes a cluster's: its mode is changed, and what lies in tmp/ is removed.
    for (const std::string& name : files.list(path_).value_or({})) {
      if (name == "lock") continue;
      return fail(Code::kInvalidArgument, fmt::format("The directory {} is not a cluster's and not "
                                                      "empty (it holds {}): choose another --dir",
                                                      path_, name));
    }
    DREY_TRY(files.write_atomic(path_ + "/format", fmt::format("{}\n", kFormat)));
  }
  if (::chmod(path_.c_str(), 0700) != 0)
    return fail(Code::kIo, fmt::format("Cannot make {} this user's own (mode 0700): errno={}", path_, errno));
  for (const char* name : {"/jars", "/cache", "/log", "/checkpoints", "/tmp"})
    DREY_TRY(files.make_directories(path_ + name, 0700));
  static_cast<void>(files.remove(path_ + "/rest.address"));
  for (const std::string& name : files.list(path_ + "/tmp").value_or({}))
    orphans_ += files.remove_tree(path_ + "/tmp/" + name).ok() ? 1 : 0;
  for (const std::string& name : files.list(path_ + "/log").value_or({})) {
    if (name.ends_with(".crash")) orphans_ += files.remove(log(name)).ok() ? 1 : 0;
  }
  return {};
}

std::int64_t holder_of(const std::string& directory) {
  const int descriptor = ::open((directory + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return 0;
  const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;
  const std::int64_t pid = held ? pid_in(descriptor) : 0;
  ::close(descriptor);
  return pid;
}

}  // namespace drey::apps
