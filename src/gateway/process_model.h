// What a process of the cluster can be asked about itself, and its answers; encoded by wire/binary.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "wire/field.h"

namespace drey::gateway {

using wire::field;
using wire::Fields;

struct Inspection {
  enum class What {
    kLogs,         // -> std::vector<LogFile>
    kLog,          // `bytes` of the file `name` from `offset` -> the bytes as they are
    kThreads,      // -> std::vector<ThreadText>
    kStacks,       // of the job's vertex -> StackSamples
    kProfile,      // starts one: `name` is its mode, for `bytes` seconds -> ProfileModel
    kProfiles,     // -> std::vector<ProfileModel>, newest first
    kProfileFile,  // as kLog, of a profile's output
  };
  What what = What::kLogs;
  std::string name = {};  // of a log: "log" and "stdout" mean the process's own
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  JobId job = {};
  std::int64_t vertex = 0;  // index
  static constexpr auto fields() {
    using M = Inspection;
    return Fields{field("what", &M::what),   field("name", &M::name), field("offset", &M::offset),
                  field("bytes", &M::bytes), field("job", &M::job),   field("vertex", &M::vertex)};
  }
};
static_assert(wire::EveryMemberHasARow<Inspection>);

struct LogFile {
  std::string name;
  std::int64_t size = 0;
  std::int64_t modified = 0;  // epoch ms
  static constexpr auto fields() {
    using M = LogFile;
    return Fields{field("name", &M::name), field("size", &M::size), field("modified", &M::modified)};
  }
};
static_assert(wire::EveryMemberHasARow<LogFile>);

struct ThreadText {
  std::string name;
  std::string text;  // state and stack, ends with a blank line
  static constexpr auto fields() {
    using M = ThreadText;
    return Fields{field("name", &M::name), field("text", &M::text)};
  }
};
static_assert(wire::EveryMemberHasARow<ThreadText>);

// How often a stack was seen in the window.
struct StackCount {
  std::int64_t subtask = 0;
  bool on_cpu = false;
  std::int64_t count = 0;
  std::vector<std::string> frames;  // outermost first
  static constexpr auto fields() {
    using M = StackCount;
    return Fields{field("subtask", &M::subtask), field("on-cpu", &M::on_cpu), field("count", &M::count),
                  field("frames", &M::frames)};
  }
};
static_assert(wire::EveryMemberHasARow<StackCount>);

struct StackSamples {
  std::int64_t end = -1;  // epoch ms of the last sample; -1: none yet
  std::vector<StackCount> stacks;
  static constexpr auto fields() {
    using M = StackSamples;
    return Fields{field("end", &M::end), field("stacks", &M::stacks)};
  }
};
static_assert(wire::EveryMemberHasARow<StackSamples>);

struct ProfileModel {
  std::string status;  // RUNNING, FINISHED, FAILED
  std::string mode;
  std::int64_t triggered = 0;  // epoch ms
  std::int64_t finished = 0;   // 0: not yet
  std::int64_t seconds = 0;
  std::string message;
  std::string output;  // file name; empty while running
  static constexpr auto fields() {
    using M = ProfileModel;
    return Fields{field("status", &M::status),     field("mode", &M::mode),       field("triggered", &M::triggered),
                  field("finished", &M::finished), field("seconds", &M::seconds), field("message", &M::message),
                  field("output", &M::output)};
  }
};
static_assert(wire::EveryMemberHasARow<ProfileModel>);

}  // namespace drey::gateway
