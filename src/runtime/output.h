// Output: one edge that leaves a task: from its batches to channels, by the edge's partitioner.
//
// Watermarks, barriers and ends go to every channel, behind the rows that came before them. Threading: task thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "data/key.h"
#include "graph/job_graph.h"
#include "runtime/cell.h"
#include "runtime/channel.h"
#include "runtime/module.h"
#include "runtime/user_host.h"

namespace drey::runtime {

struct OutputOptions {
  graph::Partitioner partitioner = graph::Partitioner::kForward;
  std::vector<data::KeyColumn> key_columns;
  std::uint32_t subtask = 0;
  std::uint32_t max_parallelism = 128;
  std::uint32_t consumer_parallelism = 1;
  UserFunctions custom;  // only for kCustom
  // How long rows may wait in a builder while the task is busy; zero: no longer than emit() takes; absent: until it is
  // full.
  std::optional<Nanos> buffer_timeout;
  Cell* batches = nullptr;  // counts what is sent, with the task's other outputs; null: nobody wants to know
};

class Output {
 public:
  // channels[i] leads to consumer `targets[i]`; for forward and rescale only to some of them.
  Output(const data::Schema& schema, OutputOptions options, std::vector<std::shared_ptr<Channel>> channels,
         data::BlockPool& pool);

  ~Output();

  // kCustom: makes the instance of the user's partitioner, in the surroundings of the operator before it.
  Status open_custom(operators::OperatorContext& context);
  Status emit(const data::BatchRef& batch);
  // Rows that wait in builders are sent: now, when the timeout has passed since the first look after they came, or
  // because the task has nothing else to do.
  void flush();
  void flush_if_due(Ticks now);
  void on_idle();
  bool holds_rows() const { return held_ > 0; }
  void broadcast(const Item& item);
  bool has_credit();
  // See Channel::wait_for_credit; true when some channel has none.
  bool wait_for_credit();
  const std::vector<std::shared_ptr<Channel>>& channels() const { return channels_; }

 private:
  void send(std::size_t target, data::BatchRef batch);
  void scatter(const data::BatchRef& batch);
  void sort_by_target(const data::RowBatch& batch);
  void send_held(std::size_t target);
  void push(std::size_t target, Item item);
  bool is_too_busy();

  const data::Schema& schema_;
  const OutputOptions options_;
  std::vector<std::shared_ptr<Channel>> channels_;
  data::BlockPool& pool_;
  drey_task partitioner_task_;
  void* partitioner_ = nullptr;
  std::size_t next_ = 0;
  // Channels that had no credit when last looked at, each once: asking one a second time would take the first request
  // back when it has credit by then, and nobody would wake the task.
  std::vector<std::uint32_t> lacking_;
  std::vector<bool> is_lacking_;
  // With very many channels: those that were not empty when last looked at, and the one that was waited for.
  std::vector<std::uint32_t> busy_;
  std::vector<bool> is_busy_;
  std::size_t waits_for_ = 0;
  std::uint64_t shuffled_ = 0;  // batches
  data::KeyVector keys_;
  std::vector<std::uint16_t> target_of_group_;
  // Of the batch that is being sent.
  std::vector<std::uint32_t> targets_;  // of each row
  std::vector<std::uint32_t> rows_, begins_, next_of_;
  std::vector<std::unique_ptr<data::BatchBuilder>> builders_;  // made at first use, gone when sent
  std::size_t held_ = 0;                                       // of them with rows
  std::optional<Ticks> held_since_;
};

}  // namespace drey::runtime
