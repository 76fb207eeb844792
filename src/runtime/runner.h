// Runner: one operator (or source) of a chain with its context and emitter; Link: how others reach a task. Internal to
// runtime/.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/io_lane.h"
#include "operators/operator_context.h"
#include "runtime/task.h"
#include "runtime/user_host.h"

namespace drey::runtime {

// Wakers held by channels and sources, and work on the pool, outlive the task: they reach it through this.
struct Task::Link {
  std::mutex mutex;
  Task* task = nullptr;  // guarded by mutex; null when the task is gone
  void wake() {
    std::lock_guard lock(mutex);
    if (task != nullptr) wake_task();
  }
  // Dropped when the task is gone.
  void post(Mail letter) {
    std::lock_guard lock(mutex);
    if (task == nullptr) return;
    letter.posted = task->around_.env.clock.ticks();
    {
      std::lock_guard mail_lock(task->mail_mutex_);
      task->mail_.push_back(std::move(letter));
    }
    task->has_mail_.store(true, std::memory_order_release);
    wake_task();
  }

 private:
  void wake_task() {
    task->woken_.store(true, std::memory_order_release);
    std::lock_guard waker_lock(task->waker_mutex_);
    if (task->waker_) task->waker_();
  }
};

class Task::Runner final : public operators::OperatorContext, public operators::Emitter {
 public:
  Runner(Task& task, std::uint32_t position, std::uint32_t number, OperatorMetrics& metrics);
  ~Runner() override;

  Status open();
  operators::Operator* op() { return operator_.get(); }
  operators::Source* source() { return source_.get(); }
  bool is_source() const { return node_.is_source(); }

  // Chain in, with counting.
  Status process(std::uint32_t input, const data::BatchRef& batch);
  Status on_watermark(std::int64_t watermark);
  Status on_idle(bool idle);
  std::int64_t wake() const { return wake_at_; }
  Status fire_wake(std::int64_t now_ms);
  // See Operator::fire_more.
  bool is_firing() const { return operator_ != nullptr && operator_->is_firing(); }
  Status fire_more() { return operator_->fire_more(*this); }

  // Asynchronous work.
  bool has_work() const { return !works_.empty(); }
  bool is_at_bound() const { return works_.size() >= operators::AsyncWork::kOutstandingMax; }
  bool holds_checkpoint(std::int64_t checkpoint_id) const;
  // The barrier passes: what is outstanding and says so holds the checkpoint.
  void note_barrier(std::int64_t checkpoint_id);
  // Before it is dropped, mail about work comes here.
  Status on_work_over(std::uint64_t id, const Status& result);
  // Starts what has waited long enough and gives up what takes too long.
  Status look_at_work(Ticks now);
  Ticks next_look() const;

  struct Route {
    std::uint32_t output = 0;
    Runner* next = nullptr;  // chained, or
    Output* edge = nullptr;
    std::uint32_t input = 0;
  };
  std::vector<Route> routes;

  // operators::Emitter
  Status emit(std::uint32_t output, data::BatchRef batch) override;
  Status advance(std::int64_t watermark) override;
  Status set_idle(bool idle) override;

  // operators::OperatorContext
  const graph::OperatorNode& node() const override { return node_; }
  OperatorId operator_id() const override { return id_; }
  JobId job_id() const override { return task_.spec_.job; }
  std::uint32_t subtask() const override { return task_.spec_.subtask; }
  std::uint32_t parallelism() const override { return static_cast<std::uint32_t>(task_.spec_.vertex.parallelism); }
  std::uint32_t max_parallelism() const override {
    return static_cast<std::uint32_t>(task_.spec_.vertex.max_parallelism);
  }
  std::uint32_t attempt() const override { return task_.spec_.attempt; }
  std::int64_t restored_checkpoint() const override { return task_.spec_.restored_checkpoint; }
  const std::string& task_name() const override { return task_.name_; }
  const data::Schema& output_schema(std::uint32_t output) const override { return outputs_.at(output); }
  const data::Schema& input_schema(std::uint32_t input) const override { return inputs_.at(input); }
  const std::vector<data::KeyColumn>& key_columns(std::uint32_t input) const override { return keys_.at(input); }
  operators::Splits& splits() override { return task_.splits_; }
  env::Env& env() override { return task_.around_.env; }
  data::BlockPool& pool() override { return task_.around_.blocks; }
  state::TaskState& state() override { return *task_.task_state_; }
  std::int64_t watermark() const override { return watermark_in_; }
  std::int64_t processing_time() const override { return task_.around_.env.clock.wall().millis; }
  void wake_at(std::int64_t time_ms) override { wake_at_ = std::min(wake_at_, time_ms); }
  void start(operators::AsyncWork work) override;
  std::function<void()> waker() override;
  void accumulate(std::string_view name, drey_accumulator_kind kind, std::int64_t whole, double real) override;
  std::int64_t* metric(std::string_view name, drey_metric_kind kind) override;
  std::int64_t* source_metric(std::string_view name, drey_metric_kind kind) override;
  const drey_functions* functions() const override { return code_.functions; }
  const void* closure() const override { return code_.closure; }
  drey_task* abi_task() override { return &abi_; }
  const drey_host* abi_host() override { return &user_host(); }
  void enter_user_code(operators::Emitter* out, const data::BatchRef* batch) override {
    abi_.user.out = out;
    abi_.user.batch = batch;
  }
  Status take_failure() override;

 private:
  // What fires at once, since it is not the first of its chain.
  Status fire_to_the_end();
  std::int64_t* metric_of(OperatorMetrics& metrics, std::string_view name, drey_metric_kind kind);

  struct Work {
    operators::AsyncWork work;  // `run` is gone once it is on the pool
    Ticks starts{};
    Ticks gives_up{};
    std::vector<std::int64_t> held = {};  // checkpoints
  };
  void put_on_pool(std::uint64_t id, Work& work);

  Task& task_;
  const std::uint32_t position_;  // in the chain
  const graph::OperatorNode& node_;
  const OperatorId id_;
  OperatorMetrics& metrics_;
  const bool gives_event_times_;  // to the rows of the task's source
  UserFunctions code_;
  std::vector<data::Schema> outputs_;
  std::vector<data::Schema> inputs_;
  std::vector<std::vector<data::KeyColumn>> keys_;
  drey_task abi_;
  std::int64_t watermark_in_ = kMinWatermark;
  std::int64_t watermark_out_ = kMinWatermark;
  std::int64_t wake_at_ = INT64_MAX;
  std::map<std::uint64_t, Work> works_;  // outstanding, in the order of their starts
  std::uint64_t next_work_ = 0;
  std::unique_ptr<env::IoLane> lane_;  // made for the first work that is in order
  const std::shared_ptr<std::atomic<bool>> is_gone_ = std::make_shared<std::atomic<bool>>(false);
  // Last, so that they go before what they use.
  std::unique_ptr<operators::Operator> operator_;
  std::unique_ptr<operators::Source> source_;
};

}  // namespace drey::runtime
