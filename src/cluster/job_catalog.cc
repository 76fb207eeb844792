#include "cluster/job_catalog.h"

#include <algorithm>

#include <fmt/format.h>

#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::chrono::seconds kRetirePause{1};

}  // namespace

void JobCatalog::add(std::shared_ptr<JobMaster> master) {
  events_.changed();
  order_.push_back({master->id(), nullptr});
  masters_[master->id()] = std::move(master);
}

void JobCatalog::add_ended(gateway::JobOutlineRef outline) {
  order_.push_back({outline->id, nullptr});
  remember(std::move(outline), nullptr);
}

void JobCatalog::on_ended(JobId id, bool is_stored) {
  const auto master = masters_.find(id);
  if (master == masters_.end()) return;
  events_.changed();
  const gateway::JobModelRef model = master->second->model();
  remember(std::make_shared<gateway::JobOutline>(gateway::outline_of(*model)), is_stored ? nullptr : model);
  masters_.erase(master);
  retire_after_ = {};
}

void JobCatalog::remember(gateway::JobOutlineRef outline, gateway::JobModelRef model) {
  const auto listed =
      std::find_if(order_.rbegin(), order_.rend(), [&](const Listed& l) { return l.id == outline->id; });
  if (listed != order_.rend()) listed->ended = outline;
  ended_by_time_.emplace(outline->end, outline->id);
  const JobId id = outline->id;
  ended_[id] = {std::move(outline), std::move(model)};
}

void JobCatalog::retire(Ticks now) {
  if (now < retire_after_) return;
  retire_after_ = now + kRetirePause;
  const auto most = static_cast<std::size_t>(
      options_.archived_jobs < 0 ? options_.ended_jobs : std::min(options_.ended_jobs, options_.archived_jobs));
  std::int64_t age = options_.ended_job_age_s <= 0 ? INT64_MAX : options_.ended_job_age_s * 1000;
  if (options_.archived_age.count() > 0) age = std::min<std::int64_t>(age, options_.archived_age.count());
  const std::int64_t wall = env_.clock.wall().millis;
  while (!ended_by_time_.empty() && (ended_by_time_.size() > most || wall - ended_by_time_.begin()->first > age)) {
    const JobId oldest = ended_by_time_.begin()->second;
    if (Status removed = store_.remove(oldest); !removed.ok()) {
      env::log_warn("jobmanager", "The record of job {} cannot be removed: {}", oldest.to_string(),
                    removed.to_string());
      return;  // the next look tries again
    }
    events_.changed();
    ended_by_time_.erase(ended_by_time_.begin());
    ended_.erase(oldest);
    std::erase_if(order_, [&](const Listed& listed) { return listed.id == oldest; });
  }
}

std::shared_ptr<JobMaster> JobCatalog::master(JobId id) const {
  const auto found = masters_.find(id);
  return found == masters_.end() ? nullptr : found->second;
}

std::shared_ptr<JobMaster> JobCatalog::running(JobId id) const {
  const auto found = masters_.find(id);
  return found == masters_.end() || found->second->is_ended() ? nullptr : found->second;
}

gateway::JobOutlineRef JobCatalog::ended(JobId id) const {
  const auto found = ended_.find(id);
  return found == ended_.end() ? nullptr : found->second.outline;
}

std::optional<JobId> JobCatalog::job_that_needs(const std::string& snapshot) const {
  for (const auto& [id, master] : masters_) {
    if (master->needs(snapshot)) return id;
  }
  return std::nullopt;
}

bool JobCatalog::needs_module(const std::string& module) const {
  return std::any_of(masters_.begin(), masters_.end(),
                     [&](const auto& entry) { return !entry.second->is_ended() && entry.second->module() == module; });
}

Result<gateway::JobModelRef> JobCatalog::model(JobId id) const {
  if (const auto master = masters_.find(id); master != masters_.end()) return master->second->model();
  const auto ended = ended_.find(id);
  if (ended == ended_.end()) return fail(Code::kNotFound, fmt::format("Job {} not found", id.to_string()));
  if (ended->second.model != nullptr) return ended->second.model;
  DREY_TRY_ASSIGN(const StoredJob stored, store_.get(id));
  DREY_TRY_ASSIGN(gateway::JobModel model, wire::decode<gateway::JobModel>(stored.model));
  return gateway::JobModelRef(std::make_shared<gateway::JobModel>(std::move(model)));
}

std::vector<gateway::JobOutlineRef> JobCatalog::outlines() const {
  std::vector<gateway::JobOutlineRef> all;
  all.reserve(order_.size());
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    if (it->ended != nullptr) {
      all.push_back(it->ended);
    } else if (const auto found = master(it->id)) {
      all.push_back(std::make_shared<gateway::JobOutline>(gateway::outline_of(*found->model())));
    }
  }
  return all;
}

std::vector<gateway::JobModelRef> JobCatalog::running_models() const {
  std::vector<gateway::JobModelRef> all;
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    if (it->ended != nullptr) continue;
    if (const auto found = running(it->id)) all.push_back(found->model());
  }
  return all;
}

}  // namespace drey::cluster
