#include "runtime/gate.h"

#include <algorithm>
#include <atomic>

namespace drey::runtime {

// A stack of channel numbers that many threads push to and one takes as a whole. A channel is pushed once until the
// gate says that it may be again.
class Gate::ReadyList {
 public:
  ReadyList(std::size_t channels, std::function<void()> wake) : nodes_(channels), wake_(std::move(wake)) {}

  // Any thread: the channel has an item.
  void announce(std::uint32_t channel) {
    Node& node = nodes_[channel];
    if (node.is_listed.exchange(true)) return;
    node.next = first_.load(std::memory_order_relaxed);
    while (!first_.compare_exchange_weak(node.next, channel, std::memory_order_release, std::memory_order_relaxed)) {
    }
    wake_();
  }
  // The gate: moves the channels to the end of `turn`, in the order in which they came.
  void take_all(std::deque<std::uint32_t>& turn) {
    if (first_.load(std::memory_order_relaxed) == kNone) return;
    const auto end = static_cast<std::ptrdiff_t>(turn.size());
    for (std::uint32_t at = first_.exchange(kNone, std::memory_order_acquire); at != kNone; at = nodes_[at].next) {
      turn.push_back(at);
    }
    std::reverse(turn.begin() + end, turn.end());
  }
  // The gate has found the channel empty: the next item announces it again. Look once more after this.
  void unlist(std::uint32_t channel) { nodes_[channel].is_listed.store(false); }
  // Takes back unlist(). False: a producer was faster and has announced it.
  bool relist(std::uint32_t channel) { return !nodes_[channel].is_listed.exchange(true); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    std::atomic<bool> is_listed{false};
    std::uint32_t next = kNone;  // whoever set is_listed, then the gate
  };
  std::vector<Node> nodes_;
  std::atomic<std::uint32_t> first_{kNone};
  const std::function<void()> wake_;
};

Gate::Gate(std::vector<InputChannel> channels, bool exactly_once, std::function<void()> wake)
    : channels_(std::move(channels)),
      sides_(channels_.size()),
      aligner_(channels_.size(), exactly_once),
      ready_(std::make_shared<ReadyList>(channels_.size(), std::move(wake))) {
  const auto announce =
      std::make_shared<const Channel::Wake>([ready = ready_](std::uint32_t i) { ready->announce(i); });
  for (std::uint32_t i = 0; i < channels_.size(); ++i) {
    channels_[i].channel->set_consumer(announce, i);
    // What was pushed before woke nobody.
    if (!channels_[i].channel->is_empty()) ready_->announce(i);
  }
}

// Blocked channels become free together: when their checkpoint is complete, was aborted or given up.
void Gate::list_unblocked() {
  if (held_.empty() || aligner_.is_blocked(held_.front())) return;
  const auto still =
      std::stable_partition(held_.begin(), held_.end(), [&](std::uint32_t i) { return !aligner_.is_blocked(i); });
  turn_.insert(turn_.end(), held_.begin(), still);
  held_.erase(held_.begin(), still);
}

bool Gate::take(std::size_t* channel, Item* item) {
  list_unblocked();
  ready_->take_all(turn_);
  while (!turn_.empty()) {
    const std::uint32_t at = turn_.front();
    turn_.pop_front();
    if (aligner_.is_blocked(at)) {
      held_.push_back(at);
      continue;
    }
    Channel& from = *channels_[at].channel;
    if (from.pop(*item)) {
      turn_.push_back(at);
      *channel = at;
      return true;
    }
    // Empty only if it still is after producers could know that they must announce it (engine.md, trap 24).
    ready_->unlist(at);
    if (!from.is_empty() && ready_->relist(at)) turn_.push_back(at);
  }
  return false;
}

Gate::Event Gate::next(Ticks now) {
  // Items that ask for nothing of the task (a watermark that does not move the minimum) are passed over.
  std::size_t channel = 0;
  Item item;
  while (take(&channel, &item)) {
    Event event = on_item(channel, std::move(item), now);
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
      side.time_ended.store(item.value == kMaxWatermark, std::memory_order_relaxed);
      if (!side.time_ended) {
        side.watermark.set(std::max(side.watermark.get(), item.value));
      }
      return progress_of_time();
    case Item::Kind::kIdle:
      side.idle = item.value != 0;
      return progress_of_time();
    case Item::Kind::kBarrier:
      event.barrier = aligner_.on_barrier(at, *item.barrier, now);
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

Gate::Event Gate::progress_of_time() {
  // Nothing moves as long as the one that was behind the others still is: not worth a look at all of them.
  if (const Side& behind = sides_[behind_];
      !idle_ && !behind.idle && !behind.time_ended && behind.watermark.get() <= watermark_)
    return {};
  // The slowest that is active counts. Where none is, but some are idle, the one that came furthest: what it announced
  // was true. That the others have ended is no end of time for those that are idle.
  std::int64_t lowest = kMaxWatermark;
  std::int64_t highest = kMinWatermark;
  bool any_active = false;
  bool any_idle = false;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    const Side& side = sides_[i];
    const std::int64_t mark = side.watermark.get();
    highest = std::max(highest, mark);
    if (side.time_ended) continue;
    any_idle = any_idle || side.idle;
    if (side.idle) continue;
    any_active = true;
    if (mark >= lowest) continue;
    lowest = mark;
    behind_ = i;
  }
  const bool idle = any_idle && !any_active;
  Event event;
  event.watermark = std::max(watermark_, idle ? highest : lowest);
  event.idle = idle;
  if (idle != idle_) {
    event.kind = Event::Kind::kIdle;
  } else if (event.watermark > watermark_) {
    event.kind = Event::Kind::kWatermark;
  }
  idle_ = idle;
  watermark_ = event.watermark;
  return event;
}

std::int64_t Gate::input_watermark(std::uint32_t input) const {
  std::int64_t lowest = kMaxWatermark;
  bool any = false;
  for (std::size_t i = 0; i < sides_.size(); ++i) {
    if (channels_[i].input != input) continue;
    any = true;
    if (!sides_[i].time_ended) lowest = std::min(lowest, sides_[i].watermark.get());
  }
  return any ? lowest : kMinWatermark;
}

void Gate::finish(const Event& event) { channels_[event.channel].channel->finish(event.batch->bytes()); }

}  // namespace drey::runtime
