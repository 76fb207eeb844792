#include "control/checkpoint/barrier_aligner.h"

#include <algorithm>

namespace drey::control {

BarrierAligner::BarrierAligner(std::size_t channels, bool exactly_once)
    : exactly_once_(exactly_once), arrived_(channels), ended_(channels) {}

BarrierAligner::Outcome BarrierAligner::on_barrier(std::size_t channel, const Barrier& barrier, Ticks now) {
  Outcome outcome;
  const std::int64_t id = barrier.checkpoint_id;
  if (id < last_id_ || (id == last_id_ && !pending_)) return outcome;  // old, done or aborted
  if (id > last_id_) {
    if (pending_) outcome.abandoned = pending_->checkpoint_id;
    reset();
    pending_ = barrier;
    last_id_ = id;
    started_ = now;
  }
  arrived_[channel] = true;
  Outcome complete = complete_if_all(now);
  complete.abandoned = outcome.abandoned;
  return complete;
}

BarrierAligner::Outcome BarrierAligner::on_end(std::size_t channel, Ticks now) {
  ended_[channel] = true;
  return pending_ ? complete_if_all(now) : Outcome();
}

void BarrierAligner::abort(std::int64_t checkpoint_id) {
  if (pending_ && pending_->checkpoint_id == checkpoint_id) reset();
  last_id_ = std::max(last_id_, checkpoint_id);
}

BarrierAligner::Outcome BarrierAligner::complete_if_all(Ticks now) {
  for (std::size_t i = 0; i < arrived_.size(); ++i) {
    if (!arrived_[i] && !ended_[i]) return {};
  }
  Outcome outcome;
  outcome.complete = pending_;
  if (arrived_.size() > 1) outcome.alignment.duration = now - started_;
  outcome.alignment.processed_bytes = arrived_.size() > 1 ? processed_ : 0;
  reset();
  return outcome;
}

void BarrierAligner::reset() {
  pending_.reset();
  processed_ = 0;
  arrived_.assign(arrived_.size(), false);
}

}  // namespace drey::control
