#include "cluster/questions.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::chrono::seconds kDeadline{30};

}  // namespace

control::Ask Questions::ask(const std::string& task_manager, const gateway::Inspection& question,
                            gateway::Promise<std::string> promise, Ticks now) {
  const std::uint64_t id = next_++;
  questions_.emplace(id, Question{task_manager, now + kDeadline, std::move(promise)});
  return {id, wire::encode(question)};
}

void Questions::on_told(const std::string& task_manager, control::Told told) {
  const auto found = questions_.find(told.id);
  if (found == questions_.end() || found->second.task_manager != task_manager) return;
  const gateway::Promise<std::string> promise = std::move(found->second.promise);
  questions_.erase(found);
  const bool is_known = told.code >= 0 && told.code <= static_cast<std::int32_t>(Code::kInternal);
  const Code code = is_known ? static_cast<Code>(told.code) : Code::kInternal;
  promise.set(code == Code::kOk ? Result<std::string>(std::move(told.text))
                                : Result<std::string>(fail(code, told.text)));
}

void Questions::expire(Ticks now, const std::function<bool(const std::string&)>& is_there) {
  for (auto it = questions_.begin(); it != questions_.end();) {
    const bool has_gone = !is_there(it->second.task_manager);
    if (!has_gone && now < it->second.deadline) {
      ++it;
      continue;
    }
    const Question late = std::move(it->second);
    it = questions_.erase(it);
    late.promise.set(
        fail(has_gone ? Code::kNotFound : Code::kTimeout,
             fmt::format("TaskManager {} {}", late.task_manager, has_gone ? "has gone" : "did not answer in time")));
  }
}

}  // namespace drey::cluster
