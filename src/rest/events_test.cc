#include "rest/ended_rows.h"
#include "rest/fake_gateway.h"

namespace drey::rest {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class EventsTest : public RouterTest {
 protected:
  static std::string taken(const Answered& answer) { return answer.stream->take().bytes; }
  void state(JobId job, const std::string& state) {
    gateway_.tell({job, 5000, gateway::JobStateEvent{"a job", state}});
  }
  Answered again(const std::string& path, const std::string& last) {
    return ask("GET", path, "", {{"host", "localhost:1"}, {"last-event-id", last}});
  }
  // The id of the last event in a piece.
  static std::string last_id(const std::string& text) {
    const auto at = text.rfind("id: ") + 4;
    return text.substr(at, text.find('\n', at) - at);
  }
  const std::string events_ = job_ + "/events";
};

TEST_F(EventsTest, AStreamBeginsWithTheStateAndGoesOnWithWhatHappens) {
  const Answered answer = ask("GET", events_);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "text/event-stream");
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
  ASSERT_NE(answer.stream, nullptr);
  EXPECT_THAT(taken(answer), AllOf(HasSubstr("event: job-state\ndata: {\"jid\":\"" + kJob.to_string()),
                                   HasSubstr(R"("state":"RUNNING","timestamp":1002})")));
  state(JobId::from_halves(9, 9), "RUNNING");
  EXPECT_EQ(taken(answer), "");
  gateway_.tell({kJob, 6000, gateway_.job_model.checkpoints.history[0]});
  EXPECT_THAT(taken(answer), AllOf(HasSubstr("event: checkpoint\n"),
                                   HasSubstr(R"("timestamp":6000,"checkpoint":{"className":"completed","id":3)")));
  gateway::ExceptionModel failure;
  failure.name = "drey.io";
  failure.stacktrace = "drey.io: no\ndisk";
  gateway_.tell({kJob, 7000, failure});
  EXPECT_THAT(taken(answer), HasSubstr(R"("exceptionName":"drey.io","stacktrace":"drey.io: no\ndisk")"));
  gateway_.tell({kJob, 7000, gateway::RescaleModel{}});
  EXPECT_THAT(taken(answer), HasSubstr(R"("triggerCause":"INITIAL_SCHEDULE")"));
  gateway_.tell({{}, 0, gateway::TickEvent{}});
  EXPECT_THAT(taken(answer), AllOf(StartsWith("event: metrics\n"), HasSubstr(R"("numRecordsIn":30)"),
                                   HasSubstr(R"("currentInputWatermark":5)")));
}

TEST_F(EventsTest, AStreamOfAJobEndsWithIt) {
  const Answered answer = ask("GET", events_);
  const Answered all = ask("GET", "/events");
  state(kJob, "FINISHED");
  const auto [bytes, ended] = answer.stream->take();
  EXPECT_TRUE(ended);
  EXPECT_THAT(bytes, HasSubstr("\"FINISHED\""));
  EXPECT_THAT(bytes, HasSubstr("event: end\ndata: {\"reason\":\"The job has ended.\"}\n\n"));
  EXPECT_FALSE(all.stream->take().ended);
  gateway_.job_model.state = "FINISHED";
  EXPECT_TRUE(ask("GET", events_).stream->take().ended);
  EXPECT_EQ(ask("GET", "/jobs/" + JobId().to_string() + "/events").status, 404);
}

TEST_F(EventsTest, TheClustersStreamHasAllJobsAndTaskManagers) {
  const Answered all = ask("GET", "/events");
  taken(all);
  state(JobId::from_halves(9, 9), "RUNNING");
  gateway_.tell({{}, 1, gateway::TaskManagerEvent{"tm-1", true, "it is gone"}});
  EXPECT_THAT(taken(all), AllOf(HasSubstr(JobId::from_halves(9, 9).to_string()),
                                HasSubstr(R"("id":"tm-1","state":"LOST","reason":"it is gone")")));
}

