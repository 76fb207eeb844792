#include "control/checkpoint/coordinator.h"

#include <algorithm>

#include <fmt/format.h>

namespace drey::control {
namespace {

constexpr std::size_t kHistoryMax = 10;   // web.checkpoints.history
constexpr std::size_t kRequestsMax = 64;  // waiting ones
constexpr const char* kNotRunning =
    "Checkpoint triggering task is not being executed at the moment. Aborting checkpoint. Failure reason: Not all "
    "required "
    "tasks are currently running.";

}  // namespace

std::uint64_t Checkpoint::written_bytes() const {
  std::uint64_t bytes = 0;
  for (const TaskCheckpoint& t : tasks) bytes += t.ack.written_bytes;
  return bytes;
}
std::uint64_t Checkpoint::state_bytes() const {
  std::uint64_t bytes = 0;
  for (const TaskCheckpoint& t : tasks) bytes += t.ack.state_bytes;
  return bytes;
}
std::uint64_t Checkpoint::processed_bytes() const {
  std::uint64_t bytes = 0;
  for (const TaskCheckpoint& t : tasks) bytes += t.ack.processed_bytes;
  return bytes;
}
std::size_t Checkpoint::acknowledged() const {
  return static_cast<std::size_t>(
      std::count_if(tasks.begin(), tasks.end(), [](const auto& t) { return t.acknowledged; }));
}

CheckpointCoordinator::CheckpointCoordinator(CheckpointOptions options, std::vector<std::uint32_t> tasks,
                                             std::int64_t next_id)
    : options_(options), tasks_(std::move(tasks)), next_id_(next_id) {}

void CheckpointCoordinator::on_running(Instant now) {
  running_ = true;
  final_wanted_ = false;
  next_trigger_ = options_.interval.count() > 0 ? now + options_.interval : Instant{INT64_MAX};
}

CheckpointDecisions CheckpointCoordinator::on_stopped(std::string_view why, Instant now) {
  CheckpointDecisions out;
  running_ = false;
  final_wanted_ = false;
  next_trigger_ = {INT64_MAX};
  // One whose metadata is on its way stays: it is complete whatever becomes of the tasks.
  if (pending_ && !storing_) abort(why, false, now, out);
  // An order that came too late is not obeyed by the tasks that start next.
  while (requests_.size() > (is_request_pending_ ? 1u : 0u)) {
    out.push_back(SnapshotRequestEnded{requests_.back().ticket, false, 0, "", std::string(why)});
    requests_.pop_back();
  }
  return out;
}

CheckpointDecisions CheckpointCoordinator::on_ended(std::string_view why, Instant now) {
  CheckpointDecisions out = on_stopped(why, now);
  if (pending_) abort(why, false, now, out);
  return out;
}

Instant CheckpointCoordinator::next_time() const {
  if (pending_) return Instant{pending_->trigger_time} + options_.timeout;
  return running_ ? next_trigger_ : Instant{INT64_MAX};
}

CheckpointDecisions CheckpointCoordinator::on_time(Instant now) {
  CheckpointDecisions out;
  if (now < next_time()) return out;
  if (pending_) {
    abort("Checkpoint expired before completing.", running_, now, out);
  } else {
    start(now, out);
  }
  return out;
}

CheckpointDecisions CheckpointCoordinator::trigger_now(Instant now, bool is_final) {
  CheckpointDecisions out;
  if (!running_) return out;
  final_wanted_ = final_wanted_ || is_final;
  if (!pending_) start(now, out);
  return out;
}

CheckpointDecisions CheckpointCoordinator::request(SnapshotRequest request, Instant now) {
  CheckpointDecisions out;
  if (!running_ || requests_.size() >= kRequestsMax) {
    out.push_back(SnapshotRequestEnded{request.ticket, false, 0, "",
                                       running_ ? "Too many snapshots of this job wait already." : kNotRunning});
    return out;
  }
  requests_.push_back(std::move(request));
  if (!pending_) start(now, out);
  return out;
}

void CheckpointCoordinator::end_request(bool ok, std::int64_t id, std::string path, std::string_view why,
                                        CheckpointDecisions& out) {
  if (!is_request_pending_) return;
  is_request_pending_ = false;
  out.push_back(SnapshotRequestEnded{requests_.front().ticket, ok, id, std::move(path), std::string(why)});
  requests_.pop_front();
}

void CheckpointCoordinator::start(Instant now, CheckpointDecisions& out) {
  Checkpoint checkpoint;
  checkpoint.id = next_id_++;
  checkpoint.trigger_time = now.millis;
  Barrier barrier{checkpoint.id, checkpoint.trigger_time, SnapshotForm::kIncremental, AfterSnapshot::kGoOn, ""};
  if (!requests_.empty()) {
    is_request_pending_ = true;
    const SnapshotRequest& request = requests_.front();
    barrier.form = checkpoint.form = request.form;
    barrier.after = checkpoint.after = request.after;
    barrier.directory = checkpoint.path = request.directory;
    checkpoint.keep = is_savepoint(request.form);
  }
  // All that there is lies behind it: who has ended may go.
  checkpoint.is_final = checkpoint.after != AfterSnapshot::kGoOn || (final_wanted_ && !checkpoint.keep);
  for (std::uint32_t v = 0; v < tasks_.size(); ++v) {
    for (std::uint32_t s = 0; s < tasks_[v]; ++s) {
      TaskCheckpoint task;
      task.vertex = v;
      task.subtask = s;
      checkpoint.tasks.push_back(std::move(task));
    }
  }
  if (options_.interval.count() > 0 && !checkpoint.keep) next_trigger_ = now + options_.interval;
  out.push_back(TriggerCheckpoint{std::move(barrier)});
  pending_ = std::move(checkpoint);
}

CheckpointDecisions CheckpointCoordinator::on_ack(const SnapshotAck& ack, Instant now) {
  CheckpointDecisions out;
  if (!pending_ || storing_ || pending_->id != ack.checkpoint_id) {
    // Late, for a checkpoint that is gone: what it wrote is nobody's. Files of others it only refers to. Said twice, it
    // names what the checkpoint that is being stored, or is complete, has.
    if (ack.ok && !ack.files.empty() && !needed_files().contains(ack.files[0].first)) {
      out.push_back(DeleteFiles{{ack.files[0].first}, {}});
    }
    return out;
  }
  for (TaskCheckpoint& task : pending_->tasks) {
    if (task.vertex != ack.task.vertex || task.subtask != ack.task.subtask || task.acknowledged) continue;
    task.ack = ack;
    if (!ack.ok) {
      abort(fmt::format("Asynchronous task checkpoint failed. Caused by: {}", ack.failure.message), true, now, out);
      return out;
    }
    task.acknowledged = true;
    task.ack_time = now.millis;
    pending_->latest_ack_time = now.millis;
  }
  if (pending_->acknowledged() == pending_->tasks.size()) {
    storing_ = true;
    out.push_back(StoreCheckpoint{*pending_});
  }
  return out;
}

CheckpointDecisions CheckpointCoordinator::on_stored(std::int64_t id, bool ok, std::string_view why, Instant now) {
  CheckpointDecisions out;
  if (!pending_ || !storing_ || pending_->id != id) return out;
  storing_ = false;
  if (!ok) {
    abort(fmt::format("Cannot store the checkpoint's metadata. Caused by: {}", why), running_, now, out);
    return out;
  }
  Checkpoint done = std::move(*pending_);
  pending_.reset();
  done.status = CheckpointStatus::kCompleted;
  ++completed_count_;
  const bool was_final = done.is_final;
  if (!done.keep || done.after != AfterSnapshot::kGoOn) {
    failures_in_a_row_ = 0;
    completed_.push_front(done);
    out.push_back(TellComplete{id, was_final});
  }
  const std::string path = done.path;
  remember(std::move(done));
  end_request(true, id, path, "", out);
  while (completed_.size() > std::max<std::size_t>(options_.retained, 1)) {
    const Checkpoint gone = completed_.back();
    completed_.pop_back();
    delete_unreferenced(gone, out);
  }
  if (options_.interval.count() > 0) next_trigger_ = std::max(next_trigger_, now + options_.min_pause);
  if (running_ && !was_final && (final_wanted_ || !requests_.empty())) start(now, out);
  return out;
}

void CheckpointCoordinator::abort(std::string_view why, bool counts, Instant now, CheckpointDecisions& out) {
  Checkpoint gone = std::move(*pending_);
  pending_.reset();
  storing_ = false;
  gone.status = CheckpointStatus::kFailed;
  gone.failure_time = now.millis;
  gone.failure_message = why;
  ++failed_count_;
  out.push_back(TellAborted{gone.id});
  const bool was_final = gone.is_final;
  const bool was_savepoint = gone.keep;
  const bool was_drained = gone.after == AfterSnapshot::kDrain;
  // A savepoint that did not come about is nobody's.
  gone.keep = false;
  delete_unreferenced(gone, out);
  gone.path.clear();
  remember(std::move(gone));
  end_request(false, 0, "", why, out);
  if (was_savepoint) {
    if (running_ && was_drained) out.push_back(RollBack{std::string(why)});
    if (running_ && !was_drained && (final_wanted_ || !requests_.empty())) start(now, out);
    return;
  }
  if (counts && ++failures_in_a_row_ > options_.tolerable_failures) {
    failures_in_a_row_ = 0;
    out.push_back(FailJob{
        fmt::format("Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to {}", why)});
  } else if (running_ && was_final) {
    next_trigger_ = now + Millis(1000);
  } else if (running_ && !requests_.empty()) {
    start(now, out);
  }
}

void CheckpointCoordinator::remember(Checkpoint checkpoint) {
  history_.push_front(std::move(checkpoint));
  if (history_.size() > kHistoryMax) history_.pop_back();
}

std::set<std::string> CheckpointCoordinator::needed_files() const {
  std::set<std::string> needed;
  const auto add = [&](const Checkpoint& checkpoint) {
    for (const TaskCheckpoint& t : checkpoint.tasks) {
      for (const auto& file : t.ack.files) needed.insert(file.first);
    }
  };
  for (const Checkpoint& c : completed_) add(c);
  if (pending_) add(*pending_);
  return needed;
}

void CheckpointCoordinator::delete_unreferenced(const Checkpoint& gone, CheckpointDecisions& out) {
  if (gone.keep) return;
  const std::set<std::string> needed = needed_files();
  DeleteFiles files;
  std::set<std::string> chosen;
  for (const TaskCheckpoint& t : gone.tasks) {
    for (const auto& file : t.ack.files) {
      if (!needed.contains(file.first) && chosen.insert(file.first).second) files.files.push_back(file.first);
    }
  }
  if (!gone.path.empty()) files.directories.push_back(gone.path);
  for (Checkpoint& c : history_) {
    if (c.id == gone.id) c.discarded = true;
  }
  if (!files.files.empty() || !files.directories.empty()) out.push_back(std::move(files));
}

void CheckpointCoordinator::restore(std::vector<Checkpoint> completed) {
  for (Checkpoint& c : completed) {
    next_id_ = std::max(next_id_, c.id + 1);
    completed_.push_front(std::move(c));
  }
}

void CheckpointCoordinator::forget(std::int64_t id) {
  std::erase_if(completed_, [id](const Checkpoint& c) { return c.id == id; });
}

CheckpointDecisions CheckpointCoordinator::discard_all() {
  CheckpointDecisions out;
  while (!completed_.empty()) {
    const Checkpoint gone = completed_.back();
    completed_.pop_back();
    delete_unreferenced(gone, out);
  }
  return out;
}

}  // namespace drey::control
