#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "metrics/table.h"

namespace drey::metrics {
namespace {

constexpr LeftOut kLeftOut[] = {
    {"hardBackPressuredTimeMsPerSecond, maxHardBackPressureTimeMs",
     "A task never waits inside an operator for room in its output: it takes no input instead, "
     "which is soft back-pressure."},
    {"Shuffle.Netty.Input.Buffers.inputFloatingBuffersUsage, buffers.inputFloatingBuffersUsage",
     "There are no floating buffers: the credit of a channel is its own."},
    {"estimatedTimeToConsumeBuffersMs, debloatedBufferSize",
     "There is no buffer debloating; Flink has them only with it."},
    {"changelogBusyTimeMsPerSecond", "There is no changelog of state: pages are copied when they are written."},
    {"lastCheckpointPersistedData", "Checkpoints are aligned: no rows on their way are part of one."},
    {"numJobFailures", "Flink 2.3 has it no more; numRestarts counts what follows a failure."},
    {"Status.JVM.GarbageCollector.<name>.*",
     "There are no collectors with names. All.* is there in TaskManagers, whose pools give memory "
     "back."},
    {"Status.JVM.GarbageCollector.All.* of the JobManager", "It has no pools, and nothing else collects."},
    {"<Source>.currentFetchEventTimeLag",
     "Rows are emitted in the poll that fetched them: it is currentEmitEventTimeLag."},
    {"<Source>.watermarkAlignmentDrift", "Sources do not wait for each other's watermarks."},
    {"<Source>.split.<id>.watermark.{active,idle,paused}TimeMsPerSecond, "
     "accumulated{Active,Idle,Paused}TimeMs",
     "Sources do not pause for each other, and how long single splits were idle is not added up. "
     "sourceIdleTime tells of the source."},
    {"<Source>.pendingRecords of files and sockets, pendingBytes",
     "How many rows there are cannot be known before they were read; generators with an end know "
     "it. No source counts bytes ahead."},
    {"<Source>.numRecordsInErrors of generators", "Rows that the job makes cannot be malformed."},
    {"<Sink>.numRecordsSendErrors, numRecordsOutErrors",
     "A sink that cannot write fails its task: /jobs/:jobid/exceptions tells."},
    {"<Source>.coordinator.enumerator.unassignedSplits",
     "Splits are dealt out when a job starts, by rule: nobody assigns them while it runs."},
};

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::span<const LeftOut> left_out() { return kLeftOut; }

std::string reference_page(std::span<const Documented> rows) {
  std::string out =
      "# Metrics\n\nMade by `drey metrics --reference`. Names are Flink's (2.3, and what 1.12 had "
      "besides); what a name of the JVM means in\n"
      "a native process is said beside it. Counters and gauges are as fresh as the last heartbeat "
      "(`heartbeat.interval`); rates are\n"
      "averages over the last minute, or since the attempt began.\n\n"
      "Where to ask: `GET /jobmanager/metrics`, `/taskmanagers/metrics`, "
      "`/taskmanagers/:id/metrics`, `/jobs/metrics`,\n"
      "`/jobs/:jobid/metrics`, `/jobs/:jobid/vertices/:vertexid/metrics`, `.../subtasks/metrics`, "
      "`.../subtasks/:index/metrics`; all of\n"
      "them for Prometheus at `GET /metrics`, up to 50,000 samples (`drey_samples_dropped` counts "
      "the rest).\n";
  std::string_view scope;
  for (const Documented& row : rows) {
    if (row.scope != scope) {
      scope = row.scope;
      fmt::format_to(std::back_inserter(out), "\n## {}\n\n| name | meaning |\n|---|---|\n", scope);
    }
    const char* rate = row.per_second ? ", `PerSecond`" : "";
    const std::string twin = row.twin.empty() ? "" : fmt::format("<br>`{}`{}", row.twin, rate);
    fmt::format_to(std::back_inserter(out), "| `{}`{}{} | {} |\n", row.name, rate, twin, cell(row.doc));
  }
  out +=
      "\nOperators have their metrics below their name, in which blank, `.`, `:` and `,` become "
      "`_`: `Source__flights.numRecordsIn`.\n"
      "Metrics that a job registers (docs/datastream.md) stand beside these; a `Meter` is shown as "
      "its rate per second.\n\n"
      "## Of Flink's, left out\n\n| name | why |\n|---|---|\n";
  for (const LeftOut& row : left_out())
    fmt::format_to(std::back_inserter(out), "| `{}` | {} |\n", cell(row.name), cell(row.why));
  return out;
}

}  // namespace drey::metrics
