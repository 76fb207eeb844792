#include "control/slots/slot_pool.h"

#include <algorithm>

namespace drey::control {

std::set<JobId> SlotPool::remove_task_manager(const std::string& id) {
  const auto found = owners_.find(id);
  if (found == owners_.end()) return {};
  std::set<JobId> jobs(found->second.begin(), found->second.end());
  jobs.erase(JobId());
  owners_.erase(found);
  return jobs;
}

void SlotPool::request(JobId job, std::int32_t slots, Ticks now) {
  withdraw(job);
  waiting_.push_back({job, slots, now});
}

void SlotPool::withdraw(JobId job) {
  std::erase_if(waiting_, [job](const Waiting& w) { return w.job == job; });
}

void SlotPool::release(JobId job) {
  for (auto& [id, owners] : owners_) std::replace(owners.begin(), owners.end(), job, JobId());
  withdraw(job);
}

std::vector<SlotPool::Grant> SlotPool::grant() {
  std::vector<Grant> grants;
  std::vector<Waiting> waiting;
  for (const Waiting& request : waiting_) {
    std::vector<std::vector<bool>> is_free;
    std::vector<const std::string*> ids;
    for (const auto& [id, owners] : owners_) {
      ids.push_back(&id);
      is_free.emplace_back();
      for (const JobId& owner : owners) is_free.back().push_back(owner.is_zero());
    }
    const auto chosen = choose_slots(std::move(is_free), static_cast<std::size_t>(request.slots), balance_);
    if (chosen.empty()) {
      waiting.push_back(request);
      continue;
    }
    Grant& grant = grants.emplace_back(Grant{request.job, {}});
    for (const ChosenSlot& slot : chosen) {
      const std::string& id = *ids[slot.task_manager];
      owners_[id][slot.slot] = request.job;
      grant.slots.emplace_back(id, slot.slot);
    }
  }
  waiting_ = std::move(waiting);
  return grants;
}

std::int64_t SlotPool::total() const {
  std::int64_t total = 0;
  for (const auto& [id, owners] : owners_) total += static_cast<std::int64_t>(owners.size());
  return total;
}

std::int64_t SlotPool::count(JobId owner) const {
  std::int64_t slots = 0;
  for (const auto& [id, owners] : owners_) slots += std::count(owners.begin(), owners.end(), owner);
  return slots;
}

}  // namespace drey::control
