// Gate: merges the channels of all inputs of a task: watermarks, idleness, barriers, ends.
//
// Threading: task thread; `wake` is called on the producers' threads. Order: items of one channel in order; channels
// that have items in turn. Looking for the next one costs by the number of those, not by the number of channels.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "control/checkpoint/barrier_aligner.h"
#include "runtime/cell.h"
#include "runtime/channel.h"

namespace drey::runtime {

struct InputChannel {
  std::shared_ptr<Channel> channel;
  std::uint32_t input = 0;
  std::uint32_t schema = 0;  // which of the task's input edges
  bool is_remote = false;    // its producer is in another process
};

class Gate {
 public:
  // Becomes the consumer of the channels. `wake`: a channel that next() found empty has an item; may be called after
  // the gate has gone.
  Gate(std::vector<InputChannel> channels, bool exactly_once, std::function<void()> wake);

  struct Event {
    enum class Kind : std::uint8_t { kNone, kBatch, kWatermark, kIdle, kBarrier, kInputEnd, kEnd };
    Kind kind = Kind::kNone;
    std::uint32_t input = 0;
    data::BatchRef batch;
    std::size_t channel = 0;
    // kWatermark, kIdle: of the whole task, and whether all channels that have not ended are idle. With kIdle the
    // watermark may be as before.
    std::int64_t watermark = 0;
    bool idle = false;
    control::BarrierAligner::Outcome barrier;  // kBarrier
  };
  // The next thing to do; kNone when all readable channels are empty.
  Event next(Ticks now);
  // Gives the credit of a batch back.
  void finish(const Event& event);

  control::BarrierAligner& aligner() { return aligner_; }
  std::int64_t watermark() const { return watermark_; }
  void restore_watermark(std::int64_t watermark) { watermark_ = watermark; }
  // Any thread.
  std::int64_t input_watermark(std::uint32_t input) const;
  const std::vector<InputChannel>& channels() const { return channels_; }

 private:
  struct Side {
    Cell watermark{kMinWatermark};        // the last one before the end of time
    std::atomic<bool> time_ended{false};  // kMaxWatermark has come; the task writes it
    bool idle = false;
    bool data_ended = false;
    bool ended = false;
  };
  // Channels that producers have put items into since the gate last looked. Each channel is in one place: on this list,
  // in turn_, in held_, or (empty) nowhere.
  class ReadyList;
  void list_unblocked();
  bool take(std::size_t* channel, Item* item);
  Event on_item(std::size_t channel, Item item, Ticks now);
  Event progress_of_time();

  std::vector<InputChannel> channels_;
  std::vector<Side> sides_;
  control::BarrierAligner aligner_;
  std::shared_ptr<ReadyList> ready_;
  std::deque<std::uint32_t> turn_;   // channels with items, the next one first
  std::vector<std::uint32_t> held_;  // channels with items that are blocked
  std::int64_t watermark_ = kMinWatermark;
  std::size_t behind_ = 0;  // side with the lowest watermark when all were last looked at
  bool idle_ = false;
};

}  // namespace drey::runtime
