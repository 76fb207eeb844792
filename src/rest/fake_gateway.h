// For tests: a gateway that answers with one sample job, and a router over it. What a test wants otherwise it sets in
// the public members.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rest/router.h"

namespace drey::rest {

inline const JobId kJob = JobId::from_halves(1, 2);
inline const VertexId kVertex = VertexId::from_halves(3, 4);

inline gateway::JobModel sample() {
  gateway::JobModel job;
  job.id = kJob;
  job.name = "fails <every> & n";
  job.state = "RUNNING";
  job.entered = {{"INITIALIZING", 1000}, {"CREATED", 1001}, {"RUNNING", 1002}};
  gateway::VertexModel vertex;
  vertex.vertex.id = kVertex;
  vertex.vertex.name = "Source: rows";
  vertex.vertex.description = "Source: rows\n+- map <x>\n";
  vertex.vertex.parallelism = 2;
  for (std::uint32_t i = 0; i < 2; ++i) {
    gateway::AttemptModel attempt;
    attempt.state = i == 0 ? "RUNNING" : "FINISHED";
    attempt.entered = {{"CREATED", 1001}, {"DEPLOYING", 1002}, {"RUNNING", 1003}, {"FINISHED", i == 0 ? 0 : 1500}};
    attempt.task_manager = "tm";
    attempt.host = "localhost";
    attempt.data_port = 7;
    attempt.metrics = {{"numRecordsIn", std::int64_t{10 * (i + 1)}},
                       {"numRecordsInPerSecond", i == 0 ? 43.733333333333334 : 0.0},
                       {"busyTimeMsPerSecond", 300.0},
                       {"idleTimeMsPerSecond", std::int64_t{100}},
                       {"backPressuredTimeMsPerSecond", std::int64_t{600}},
                       {"isBackPressured", true},
                       {"Shuffle.Netty.Output.Buffers.outPoolUsage", 1.0f / 6},
                       {"currentInputWatermark", std::int64_t{5}}};
    // An operator that is called as a scope of Flink's.
    auto names = std::make_shared<metrics::Names>(*attempt.metrics.names());
    auto values = attempt.metrics.raw();
    names->push_back({"Shuffle.numRecordsSend", 8, metrics::Form::kWhole});
    values.push_back(9);
    attempt.metrics = {names, values};
    attempt.is_measured = true;
    attempt.totals.records_in = 10 * (i + 1);
    attempt.totals.busy_ms = 300;
    attempt.totals.idle_ms = 100;
    attempt.totals.back_pressured_ms = 600;
    attempt.accumulators = {{"rows", "LongCounter", "4"}};
    vertex.subtasks.push_back({attempt});
  }
  job.vertices.push_back(vertex);
  gateway::CheckpointModel done;
  done.id = 3;
  done.status = "COMPLETED";
  done.trigger_time = 2000;
  done.path = "/c/chk-3";
  done.tasks = {{0, 0, true, 2010, 100, 200, 1, 2, 3, 4, 5}, {0, 1, true, 2020, 10, 20, 1, 2, 3, 4, 5}};
  job.checkpoints.completed = 1;
  job.checkpoints.metadata_bytes = 5419;
  job.checkpoints.history = {done};
  return job;
}

class FakeGateway : public gateway::ClusterGateway {
 public:
  gateway::Future<std::string> inspect(std::string id, gateway::Inspection question) override {
    if (!id.empty()) return Result<std::string>(fail(Code::kNotFound, "No TaskExecutor registered under " + id + "."));
    asked = question;
    return Result<std::string>(answer_to_inspection);
  }
  gateway::Future<JobId> submit(gateway::SubmitRequest) override { return Result<JobId>(kJob); }
  void heartbeat(JobId id, std::int64_t expires) override { beats.emplace_back(id, expires); }
  gateway::Future<TriggerId> delete_dataset(std::string) override {
    return Result<TriggerId>(TriggerId::from_halves(5, 6));
  }
  gateway::Future<bool> dataset_deletion(TriggerId id) override {
    if (id != TriggerId::from_halves(5, 6))
      return Result<bool>(fail(Code::kNotFound, "Operation not found under key: " + id.to_string()));
    return Result<bool>(true);
  }
  void end_cluster() override { ended = true; }
  gateway::Inspection asked;
  std::string answer_to_inspection;
  std::vector<std::pair<JobId, std::int64_t>> beats;
  bool ended = false;
  gateway::Future<std::vector<gateway::JobOutlineRef>> jobs() override {
    std::vector<gateway::JobOutlineRef> all{std::make_shared<gateway::JobOutline>(gateway::outline_of(job_model))};
    all.insert(all.end(), more_jobs.begin(), more_jobs.end());
    return Result<std::vector<gateway::JobOutlineRef>>(std::move(all));
  }
  gateway::Future<std::vector<gateway::JobModelRef>> running_jobs() override {
    std::vector<gateway::JobModelRef> all;
    if (!job_model.is_terminal()) all.push_back(model());
    return Result<std::vector<gateway::JobModelRef>>(std::move(all));
  }
  gateway::Future<gateway::JobModelRef> job(JobId id) override {
    if (id != kJob) return Result<gateway::JobModelRef>(fail(Code::kNotFound, "Job " + id.to_string() + " not found"));
    return Result<gateway::JobModelRef>(model());
  }
  gateway::Future<bool> cancel(JobId id) override {
    if (id != kJob) return Result<bool>(fail(Code::kNotFound, "Job could not be found."));
    return Result<bool>(fail(Code::kConflict,
                             "Job cancellation failed because the job has already reached another "
                             "terminal state (FINISHED)."));
  }
  gateway::Future<TriggerId> trigger(gateway::OperationRequest request) override {
    last_operation = request;
    if (const auto* savepoint = std::get_if<gateway::SavepointRequest>(&request.action);
        savepoint != nullptr && savepoint->target.empty())
      return Result<TriggerId>(fail(Code::kInvalidArgument, "no place for it"));
    return Result<TriggerId>(request.id.value_or(TriggerId::from_halves(7, 8)));
  }
  gateway::Future<gateway::OperationModel> operation(gateway::OperationKind kind, JobId job, TriggerId id) override {
    if (operation_.id != id || operation_.job != job || operation_.kind != kind)
      return Result<gateway::OperationModel>(fail(Code::kNotFound, "none"));
    return Result<gateway::OperationModel>(operation_);
  }
  gateway::Future<gateway::ResourceRequirements> resource_requirements(JobId id) override {
    if (id != kJob)
      return Result<gateway::ResourceRequirements>(
          fail(Code::kNotFound, "Could not find Flink job (" + id.to_string() + ")"));
    return Result<gateway::ResourceRequirements>(requirements);
  }
  gateway::Future<bool> set_resource_requirements(JobId, gateway::ResourceRequirements wanted) override {
    requirements = std::move(wanted);
    return Result<bool>(true);
  }
  gateway::Future<JobId> run_jar(gateway::RunRequest request) override {
    last_run = request;
    return Result<JobId>(kJob);
  }
  gateway::Future<gateway::JobModelRef> plan_jar(gateway::RunRequest) override {
    return Result<gateway::JobModelRef>(model());
  }
  gateway::Future<std::vector<gateway::JarModel>> jars() override {
    return Result<std::vector<gateway::JarModel>>(std::vector<gateway::JarModel>());
  }
  gateway::Future<std::string> add_jar(std::string path, std::string name) override {
    return Result<std::string>(path + "_" + name);
  }
  gateway::Future<bool> delete_jar(std::string id) override {
    return Result<bool>(fail(Code::kInvalidArgument, "File " + id + " does not exist in /x."));
  }
  gateway::Future<std::vector<gateway::TaskManagerModel>> task_managers() override {
    return Result<std::vector<gateway::TaskManagerModel>>(std::vector<gateway::TaskManagerModel>());
  }
  void watch(std::function<void(const gateway::EventModel&)> watcher) override { tell = std::move(watcher); }
  std::function<void(const gateway::EventModel&)> tell;
  std::uint64_t changes() const override { return ++changes_; }  // so nothing is shared
  mutable std::uint64_t changes_ = 0;
  gateway::Future<gateway::Metrics> metrics() override {
    return Result<gateway::Metrics>(gateway::Metrics{{"taskSlotsTotal", std::int64_t{4}},
                                                     {"Status.JVM.GarbageCollector.All.TimeMsPerSecond", 0.0}});
  }
  std::vector<gateway::ConfigEntry> configuration() override { return config_entries; }
  const gateway::ClusterFacts& facts() const override { return cluster_facts; }
  gateway::JobModelRef model() const { return std::make_shared<gateway::JobModel>(job_model); }
  gateway::JobModel job_model = sample();
  std::vector<gateway::JobOutlineRef> more_jobs;
  gateway::RunRequest last_run;
  gateway::OperationRequest last_operation;
  gateway::ClusterFacts cluster_facts;
  std::vector<gateway::ConfigEntry> config_entries{{"rest.port", "8081"}};
  gateway::OperationModel operation_;
  gateway::ResourceRequirements requirements{{VertexId::from_halves(1, 1), {1, 4}}};
};

struct Answered {
  int status = 0;
  std::string body;
  net::Headers headers;
  std::shared_ptr<net::BodyStream> stream = nullptr;
  std::string header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return "";
  }
  Json json() const { return Json::parse(body).value_or(Json()); }
};

class RouterTest : public testing::Test {
 protected:
  Answered ask(std::string method, std::string target, std::string body = "",
               net::Headers headers = {{"host", "localhost:1"}}) {
    return ask_of(router_, std::move(method), std::move(target), std::move(body), std::move(headers));
  }
  static Answered ask_of(Router& router, std::string method, std::string target, std::string body = "",
                         net::Headers headers = {{"host", "localhost:1"}}) {
    Answered out;
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = std::move(headers);
    router.handle(std::move(request), [&](net::HttpResponse r) { out = {r.status, r.body, r.headers, r.stream}; });
    return out;
  }
  const std::string job_ = "/jobs/" + kJob.to_string();
  FakeGateway gateway_;
  Router router_{all_endpoints(), gateway_, {}};
};

}  // namespace drey::rest
