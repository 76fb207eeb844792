#include "cluster/operation_runner.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "cluster/snapshot_files.h"
#include "control/execution/scaling.h"

namespace drey::cluster {
namespace {
constexpr const char* kNoJob = "org.apache.flink.runtime.messages.FlinkJobNotFoundException";
constexpr const char* kNoCheckpoint = "org.apache.flink.runtime.checkpoint.CheckpointException";
}  // namespace

Status no_flink_job(JobId id) {
  return fail(Code::kNotFound, fmt::format("Could not find Flink job ({})", id.to_string()));
}

Result<TriggerId> OperationRunner::trigger(gateway::OperationRequest request) {
  using gateway::OperationKind;
  static constexpr OperationKind kKinds[] = {OperationKind::kSavepoint, OperationKind::kCheckpoint,
                                             OperationKind::kDisposal, OperationKind::kRescaling};
  if (auto* savepoint = std::get_if<gateway::SavepointRequest>(&request.action);
      savepoint != nullptr && savepoint->target.empty()) {
    savepoint->target = host_.savepoint_directory(request.job);
    if (savepoint->target.empty()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("Config key [execution.checkpointing.savepoint-dir] is not set. Property [{}] must be "
                              "provided.",
                              savepoint->stop ? "targetDirectory" : "target-directory"));
    }
  }
  host_.changed();
  gateway::OperationModel operation;
  operation.kind = kKinds[request.action.index()];
  operation.job = request.job;
  operation.id = request.id ? *request.id : env_.random.id<struct TriggerTag>();
  operation.started = env_.clock.wall().millis;
  DREY_TRY_ASSIGN(const bool fresh, operations_.begin(operation));
  if (fresh) std::visit([&](const auto& action) { begin(operation, action); }, request.action);
  return operation.id;
}

void OperationRunner::end(gateway::OperationModel operation, const Status& status, std::string failure_class) {
  host_.changed();
  if (!status.ok()) {
    operation.failure_class = "java.util.concurrent.CompletionException";
    operation.failure = failure_class + ": " + status.message();
  }
  operations_.end(operation, env_.clock.wall());
}

void OperationRunner::begin(gateway::OperationModel operation, const gateway::SavepointRequest& request) {
  if (host_.running(operation.job) == nullptr) return end(operation, no_flink_job(operation.job), kNoJob);
  const auto target = local_directory(request.target);
  const std::string name = fmt::format("savepoint-{}-{}", operation.job.to_string().substr(0, 6),
                                       env_.random.id<struct TriggerTag>().to_string().substr(0, 12));
  const std::string directory = target.ok() ? *target + "/" + name : "";
  host_.run_blocking(
      fmt::format("Making the directory {}", directory),
      [env = &env_, directory, status = target.status()]() -> Status {
        DREY_TRY(status);
        return env->files.make_directories(directory);
      },
      [this, operation, request, directory](Status status) mutable {
        if (!status.ok()) {
          return end(
              operation,
              fail(status.code(),
                   "An Exception occurred while triggering the checkpoint. IO-problem detected. " + status.message()),
              kNoCheckpoint);
        }
        const auto remove = [this, directory] {
          env_.io.post([env = &env_, directory] { static_cast<void>(env->files.remove_tree(directory)); });
        };
        const auto master = host_.running(operation.job);
        if (master == nullptr) {
          remove();
          return end(operation, no_flink_job(operation.job), kNoJob);
        }
        control::SnapshotRequest snapshot;
        snapshot.form = request.canonical ? control::SnapshotForm::kCanonical : control::SnapshotForm::kNative;
        snapshot.after = !request.stop   ? control::AfterSnapshot::kGoOn
                         : request.drain ? control::AfterSnapshot::kDrain
                                         : control::AfterSnapshot::kStop;
        snapshot.directory = directory;
        master->take_snapshot(snapshot,
                              [this, operation, request, directory, remove](Result<SnapshotTaken> taken) mutable {
                                if (taken.ok()) {
                                  operation.location = "file:" + taken->path;
                                  operation.checkpoint = taken->id;
                                  if (request.cancel_job) {
                                    // Nothing may be complete between the savepoint and the end: what came after it
                                    // would be written twice.
                                    if (const auto alive = host_.running(operation.job)) alive->cancel();
                                  }
                                } else if (!env_.files.stat(directory + "/_metadata").ok()) {
                                  remove();
                                }
                                end(operation, taken.status(), kNoCheckpoint);
                              });
      });
}

