#include "control/execution/execution_graph.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace drey::control {
namespace {

constexpr std::size_t kExceptionsMax = 16;  // web.exception-history-size

}  // namespace

ExecutionGraph::ExecutionGraph(graph::Plan plan, std::unique_ptr<RestartStrategy> strategy, Instant now)
    : plan_(std::move(plan)), strategy_(std::move(strategy)) {
  entered_[static_cast<std::size_t>(JobState::kInitializing)] = now.millis;
  for (const graph::Vertex& vertex : plan_.vertices) {
    executions_.emplace_back();
    for (std::int32_t s = 0; s < vertex.parallelism; ++s) {
      Execution execution;
      execution.attempts.emplace_back();
      execution.current().entered[0] = now.millis;
      executions_.back().push_back(std::move(execution));
    }
  }
}

std::string ExecutionGraph::task_name(std::uint32_t vertex, std::uint32_t subtask) const {
  return fmt::format("{} ({}/{}) - execution #{}", plan_.vertices[vertex].name, subtask + 1, plan_.vertices[vertex].parallelism,
                     executions_[vertex][subtask].current().number);
}

void ExecutionGraph::move(JobState state, Instant now, Actions& out) {
  if (state == state_) return;
  DREY_CHECK(is_legal(state_, state));
  state_ = state;
  entered_[static_cast<std::size_t>(state)] = now.millis;
  out.push_back(JobStateMoved{state});
}

void ExecutionGraph::set(Attempt& attempt, AttemptState state, Instant now) {
  attempt.state = state;
  attempt.entered[static_cast<std::size_t>(state)] = now.millis;
}

Actions ExecutionGraph::start(Instant now) {
  Actions out;
  move(JobState::kCreated, now, out);
  move(JobState::kRunning, now, out);
  for (auto& vertex : executions_) {
    for (Execution& e : vertex) set(e.current(), AttemptState::kScheduled, now);
  }
  out.push_back(RequestSlots{});
  return out;
}

Actions ExecutionGraph::on_slots(const std::vector<std::vector<Place>>& places, Instant now) {
  Actions out;
  if (state_ != JobState::kRunning) {
    out.push_back(ReleaseSlots{});
    return out;
  }
  has_slots_ = true;
  for (std::size_t v = 0; v < executions_.size(); ++v) {
    for (std::size_t s = 0; s < executions_[v].size(); ++s) {
      Attempt& attempt = executions_[v][s].current();
      attempt.task_manager = places[v][s].task_manager;
      attempt.host = places[v][s].host;
      attempt.data_port = places[v][s].data_port;
      set(attempt, AttemptState::kDeploying, now);
    }
  }
  out.push_back(DeployTasks{});
  return out;
}

