#include "runtime/gate.h"

#include <algorithm>

namespace drey::runtime {

Gate::Gate(std::vector<InputChannel> channels, bool exactly_once)
    : channels_(std::move(channels)), sides_(channels_.size()), aligner_(channels_.size(), exactly_once) {}

bool Gate::has_input() const {
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    if (!aligner_.is_blocked(i) && !channels_[i].channel->is_empty()) return true;
  }
  return false;
}

Gate::Event Gate::next(Ticks now) {
  // Items that ask for nothing of the task (a watermark that does not move the minimum) are passed over.
  std::size_t empty = 0;
  while (empty < channels_.size()) {
    const std::size_t at = next_;
    next_ = next_ + 1 == channels_.size() ? 0 : next_ + 1;
    Item item;
    if (aligner_.is_blocked(at) || !channels_[at].channel->pop(item)) {
      ++empty;
      continue;
    }
    empty = 0;
    Event event = on_item(at, std::move(item), now);
    if (event.kind != Event::Kind::kNone) return event;
  }
  return {};
}

Gate::Event Gate::on_item(std::size_t at, Item item, Ticks now) {
  Side& side = sides_[at];
  Event event;
  event.input = channels_[at].input;
  event.channel = at;
  switch (item.kind) {
    case Item::Kind::kBatch:
      aligner_.on_bytes(item.batch->bytes());
      event.kind = Event::Kind::kBatch;
      event.batch = std::move(item.batch);
      return event;
    case Item::Kind::kWatermark:
      side.watermark = std::max(side.watermark, item.value);
      return merged_watermark();
    case Item::Kind::kIdle: {
      side.idle = item.value != 0;
      const bool all = std::all_of(sides_.begin(), sides_.end(), [](const Side& s) { return s.idle; });
      if (all != idle_) {
        idle_ = all;
        event.kind = Event::Kind::kIdle;
        event.idle = all;
        return event;
      }
      return merged_watermark();
    }
    case Item::Kind::kBarrier:
      event.barrier = aligner_.on_barrier(at, item.barrier, now);
      if (event.barrier.complete || event.barrier.abandoned) event.kind = Event::Kind::kBarrier;
      return event;
    case Item::Kind::kEndOfData: {
      side.data_ended = true;
      const bool input_ended = std::all_of(sides_.begin(), sides_.end(), [&](const Side& s) {
        return s.data_ended || channels_[static_cast<std::size_t>(&s - sides_.data())].input != event.input;
      });
      if (!input_ended) return {};
      event.kind = Event::Kind::kInputEnd;
      return event;
    }
    case Item::Kind::kEndOfChannel: {
      side.ended = true;
      const bool all = std::all_of(sides_.begin(), sides_.end(), [](const Side& s) { return s.ended; });
      event.barrier = aligner_.on_end(at, now);
      if (event.barrier.complete) {
        event.kind = Event::Kind::kBarrier;
      } else if (all) {
        event.kind = Event::Kind::kEnd;
      }
      return event;
    }
  }
  return event;
}

Gate::Event Gate::merged_watermark() {
  std::int64_t lowest = kMaxWatermark;
  bool any = false;
  for (const Side& side : sides_) {
    if (side.idle) continue;
    any = true;
    lowest = std::min(lowest, side.watermark);
  }
  Event event;
  if (any && lowest > watermark_) {
    watermark_ = lowest;
    event.kind = Event::Kind::kWatermark;
    event.watermark = lowest;
  }
  return event;
}

std::int64_t Gate::input_watermark(std::uint32_t input) const {
  std::int64_t lowest = kMaxWatermark;
  bool any = false;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (channels_[i].input != input) continue;
    any = true;
    lowest = std::min(lowest, sides_[i].watermark);
  }
  return any ? lowest : kMinWatermark;
}

void Gate::finish(const Event& event) { channels_[event.channel].channel->finish(event.batch->bytes()); }

}  // namespace drey::runtime
