// OperatorContext: what the runtime offers one operator instance. Valid from open to destruction.
//
// Threading: task thread, except where a line says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "data/key.h"
#include "data/memory.h"
#include "data/type.h"
#include "drey/abi.h"
#include "env/env.h"
#include "graph/job_graph.h"
#include "state/task_state.h"

namespace drey::operators {

class Emitter;

// Parts of a source's input that it reads in turn, each with an event time of its own: after a restore at another
// parallelism a subtask may have several. Written by the source; watermarks follow the slowest active one.
struct Splits {
  std::uint32_t current = 0;       // the rows being emitted are of this one
  std::vector<bool> active{true};  // false: at its end
};

// Work that may block (files, the network, a look-up), done beside the task so that no worker waits for it.
//
// OperatorContext::start puts `run` on the I/O pool; when it is over, `done` is called in the task, like any other call
// into the operator.
// Lifetime: `run` owns all that it uses, as it may outlive the task; `done` may use the operator, which is there
// whenever it is called. An operator that is gone gets no mail: a task that fails or is cancelled drops what has not
// begun to run, and the results of what has, which must do no harm then. A task that starts shows RUNNING, and takes
// input, once the work of its operators' open() is over; a task that ends normally first waits for what is outstanding.
// Deadline: it counts from the start. Once it has passed, `done` gets kTimeout and the late result is dropped.
// Bounds: when kOutstandingMax works of one operator are outstanding, its task takes no input until one is over.
// Errors: what `done` returns fails the task, as does a failed work without `done`.
struct AsyncWork {
  static constexpr std::size_t kOutstandingMax = 16;

  std::string name = {};  // for failures: "writing to /out/part-0.csv"
  std::function<Status()> run = {};
  std::function<Status(const Status& result, Emitter& out)> done = {};
  Millis deadline{60'000};
  Millis delay{0};  // runs no sooner
  // Runs when the works of this operator that were started before it, and are in order too, are over.
  bool in_order = false;
  // A checkpoint whose barrier passes while this is outstanding waits for it before it is acknowledged.
  bool holds_checkpoints = false;
};

class OperatorContext {
 public:
  virtual ~OperatorContext() = default;

  virtual const graph::OperatorNode& node() const = 0;
  virtual OperatorId operator_id() const = 0;
  virtual JobId job_id() const = 0;
  virtual std::uint32_t subtask() const = 0;
  virtual std::uint32_t parallelism() const = 0;
  virtual std::uint32_t max_parallelism() const = 0;
  virtual std::uint32_t attempt() const = 0;
  // The checkpoint whose state was restored; -1: none was.
  virtual std::int64_t restored_checkpoint() const = 0;
  // "Source: bid (1/2)#0": for logs and failures.
  virtual const std::string& task_name() const = 0;

  // Schemas of the outputs, and of the batches that enter an input.
  virtual const data::Schema& output_schema(std::uint32_t output) const = 0;
  virtual const data::Schema& input_schema(std::uint32_t input) const = 0;
  // Key columns of the HASH edges that enter an input; empty: not keyed.
  virtual const std::vector<data::KeyColumn>& key_columns(std::uint32_t input) const = 0;

  virtual Splits& splits() = 0;  // of the task

  virtual env::Env& env() = 0;
  virtual data::BlockPool& pool() = 0;
  virtual state::TaskState& state() = 0;

  // Current event time of the operator's input, and the wall clock in ms.
  virtual std::int64_t watermark() const = 0;
  virtual std::int64_t processing_time() const = 0;
  // Asks for on_processing_time (operators) or poll (sources) at that time; the earliest one counts.
  virtual void wake_at(std::int64_t time_ms) = 0;
  // The one way to work that may block.
  virtual void start(AsyncWork work) = 0;
  // Makes an idle source be polled again. The function may be called from any thread, also after the task.
  virtual std::function<void()> waker() = 0;

  // Sums (or max/min) over the subtasks, shown by /accumulators.
  virtual void accumulate(std::string_view name, drey_accumulator_kind kind, std::int64_t whole, double real) = 0;
  // A cell that the operator writes and any thread reads; named below the operator's scope.
  virtual std::int64_t* metric(std::string_view name, drey_metric_kind kind) = 0;
  // The same below the scope of the source that this operator is chained to; null: there is none.
  virtual std::int64_t* source_metric(std::string_view name, drey_metric_kind kind) = 0;
  // For cells: other threads read them.
  static void set(std::int64_t* cell, std::int64_t value) { __atomic_store_n(cell, value, __ATOMIC_RELAXED); }
  static void add(std::int64_t* cell, std::int64_t n) { set(cell, *cell + n); }

  // User code of this operator; null for kinds without.
  virtual const drey_functions* functions() const = 0;
  virtual const void* closure() const = 0;
  // Bridges to the C ABI (runtime's user host).
  virtual drey_task* abi_task() = 0;
  virtual const drey_host* abi_host() = 0;
  // Where host calls made through abi_task() emit to, and the batch they are about; set around each call
  // into user code.
  virtual void enter_user_code(Emitter* out, const data::BatchRef* batch) = 0;
  // The failure that user code recorded through the ABI, taken; kUserCode. Ok when there is none.
  virtual Status take_failure() = 0;
};

}  // namespace drey::operators
