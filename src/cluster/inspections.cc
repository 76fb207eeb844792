#include "cluster/inspections.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::chrono::seconds kDeadline{30};

}  // namespace

control::InspectionRequest Inspections::begin(const std::string& task_manager, const gateway::Inspection& inspection,
                                              gateway::Promise<std::string> promise, Ticks now) {
  const std::uint64_t id = next_id_++;
  pending_.emplace(id, Pending{task_manager, now + kDeadline, std::move(promise)});
  return {id, wire::encode(inspection)};
}

void Inspections::on_answer(const std::string& task_manager, control::InspectionAnswer answer) {
  const auto found = pending_.find(answer.id);
  if (found == pending_.end() || found->second.task_manager != task_manager) return;
  const gateway::Promise<std::string> promise = std::move(found->second.promise);
  pending_.erase(found);
  const bool is_known = answer.code >= 0 && answer.code <= static_cast<std::int32_t>(Code::kInternal);
  const Code code = is_known ? static_cast<Code>(answer.code) : Code::kInternal;
  promise.set(code == Code::kOk ? Result<std::string>(std::move(answer.text))
                                : Result<std::string>(fail(code, answer.text)));
}

void Inspections::expire(Ticks now, const std::function<bool(const std::string&)>& is_there) {
  for (auto it = pending_.begin(); it != pending_.end();) {
    const bool has_gone = !is_there(it->second.task_manager);
    if (!has_gone && now < it->second.deadline) {
      ++it;
      continue;
    }
    const Pending late = std::move(it->second);
    it = pending_.erase(it);
    late.promise.set(
        fail(has_gone ? Code::kNotFound : Code::kTimeout,
             fmt::format("TaskManager {} {}", late.task_manager, has_gone ? "has gone" : "did not answer in time")));
  }
}

}  // namespace drey::cluster