TEST_F(EventsTest, WhoComesAgainGetsWhatItMissedAndNothingTwice) {
  Answered answer = ask("GET", events_);
  state(kJob, "RESTARTING");
  const std::string seen = taken(answer);
  state(kJob, "RUNNING");
  state(JobId::from_halves(9, 9), "FAILED");
  const std::string missed = taken(again(events_, last_id(seen)));
  EXPECT_THAT(missed, AllOf(HasSubstr("\"RUNNING\""), Not(HasSubstr("RESTARTING")), Not(HasSubstr("FAILED"))));
  EXPECT_EQ(taken(again(events_, last_id(missed))), "");
}

TEST_F(EventsTest, WhoMissedMoreThanIsRememberedIsToldSo) {
  const std::string first = last_id(taken(ask("GET", events_)));
  for (int i = 0; i < 1001; ++i) state(kJob, "RUNNING");
  for (const std::string& last : {first, std::string("123-4"), std::string("x"), first + "9999"}) {
    EXPECT_THAT(taken(again(events_, last)), AllOf(HasSubstr("event: missed\n"), HasSubstr("event: job-state\n")))
        << last;
  }
}

TEST_F(EventsTest, AReaderThatLagsIsEndedWithWordsAndTheOthersGoOn) {
  const Answered slow = ask("GET", events_);
  const Answered other = ask("GET", events_);
  gateway::ExceptionModel failure;
  failure.stacktrace = std::string(100'000, 'x');
  for (int i = 0; i < 4; ++i) {
    gateway_.tell({kJob, 1, failure});
    EXPECT_THAT(taken(other), HasSubstr("event: exception"));
  }
  const auto [bytes, ended] = slow.stream->take();
  EXPECT_TRUE(ended);
  EXPECT_LT(bytes.size(), 300'000u);
  EXPECT_THAT(bytes, HasSubstr("event: lagged\n"));
  EXPECT_TRUE(other.stream->is_open());
}

TEST(EventHubTest, StreamsAreBoundedInNumberAndEndWithTheServer) {
  FakeGateway gateway;
  std::shared_ptr<net::BodyStream> last;
  const auto subscribe = [&](EventHub& hub) {
    Status status;
    hub.subscribe(kJob, "").then([&](Result<EventHub::Stream> stream) {
      status = stream.status();
      if (stream.ok()) last = *stream;
    });
    return status;
  };
  {
    EventHub hub(gateway, {.readers_max = 2});
    EXPECT_TRUE(subscribe(hub).ok());
    last->close();  // it has gone: its place is free
    EXPECT_TRUE(subscribe(hub).ok());
    EXPECT_TRUE(subscribe(hub).ok());
    const Status full = subscribe(hub);
    EXPECT_EQ(full.code(), Code::kUnavailable);
    EXPECT_THAT(full.message(), HasSubstr("drey.rest.events.max-streams"));
  }
  const auto [bytes, ended] = last->take();
  EXPECT_TRUE(ended);
  EXPECT_THAT(bytes, HasSubstr("event: end\ndata: {\"reason\":\"The server ends.\"}"));
}

// --- pages and tags ---

class OverviewTest : public RouterTest {
 protected:
  void add(std::uint64_t id, std::int64_t start, const std::string& name, const std::string& state) {
    gateway::JobModel job = sample();
    job.id = JobId::from_halves(0, id);
    job.name = name;
    job.state = state;
    job.entered = {{"INITIALIZING", start}, {state, start + 1}};
    gateway_.more_jobs.push_back(std::make_shared<gateway::JobOutline>(gateway::outline_of(job)));
  }
  static std::vector<std::string> names(const Answered& answer) {
    std::vector<std::string> out;
    const Json page = answer.json();
    EXPECT_EQ(page.entries().size(), 1u);
    for (const Json& job : page["jobs"].elements()) out.push_back(*job["name"].text());
    return out;
  }
  // The target of a Link header.
  static std::string next(const Answered& answer) {
    const std::string link = answer.header("link");
    return link.empty() ? "" : link.substr(1, link.find('>') - 1);
  }
};

TEST_F(OverviewTest, PagesFollowOneAnotherThoughJobsComeAndGo) {
  add(1, 10, "a", "FINISHED");
  add(2, 30, "b & c", "FINISHED");
  add(3, 20, "c", "FAILED");
  const Answered first = ask("GET", "/jobs/overview?limit=2");
  EXPECT_THAT(names(first), testing::ElementsAre("fails <every> & n", "b & c"));
  EXPECT_THAT(first.header("link"), testing::EndsWith("; rel=\"next\""));
  gateway_.more_jobs.erase(gateway_.more_jobs.begin() + 1);
  add(4, 40, "new", "FINISHED");
  const Answered second = ask("GET", next(first));
  EXPECT_THAT(names(second), testing::ElementsAre("c", "a"));
  EXPECT_EQ(second.header("link"), "");
  EXPECT_EQ(ask("GET", "/jobs/overview").header("link"), "");
}

TEST_F(OverviewTest, AnEndedJobIsToldTheSameHoweverOftenAndByItsModelAlone) {
  add(1, 10, "a \"b\" \n", "FINISHED");
  add(2, 30, "\xc3\xa9 \xff", "CANCELED");
  const auto rows = [&](const char* path, const char* key) { return ask("GET", path).json()[key].elements(); };
  for (int i = 0; i < 3; ++i) {
    const auto jobs = rows("/jobs/overview", "jobs");
    ASSERT_EQ(jobs.size(), 3u);
    EXPECT_EQ(jobs[0]["end-time"].whole(), -1);
    EXPECT_EQ(jobs[1].to_string(),
              "{\"jid\":\"00000000000000000000000000000001\",\"name\":\"a \\\"b\\\" "
              "\\n\",\"jobType\":\"STREAMING\","
              "\"schedulerType\":\"Adaptive\",\"start-time\":10,\"end-time\":11,\"duration\":1,"
              "\"state\":\"FINISHED\","
              "\"last-modification\":1500,\"tasks\":{\"total\":2,\"created\":0,\"scheduled\":0,"
              "\"deploying\":0,"
              "\"running\":1,\"finished\":1,\"canceling\":0,\"canceled\":0,\"failed\":0,"
              "\"reconciling\":0,"
              "\"initializing\":0},\"pending-operators\":0}");
    EXPECT_EQ(jobs[2]["name"].text(), "\xc3\xa9 \xEF\xBF\xBD");
    const auto applications = rows("/applications/overview", "applications");
    ASSERT_EQ(applications.size(), 3u);
    EXPECT_EQ(applications[1]["jobs"].to_string(), "{\"FINISHED\":1}");
    EXPECT_EQ(applications[2]["duration"].whole(), 1);
  }
  // An id that comes again is another job.
  gateway_.more_jobs.clear();
  add(1, 20, "c", "FAILED");
  EXPECT_EQ(rows("/jobs/overview", "jobs").at(1)["name"].text(), "c");
  EXPECT_EQ(rows("/jobs/overview", "jobs").at(1)["state"].text(), "FAILED");
  // What only old clients cannot bear is left out for them.
  const std::string old = ask("GET", "/v1/jobs/overview", "{}", {{"Host", "localhost:1"}}).body;
  EXPECT_EQ(Json::parse(old)->operator[]("jobs").elements().at(1)["name"].text(), "c");
}

int g_encoded = 0;
EndedRows::Row counted_row(const gateway::JobOutline& job, Dialect) {
  ++g_encoded;
  return {"\"" + job.name + "\"", static_cast<std::uint64_t>(job.modified)};
}

TEST(EndedRows, AreEncodedOnceAsLongAsAnybodyRemembersThem) {
  g_encoded = 0;
  const auto outline = [](const std::string& name, std::int64_t end) {
    gateway::JobOutline out;
    out.name = name;
    out.end = out.modified = end;
    return std::make_shared<gateway::JobOutline>(out);
  };
  EndedRows rows;
  const auto running = outline("r", -1);
  std::vector<gateway::JobOutlineRef> jobs{running, outline("a", 5), outline("b", 6)};
  const EndedRows::Row first = rows.list("x", jobs, Dialect::kFull, counted_row);
  EXPECT_EQ(first.text, R"({"x":["r","a","b"]})");
  EXPECT_EQ(g_encoded, 3);
  const EndedRows::Row again = rows.list("x", jobs, Dialect::kFull, counted_row);
  EXPECT_EQ(again.text, first.text);
  EXPECT_EQ(again.tag, first.tag);
  EXPECT_EQ(g_encoded, 4) << "the running one";
  rows.list("x", jobs, Dialect::k112, counted_row);
  EXPECT_EQ(g_encoded, 7) << "another dialect";
  std::swap(jobs[1], jobs[2]);
  EXPECT_NE(rows.list("x", jobs, Dialect::kFull, counted_row).tag, first.tag);
  EXPECT_EQ(rows.list("x", {}, Dialect::kFull, counted_row).text, R"({"x":[]})");
  // Ten thousand that come and go leave nothing behind.
  for (int i = 0; i < 10'000; ++i) {
    jobs = {outline("c", 7)};
    rows.list("x", jobs, Dialect::kFull, counted_row);
  }
  EXPECT_LT(rows.known(), 2'000u);
}

TEST_F(OverviewTest, JobsAreChosenByStateAndName) {
  add(1, 10, "a", "FINISHED");
  add(2, 30, "b & c", "FINISHED");
  add(3, 20, "c", "FAILED");
  EXPECT_THAT(names(ask("GET", "/jobs/overview?state=finished,failed")),
              testing::UnorderedElementsAre("a", "b & c", "c"));
  EXPECT_THAT(names(ask("GET", "/jobs/overview?name=c")), testing::UnorderedElementsAre("b & c", "c"));
  const Answered page = ask("GET", "/jobs/overview?state=FINISHED&name=%20%26&limit=1");
  EXPECT_THAT(names(page), testing::ElementsAre("b & c"));
  add(5, 5, "x & y", "FINISHED");
  EXPECT_THAT(names(ask("GET", next(ask("GET", "/jobs/overview?state=FINISHED&name=%20%26&limit=1")))),
              testing::ElementsAre("x & y"));
  for (const char* bad : {"state=zz", "limit=0", "limit=-1", "limit=x", "cursor=zz", "cursor=12", "cursor=12-34"}) {
    const Answered refused = ask("GET", std::string("/jobs/overview?") + bad);
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_THAT(refused.body, HasSubstr("Cannot resolve query parameter (")) << bad;
  }
}

TEST_F(OverviewTest, WhatHasNotChangedIsNotSentAgain) {
  for (const char* path : {"/overview", "/jobs/overview"}) {
    gateway_.job_model.state = "RUNNING";
    const std::string tag = ask("GET", path).header("etag");
    EXPECT_THAT(tag, StartsWith("W/\""));
    for (const std::string& known : {tag, "\"x\", " + tag, tag.substr(2), std::string("*")}) {
      const Answered same = ask("GET", path, "", {{"host", "localhost:1"}, {"if-none-match", known}});
      EXPECT_EQ(same.status, 304) << path << " " << known;
      EXPECT_EQ(same.body, "");
      EXPECT_EQ(same.header("etag"), tag);
    }
    gateway_.job_model.state = "FINISHED";
    const Answered changed = ask("GET", path, "", {{"host", "localhost:1"}, {"if-none-match", tag}});
    EXPECT_EQ(changed.status, 200) << path;
    EXPECT_NE(changed.header("etag"), tag);
    EXPECT_EQ(ask("GET", "/jobs").header("etag"), "");
  }
}

}  // namespace
}  // namespace drey::rest
