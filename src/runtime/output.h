// Output: one edge that leaves a task: from its batches to channels, by the edge's partitioner.
//
// Watermarks, barriers and ends go to every channel, behind the rows that came before them. Threading: task thread.
#pragma once

#include <memory>
#include <vector>

#include "data/key.h"
#include "graph/job_graph.h"
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
  // Rows that wait in builders are sent.
  void flush();
  void broadcast(const Item& item);
  bool has_credit() const;
  // See Channel::wait_for_credit; true when some channel has none.
  bool wait_for_credit();
  const std::vector<std::shared_ptr<Channel>>& channels() const { return channels_; }
  std::uint64_t batches() const { return batches_; }

 private:
  void send(std::size_t target, data::BatchRef batch);
  void scatter(const data::BatchRef& batch);

  const data::Schema& schema_;
  const OutputOptions options_;
  std::vector<std::shared_ptr<Channel>> channels_;
  data::BlockPool& pool_;
  drey_task partitioner_task_;
  void* partitioner_ = nullptr;
  std::size_t next_ = 0;
  std::uint64_t batches_ = 0;
  data::KeyVector keys_;
  std::vector<std::uint16_t> target_of_group_;
  std::vector<std::uint32_t> targets_;               // of each row
  std::vector<std::vector<std::uint32_t>> rows_of_;  // physical rows for each target
  std::vector<std::unique_ptr<data::BatchBuilder>> builders_;
};

}  // namespace drey::runtime
