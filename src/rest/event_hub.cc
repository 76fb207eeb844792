#include "rest/event_hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <mutex>
#include <vector>

#include "rest/job_views.h"
#include "rest/messages/events.h"

namespace drey::rest {
namespace {

template <typename T>
std::string event(std::string_view name, const T& value, const std::string& id = "") {
  std::string out;
  if (!id.empty()) out += fmt::format("id: {}\n", id);
  out += fmt::format("event: {}\ndata: ", name);
  // JSON has no line breaks of its own.
  write_json(kShapeOf<T>, &value, Dialect::kFull, out);
  out += "\n\n";
  return out;
}

std::string note(std::string_view name, std::string reason) { return event(name, StreamNote{std::move(reason)}); }

std::string metrics_of(const gateway::JobModel& job) {
  MetricsTick tick;
  tick.jid = job.id;
  tick.timestamp = now_ms();
  tick.completed_checkpoints = job.checkpoints.completed;
  for (const auto& vertex : job.vertices) {
    for (const auto& subtask : vertex.subtasks) {
      const auto& attempt = subtask.back();
      tick.records_in += attempt.totals.records_in;
      tick.records_out += attempt.totals.records_out;
      tick.bytes_in += attempt.totals.bytes_in;
      tick.bytes_out += attempt.totals.bytes_out;
      tick.busy = std::max(tick.busy, attempt.metrics.whole("busyTimeMsPerSecond"));
      tick.back_pressured = std::max(tick.back_pressured, attempt.metrics.whole("backPressuredTimeMsPerSecond"));
      if (attempt.metrics.find("currentInputWatermark")) {
        const std::int64_t mark = attempt.metrics.whole("currentInputWatermark");
        tick.watermark = std::min(tick.watermark.value_or(mark), mark);
      }
    }
  }
  return event("metrics", tick);
}

std::string state_of(const gateway::JobModel& job, const std::string& id) {
  return event("job-state", JobStateChanged{job.id, job.name, job.state, job.time_of(job.state)}, id);
}

}  // namespace

struct EventHub::State : std::enable_shared_from_this<EventHub::State> {
  State(gateway::ClusterGateway& g, EventHubOptions o) : gateway(g), options(o) {}

  // What readers that come back may have missed.
  struct PastEvent {
    std::uint64_t number;
    JobId job;
    std::string text;
  };
  struct Reader {
    std::optional<JobId> job;
    Stream stream;
  };

  std::string id_of(std::uint64_t number) const { return fmt::format("{}-{}", epoch, number); }

  // REQUIRES: the mutex.
  void push(Reader& reader, std::string_view text) {
    if (reader.stream->push(text)) return;
    reader.stream->end(note("lagged", "This reader took events too slowly; come again with the id of the last one."));
  }
  void prune() {
    std::erase_if(readers, [](const Reader& r) { return !r.stream->is_open(); });
  }

  void on_event(const gateway::EventModel& happened) {
    if (std::holds_alternative<gateway::TickEvent>(happened.what)) return on_tick();
    std::lock_guard guard(mutex);
    const std::string id = id_of(++last);
    std::string text;
    bool is_end = false;
    if (const auto* state = std::get_if<gateway::JobStateEvent>(&happened.what)) {
      text = event("job-state", JobStateChanged{happened.job, state->name, state->state, happened.time}, id);
      is_end = gateway::is_terminal(state->state);
    } else if (const auto* c = std::get_if<gateway::CheckpointModel>(&happened.what)) {
      text = event("checkpoint", CheckpointChanged{happened.job, happened.time, checkpoint_of(*c)}, id);
    } else if (const auto* e = std::get_if<gateway::ExceptionModel>(&happened.what)) {
      text = event("exception", ExceptionOccurred{happened.job, happened.time, exception_of(*e)}, id);
    } else if (const auto* r = std::get_if<gateway::RescaleModel>(&happened.what)) {
      text = event("rescale", RescaleChanged{happened.job, happened.time, rescale_of(*r)}, id);
    } else if (const auto* t = std::get_if<gateway::TaskManagerEvent>(&happened.what)) {
      TaskManagerChanged changed{t->id, t->is_lost ? "LOST" : "REGISTERED", {}, happened.time};
      if (t->is_lost) changed.reason = t->reason;
      text = event("taskmanager", changed, id);
    }
    for (Reader& reader : readers) {
      if (reader.job && *reader.job != happened.job) continue;
      push(reader, text);
      if (is_end && reader.job) reader.stream->end(note("end", "The job has ended."));
    }
    prune();
    past_events.push_back({last, happened.job, std::move(text)});
    if (past_events.size() > options.remembered_max) past_events.pop_front();
  }

