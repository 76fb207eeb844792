// ClusterDirectory: the directory (--dir) in which a cluster keeps all it knows, held by one
// process at a time.
//
// Layout: format (version), lock (the pid of its holder), rest.address, secret, jobs.db, jars/,
// cache/ (programs out of jars), checkpoints/, log/, tmp/.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "env/file_system.h"

namespace drey::apps {

class ClusterDirectory {
 public:
  explicit ClusterDirectory(std::string path) : path_(std::move(path)) {}
  ~ClusterDirectory();
  ClusterDirectory(const ClusterDirectory&) = delete;
  ClusterDirectory& operator=(const ClusterDirectory&) = delete;

  // Makes it (mode 0700) and holds it until destruction; what a crash left behind is removed and
  // counted. FAILS WITH: kUnavailable (in use: names the pid), kIncompatible (a newer format),
  // kInvalidArgument (a relative path; a directory with something else in it), kIo.
  Status open(env::FileSystem& files);

  const std::string& path() const { return path_; }
  std::string log(const std::string& name) const { return path_ + "/log/" + name; }
  std::size_t orphans() const { return orphans_; }

 private:
  const std::string path_;
  int descriptor_ = -1;
  std::size_t orphans_ = 0;
};

// The process that holds the directory; 0: none.
std::int64_t holder_of(const std::string& directory);

}  // namespace drey::apps
