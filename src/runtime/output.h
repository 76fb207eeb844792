// Output: one edge that leaves a task: from its batches to channels, by the edge's partitioner.
//
// Watermarks, barriers and ends go to every channel, behind the rows that came before them. Threading: task thread.
#pragma once

#include <memory>
#include <vector>

#include "data/key.h"
#include "graph/job_graph.h"
#include "operators/user_code.h"
#include "runtime/channel.h"

namespace drey::runtime {

struct OutputOptions {
  graph::Partitioner partitioner = graph::Partitioner::kForward;
  std::vector<data::KeyColumn> key_columns;
  std::uint32_t subtask = 0;
  std::uint32_t max_parallelism = 128;
  std::uint32_t consumer_parallelism = 1;
  // Task thread; valid while the output is. Only for kCustom.
  operators::UserCode* custom = nullptr;
};

class Output {
 public:
  // channels[i] leads to consumer `targets[i]`; for forward and rescale only to some of them.
  Output(const data::Schema& schema, OutputOptions options, std::vector<std::shared_ptr<Channel>> channels,
         data::BlockPool& pool);

  Status emit(const data::BatchRef& batch, operators::Emitter& context);
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
  std::size_t next_ = 0;
  std::uint64_t batches_ = 0;
  data::KeyVector keys_;
  std::vector<std::uint16_t> target_of_group_;
  std::vector<std::uint32_t> targets_;               // of each row
  std::vector<std::vector<std::uint32_t>> rows_of_;  // physical rows for each target
  std::vector<std::unique_ptr<data::BatchBuilder>> builders_;
};

}  // namespace drey::runtime