  // Models are made only when somebody reads.
  void on_tick() {
    std::vector<std::optional<JobId>> wanted;
    {
      std::lock_guard guard(mutex);
      prune();
      for (const Reader& reader : readers) {
        if (std::find(wanted.begin(), wanted.end(), reader.job) == wanted.end()) wanted.push_back(reader.job);
      }
    }
    const bool all = std::find(wanted.begin(), wanted.end(), std::nullopt) != wanted.end();
    const auto tell = [self = shared_from_this()](const gateway::JobModel& job) {
      if (job.is_terminal()) return;
      const std::string text = metrics_of(job);
      std::lock_guard guard(self->mutex);
      for (Reader& reader : self->readers) {
        if (!reader.job || *reader.job == job.id) self->push(reader, text);
      }
    };
    if (all) {
      gateway.running_jobs().then([tell](Result<std::vector<gateway::JobModelRef>> jobs) {
        if (!jobs.ok()) return;
        for (const auto& job : *jobs) tell(*job);
      });
      return;
    }
    for (const auto& job : wanted) {
      gateway.job(*job).then([tell](Result<gateway::JobModelRef> model) {
        if (model.ok()) tell(**model);
      });
    }
  }

  // The number after which a reader wants to be told; nullopt: it has to begin anew.
  std::optional<std::uint64_t> number_of(std::string_view id) const {
    const std::string prefix = epoch + "-";
    if (!id.starts_with(prefix)) return std::nullopt;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(id.data() + prefix.size(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size() || number > last) return std::nullopt;
    // All that came after it must still be there.
    if (number < last && (past_events.empty() || past_events.front().number > number + 1)) return std::nullopt;
    return number;
  }

  // `jobs`: what a stream that begins anew shows first; they were read when `seen` was the last
  // number.
  Result<Stream> begin(std::optional<JobId> job, const std::string& last_event_id, std::uint64_t seen,
                       const std::vector<gateway::JobModelRef>& jobs) {
    std::lock_guard guard(mutex);
    if (closed) return fail(Code::kUnavailable, "The server ends.");
    prune();
    if (readers.size() >= options.readers_max) {
      return fail(
          Code::kUnavailable,
          fmt::format("{} event streams are open, as many as drey.rest.events.max-streams allows.", readers.size()));
    }
    net::BodyStreamOptions body;
    body.bytes_max = options.bytes_max;
    body.idle_piece = ": nothing happens\n\n";
    body.goodbye = note("end", "The server ends.");
    auto stream = std::make_shared<net::BodyStream>(std::move(body));
    Reader reader{job, stream};
    std::uint64_t after = seen;
    const auto number = number_of(last_event_id);
    if (number) {
      after = *number;
    } else {
      std::string start = "retry: 2000\n\n";
      if (!last_event_id.empty())
        start += note("missed", "What happened since that event is not remembered: read the state anew.");
      for (const auto& model : jobs) start += state_of(*model, id_of(seen));
      push(reader, start);
    }
    for (const PastEvent& past : past_events) {
      if (past.number > after && (!job || past.job == *job)) push(reader, past.text);
    }
    if (job && jobs.at(0)->is_terminal()) {
      stream->end(note("end", "The job has ended."));
    } else if (stream->is_open()) {
      readers.push_back(std::move(reader));
    }
    return stream;
  }

  gateway::ClusterGateway& gateway;
  const EventHubOptions options;
  const std::string epoch = fmt::format("{:x}", now_ms());
  std::mutex mutex;
  // Guarded by mutex.
  std::vector<Reader> readers;
  std::deque<PastEvent> past_events;
  std::uint64_t last = 0;
  bool closed = false;
};

EventHub::EventHub(gateway::ClusterGateway& gateway, EventHubOptions options)
    : state_(std::make_shared<State>(gateway, options)) {
  gateway.watch([state = state_](const gateway::EventModel& happened) { state->on_event(happened); });
}

EventHub::~EventHub() {
  state_->gateway.watch(nullptr);
  std::lock_guard guard(state_->mutex);
  state_->closed = true;
  for (State::Reader& reader : state_->readers) reader.stream->end(reader.stream->options().goodbye);
  state_->readers.clear();
}

gateway::Future<EventHub::Stream> EventHub::subscribe(std::optional<JobId> job, std::string_view last_event_id) {
  gateway::Promise<Stream> promise;
  std::uint64_t seen = 0;
  {
    std::lock_guard guard(state_->mutex);
    seen = state_->last;
  }
  const auto begin = [state = state_, promise, job, seen,
                      id = std::string(last_event_id)](const std::vector<gateway::JobModelRef>& jobs) {
    promise.set(state->begin(job, id, seen, jobs));
  };
  if (job) {
    state_->gateway.job(*job).then([begin, promise](Result<gateway::JobModelRef> model) {
      if (!model.ok()) return promise.set(model.status());
      begin({*model});
    });
  } else {
    state_->gateway.running_jobs().then([begin, promise](Result<std::vector<gateway::JobModelRef>> jobs) {
      if (!jobs.ok()) return promise.set(jobs.status());
      begin(*jobs);
    });
  }
  return promise.future();
}

}  // namespace drey::rest
