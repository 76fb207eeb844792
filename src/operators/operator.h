// Operator, Source: what runs inside a task, one instance per subtask.
//
// Threading: called only from the task's thread; calls never overlap and must not block.
// Order: open, then the others in any order, then finish (when all input has ended), then destruction;
// after a failure or a cancellation destruction follows at once.
// Errors: a Status fails the task; the first one wins.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "data/row_batch.h"

namespace drey::operators {

class OperatorContext;

// Where output goes. Valid during the call it is handed to.
class Emitter {
 public:
  virtual ~Emitter() = default;
  // `output` 0 is the main one, then side outputs. Takes any batch with rows; never blocks.
  virtual Status emit(std::uint32_t output, data::BatchRef batch) = 0;
  // Event time has reached `watermark` on all outputs; a lower one than before is ignored.
  virtual Status advance(std::int64_t watermark) = 0;
  // Whether this operator's watermark counts (idle: others need not wait for it).
  virtual Status set_idle(bool idle) = 0;
  Status emit(data::BatchRef batch) { return emit(0, std::move(batch)); }
};

class Operator {
 public:
  virtual ~Operator() = default;
  virtual Status open(OperatorContext&) { return {}; }
  // `input` 0 or 1.
  virtual Status process(std::uint32_t input, const data::BatchRef& batch, Emitter& out) = 0;
  // Minimum over the inputs (and their channels) that are not idle. The default passes it on.
  virtual Status on_watermark(std::int64_t watermark, Emitter& out) { return out.advance(watermark); }
  virtual Status on_input_end([[maybe_unused]] std::uint32_t input, Emitter&) { return {}; }
  // Processing time has reached the time asked for by OperatorContext::wake_at.
  virtual Status on_processing_time([[maybe_unused]] std::int64_t now_ms, Emitter&) { return {}; }
  // Before the barrier goes downstream: emit what is buffered and is not state.
  virtual Status prepare_barrier([[maybe_unused]] std::int64_t checkpoint_id, Emitter&) { return {}; }
  // The synchronous part: put everything that is not yet in TaskState into it (operator lists).
  virtual Status snapshot([[maybe_unused]] std::int64_t checkpoint_id) { return {}; }
  // The checkpoint is complete and durable: commit what belongs to it and to earlier ones. Must be
  // idempotent; called again after a restore with the restored checkpoint's id.
  virtual Status on_checkpoint_complete([[maybe_unused]] std::int64_t checkpoint_id) { return {}; }
  // Timers and windows fire in parts: on_watermark and on_processing_time do about one batch of it, and while
  // is_firing() says that there is more the task calls fire_more() whenever its outputs have room. Meanwhile the
  // operator gets no rows and no later time; a checkpoint may be taken between two calls, so what has fired is state.
  // After a restore firing may be under way from open() on. Only the first operator of a chain fires in parts.
  virtual bool is_firing() const { return false; }
  virtual Status fire_more(Emitter&) { return {}; }
  // All inputs have ended: emit what is left.
  virtual Status finish(Emitter&) { return {}; }
};

enum class Progress : std::uint8_t {
  kBusy,  // Call again.
  kIdle,  // Nothing now; call again after the waker was called or at wake_at.
  kDone,  // Never again: the input is at its end.
};

// How much a poll should do: about one batch.
struct Budget {
  std::uint32_t rows_max = data::kBatchRows;
};

// A Source is pulled. The runtime owns pacing of barriers, back-pressure and cancellation.
class Source {
 public:
  virtual ~Source() = default;
  virtual Status open(OperatorContext&) { return {}; }
  virtual Result<Progress> poll(Emitter& out, Budget budget) = 0;
  // Positions into operator lists; after a restore the next poll continues behind them.
  virtual Status snapshot(std::int64_t checkpoint_id) = 0;
};

}  // namespace drey::operators
