// BarrierAligner: which channels of a task may be read while a checkpoint passes. Pure: same answers for the same
// sequence of events, whoever calls.
//
// Aligned, exactly once: a channel whose barrier has come is blocked until all channels have brought theirs. At least
// once: nothing is blocked. A channel that has ended counts as having brought every barrier. A barrier of a newer
// checkpoint gives up the one under way; barriers of older ones are ignored.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/enums.h"
#include "base/time.h"
#include "wire/field.h"

namespace drey::control {

// What a task's snapshot is written as.
enum class SnapshotForm : std::uint8_t {
  kIncremental,  // what changed since the last checkpoint
  kFull,         // everything, so that it refers to no older file
  kNative,       // a savepoint: everything, as pages
  kCanonical     // a savepoint: sorted rows, whoever reads them
};
constexpr auto enum_table(SnapshotForm) {
  return std::array{EnumRow{SnapshotForm::kIncremental, "INCREMENTAL"}, EnumRow{SnapshotForm::kFull, "FULL"},
                    EnumRow{SnapshotForm::kNative, "NATIVE"}, EnumRow{SnapshotForm::kCanonical, "CANONICAL"}};
}
constexpr bool is_savepoint(SnapshotForm form) {
  return form == SnapshotForm::kNative || form == SnapshotForm::kCanonical;
}

// What tasks do when they have taken the snapshot: hold still until they are told that it is complete (and end) or
// aborted (and go on). To drain is to end the data first.
enum class AfterSnapshot : std::uint8_t { kGoOn, kStop, kDrain };

struct Barrier {
  std::int64_t checkpoint_id = 0;
  std::int64_t trigger_time = 0;  // ms, the JobManager's clock
  SnapshotForm form = SnapshotForm::kIncremental;
  AfterSnapshot after = AfterSnapshot::kGoOn;
  std::string directory = {};  // of a savepoint; empty: the job's own
  static constexpr auto fields() {
    using M = Barrier;
    using wire::field;
    using wire::Fields;
    return Fields{field("checkpoint-id", &M::checkpoint_id), field("trigger-time", &M::trigger_time),
                  field("form", &M::form), field("after", &M::after), field("directory", &M::directory)};
  }
};
static_assert(wire::EveryMemberHasARow<Barrier>);

struct Alignment {
  Nanos duration{0};                  // first to last barrier; 0 with one channel
  std::uint64_t processed_bytes = 0;  // taken from channels that were not blocked, meanwhile
};

class BarrierAligner {
 public:
  BarrierAligner(std::size_t channels, bool exactly_once);

  struct Outcome {
    std::optional<Barrier> complete;  // every channel has brought it: take the snapshot now
    Alignment alignment;
    std::optional<std::int64_t> abandoned;  // this checkpoint was given up for a newer one
  };
  Outcome on_barrier(std::size_t channel, const Barrier& barrier, Ticks now);
  Outcome on_end(std::size_t channel, Ticks now);
  // The coordinator gave the checkpoint up.
  void abort(std::int64_t checkpoint_id);
  void on_bytes(std::uint64_t bytes) {
    if (pending_) processed_ += bytes;
  }

  bool is_blocked(std::size_t channel) const { return exactly_once_ && pending_ && arrived_[channel]; }
  std::optional<std::int64_t> pending() const {
    return pending_ ? std::optional(pending_->checkpoint_id) : std::nullopt;
  }
  Ticks started() const { return started_; }

 private:
  Outcome complete_if_all(Ticks now);
  void reset();

  const bool exactly_once_;
  std::vector<bool> arrived_;
  std::vector<bool> ended_;
  std::optional<Barrier> pending_;
  std::int64_t last_id_ = -1;  // newest checkpoint seen
  Ticks started_{};
  std::uint64_t processed_ = 0;
};

}  // namespace drey::control