void OperationRunner::begin(gateway::OperationModel operation, const gateway::CheckpointRequest& request) {
  const auto master = host_.running(operation.job);
  if (master == nullptr) return end(operation, no_flink_job(operation.job), kNoJob);
  control::SnapshotRequest snapshot;
  if (request.full) snapshot.form = control::SnapshotForm::kFull;
  master->take_snapshot(snapshot, [this, operation](Result<SnapshotTaken> taken) mutable {
    if (taken.ok()) operation.checkpoint = taken->id;
    end(operation, taken.status(), kNoCheckpoint);
  });
}

void OperationRunner::begin(gateway::OperationModel operation, const gateway::DisposalRequest& request) {
  const auto failed = [this, operation, path = request.path](const Status& why) {
    host_.changed();
    gateway::OperationModel ended = operation;
    ended.failure_class = "org.apache.flink.util.FlinkException";
    ended.failure = fmt::format("Could not dispose savepoint {}.\nCaused by: {}", path, why.message());
    operations_.end(ended, env_.clock.wall());
  };
  const auto directory = local_directory(request.path);
  if (!directory.ok()) return failed(directory.status());
  if (const auto job = host_.job_that_needs(*directory)) {
    return failed(
        fail(Code::kConflict,
             fmt::format("Job {} would be restored from it after a failure. It can be disposed when the job has "
                         "completed a checkpoint of its own, or ended",
                         job->to_string())));
  }
  host_.run_blocking(
      fmt::format("Disposing of {}", request.path),
      [env = &env_, path = request.path] { return dispose(env->files, path); },
      [this, operation, failed](Status status) {
        if (!status.ok()) return failed(status);
        end(operation, {}, "");
      });
}

void OperationRunner::begin(gateway::OperationModel operation, const gateway::RescaleRequest& request) {
  const auto master = host_.running(operation.job);
  if (master == nullptr) return end(operation, no_flink_job(operation.job), kNoJob);
  static constexpr const char* kClass = "org.apache.flink.util.FlinkException";
  const std::vector<std::int32_t> widths(master->plan().vertices.size(), request.parallelism);
  std::vector<control::WantedBounds> wanted;
  for (const graph::Vertex& vertex : master->plan().vertices) wanted.push_back({vertex.id, 1, request.parallelism});
  if (const std::string objections = control::objections_to(master->plan(), wanted); !objections.empty()) {
    return end(operation, fail(Code::kInvalidArgument, objections), kClass);
  }
  if (const std::int32_t needed = control::slots_for(master->plan(), widths);
      needed > host_.slots_within_reach(operation.job)) {
    return end(operation,
               fail(Code::kResourceExhausted,
                    fmt::format("Parallelism {} needs {} slots, {} are free or the job's own", request.parallelism,
                                needed, host_.slots_within_reach(operation.job))),
               kClass);
  }
  if (master->has_requirements()) {
    gateway::ResourceRequirements bounds = master->requirements();
    for (auto& [vertex, b] : bounds) b = {std::min(b.lower, request.parallelism), request.parallelism};
    if (Status stored = master->set_requirements(std::move(bounds)); !stored.ok())
      return end(operation, stored, kClass);
  }
  if (widths == master->parallelism()) return end(operation, {}, "");
  master->rescale(widths, gateway::RescaleCause::kUpdateRequirement,
                  [this, operation](Result<SnapshotTaken> done) { end(operation, done.status(), kClass); });
}

}  // namespace drey::cluster
