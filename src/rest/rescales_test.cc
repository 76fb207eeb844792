// A job's rescalings, with the numbers of a recorded answer of Flink's.
#include "rest/fake_gateway.h"
#include "rest/job_views.h"

namespace drey::rest {
namespace {

using gateway::RescaleCause;
using gateway::RescaleEnd;
using testing::HasSubstr;

class RescalesTest : public RouterTest {
 protected:
  void add(std::uint64_t id, RescaleCause cause, RescaleEnd end, std::int64_t began, std::int64_t took) {
    gateway::RescaleModel rescale;
    rescale.id = gateway::RescaleId::from_halves(0, id);
    rescale.requirements = gateway::RequirementsId::from_halves(1, id);
    rescale.cause = cause;
    rescale.end = end;
    rescale.began = began;
    rescale.vertices = {{kVertex, "Source: rows", "default", 9, 1, 4, 0}};
    rescale.stages = {{"Executing", began, 0, ""}};
    auto& model = gateway_.job_model.rescales;
    if (!rescale.is_open()) {
      rescale.ended = began + took;
      rescale.stages[0].left = rescale.ended;
      model.all.add(took);
      (rescale.is_completed() ? model.completed : rescale.is_failed() ? model.failed : model.ignored).add(took);
    }
    model.history.insert(model.history.begin(), rescale);
  }
  void SetUp() override {
    gateway_.job_model.vertices[0].vertex.slot_sharing_group = "default";
    gateway_.job_model.rescales.history_max = 10;
    gateway_.job_model.rescales.cooldown = 30'000;
    add(1, RescaleCause::kInitialSchedule, RescaleEnd::kSucceeded, 1000, 10'619);
    add(2, RescaleCause::kUpdateRequirement, RescaleEnd::kRequirementsUpdated, 20'000, 175);
    add(3, RescaleCause::kUpdateRequirement, RescaleEnd::kRequirementsUpdated, 20'175, 345);
    add(4, RescaleCause::kUpdateRequirement, RescaleEnd::kSucceeded, 20'520, 21'999);
    add(5, RescaleCause::kUpdateRequirement, RescaleEnd::kSucceeded, 50'000, 23'915);
    add(6, RescaleCause::kUpdateRequirement, RescaleEnd::kOpen, 80'000, 0);
  }
  Json get(const std::string& path) { return ask("GET", job_ + "/rescales/" + path).json(); }
  static std::string id(std::uint64_t number) { return gateway::RescaleId::from_halves(0, number).to_string(); }
};

TEST_F(RescalesTest, TheOverviewCountsAndNamesTheLatestOfEachKind) {
  const Json overview = get("overview");
  EXPECT_EQ(overview["rescalesCounts"].to_string(), R"({"ignored":2,"inProgress":1,"completed":3,"failed":0})");
  EXPECT_EQ(overview["latest"]["completed"]["rescaleUuid"].text(), id(5));
  EXPECT_EQ(overview["latest"]["ignored"]["rescaleUuid"].text(), id(3));
  EXPECT_TRUE(overview["latest"]["failed"].is_null());
}

TEST_F(RescalesTest, TheSummaryHasFlinksPercentiles) {
  const Json summary = get("summary");
  EXPECT_EQ(
      summary["rescalesDurationStatsInMillis"].to_string(),
      R"({"min":175,"max":23915,"avg":11410,"p50":10619.0,"p90":23915.0,"p95":23915.0,"p99":23915.0,"p999":23915.0})");
  EXPECT_EQ(summary["completedRescalesDurationStatsInMillis"]["p50"].to_string(), "21999.0");
  EXPECT_EQ(summary["ignoredRescalesDurationStatsInMillis"]["p50"].to_string(), "260.0");
  EXPECT_EQ(summary["failedRescalesDurationStatsInMillis"].to_string(),
            R"({"min":0,"max":0,"avg":0,"p50":"NaN","p90":"NaN","p95":"NaN","p99":"NaN","p999":"NaN"})");
}

TEST_F(RescalesTest, TheHistoryIsNewestFirstAndAnOpenOneHasNoEnd) {
  const Json history = get("history");
  ASSERT_EQ(history.elements().size(), 6u);
  EXPECT_EQ(
      history.elements()[0].to_string(),
      R"({"rescaleUuid":")" + id(6) + R"(","resourceRequirementsUuid":")" +
          gateway::RequirementsId::from_halves(1, 6).to_string() +
          R"(","rescaleAttemptId":1,"vertices":{},"slots":{},"schedulerStates":[],"startTimestampInMillis":80000,)"
          R"("endTimestampInMillis":null,"terminalState":null,"triggerCause":"UPDATE_REQUIREMENT","terminatedReason":null})");
  EXPECT_EQ(history.elements()[2]["terminalState"].text(), "COMPLETED");
  EXPECT_EQ(history.elements()[3]["terminalState"].text(), "IGNORED");
  EXPECT_EQ(history.elements()[3]["terminatedReason"].text(), "RESOURCE_REQUIREMENTS_UPDATED");
  EXPECT_EQ(history.elements()[5]["triggerCause"].text(), "INITIAL_SCHEDULE");
}

TEST_F(RescalesTest, DetailsHaveVerticesSlotsAndStates) {
  const Json details = get("details/" + id(5));
  const Json& vertex = details["vertices"][kVertex.to_string()];
  EXPECT_EQ(vertex["desiredParallelism"].whole(), 9);
  EXPECT_EQ(vertex["preRescaleParallelism"].whole(), 4);
  EXPECT_TRUE(vertex["postRescaleParallelism"].is_null());
  const Json& slots = details["slots"][*vertex["slotSharingGroupId"].text()];
  EXPECT_EQ(slots["desiredSlots"].whole(), 9);
  EXPECT_EQ(slots["minimalRequiredSlots"].whole(), 1);
  EXPECT_EQ(slots["preRescaleSlots"].whole(), 4);
  EXPECT_EQ(slots["requestResourceProfile"]["cpuCores"].to_string(), "-1.0");
  EXPECT_EQ(details["schedulerStates"].elements()[0]["durationInMillis"].whole(), 23'915);
  const Answered unknown = ask("GET", job_ + "/rescales/details/" + id(99));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("Could not find rescale details of specified rescaleUuid " + id(99) + "."));
  EXPECT_EQ(get("config")["rescaleHistoryMax"].whole(), 10);
  EXPECT_EQ(get("config")["executingCooldownTimeoutInMillis"].whole(), 30'000);
}

TEST_F(RescalesTest, WithoutAHistoryFlinkSaysWhichOptionIsMissing) {
  gateway_.job_model.rescales = {};
  for (const char* path : {"overview", "history", "summary", "details/00000000000000000000000000000001"}) {
    const Answered answer = ask("GET", job_ + "/rescales/" + path);
    EXPECT_EQ(answer.status, 404);
    EXPECT_THAT(answer.body, HasSubstr("`web.adaptive-scheduler.rescale-history.size`"));
  }
  EXPECT_EQ(get("config")["rescaleHistoryMax"].whole(), 0);
}

TEST_F(RescalesTest, TheJobsMetricsCountThem) {
  const auto value = [&](const std::string& name) {
    return ask("GET", job_ + "/metrics?get=" + name).json().elements()[0]["value"].text();
  };
  EXPECT_EQ(value("numRescales"), "2");
  // One subtask runs since 1003, the other has finished.
  EXPECT_GT(Json(*value("allSubTasksRunningOrFinishedTime")).whole(), 1'000'000);
  EXPECT_EQ(value("deployingTime"), "0");
  gateway_.job_model.vertices[0].subtasks[0].back().state = "DEPLOYING";
  EXPECT_EQ(value("allSubTasksRunningOrFinishedTime"), "0");
  EXPECT_GT(Json(*value("deployingTime")).whole(), 1'000'000);
}

TEST_F(RouterTest, ExceptionsAreFilteredByTheirLabels) {
  gateway::ExceptionModel user;
  user.name = user.stacktrace = "user";
  user.labels = {{"code", "user_code"}, {"blame", "caller"}};
  gateway::ExceptionModel disk = user;
  disk.name = disk.stacktrace = "disk";
  disk.labels = {{"code", "io"}, {"blame", "external"}};
  gateway_.job_model.exceptions = {disk, user, user};
  const auto entries = [&](const std::string& query) {
    return ask("GET", job_ + "/exceptions?" + query).json()["exceptionHistory"];
  };
  EXPECT_EQ(entries("")["entries"].elements()[0]["failureLabels"].to_string(), R"({"code":"io","blame":"external"})");
  EXPECT_EQ(entries("failureLabelFilter=blame:caller")["entries"].elements().size(), 2u);
  EXPECT_EQ(entries("failureLabelFilter=blame:caller,code:io")["entries"].elements().size(), 0u);
  const Json one = entries("failureLabelFilter=code:user_code&maxExceptions=1");
  EXPECT_EQ(one["entries"].elements().size(), 1u);
  EXPECT_EQ(one["truncated"].boolean(), true);
}

TEST_F(RouterTest, AnEndedJobHasItsOwnConfigurationAndEnvironment) {
  EXPECT_EQ(ask("GET", job_ + "/jobmanager/config").body, R"([{"key":"rest.port","value":"8081"}])");
  gateway_.job_model.cluster_configuration = {{"rest.port", "7"}};
  gateway_.job_model.cluster_version = "Drey of then";
  EXPECT_EQ(ask("GET", job_ + "/jobmanager/config").body, R"([{"key":"rest.port","value":"7"}])");
  EXPECT_EQ(ask("GET", job_ + "/jobmanager/environment").json()["jvm"]["version"].text(), "Drey of then");
}

}  // namespace
}  // namespace drey::rest
