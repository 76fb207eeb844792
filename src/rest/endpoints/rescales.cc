#include "rest/messages/rescales.h"

#include <fmt/format.h>

#include <algorithm>

#include "rest/endpoint.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::JobModel;
using gateway::RescaleModel;

std::optional<std::int64_t> unless_zero(std::int64_t value) { return value == 0 ? std::nullopt : std::optional(value); }

RescaleDetails details_of(const JobModel& job, const RescaleModel& rescale) {
  RescaleDetails out = rescale_of(rescale);
  // What a slot offers is not weighed here, as in a Flink without resource profiles.
  const ResourceProfile unknown{-1, -1, -1, -1, -1, {}};
  for (const gateway::RescaleVertex& v : rescale.vertices) {
    const VertexId group = slot_sharing_group_id(job, v.slot_sharing_group);
    out.vertices.emplace_back(v.id.to_string(),
                              VertexRescale{v.id, v.name, group, v.slot_sharing_group, v.desired, v.sufficient,
                                            unless_zero(v.before), unless_zero(v.after)});
    auto slots = std::find_if(out.slots.begin(), out.slots.end(),
                              [&](const auto& s) { return s.second.slot_sharing_group == group; });
    if (slots == out.slots.end()) {
      out.slots.emplace_back(group.to_string(),
                             SlotsRescale{group, v.slot_sharing_group, unknown, 0, 0, {}, {}, unknown});
      slots = std::prev(out.slots.end());
    }
    SlotsRescale& s = slots->second;
    s.desired_slots = std::max<std::int64_t>(s.desired_slots, v.desired);
    s.minimal_required_slots = std::max<std::int64_t>(s.minimal_required_slots, v.sufficient);
    s.pre_rescale_slots = std::max(s.pre_rescale_slots, unless_zero(v.before));
    s.post_rescale_slots = std::max(s.post_rescale_slots, unless_zero(v.after));
  }
  for (const gateway::RescaleStage& stage : rescale.stages) {
    SchedulerState state{stage.state, stage.entered, unless_zero(stage.left), {}, {}};
    if (state.left) state.duration = *state.left - state.entered;
    if (!stage.exception.empty()) state.exception = stage.exception;
    out.scheduler_states.push_back(std::move(state));
  }
  return out;
}

RescaleCounts counts_of(const gateway::RescalesModel& model) {
  const bool open = !model.history.empty() && model.history.front().is_open();
  return {model.ignored.count, open ? 1 : 0, model.completed.count, model.failed.count};
}

RescalesOverview overview_of(const gateway::RescalesModel& model) {
  RescalesOverview out{counts_of(model), {}};
  for (const RescaleModel& rescale : model.history) {
    if (rescale.is_open()) continue;
    auto& latest = rescale.is_completed() ? out.latest.completed
                   : rescale.is_failed()  ? out.latest.failed
                                          : out.latest.ignored;
    if (!latest) latest = rescale_of(rescale);
  }
  return out;
}

std::vector<RescaleDetails> history_of(const gateway::RescalesModel& model) {
  std::vector<RescaleDetails> out;
  for (const RescaleModel& rescale : model.history) out.push_back(rescale_of(rescale));
  return out;
}

RescalesSummary summary_of(const gateway::RescalesModel& model) {
  return {counts_of(model), statistic_of(model.all), statistic_of(model.completed), statistic_of(model.ignored),
          statistic_of(model.failed)};
}

RescalesConfig config_of(const gateway::RescalesModel& model) {
  RescalesConfig out;
  out.rescale_history_max = model.history_max;
  out.submission_resource_wait_timeout = model.slot_timeout;
  out.submission_resource_stabilization_timeout = model.slot_stabilization;
  out.executing_cooldown_timeout = model.cooldown;
  return out;
}

// Hands the job to `use` when its rescalings are kept.
template <typename T>
void with_rescales(JobId id, ClusterGateway& cluster, const Reply<T>& reply, std::function<void(const JobModel&)> use) {
  with_job(id, cluster, reply, [reply, use = std::move(use)](const JobModel& job) {
    if (job.rescales.history_max > 0) return use(job);
    reply.refuse(
        fail(Code::kNotFound,
             fmt::format("The job `{}` has not enabled the `Adaptive` scheduler, or it has been enabled but the "
                         "value of configuration option `web.adaptive-scheduler.rescale-history.size` has not "
                         "been set to greater than `0`.",
                         job.id.to_string())));
  });
}

// --- operations ---

template <typename T, T (*kDerive)(const gateway::RescalesModel&)>
struct RescalesView {
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = T;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<T>& reply) {
    with_rescales(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(kDerive(job.rescales)); });
  }
};
struct GetRescalesOverview : RescalesView<RescalesOverview, overview_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescales/overview", 200,
                                "How often a job was rescaled, and the latest time of each kind."};
};
struct GetRescalesHistory : RescalesView<std::vector<RescaleDetails>, history_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescales/history", 200, "A job's rescalings, newest first."};
};
struct GetRescalesSummary : RescalesView<RescalesSummary, summary_of> {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescales/summary", 200, "How long a job's rescalings took."};
};

struct GetRescalesConfig {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescales/config", 200, "How a job rescales."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = RescalesConfig;
  static void handle(const Call<JobPath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_job(call.path.jobid, cluster, reply, [reply](const JobModel& job) { reply(config_of(job.rescales)); });
  }
};

struct RescalePath {
  JobId jobid;
  gateway::RescaleId rescale;
  static constexpr auto fields() {
    using M = RescalePath;
    return Fields{job_field(&M::jobid), field("rescaleuuid", &M::rescale, "Id of a rescaling: 32 hexadecimal digits.")};
  }
};
struct GetRescale {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/rescales/details/:rescaleuuid", 200,
                                "One rescaling, by vertex and slot sharing group."};
  static constexpr Access kAccess = Access::kView;
  using Path = RescalePath;
  using Response = RescaleDetails;
  static void handle(const Call<RescalePath>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_rescales(call.path.jobid, cluster, reply, [reply, id = call.path.rescale](const JobModel& job) {
      for (const RescaleModel& rescale : job.rescales.history) {
        if (rescale.id == id) return reply(details_of(job, rescale));
      }
      reply.refuse(fail(Code::kNotFound,
                        fmt::format("Could not find rescale details of specified rescaleUuid {}.", id.to_string())));
    });
  }
};

}  // namespace

RescaleDetails rescale_of(const RescaleModel& rescale) {
  RescaleDetails out;
  out.rescale_uuid = rescale.id;
  out.resource_requirements_uuid = rescale.requirements;
  out.rescale_attempt_id = rescale.attempt;
  out.start_timestamp = rescale.began;
  out.trigger_cause = to_text(rescale.cause);
  if (rescale.is_open()) return out;
  out.end_timestamp = rescale.ended;
  out.terminal_state = rescale.is_completed() ? "COMPLETED" : rescale.is_failed() ? "FAILED" : "IGNORED";
  out.terminated_reason = to_text(rescale.end);
  return out;
}

std::vector<Endpoint> rescale_endpoints() {
  return endpoint_list<GetRescalesOverview, GetRescalesHistory, GetRescalesSummary, GetRescalesConfig, GetRescale>();
}

}  // namespace drey::rest
