// TaskState: all state of one task (a subtask of a vertex): keyed tables, timers, operator lists, broadcast maps.
//
// Registered by operator and name. A snapshot has a synchronous part (microseconds: it takes references on dirty
// pages) and an asynchronous one that may run on any thread. Incremental by nature: pages that did not change
// since an earlier checkpoint stay in the file they were written to.
// Threading: task thread, except SnapshotJob. Errors: kResourceExhausted when managed memory is used up.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "control/checkpoint/barrier_aligner.h"
#include "data/key.h"
#include "drey/abi.h"
#include "env/file_system.h"
#include "state/slices.h"
#include "state/table.h"
#include "wire/field.h"

namespace drey::state {

using wire::field;
using wire::Fields;

enum class TimeKind { kEvent, kProcessing };

// A file that a checkpoint needs.
struct StateFile {
  std::string path;
  std::uint64_t bytes = 0;
  static constexpr auto fields() { return Fields{field("path", &StateFile::path), field("bytes", &StateFile::bytes)}; }
};
static_assert(wire::EveryMemberHasARow<StateFile>);

// Names the durable state of one task at one checkpoint. Safe to copy and store.
struct TaskStateHandle {
  StateFile manifest;  // the file whose end is the manifest; empty path: no state
  std::uint64_t manifest_offset = 0;
  std::uint64_t manifest_checksum = 0;
  std::vector<StateFile> files;     // all files it refers to, manifest's included
  std::uint64_t written_bytes = 0;  // by this checkpoint
  std::uint64_t state_bytes = 0;    // referred to in total
  std::uint32_t subtask = 0;
  std::uint32_t parallelism = 1;
  std::uint32_t max_parallelism = 128;
  std::vector<std::string> operators;  // ids of those that have state
  bool has_union = false;              // a list that must be given whole to every subtask

