// Messages about uploaded jars. Rows in the order of the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "rest/messages/enum_texts.h"
#include "rest/shape.h"

namespace drey::rest {

struct JarEntry {
  std::string name;
  std::optional<std::string> description;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarListInfo:JarEntryInfo";
  static constexpr auto fields() {
    using M = JarEntry;
    return Fields{field("name", &M::name), field("description", &M::description).nullable()};
  }
};
static_assert(wire::EveryMemberHasARow<JarEntry>);

struct JarFile {
  std::string id;
  std::string name;
  std::int64_t uploaded = 0;
  std::vector<JarEntry> entry;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarListInfo:JarFileInfo";
  static constexpr auto fields() {
    using M = JarFile;
    return Fields{field("id", &M::id), field("name", &M::name), field("uploaded", &M::uploaded),
                  field("entry", &M::entry)};
  }
};
static_assert(wire::EveryMemberHasARow<JarFile>);

struct JarList {
  std::string address;
  std::vector<JarFile> files;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarListInfo";
  static constexpr auto fields() {
    using M = JarList;
    return Fields{field("address", &M::address), field("files", &M::files)};
  }
};
static_assert(wire::EveryMemberHasARow<JarList>);

struct JarUploadAnswer {
  std::string filename;
  OneOf<kUploadStates> status;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarUploadResponseBody";
  static constexpr auto fields() {
    using M = JarUploadAnswer;
    return Fields{field("filename", &M::filename), field("status", &M::status)};
  }
};
static_assert(wire::EveryMemberHasARow<JarUploadAnswer>);

struct JarPlanRequest {
  std::string entry_class;
  Map<std::string> flink_configuration;
  std::optional<JobId> job_id;
  std::optional<std::int64_t> parallelism;
  std::optional<std::vector<std::string>> program_args_list;
  std::string program_args;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarPlanRequestBody";
  static constexpr auto fields() {
    using M = JarPlanRequest;
    return Fields{field("entryClass", &M::entry_class),
                  field("flinkConfiguration", &M::flink_configuration).in(kV2),
                  field("jobId", &M::job_id),
                  field("parallelism", &M::parallelism),
                  field("programArgsList", &M::program_args_list),
                  field("programArgs", &M::program_args).in(kV1)};
  }
};
static_assert(wire::EveryMemberHasARow<JarPlanRequest>);

struct JarRunRequest {
  std::optional<bool> allow_non_restored_state;
  std::optional<OneOf<kClaimModes>> claim_mode;
  std::string entry_class;
  Map<std::string> flink_configuration;
  std::optional<JobId> job_id;
  std::optional<std::int64_t> parallelism;
  std::optional<std::vector<std::string>> program_args_list;
  std::optional<OneOf<kClaimModes>> restore_mode;
  std::string savepoint_path;
  std::string program_args;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarRunRequestBody";
  static constexpr auto fields() {
    using M = JarRunRequest;
    return Fields{field("allowNonRestoredState", &M::allow_non_restored_state),
                  field("claimMode", &M::claim_mode).in(kV2),
                  field("entryClass", &M::entry_class),
                  field("flinkConfiguration", &M::flink_configuration).in(kV2),
                  field("jobId", &M::job_id),
                  field("parallelism", &M::parallelism),
                  field("programArgsList", &M::program_args_list),
                  field("restoreMode", &M::restore_mode).in(kV2),
                  field("savepointPath", &M::savepoint_path),
                  field("programArgs", &M::program_args).in(kV1)};
  }
};
static_assert(wire::EveryMemberHasARow<JarRunRequest>);

struct JarRunAnswer {
  JobId jobid;
  JobId application_id;
  static constexpr std::string_view kUrn = "runtime:webmonitor:handlers:JarRunResponseBody";
  static constexpr bool kStrictV1 = true;
  static constexpr auto fields() {
    using M = JarRunAnswer;
    return Fields{field("jobid", &M::jobid), field("applicationId", &M::application_id).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<JarRunAnswer>);

}  // namespace drey::rest
