// Gate: merges the channels of all inputs of a task: watermarks, idleness, barriers, ends.
//
// Threading: task thread. Order: items of one channel in order; channels in turn.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "control/checkpoint/barrier_aligner.h"
#include "runtime/channel.h"

namespace drey::runtime {

struct InputChannel {
  std::shared_ptr<Channel> channel;
  std::uint32_t input = 0;
  std::uint32_t schema = 0;  // which of the task's input edges
};

class Gate {
 public:
  Gate(std::vector<InputChannel> channels, bool exactly_once);

  struct Event {
    enum class Kind : std::uint8_t { kNone, kBatch, kWatermark, kIdle, kBarrier, kInputEnd, kEnd };
    Kind kind = Kind::kNone;
    std::uint32_t input = 0;
    data::BatchRef batch;
    std::size_t channel = 0;
    std::int64_t watermark = 0;           // kWatermark: of the whole task
    bool idle = false;                    // kIdle: all channels are
    control::BarrierAligner::Outcome barrier;  // kBarrier
  };
  // The next thing to do; kNone when all readable channels are empty.
  Event next(Ticks now);
  // Gives the credit of a batch back.
  void finish(const Event& event);
  bool has_input() const;

  control::BarrierAligner& aligner() { return aligner_; }
  std::int64_t watermark() const { return watermark_; }
  void restore_watermark(std::int64_t watermark) { watermark_ = watermark; }
  std::int64_t input_watermark(std::uint32_t input) const;
  const std::vector<InputChannel>& channels() const { return channels_; }

 private:
  struct Side {
    std::int64_t watermark = kMinWatermark;
    bool idle = false;
    bool data_ended = false;
    bool ended = false;
  };
  Event on_item(std::size_t channel, Item item, Ticks now);
  Event merged_watermark();

  std::vector<InputChannel> channels_;
  std::vector<Side> sides_;
  control::BarrierAligner aligner_;
  std::size_t next_ = 0;
  std::int64_t watermark_ = kMinWatermark;
  bool idle_ = false;
};

}  // namespace drey::runtime
