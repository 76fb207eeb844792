// Operations that are triggered and asked for later, and what a job may be given.
#include "rest/messages/operations.h"

#include <fmt/format.h>

#include <algorithm>

#include "rest/client_endpoints.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::OperationKind;
using gateway::OperationModel;

void trigger(ClusterGateway& cluster, gateway::OperationRequest request, const Reply<TriggerAnswer>& reply) {
  cluster.trigger(std::move(request)).then([reply](Result<TriggerId> id) {
    if (!id.ok()) return reply.refuse(id.status());
    reply({*id});
  });
}

std::optional<FailureCause> failure_of(const OperationModel& operation) {
  if (operation.failure_class.empty()) return std::nullopt;
  return failure_cause(operation.failure_class, operation.failure,
                       operation.failure_class + ": " + operation.failure + "\n");
}

void fill(const OperationModel& operation, SavepointInfo& out) {
  out.failure_cause = failure_of(operation);
  if (!out.failure_cause) out.location = operation.location;
}
void fill(const OperationModel& operation, CheckpointInfo& out) {
  out.failure_cause = failure_of(operation);
  if (!out.failure_cause) out.checkpoint_id = operation.checkpoint;
}
void fill(const OperationModel& operation, AsyncInfo& out) { out.failure_cause = failure_of(operation); }

// What unknown ids are refused with.
std::pair<std::string, ErrorForm> unknown(OperationKind kind, JobId job, TriggerId id) {
  if (kind == OperationKind::kSavepoint || kind == OperationKind::kCheckpoint) {
    return {
        fmt::format("There is no {} operation with triggerId={} for job {}.",
                    kind == OperationKind::kSavepoint ? "savepoint" : "checkpoint", id.to_string(), job.to_string()),
        ErrorForm::kHandler};
  }
  return {fmt::format("Operation not found under key: {}", id.to_string()), ErrorForm::kNotFoundClass};
}

template <typename Info>
void answer(ClusterGateway& cluster, OperationKind kind, JobId job, TriggerId id,
            const Reply<AsyncResult<Info>>& reply) {
  cluster.operation(kind, job, id).then([=](Result<OperationModel> operation) {
    if (!operation.ok()) {
      auto [text, form] = unknown(kind, job, id);
      return reply.refuse(fail(Code::kNotFound, text), form);
    }
    AsyncResult<Info> out;
    out.status.id = operation->done ? "COMPLETED" : "IN_PROGRESS";
    if (operation->done) fill(*operation, out.operation.emplace());
    reply(out);
  });
}

// Of the declared operation D.
template <typename D, OperationKind kKind>
struct JobOperationStatus : D {
  static void handle(const Call<typename D::Path>& call, ClusterGateway& cluster,
                     const Reply<typename D::Response>& reply) {
    answer(cluster, kKind, call.path.jobid, call.path.triggerid, reply);
  }
};

// --- operations ---

struct TriggerSavepoint : endpoints::TriggerSavepoint {
  static void handle(const Call<JobPath, None, Request>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    gateway::SavepointRequest request;
    request.target = call.body.target;
    request.canonical = !call.body.format || *call.body.format == "CANONICAL";
    request.cancel_job = call.body.cancel_job.value_or(false);
    trigger(cluster, {call.path.jobid, call.body.trigger, request}, reply);
  }
};

struct StopJob : endpoints::StopJob {
  static void handle(const Call<JobPath, None, Request>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    gateway::SavepointRequest request;
    request.target = call.body.target;
    request.canonical = !call.body.format || *call.body.format == "CANONICAL";
    request.stop = true;
    request.drain = call.body.drain.value_or(false);
    trigger(cluster, {call.path.jobid, call.body.trigger, request}, reply);
  }
};

struct GetSavepointStatus : JobOperationStatus<endpoints::GetSavepointStatus, OperationKind::kSavepoint> {};

struct TriggerCheckpoint : endpoints::TriggerCheckpoint {
  static void handle(const Call<JobPath, None, Request>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    gateway::CheckpointRequest request;
    request.full = call.body.type && *call.body.type == "FULL";
    trigger(cluster, {call.path.jobid, call.body.trigger, request}, reply);
  }
};

struct GetCheckpointStatus : JobOperationStatus<endpoints::GetCheckpointStatus, OperationKind::kCheckpoint> {};

