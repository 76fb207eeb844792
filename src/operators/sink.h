// SinkWriter, Committer: a sink as in Flink's Sink V2, exactly once.
//
// The writer takes rows. At each barrier it tells what a commit will make visible: its committables, values that are
// state until they are committed. When the checkpoint is complete the committer commits those of it and of earlier
// ones, in the order of their checkpoints; those of a restored checkpoint come first. A sink without a committer writes
// what everybody sees at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/row_batch.h"
#include "operators/operator.h"
#include "operators/operator_context.h"

namespace drey::operators {

// What a writer finds when it opens.
struct RestoredSink {
  bool is_restored = false;
  // Of all subtasks that there were: the elements of SinkWriter::snapshot, and the committables that may not have been
  // committed yet.
  std::vector<std::string> states = {};
  std::vector<std::string> committables = {};
};

// Threading: the task's thread; no call may block, OperatorContext::start does what would.
class SinkWriter {
 public:
  virtual ~SinkWriter() = default;
  virtual Status open(const RestoredSink&) { return {}; }
  virtual Status write(const data::BatchRef& batch) = 0;
  virtual Status on_watermark([[maybe_unused]] std::int64_t watermark) { return {}; }
  // OperatorContext::wake_at's time has come.
  virtual Status on_processing_time([[maybe_unused]] std::int64_t now_ms) { return {}; }
  // The barrier of a checkpoint: the committables of what was written since the one before. What makes them durable may
  // still be under way, as work that holds checkpoints.
  virtual Result<std::vector<std::string>> prepare_commit(std::int64_t checkpoint_id) = 0;
  // After prepare_commit: what a later writer has to know, besides committables.
  virtual std::vector<std::string> snapshot() { return {}; }
};

// Threading: the I/O pool, one call at a time. It outlives its task while a call runs, and owns what it uses.
class Committer {
 public:
  virtual ~Committer() = default;
  // Makes all of them visible. Idempotent: after a failure, and after a restore, it comes again with committables that
  // may have been committed before. A failure that another try may heal (Retry in base/code.h) is tried again up to
  // kCommitRetries times, with pauses that grow from 50 ms to 2 s; then, and after any other one, the task fails.
  virtual Status commit(const std::vector<std::string>& committables) = 0;
};
inline constexpr int kCommitRetries = 10;

// The operator that runs a sink; `committer` may be null.
std::unique_ptr<Operator> make_sink(OperatorContext& context, std::unique_ptr<SinkWriter> writer,
                                    std::shared_ptr<Committer> committer);

}  // namespace drey::operators