Actions ExecutionGraph::on_slots_failed(const Status& why, Instant now) {
  FailureReport failure{static_cast<std::int32_t>(why.code()), why.message(),
                        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException", ""};
  return fail_job(failure, true, now);
}

Actions ExecutionGraph::on_task_state(std::uint32_t vertex, std::uint32_t subtask, std::uint32_t number, AttemptState state,
                                      const FailureReport& failure, Instant now) {
  Actions out;
  if (vertex >= executions_.size() || subtask >= executions_[vertex].size()) return out;
  Execution& execution = executions_[vertex][subtask];
  Attempt& attempt = execution.current();
  if (attempt.number != number || is_terminal(attempt.state)) return out;
  if (attempt.state == AttemptState::kCanceling && !is_terminal(state)) return out;
  set(attempt, state, now);
  if (state == AttemptState::kFailed) {
    attempt.failure = failure;
    ExceptionEntry entry;
    entry.failure = failure;
    entry.time = now.millis;
    entry.task_name = task_name(vertex, subtask);
    entry.endpoint = fmt::format("{}:{}", attempt.host, attempt.data_port);
    entry.task_manager = attempt.task_manager;
    on_failure(std::move(entry), true, now, out);
  }
  settle(now, out);
  return out;
}

Actions ExecutionGraph::on_end_of_data(std::uint32_t vertex, std::uint32_t subtask, std::uint32_t number) {
  Actions out;
  if (vertex >= executions_.size() || subtask >= executions_[vertex].size()) return out;
  Execution& execution = executions_[vertex][subtask];
  if (execution.current().number != number || execution.data_ended) return out;
  execution.data_ended = true;
  for (const auto& v : executions_) {
    for (const Execution& e : v) {
      if (!e.data_ended) return out;
    }
  }
  out.push_back(AllDataEnded{});
  return out;
}

Actions ExecutionGraph::on_task_manager_lost(const std::string& task_manager, const FailureReport& why, Instant now) {
  Actions out;
  bool first = true;
  for (std::uint32_t v = 0; v < executions_.size(); ++v) {
    for (std::uint32_t s = 0; s < executions_[v].size(); ++s) {
      Attempt& attempt = executions_[v][s].current();
      if (attempt.task_manager != task_manager || is_terminal(attempt.state) || attempt.state < AttemptState::kDeploying) continue;
      if (attempt.state == AttemptState::kCanceling) {
        set(attempt, AttemptState::kCanceled, now);
        continue;
      }
      attempt.failure = why;
      set(attempt, AttemptState::kFailed, now);
      ExceptionEntry entry;
      entry.failure = why;
      entry.time = now.millis;
      entry.task_name = task_name(v, s);
      entry.endpoint = fmt::format("{}:{}", attempt.host, attempt.data_port);
      entry.task_manager = task_manager;
      // One loss is one failure, whatever number of tasks it takes along.
      if (first) on_failure(std::move(entry), true, now, out);
      first = false;
    }
  }
  settle(now, out);
  return out;
}

void ExecutionGraph::add_exception(ExceptionEntry entry) {
  exceptions_.push_front(std::move(entry));
  if (exceptions_.size() > kExceptionsMax) exceptions_.pop_back();
}

void ExecutionGraph::on_failure(ExceptionEntry entry, bool may_restart, Instant now, Actions& out) {
  if (state_ == JobState::kRunning) {
    const FailureReport cause = entry.failure;
    const auto delay = may_restart ? strategy_->on_failure(now) : std::nullopt;
    if (delay) {
      add_exception(std::move(entry));
      restart_delay_ = delay;
      move(JobState::kRestarting, now, out);
    } else {
      failure_ = cause;
      if (may_restart) {
        ExceptionEntry whole;
        whole.failure = cause;
        whole.failure.origin = "org.apache.flink.runtime.JobException";
        whole.failure.message = "Recovery is suppressed by " + strategy_->name();
        whole.failure.stack = fmt::format("Caused by: {}: {}", cause.origin.empty() ? "drey.Failure" : cause.origin, cause.message);
        whole.time = entry.time;
        whole.concurrent.push_back(std::move(entry));
        add_exception(std::move(whole));
      } else {
        add_exception(std::move(entry));
      }
      move(JobState::kFailing, now, out);
    }
    cancel_all(now, out);
  } else if (!exceptions_.empty() && !redeploys_ && (state_ == JobState::kRestarting || state_ == JobState::kFailing)) {
    // What fails while the others are being cancelled belongs to the failure that began it.
    auto& concurrent = exceptions_.front().concurrent;
    if (concurrent.size() < kExceptionsMax) concurrent.push_back(std::move(entry));
  }
}

void ExecutionGraph::cancel_all(Instant now, Actions& out) {
  for (std::uint32_t v = 0; v < executions_.size(); ++v) {
    for (std::uint32_t s = 0; s < executions_[v].size(); ++s) {
      Attempt& attempt = executions_[v][s].current();
      if (is_terminal(attempt.state) || attempt.state == AttemptState::kCanceling) continue;
      if (attempt.state < AttemptState::kDeploying) {
        set(attempt, AttemptState::kCanceled, now);  // nobody runs it
        continue;
      }
      set(attempt, AttemptState::kCanceling, now);
      out.push_back(CancelAttempt{v, s, attempt.number, attempt.task_manager});
    }
  }
}

bool ExecutionGraph::all_terminal() const {
  for (const auto& vertex : executions_) {
    for (const Execution& e : vertex) {
      if (!is_terminal(e.current().state)) return false;
    }
  }
  return true;
}

bool ExecutionGraph::all_running() const {
  for (const auto& vertex : executions_) {
    for (const Execution& e : vertex) {
      if (e.current().state != AttemptState::kRunning) return false;
    }
  }
  return state_ == JobState::kRunning;
}

void ExecutionGraph::settle(Instant now, Actions& out) {
  if (!all_terminal()) return;
  if (has_slots_ && state_ != JobState::kSuspended) {
    has_slots_ = false;
    out.push_back(ReleaseSlots{});
  }
  switch (state_) {
    case JobState::kRunning: move(JobState::kFinished, now, out); break;
    case JobState::kCancelling: move(JobState::kCanceled, now, out); break;
    case JobState::kFailing: move(JobState::kFailed, now, out); break;
    case JobState::kRestarting:
      if (restart_delay_) {
        out.push_back(RestartAfter{*restart_delay_});
        restart_delay_.reset();
      }
      break;
    default: break;
  }
}

void ExecutionGraph::set_parallelism(const std::vector<std::int32_t>& parallelism) {
  for (std::size_t v = 0; v < parallelism.size(); ++v) {
    auto& vertex = executions_[v];
    plan_.vertices[v].parallelism = parallelism[v];
    // A new subtask's attempts go on where its neighbours' are, so that no two attempts of a job are taken for one.
    Execution fresh;
    fresh.attempts.emplace_back();
    for (const Execution& e : vertex) fresh.current().number = std::max(fresh.current().number, e.current().number);
    vertex.resize(static_cast<std::size_t>(parallelism[v]), fresh);
  }
}

Actions ExecutionGraph::resize(const std::vector<std::int32_t>& parallelism, Instant now) {
  Actions out;
  if (state_ != JobState::kRunning || has_slots_) return out;
  set_parallelism(parallelism);
  for (auto& vertex : executions_) {
    for (Execution& e : vertex) set(e.current(), AttemptState::kScheduled, now);
  }
  out.push_back(RequestSlots{});
  return out;
}

Actions ExecutionGraph::on_restart_timer(Instant now) {
  Actions out;
  if (state_ != JobState::kRestarting) return out;
  if (!redeploys_) ++restarts_;
  redeploys_ = false;
  set_parallelism(next_parallelism_);
  next_parallelism_.clear();
  for (auto& vertex : executions_) {
    for (Execution& e : vertex) {
      Attempt next;
      next.number = e.current().number + 1;
      next.entered[0] = now.millis;
      if (e.current().entered[0] == 0) e.attempts.clear();  // a subtask that was not there before
      e.attempts.push_back(std::move(next));
      if (e.attempts.size() > kExceptionsMax) e.attempts.erase(e.attempts.begin());
      e.data_ended = false;
      set(e.current(), AttemptState::kScheduled, now);
    }
  }
  move(JobState::kRunning, now, out);
  out.push_back(RequestSlots{});
  return out;
}

Actions ExecutionGraph::cancel(Instant now) {
  Actions out;
  if (is_globally_terminal(state_) || state_ == JobState::kCancelling || state_ == JobState::kSuspended) return out;
  if (state_ == JobState::kInitializing || state_ == JobState::kCreated) {
    for (auto& vertex : executions_) {
      for (Execution& e : vertex) set(e.current(), AttemptState::kCanceled, now);
    }
    move(JobState::kCanceled, now, out);
    return out;
  }
  restart_delay_.reset();
  move(JobState::kCancelling, now, out);
  cancel_all(now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::redeploy(std::vector<std::int32_t> parallelism, Instant now) {
  Actions out;
  if (state_ != JobState::kRunning) return out;
  next_parallelism_ = std::move(parallelism);
  redeploys_ = true;
  restart_delay_ = Millis(0);
  move(JobState::kRestarting, now, out);
  cancel_all(now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::fail_job(const FailureReport& why, bool may_restart, Instant now) {
  Actions out;
  ExceptionEntry entry;
  entry.failure = why;
  entry.time = now.millis;
  if (state_ == JobState::kInitializing) {
    failure_ = why;
    add_exception(std::move(entry));
    for (auto& vertex : executions_) {
      for (Execution& e : vertex) set(e.current(), AttemptState::kCanceled, now);
    }
    move(JobState::kFailed, now, out);
    return out;
  }
  on_failure(std::move(entry), may_restart, now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::suspend(Instant now) {
  Actions out;
  if (is_globally_terminal(state_) || state_ == JobState::kSuspended) return out;
  move(JobState::kSuspended, now, out);
  cancel_all(now, out);
  return out;
}

}  // namespace drey::control
