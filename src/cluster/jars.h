// Jars: uploaded job archives in a directory of the cluster, and what is inside them.
//
// A jar is a zip with META-INF/MANIFEST.MF (program-class or Main-Class names the entry) and lib/<arch>/<name>.so.
// Anything ending in .jar may be uploaded; what is wrong with it is said when it is planned or run. Reading trusts
// nothing: declared and real sizes are bounded, names that leave the directory are refused. Threading: any thread.
// Blocks: file I/O.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "env/env.h"
#include "gateway/model.h"

namespace drey::cluster {

class Jars {
 public:
  // `directory` holds the jars; `cache` the shared objects taken out of them.
  Jars(std::string directory, std::string cache, env::Env& env)
      : directory_(std::move(directory)), cache_(std::move(cache)), env_(env) {}

  Result<std::vector<gateway::JarModel>> list();
  // Takes the file over as "<uuid>_<name>". Returns its absolute path.
  Result<std::string> add(const std::string& path, const std::string& name);
  // `keep_unpacked`: a running job still needs what was taken out of it.
  Status remove(const std::string& id, bool keep_unpacked);
  // What open() took out goes; a later open() takes it out again.
  void remove_unpacked(const std::string& id);

  struct Program {
    std::string module;  // path of the shared object
    std::string entry;   // of the manifest, unless one was asked for
  };
  // FAILS WITH: kInvalidArgument, kIncompatible; nothing unpacked stays behind.
  Result<Program> open(const std::string& id, const std::string& entry);

  const std::string& directory() const { return directory_; }
  std::string module_path(const std::string& id) const { return cache_ + "/" + id + "/program.so"; }

 private:
  // Refuses names with '/', '\\', NUL, '.' and '..'.
  Result<std::string> resolve(const std::string& id) const;
  const std::string directory_;
  const std::string cache_;
  env::Env& env_;
};

// Writes the files below `prefix` ("web/") of a zip archive into `directory`, which is made anew. Bounds: 10,000 files,
// 64 MiB a file, 512 MiB in all. FAILS WITH: kInvalidArgument, naming the archive; nothing stays behind then. Blocks:
// file I/O.
Status unpack_folder(env::FileSystem& files, const std::string& archive, const std::string& prefix,
                     const std::string& directory);

}  // namespace drey::cluster
