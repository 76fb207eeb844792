#include "control/execution/execution_graph.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace drey::control {
namespace {

constexpr std::size_t kExceptionsMax = 16;  // web.exception-history-size

// User errors that stay (an option, a row, a program that is wrong) need no second try.
bool may_heal(const FailureReport& failure) {
  const bool is_known = failure.code > 0 && failure.code <= static_cast<std::int32_t>(Code::kInternal);
  return !is_known || row_of(static_cast<Code>(failure.code)).retry != Retry::kNo;
}

}  // namespace

ExecutionGraph::ExecutionGraph(graph::Plan plan, std::unique_ptr<RestartStrategy> strategy, Instant now,
                               ExecutionOptions options)
    : plan_(std::move(plan)), strategy_(std::move(strategy)), options_(std::move(options)) {
  find_regions();
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

void ExecutionGraph::find_regions() {
  if (options_.regions) {
    regions_ = options_.regions(plan_);
    return;
  }
  regions_.clear();
  for (const graph::Vertex& vertex : plan_.vertices)
    regions_.emplace_back(static_cast<std::size_t>(vertex.parallelism));
}

template <typename Visit>
void ExecutionGraph::each(Visit visit) {
  for (std::uint32_t v = 0; v < executions_.size(); ++v) {
    for (std::uint32_t s = 0; s < executions_[v].size(); ++s) visit(v, s, executions_[v][s]);
  }
}

ExecutionGraph::Regions ExecutionGraph::all_regions() const {
  Regions all;
  for (const auto& vertex : regions_) all.insert(vertex.begin(), vertex.end());
  return all;
}

// Those with attempts that have finished and that no restart under way takes along.
ExecutionGraph::Regions ExecutionGraph::finished_regions() {
  Regions finished;
  each([&](std::uint32_t v, std::uint32_t s, const Execution& execution) {
    const std::uint32_t region = region_of(v, s);
    const bool restarts = std::any_of(restarting_.begin(), restarting_.end(),
                                      [&](const auto& r) { return r.second.regions.contains(region); });
    if (execution.current().state == AttemptState::kFinished && !restarts) finished.insert(region);
  });
  return finished;
}

std::string ExecutionGraph::task_name(std::uint32_t vertex, std::uint32_t subtask) const {
  return fmt::format("{} ({}/{}) - execution #{}", plan_.vertices[vertex].name, subtask + 1,
                     plan_.vertices[vertex].parallelism, executions_[vertex][subtask].current().number);
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
  if (state_ != JobState::kRunning && state_ != JobState::kRestarting) {
    // While tasks are being cancelled their slots are not free yet: settle() gives all back.
    if (!has_slots_) out.push_back(ReleaseSlots{});
    return out;
  }
  has_slots_ = true;
  Regions deployed;
  each([&](std::uint32_t v, std::uint32_t s, Execution& execution) {
    Attempt& attempt = execution.current();
    if (attempt.state != AttemptState::kScheduled) return;
    attempt.task_manager = places[v][s].task_manager;
    attempt.host = places[v][s].host;
    attempt.data_port = places[v][s].data_port;
    set(attempt, AttemptState::kDeploying, now);
    deployed.insert(region_of(v, s));
  });
  if (!deployed.empty()) out.push_back(DeployTasks{{deployed.begin(), deployed.end()}});
  return out;
}

Actions ExecutionGraph::on_slots_failed(const Status& why, Instant now) {
  FailureReport failure{static_cast<std::int32_t>(why.code()), why.message(),
                        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException", ""};
  Actions out;
  Regions waiting;
  each([&](std::uint32_t v, std::uint32_t s, Execution& execution) {
    if (execution.current().state == AttemptState::kScheduled) waiting.insert(region_of(v, s));
  });
  if (waiting.empty()) return out;
  ExceptionEntry entry;
  entry.failure = failure;
  entry.time = now.millis;
  on_failure(std::move(entry), std::move(waiting), true, now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::on_task_state(std::uint32_t vertex, std::uint32_t subtask, std::uint32_t number,
                                      AttemptState state, const FailureReport& failure, Instant now) {
  Actions out;
  if (vertex >= executions_.size() || subtask >= executions_[vertex].size()) return out;
  Execution& execution = executions_[vertex][subtask];
  Attempt& attempt = execution.current();
  if (attempt.number != number || is_terminal(attempt.state)) return out;
  if (attempt.state == AttemptState::kCanceling && !is_terminal(state)) return out;
  set(attempt, state, now);
  if (state == AttemptState::kRunning && all_running()) is_partial_ = false;
  if (state == AttemptState::kFailed) {
    attempt.failure = failure;
    ExceptionEntry entry;
    entry.failure = failure;
    entry.time = now.millis;
    entry.task_name = task_name(vertex, subtask);
    entry.endpoint = fmt::format("{}:{}", attempt.host, attempt.data_port);
    entry.task_manager = attempt.task_manager;
    on_failure(std::move(entry), {region_of(vertex, subtask)}, true, now, out);
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
  // One loss is one failure, whatever number of tasks it takes along.
  std::optional<ExceptionEntry> entry;
  Regions regions;
  each([&](std::uint32_t v, std::uint32_t s, Execution& execution) {
    Attempt& attempt = execution.current();
    if (attempt.task_manager != task_manager || is_terminal(attempt.state) || attempt.state < AttemptState::kDeploying)
      return;
    if (attempt.state == AttemptState::kCanceling) return set(attempt, AttemptState::kCanceled, now);
    attempt.failure = why;
    set(attempt, AttemptState::kFailed, now);
    regions.insert(region_of(v, s));
    if (entry) return;
    entry.emplace();
    entry->failure = why;
    entry->time = now.millis;
    entry->task_name = task_name(v, s);
    entry->endpoint = fmt::format("{}:{}", attempt.host, attempt.data_port);
    entry->task_manager = task_manager;
  });
  if (entry) on_failure(std::move(*entry), std::move(regions), true, now, out);
  settle(now, out);
  return out;
}

void ExecutionGraph::add_exception(ExceptionEntry entry) {
  entry.number = next_exception_++;
  exceptions_.push_front(std::move(entry));
  if (exceptions_.size() > kExceptionsMax) exceptions_.pop_back();
}

void ExecutionGraph::on_failure(ExceptionEntry entry, Regions regions, bool may_restart, Instant now, Actions& out) {
  if (state_ != JobState::kRunning && state_ != JobState::kRestarting && state_ != JobState::kFailing) return;
  // What fails while the others of its region are being cancelled belongs to the failure that began it.
  std::optional<std::uint64_t> begun;
  for (const auto& [failure, restart] : restarting_) {
    for (const std::uint32_t region : restart.regions) {
      if (regions.erase(region) != 0 && !begun) begun = failure;
    }
  }
  if (state_ == JobState::kFailing || (regions.empty() && begun && may_restart)) {
    auto it = exceptions_.begin();
    while (state_ != JobState::kFailing && it != exceptions_.end() && it->number != *begun) ++it;
    if (it != exceptions_.end() && it->concurrent.size() < kExceptionsMax) it->concurrent.push_back(std::move(entry));
    return;
  }
  const FailureReport cause = entry.failure;
  const bool is_tried_again = may_restart && may_heal(cause);
  const auto delay = is_tried_again ? strategy_->on_failure(now) : std::nullopt;
  if (delay) {
    add_exception(std::move(entry));
    if (options_.restarts_finished) regions.merge(finished_regions());
    is_partial_ = true;
    cancel(regions, now, out);
    restarting_[exceptions_.front().number] = {std::move(regions), *delay, true, {}, false};
    move(JobState::kRestarting, now, out);
    return;
  }
  failure_ = cause;
  if (is_tried_again) {
    ExceptionEntry whole;
    whole.failure = cause;
    whole.failure.origin = "org.apache.flink.runtime.JobException";
    whole.failure.message = "Recovery is suppressed by " + strategy_->name();
    whole.failure.stack =
        fmt::format("Caused by: {}: {}", cause.origin.empty() ? "drey.Failure" : cause.origin, cause.message);
    whole.time = entry.time;
    whole.concurrent.push_back(std::move(entry));
    add_exception(std::move(whole));
  } else {
    add_exception(std::move(entry));
  }
  restarting_.clear();
  move(JobState::kFailing, now, out);
  cancel(all_regions(), now, out);
}

void ExecutionGraph::cancel(const Regions& regions, Instant now, Actions& out) {
  each([&](std::uint32_t v, std::uint32_t s, Execution& execution) {
    Attempt& attempt = execution.current();
    if (!regions.contains(region_of(v, s)) || is_terminal(attempt.state) || attempt.state == AttemptState::kCanceling)
      return;
    // Before its deployment nobody runs it.
    if (attempt.state < AttemptState::kDeploying) return set(attempt, AttemptState::kCanceled, now);
    set(attempt, AttemptState::kCanceling, now);
    out.push_back(CancelAttempt{v, s, attempt.number, attempt.task_manager});
  });
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
  // What finishes between a failure and the time when all run again obeys a checkpoint of before the failure.
  if (options_.restarts_finished && is_partial_ && (state_ == JobState::kRunning || state_ == JobState::kRestarting)) {
    if (Regions finished = finished_regions(); !finished.empty()) restart(std::move(finished), {}, now, out);
  }
  for (auto& entry : restarting_) {
    auto& restart = entry.second;
    bool has_ended = !restart.has_timer;
    each([&](std::uint32_t v, std::uint32_t s, const Execution& execution) {
      has_ended = has_ended && (is_terminal(execution.current().state) || !restart.regions.contains(region_of(v, s)));
    });
    if (!has_ended) continue;
    restart.has_timer = true;
    out.push_back(RestartAfter{restart.delay, entry.first});
  }
  if (!all_terminal()) return;
  switch (state_) {
    case JobState::kRunning:
      move(JobState::kFinished, now, out);
      break;
    case JobState::kCancelling:
      move(JobState::kCanceled, now, out);
      break;
    case JobState::kFailing:
      move(JobState::kFailed, now, out);
      break;
    default:
      return;
  }
  if (has_slots_) out.insert(out.end() - 1, ReleaseSlots{});
  has_slots_ = false;
}

// A restart that no failure caused.
void ExecutionGraph::restart(Regions regions, std::vector<std::int32_t> parallelism, Instant now, Actions& out) {
  cancel(regions, now, out);
  restarting_[next_exception_++] = {std::move(regions), Millis(0), false, std::move(parallelism), false};
  move(JobState::kRestarting, now, out);
}

void ExecutionGraph::set_parallelism(const std::vector<std::int32_t>& parallelism, Actions& out) {
  for (std::size_t v = 0; v < parallelism.size(); ++v) {
    auto& vertex = executions_[v];
    plan_.vertices[v].parallelism = parallelism[v];
    // A new subtask's attempts go on where its neighbours' are, so that no two attempts of a job are taken for one.
    Execution fresh;
    fresh.attempts.emplace_back();
    for (const Execution& e : vertex) fresh.current().number = std::max(fresh.current().number, e.current().number);
    vertex.resize(static_cast<std::size_t>(parallelism[v]), fresh);
  }
  find_regions();
  // Another number of slots is another choice of slots.
  if (has_slots_) out.push_back(ReleaseSlots{});
  has_slots_ = false;
}

Actions ExecutionGraph::resize(const std::vector<std::int32_t>& parallelism, Instant now) {
  Actions out;
  if (state_ != JobState::kRunning) return out;
  bool has_deployed = false;
  each([&](std::uint32_t, std::uint32_t, const Execution& e) {
    has_deployed = has_deployed || e.current().state != AttemptState::kScheduled;
  });
  if (has_deployed) return redeploy(parallelism, now);
  set_parallelism(parallelism, out);
  each([&](std::uint32_t, std::uint32_t, Execution& e) { set(e.current(), AttemptState::kScheduled, now); });
  out.push_back(RequestSlots{});
  return out;
}

Actions ExecutionGraph::redeploy(std::vector<std::int32_t> parallelism, Instant now) {
  Actions out;
  if (state_ != JobState::kRunning) return out;
  restart(all_regions(), std::move(parallelism), now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::restart_rest(Instant now) {
  Actions out;
  if (state_ != JobState::kRestarting) return out;
  Regions rest = all_regions();
  for (const auto& [number, restart] : restarting_) {
    for (const std::uint32_t region : restart.regions) rest.erase(region);
  }
  if (rest.empty()) return out;
  restart(std::move(rest), {}, now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::on_restart_timer(std::uint64_t number, Instant now) {
  Actions out;
  const auto found = restarting_.find(number);
  if (state_ != JobState::kRestarting || found == restarting_.end() || !found->second.has_timer) return out;
  Restart restart = std::move(found->second);
  restarting_.erase(found);
  if (restart.is_failure) ++restarts_;
  if (!restart.parallelism.empty()) {
    set_parallelism(restart.parallelism, out);
    restart.regions = all_regions();
  }
  each([&](std::uint32_t v, std::uint32_t s, Execution& execution) {
    if (!restart.regions.contains(region_of(v, s))) return;
    Attempt next;
    next.number = execution.current().number + 1;
    next.entered[0] = now.millis;
    if (execution.current().entered[0] == 0) execution.attempts.clear();  // a subtask that was not there before
    execution.attempts.push_back(std::move(next));
    if (execution.attempts.size() > kExceptionsMax) execution.attempts.erase(execution.attempts.begin());
    execution.data_ended = false;
    set(execution.current(), AttemptState::kScheduled, now);
  });
  if (restarting_.empty()) move(JobState::kRunning, now, out);
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
  restarting_.clear();
  move(JobState::kCancelling, now, out);
  cancel(all_regions(), now, out);
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
  on_failure(std::move(entry), all_regions(), may_restart, now, out);
  settle(now, out);
  return out;
}

Actions ExecutionGraph::suspend(Instant now) {
  Actions out;
  if (is_globally_terminal(state_) || state_ == JobState::kSuspended) return out;
  restarting_.clear();
  move(JobState::kSuspended, now, out);
  cancel(all_regions(), now, out);
  return out;
}

}  // namespace drey::control
