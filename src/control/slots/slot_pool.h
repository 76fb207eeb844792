// SlotPool: the slots of all TaskManagers, whose they are, and who waits for some. Pure: no clock, no I/O.
//
// A job has one request at most; a later one takes its place. Requests are met in the order in which they came, whole
// or not at all. A slot belongs to its job until the job releases all it has, or the TaskManager goes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "control/slots/slot_matching.h"

namespace drey::control {

class SlotPool {
 public:
  explicit SlotPool(LoadBalance balance) : balance_(balance) {}

  void add_task_manager(const std::string& id, std::size_t slots) { owners_[id].assign(slots, JobId()); }
  // The jobs that had slots on it.
  std::set<JobId> remove_task_manager(const std::string& id);

  void request(JobId job, std::int32_t slots, Ticks now);
  void withdraw(JobId job);
  // Its slots are free, its request is withdrawn.
  void release(JobId job);

  struct Grant {
    JobId job;
    std::vector<std::pair<std::string, std::uint32_t>> slots;  // TaskManager and its slot
  };
  // Of what can be met now.
  std::vector<Grant> grant();
  struct Waiting {
    JobId job;
    std::int32_t slots = 0;
    Ticks since{};
  };
  const std::vector<Waiting>& waiting() const { return waiting_; }

  // By slot; zero: free. REQUIRES: a TaskManager that was added.
  const std::vector<JobId>& owners(const std::string& id) const { return owners_.at(id); }
  std::int64_t total() const;
  std::int64_t free() const { return count(JobId()); }
  // Free ones and those it has.
  std::int32_t within_reach(JobId job) const { return static_cast<std::int32_t>(free() + count(job)); }

 private:
  std::int64_t count(JobId owner) const;

  const LoadBalance balance_;
  std::map<std::string, std::vector<JobId>> owners_;
  std::vector<Waiting> waiting_;
};

}  // namespace drey::control