  static constexpr auto fields() {
    using M = TaskStateHandle;
    return Fields{field("manifest", &M::manifest),
                  field("manifest-offset", &M::manifest_offset),
                  field("manifest-checksum", &M::manifest_checksum),
                  field("files", &M::files),
                  field("written-bytes", &M::written_bytes),
                  field("state-bytes", &M::state_bytes),
                  field("subtask", &M::subtask),
                  field("parallelism", &M::parallelism),
                  field("max-parallelism", &M::max_parallelism),
                  field("operators", &M::operators),
                  field("has-union", &M::has_union)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskStateHandle>);

// One writer.
inline void count_up(std::atomic<std::int64_t>& total, std::size_t more) {
  total.store(total.load(std::memory_order_relaxed) + static_cast<std::int64_t>(more), std::memory_order_relaxed);
}

// Timers of one operator: one per (kind, key, time); a grouped table by time, so that they are state like any other.
class Timers {
 public:
  // `fired` counts the timers that were taken.
  Timers(Table& event, Table& processing, std::atomic<std::int64_t>& fired)
      : tables_{&event, &processing}, fired_(fired) {}
  Status set(TimeKind kind, const data::View& key, std::uint64_t hash, std::int64_t time);
  void remove(TimeKind kind, const data::View& key, std::uint64_t hash, std::int64_t time);
  // Takes up to `count` timers that are due, ascending by time. Far keys are valid until the next call.
  void pop_due(TimeKind kind, std::int64_t up_to, std::size_t count, std::vector<drey_timer>& out);
  // Earliest time, or INT64_MAX.
  std::int64_t next(TimeKind kind) const;

 private:
  Table* tables_[2];
  std::atomic<std::int64_t>& fired_;
  std::deque<std::string> keys_;  // what far keys of the last pop point into
};

class OperatorList {
 public:
  const std::vector<std::string>& elements() const { return elements_; }
  void assign(std::vector<std::string> elements) { elements_ = std::move(elements); }

 private:
  std::vector<std::string> elements_;
};

using BroadcastMap = std::map<std::string, std::string, std::less<>>;

struct TaskStateOptions {
  std::uint32_t subtask = 0;
  std::uint32_t parallelism = 1;
  std::uint32_t max_parallelism = 128;
  std::string task_name;
};

// The asynchronous part of a snapshot: writes pages and manifest, syncs. Any thread, once. It touches nothing that
// the task's thread writes.
class SnapshotJob {
 public:
  virtual ~SnapshotJob() = default;
  virtual Result<TaskStateHandle> run(env::FileSystem& files) = 0;
};

class TaskState {
 public:
  TaskState(TaskStateOptions options, PagePool& pool, Budget& budget);
  ~TaskState();

  // Registering again gives the same object. FAILS WITH: kInvalidArgument when the kind differs.
  Result<Table*> table(OperatorId op, std::string_view op_name, std::string_view name, TableSpec spec);
  // Of values of `fixed_bytes` (0: they have their own sizes). Takes over what an earlier version kept in the grouped
  // table `grouped_name`.
  Result<Slices*> slices(OperatorId op, std::string_view op_name, std::string_view name, std::uint32_t fixed_bytes,
                         std::string_view grouped_name);
  Result<Timers*> timers(OperatorId op);
  Result<OperatorList*> operator_list(OperatorId op, std::string_view name, bool is_union);
  Result<BroadcastMap*> broadcast(OperatorId op, std::string_view name);

  bool is_restored() const { return restored_; }
  data::KeyGroupRange key_groups() const;
  std::uint64_t bytes() const;

  // Timers that fired, and keys of windows that did, which need no timer of their own. Any thread.
  std::int64_t fired_timers() const { return fired_.load(std::memory_order_relaxed); }
  // The task's thread.
  void count_fired(std::size_t timers) { count_up(fired_, timers); }

  // The synchronous part. The file at `path` is written by the job; nothing else may be written there. The file of a
  // savepoint stands alone: it refers to no other, later checkpoints do not refer to it, and it may be moved.
  std::unique_ptr<SnapshotJob> snapshot(std::int64_t checkpoint_id, const std::string& path,
                                        control::SnapshotForm form = control::SnapshotForm::kIncremental);
  // The checkpoint's file will not last (its job failed, or the checkpoint was aborted): what it holds counts as
  // not written.
  void discard(std::int64_t checkpoint_id);

  // Before anything is registered: takes what belongs to this subtask's key groups and to `operators` out of the
  // handles, which may be of other subtasks, of another parallelism, of vertices that were chained in another way.
  // Split lists are dealt out evenly, unless this very subtask's own handle is there; union lists are given whole;
  // broadcast maps are taken once. `own`: later checkpoints may refer to the files (false for a savepoint of somebody
  // else). Any thread, while nobody else uses this object; reads files. Once `is_unwanted` is set it soon gives up.
  // FAILS WITH: kCorrupt naming the file, kIncompatible, kCancelled.
  Status restore(const std::vector<TaskStateHandle>& handles, const std::vector<OperatorId>& operators, bool own,
                 env::FileSystem& files, const std::atomic<bool>& is_unwanted = kIsWanted);

 private:
  static constexpr std::atomic<bool> kIsWanted{false};
  friend class SnapshotWriter;
  friend class Slices;
  struct Entry;
  struct Manifest;
  Entry& entry(OperatorId op, std::string_view name);
  bool is_of(const std::string& entry_name, const std::vector<OperatorId>& operators) const;
  Status adopt_pages(const Manifest& manifest, bool own, env::FileSystem& files, const std::atomic<bool>& is_unwanted);
  Status insert_rows(const Manifest& manifest, env::FileSystem& files, const std::atomic<bool>& is_unwanted);
  Status insert_blocks(const Manifest& manifest, env::FileSystem& files);

  const TaskStateOptions options_;
  PagePool& pool_;
  Budget& budget_;
  bool restored_ = false;
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;  // "<operator id>/<name>"
  std::map<OperatorId, std::unique_ptr<Timers>> timers_;
  std::map<std::string, std::unique_ptr<Slices>> slices_;  // by the prefix of their entries
  std::atomic<std::int64_t> fired_{0};
  std::map<std::int64_t, std::shared_ptr<PageFile>> file_of_checkpoint_;
};

}  // namespace drey::state
