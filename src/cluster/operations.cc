#include "cluster/operations.h"

#include <algorithm>

#include <fmt/format.h>

#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

constexpr std::size_t kDoneMax = 10'000;

}  // namespace

std::string Operations::key_of(gateway::OperationKind kind, JobId job, TriggerId id) {
  return fmt::format("{}/{}/{}", static_cast<int>(kind), job.to_string(), id.to_string());
}

Status Operations::load(Instant now) {
  DREY_TRY_ASSIGN(const auto stored, store_.load_operations());
  std::vector<std::pair<std::int64_t, std::string>> done;
  for (const auto& [key, bytes] : stored) {
    auto operation = wire::decode<gateway::OperationModel>(bytes);
    if (!operation.ok())
      return fail(Code::kCorrupt, fmt::format("The job store holds an operation that cannot be read: {}", key));
    if (!operation->done) {
      operation->done = true;
      operation->ended = now.millis;
      operation->failure_class = "java.util.concurrent.CompletionException";
      operation->failure = "The JobManager was restarted while the operation was under way; it did not come about.";
      DREY_TRY(store_.put_operation(key, wire::encode(*operation)));
    }
    done.emplace_back(operation->ended, key);
    operations_[key] = std::move(*operation);
  }
  std::sort(done.begin(), done.end());
  for (const auto& [at, key] : done) remember_done(key);
  return {};
}

Result<bool> Operations::begin(gateway::OperationModel operation) {
  const std::string key = key_of(operation.kind, operation.job, operation.id);
  if (operations_.contains(key)) return false;
  DREY_TRY(store_.put_operation(key, wire::encode(operation)));
  operations_[key] = std::move(operation);
  return true;
}

void Operations::end(const gateway::OperationModel& outcome, Instant now) {
  const std::string key = key_of(outcome.kind, outcome.job, outcome.id);
  const auto found = operations_.find(key);
  if (found == operations_.end() || found->second.done) return;
  found->second = outcome;
  found->second.done = true;
  found->second.ended = now.millis;
  if (const Status stored = store_.put_operation(key, wire::encode(found->second)); !stored.ok()) {
    env::log_error("jobmanager", "The result of operation {} cannot be stored: {}", outcome.id.to_string(),
                   stored.to_string());
  }
  remember_done(key);
}

void Operations::remember_done(const std::string& key) {
  done_.push_back(key);
  while (done_.size() > kDoneMax) {
    operations_.erase(done_.front());
    static_cast<void>(store_.remove_operation(done_.front()));
    done_.pop_front();
  }
}

const gateway::OperationModel* Operations::find(gateway::OperationKind kind, JobId job, TriggerId id) const {
  const auto found = operations_.find(key_of(kind, job, id));
  return found == operations_.end() ? nullptr : &found->second;
}

}  // namespace drey::cluster
