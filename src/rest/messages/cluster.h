// Messages of the cluster as a whole: configuration, overview, environment, logs, data sets. Rows
// in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/shape.h"

namespace drey::rest {

struct DashboardFeatures {
  bool web_submit = false;
  bool web_cancel = false;
  bool web_rescale = false;
  bool web_history = false;
  static constexpr std::string_view kUrn = "runtime:rest:messages:DashboardConfiguration:Features";
  static constexpr auto fields() {
    using M = DashboardFeatures;
    return Fields{field("web-submit", &M::web_submit), field("web-cancel", &M::web_cancel).in(kV2),
                  field("web-rescale", &M::web_rescale).in(kV2), field("web-history", &M::web_history).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<DashboardFeatures>);

struct DashboardConfiguration {
  std::int64_t refresh_interval = 0;
  std::string timezone_name;
  std::int64_t timezone_offset = 0;
  std::string flink_version;
  std::string flink_revision;
  DashboardFeatures features;
  static constexpr std::string_view kUrn = "runtime:rest:messages:DashboardConfiguration";
  static constexpr auto fields() {
    using M = DashboardConfiguration;
    return Fields{field("refresh-interval", &M::refresh_interval), field("timezone-name", &M::timezone_name),
                  field("timezone-offset", &M::timezone_offset),   field("flink-version", &M::flink_version),
                  field("flink-revision", &M::flink_revision),     field("features", &M::features)};
  }
};
static_assert(wire::EveryMemberHasARow<DashboardConfiguration>);

struct ClusterOverview {
  std::int64_t taskmanagers = 0;
  std::int64_t slots_total = 0;
  std::int64_t slots_available = 0;
  std::int64_t jobs_running = 0;
  std::int64_t jobs_finished = 0;
  std::int64_t jobs_cancelled = 0;
  std::int64_t jobs_failed = 0;
  std::string flink_version;
  std::string flink_commit;
  std::optional<std::int64_t> slots_free_and_blocked;
  std::optional<std::int64_t> taskmanagers_blocked;
  static constexpr std::string_view kUrn = "runtime:rest:handler:legacy:messages:ClusterOverviewWithVersion";
  static constexpr auto fields() {
    using M = ClusterOverview;
    return Fields{field("taskmanagers", &M::taskmanagers),
                  field("slots-total", &M::slots_total),
                  field("slots-available", &M::slots_available),
                  field("jobs-running", &M::jobs_running),
                  field("jobs-finished", &M::jobs_finished),
                  field("jobs-cancelled", &M::jobs_cancelled),
                  field("jobs-failed", &M::jobs_failed),
                  field("flink-version", &M::flink_version),
                  field("flink-commit", &M::flink_commit),
                  field("slots-free-and-blocked", &M::slots_free_and_blocked).in(kV2),
                  field("taskmanagers-blocked", &M::taskmanagers_blocked).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<ClusterOverview>);

struct ConfigurationEntry {
  std::string key;
  std::string value;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ConfigurationInfoEntry";
  static constexpr std::string_view kUrnV1 = "runtime:rest:messages:ClusterConfigurationInfoEntry";
  static constexpr auto fields() {
    using M = ConfigurationEntry;
    return Fields{field("key", &M::key), field("value", &M::value)};
  }
};
static_assert(wire::EveryMemberHasARow<ConfigurationEntry>);

struct MachineInfo {
  std::string version;
  std::string arch;
  std::vector<std::string> options;
  static constexpr std::string_view kUrn = "runtime:rest:messages:EnvironmentInfo:JVMInfo";
  static constexpr auto fields() {
    using M = MachineInfo;
    return Fields{field("version", &M::version).in(kV2), field("arch", &M::arch).in(kV2),
                  field("options", &M::options).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<MachineInfo>);

struct EnvironmentInfo {
  MachineInfo jvm;
  std::vector<std::string> classpath;
  static constexpr std::string_view kUrn = "runtime:rest:messages:EnvironmentInfo";
  static constexpr auto fields() {
    using M = EnvironmentInfo;
    return Fields{field("jvm", &M::jvm).in(kV2), field("classpath", &M::classpath).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<EnvironmentInfo>);

struct LogInfo {
  std::string name;
  std::int64_t size = 0;
  std::int64_t mtime = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:LogInfo";
  static constexpr auto fields() {
    using M = LogInfo;
    return Fields{field("name", &M::name), field("size", &M::size), field("mtime", &M::mtime).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<LogInfo>);

struct LogList {
  std::vector<LogInfo> logs;
  static constexpr std::string_view kUrn = "runtime:rest:messages:LogListInfo";
  static constexpr auto fields() {
    using M = LogList;
    return Fields{field("logs", &M::logs)};
  }
};
static_assert(wire::EveryMemberHasARow<LogList>);

struct LogUrl {
  std::string url;
  static constexpr std::string_view kUrn = "runtime:rest:messages:LogUrlResponse";
  static constexpr bool kCors = false;
  static constexpr auto fields() {
    using M = LogUrl;
    return Fields{field("url", &M::url).in(kV2)};
  }
};
static_assert(wire::EveryMemberHasARow<LogUrl>);

struct ThreadInfo {
  std::string thread_name;
  std::string stringified_thread_info;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ThreadDumpInfo:ThreadInfo";
  static constexpr std::string_view kUrnV1 = "runtime:rest:messages:taskmanager:ThreadDumpInfo:ThreadInfo";
  static constexpr auto fields() {
    using M = ThreadInfo;
    return Fields{field("threadName", &M::thread_name), field("stringifiedThreadInfo", &M::stringified_thread_info)};
  }
};
static_assert(wire::EveryMemberHasARow<ThreadInfo>);

struct ThreadDump {
  std::vector<ThreadInfo> thread_infos;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ThreadDumpInfo";
  static constexpr std::string_view kUrnV1 = "runtime:rest:messages:taskmanager:ThreadDumpInfo";
  static constexpr auto fields() {
    using M = ThreadDump;
    return Fields{field("threadInfos", &M::thread_infos)};
  }
};
static_assert(wire::EveryMemberHasARow<ThreadDump>);

struct DataSetEntry {
  std::string id;
  bool is_complete = false;
  static constexpr std::string_view kUrn = "runtime:rest:messages:dataset:ClusterDataSetEntry";
  static constexpr auto fields() {
    using M = DataSetEntry;
    return Fields{field("id", &M::id), field("isComplete", &M::is_complete)};
  }
};
static_assert(wire::EveryMemberHasARow<DataSetEntry>);

struct DataSetList {
  std::vector<DataSetEntry> data_sets;
  static constexpr std::string_view kUrn = "runtime:rest:messages:dataset:ClusterDataSetListResponseBody";
  static constexpr auto fields() {
    using M = DataSetList;
    return Fields{field("dataSets", &M::data_sets)};
  }
};
static_assert(wire::EveryMemberHasARow<DataSetList>);

}  // namespace drey::rest