struct TriggerDisposal : endpoints::TriggerDisposal {
  static void handle(const Call<None, None, Request>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    if (!call.body.path) {
      return reply.refuse(fail(Code::kInvalidArgument, "Field savepoint-path must not be omitted or be null."));
    }
    trigger(cluster, {JobId(), std::nullopt, gateway::DisposalRequest{*call.body.path}}, reply);
  }
};

struct GetDisposalStatus : endpoints::GetDisposalStatus {
  static void handle(const Call<Path>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    answer(cluster, OperationKind::kDisposal, JobId(), call.path.triggerid, reply);
  }
};

struct TriggerRescaling : endpoints::TriggerRescaling {
  static void handle(const Call<JobPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const std::int64_t wanted = call.query.parallelism.value;
    if (wanted < 1 || wanted > 32'768) {
      return reply.refuse(fail(Code::kInvalidArgument,
                               fmt::format("The query parameter parallelism must say how wide the job is to run: 1 to "
                                           "32768, not {}.",
                                           wanted)));
    }
    cluster.job(call.path.jobid)
        .then([&cluster, reply, id = call.path.jobid, wanted](Result<gateway::JobModelRef> job) {
          if (!job.ok()) return reply.refuse(job.status(), ErrorForm::kNotFoundClass);
          trigger(cluster, {id, std::nullopt, gateway::RescaleRequest{static_cast<std::int32_t>(wanted)}}, reply);
        });
  }
};

struct GetRescalingStatus : JobOperationStatus<endpoints::GetRescalingStatus, OperationKind::kRescaling> {};

void refuse_requirements(const Status& status, const auto& reply) {
  if (status.code() != Code::kNotFound) return reply.refuse(status);
  reply.refuse(
      fail(Code::kNotFound, "org.apache.flink.runtime.messages.FlinkJobNotFoundException: " + status.message()));
}

struct GetResourceRequirements {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/resource-requirements", 200,
                                "Between what parallelisms each vertex may run."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = Map<VertexRequirements>;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.resource_requirements(call.path.jobid).then([reply](Result<gateway::ResourceRequirements> all) {
      if (!all.ok()) return refuse_requirements(all.status(), reply);
      Response out;
      for (const auto& [vertex, bounds] : *all)
        out.emplace_back(vertex.to_string(), VertexRequirements{{bounds.lower, bounds.upper}});
      reply(out);
    });
  }
};

struct PutResourceRequirements {
  static constexpr Route kRoute{"PUT", "/jobs/:jobid/resource-requirements", 200,
                                "Says between what parallelisms each vertex may run; the job is "
                                "rescaled at once when slots allow."};
  static constexpr Access kAccess = Access::kOperate;
  using Path = JobPath;
  using Request = Map<VertexRequirements>;
  static constexpr std::string_view kRequestName = "JobResourceRequirementsBody";
  using Response = None;
  static void handle(const Call<JobPath, None, Request>& call, ClusterGateway& cluster, const Reply<None>& reply) {
    if (call.body.empty()) {
      return reply.refuse(fail(Code::kInvalidArgument, "Request body does not specify resource requirements."));
    }
    gateway::ResourceRequirements all;
    const auto bounded = [](std::int64_t n) {
      return static_cast<std::int32_t>(std::clamp<std::int64_t>(n, -2, 1'000'000'000));
    };
    for (const auto& [key, wanted] : call.body) {
      const auto vertex = VertexId::parse(key);
      if (!vertex) {
        return reply.refuse(
            fail(Code::kInvalidArgument, "Request did not match expected format JobResourceRequirementsBody."));
      }
      all.push_back({*vertex, {bounded(wanted.parallelism.lower), bounded(wanted.parallelism.upper)}});
    }
    cluster.set_resource_requirements(call.path.jobid, std::move(all)).then([reply](Result<bool> done) {
      if (!done.ok()) return refuse_requirements(done.status(), reply);
      reply({});
    });
  }
};

}  // namespace

std::vector<Endpoint> operation_endpoints() {
  return endpoint_list<TriggerSavepoint, StopJob, GetSavepointStatus, TriggerCheckpoint, GetCheckpointStatus,
                       TriggerDisposal, GetDisposalStatus, TriggerRescaling, GetRescalingStatus,
                       GetResourceRequirements, PutResourceRequirements>();
}

}  // namespace drey::rest
