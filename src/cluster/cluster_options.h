// ClusterOptions: how the JobManager deals with TaskManagers and programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/option.h"
#include "control/slots/slot_matching.h"

namespace drey::cluster {

struct ClusterOptions {
  std::uint16_t rpc_port = 0;
  std::string secret;
  Millis heartbeat_interval{50};
  Millis heartbeat_timeout{50'000};
  Millis slot_timeout{300'000};
  control::LoadBalance load_balance = control::LoadBalance::kSlots;
  Millis rescale_cooldown{30'000};
  Millis slot_stabilization{10'000};
  std::int64_t rescale_history = 10;
  std::int64_t ended_jobs = 1000;
  std::int64_t ended_job_age_s = 0;
  std::int64_t archived_jobs = -1;
  Millis archived_age{0};
  Millis program_timeout{60'000};
  config::Bytes program_memory{1u << 30};

  static constexpr std::string_view kTitle = "Cluster";
  static constexpr auto options() {
    using M = ClusterOptions;
    using config::option;
    return config::Options{
        option("jobmanager.rpc.port", &M::rpc_port, "Port for TaskManagers, on loopback; 0: any free one.")
            .between(0, 65'535),
        option("drey.cluster.secret", &M::secret, "What TaskManagers must know to register.")
            .defaults_to("drawn at each start"),
        option("heartbeat.interval", &M::heartbeat_interval,
               "Time between two reports of a TaskManager: so old may be what REST tells of its "
               "metrics. With more than 200 tasks it takes longer.")
            .at_least(10),
        option("heartbeat.timeout", &M::heartbeat_timeout, "A TaskManager that is silent for longer is lost.")
            .at_least(50),
        option("slot.request.timeout", &M::slot_timeout, "A job that waits longer for slots fails.").at_least(1),
        option("taskmanager.load-balance.mode", &M::load_balance,
               "Slots of a job are spread over TaskManagers, or (NONE) taken from as few as may be."),
        option("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", &M::rescale_cooldown,
               "Time after a rescaling before slots that come lead to the next one."),
        option("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", &M::slot_stabilization,
               "A job with bounds that waits longer for all its slots starts with those there are."),
        option("web.adaptive-scheduler.rescale-history.size", &M::rescale_history,
               "How many rescalings of a job are remembered; 0: none.")
            .between(0, 10'000),
        option("jobstore.max-capacity", &M::ended_jobs,
               "Ended jobs that are remembered; the one that ended first is forgotten first.")
            .at_least(1),
        option("jobstore.expiration-time", &M::ended_job_age_s,
               "Seconds after which an ended job is forgotten; 0: only when there are too many.")
            .at_least(0),
        option("historyserver.archive.retained-jobs", &M::archived_jobs,
               "As jobstore.max-capacity, for who sets Flink's history server; the lower one "
               "counts; -1: not set.")
            .at_least(-1),
        option("historyserver.archive.retained-ttl", &M::archived_age,
               "As jobstore.expiration-time, as a duration; the shorter one counts; 0: not set."),
        option("drey.program.timeout", &M::program_timeout, "A program's main that takes longer is ended.").at_least(1),
        option("drey.program.memory", &M::program_memory, "Address space of a program's main."),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<ClusterOptions>);

}  // namespace drey::cluster
