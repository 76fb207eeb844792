// Messages of profiles, which neither page of the contract has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rest/messages/enum_texts.h"
#include "rest/shape.h"

namespace drey::rest {

struct ProfilingRequest {
  OneOf<kProfilingModes> mode;
  std::int64_t duration = 0;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ProfilingRequestBody";
  static constexpr bool kNeedsAll = true;
  static constexpr auto fields() {
    using M = ProfilingRequest;
    return Fields{field("mode", &M::mode).in(kUnlisted), field("duration", &M::duration).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<ProfilingRequest>);

struct ProfilingInfo {
  std::string status;
  std::string mode;
  std::int64_t trigger_time = 0;
  std::optional<std::int64_t> finished_time;
  std::int64_t duration = 0;
  std::optional<std::string> message;
  std::optional<std::string> output_file;
  std::string profiling_mode;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ProfilingInfo";
  static constexpr auto fields() {
    using M = ProfilingInfo;
    return Fields{field("status", &M::status).in(kUnlisted),
                  field("mode", &M::mode).in(kUnlisted),
                  field("triggerTime", &M::trigger_time).in(kUnlisted),
                  field("finishedTime", &M::finished_time).in(kUnlisted).nullable(),
                  field("duration", &M::duration).in(kUnlisted),
                  field("message", &M::message).in(kUnlisted).nullable(),
                  field("outputFile", &M::output_file).in(kUnlisted).nullable(),
                  field("profilingMode", &M::profiling_mode).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<ProfilingInfo>);

struct ProfilingList {
  std::vector<ProfilingInfo> profiling_list;
  static constexpr std::string_view kUrn = "runtime:rest:messages:ProfilingInfoList";
  static constexpr auto fields() {
    return Fields{field("profilingList", &ProfilingList::profiling_list).in(kUnlisted)};
  }
};
static_assert(wire::EveryMemberHasARow<ProfilingList>);

}  // namespace drey::rest
