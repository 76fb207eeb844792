// Disk: the files of one simulated machine. What was not synced may be lost or torn when its power
// fails.
//
// A file's bytes are durable once sync() returned; a name (made, renamed, linked, removed) once its
// directory was synced; directories themselves at once. Several processes may use one disk; a
// process that is killed loses nothing. Threading: the simulation's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "env/clock.h"
#include "env/file_system.h"
#include "sim/env/scheduler.h"

namespace drey::sim {

class Disk {
 public:
  struct File {
    bool is_directory = false;
    std::uint32_t mode = 0644;
    std::string bytes;
    std::size_t synced_bytes = 0;              // a prefix of `bytes`
    std::optional<std::string> before_create;  // durable content that a create() replaced, until the next sync
    std::int64_t modified_millis = 0;
  };
  using FileRef = std::shared_ptr<File>;

  Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // The power fails: keeps what is durable and, of the rest, what chance leaves.
  void lose_power(Prng& chance);
  // Appends beyond it fail with kResourceExhausted, having written what fits.
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  std::uint64_t used_bytes() const;
  std::uint64_t free_bytes() const;
  // A bit of a file turns; false when there is no such byte.
  bool flip_bit(const std::string& path, Prng& chance);
  // One bit of what is read next of a file with this ending is wrong, on the disk it stays right.
  void flip_next_read(std::string ending) { flipped_ending_ = std::move(ending); }
  bool has_flip_to_come() const { return !flipped_ending_.empty(); }
  void flip_when_due(const std::string& path, char* bytes, std::size_t count, Prng& chance);
  // Asked before every operation that changes something; a failure is what the caller gets.
  using Fault = std::function<Status(std::string_view operation, const std::string& path)>;
  void set_fault(Fault fault) { fault_ = std::move(fault); }
  Status fault(std::string_view operation, const std::string& path) const {
    return fault_ ? fault_(operation, path) : Status();
  }

  FileRef find(const std::string& path) const;
  // Adds a name for a file; what had the name before is replaced.
  void link(const std::string& path, FileRef file);
  void unlink(const std::string& path);
  void rename(const std::string& from, const std::string& to);
  void sync_directory(const std::string& path);
  void append(File& file, std::string_view bytes);
  void replace_bytes(File& file);
  // Paths below a directory, sorted; the direct children alone, or all.
  std::vector<std::string> children(const std::string& directory, bool is_deep) const;

 private:
  // A change of names that is not durable yet.
  struct Change {
    std::string from;  // empty: a new name
    std::string to;    // empty: a name that goes
    FileRef file;
    FileRef replaced;
  };
  void undo(const Change& change);

  std::map<std::string, FileRef> names_;
  std::vector<Change> changes_;
  std::uint64_t capacity_ = UINT64_MAX;
  Fault fault_;
  std::string flipped_ending_;  // empty: no flip to come
};
using DiskRef = std::shared_ptr<Disk>;

// A process's view of a disk: costs time, ends with the process.
class SimFileSystem final : public env::FileSystem {
 public:
  SimFileSystem(Scheduler& scheduler, std::shared_ptr<NodeState> node, DiskRef disk, env::Clock& clock)
      : scheduler_(scheduler), node_(std::move(node)), disk_(std::move(disk)), clock_(clock) {}

  Result<std::unique_ptr<env::ReadableFile>> open(const std::string& path) override;
  Result<std::unique_ptr<env::WritableFile>> create(const std::string& path, bool append) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status make_directories(const std::string& path, std::uint32_t mode) override;
  Result<env::FileStat> stat(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Status hard_link(const std::string& from, const std::string& to) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

  // Before every operation: counts it, spends its time, fails when the process is dead or the disk
  // says so.
  Status begin(std::string_view operation, const std::string& path, bool changes);

 private:
  friend class SimFile;
  Scheduler& scheduler_;
  std::shared_ptr<NodeState> node_;
  DiskRef disk_;
  env::Clock& clock_;
};

}  // namespace drey::sim
