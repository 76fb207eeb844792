#include "rest/router.h"

#include "rest/fake_gateway.h"
#include "rest/gatekeeper.h"

namespace drey::rest {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(RouterTest, PathsFollowFlinksRules) {
  for (const char* path : {"/jobs/overview", "/v1/jobs/overview", "//jobs/overview/", "/jobs%2foverview"}) {
    EXPECT_EQ(ask("GET", path).status, 200) << path;
  }
  for (const char* path : {"/v2/jobs", "/V1/jobs", "/jobs//overview", "/Jobs"})
    EXPECT_EQ(ask("GET", path).status, 404) << path;
  EXPECT_EQ(ask("PUT", "/jobs").body, "{\"errors\":[\"Not found: /jobs\"]}");
  EXPECT_EQ(ask("get", "/jobs").status, 404);
  EXPECT_THAT(ask("GET", "/nothing").body, HasSubstr("Unable to load requested file /nothing."));
  const Answered bad = ask("GET", "/%zz");
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("invalid hex byte 'zz' at index 2 of '/%zz'"));
}

TEST_F(RouterTest, AFragmentIsPartOfNeitherPathNorQuery) {
  for (const char* target :
       {"/overview#x", "/overview#", "/overview?a=b#c=d", "/overview#?mode=zz", "/jobs/overview#/x"})
    EXPECT_EQ(ask("GET", target).status, 200) << target;
  const std::string metrics = "/jobmanager/metrics?get=taskSlotsTotal";
  EXPECT_EQ(ask("GET", metrics + "#,nothing").body, ask("GET", metrics).body);
  EXPECT_EQ(ask("GET", "/nothing#/overview").status, 404);
}

TEST_F(RouterTest, TheRevisionIsToldTheSameInConfigurationAndOverview) {
  gateway_.config_entries.push_back({"drey.flink-revision", "0a1b2c3 @ 2031-01-01T00:00:00Z"});
  EXPECT_EQ(ask("GET", "/config").json()["flink-revision"].text(), "0a1b2c3 @ 2031-01-01T00:00:00Z");
  EXPECT_EQ(ask("GET", "/overview").json()["flink-commit"].text(), "0a1b2c3");
}

TEST_F(RouterTest, EmptyElementsOfListsAreRefusedWhereTheyHaveNoMeaning) {
  for (const char* query : {"agg=", "agg=min,,max", "agg=,min", "jobs=", "jobs=zz,"})
    EXPECT_EQ(ask("GET", std::string("/jobs/metrics?") + query).status, 400) << query;
  EXPECT_THAT(ask("GET", "/jobs/metrics?agg=").body, HasSubstr("Cannot resolve query parameter (agg) from value"));
  EXPECT_EQ(ask("GET", "/taskmanagers/metrics?agg=").status, 400);
  // As in Java, those at the end are none.
  EXPECT_EQ(ask("GET", "/jobs/metrics?agg=min,,").status, 200);
  EXPECT_EQ(ask("GET", "/jobs/metrics?agg=,").status, 200);
  EXPECT_EQ(ask("GET", "/jobmanager/metrics?get=").body, "[]");
  EXPECT_EQ(ask("GET", "/jobmanager/metrics?get=,taskSlotsTotal").json().elements().size(), 1u);
  EXPECT_EQ(ask("GET", "/taskmanagers/metrics?taskmanagers=").body, "[]");
}

TEST_F(RouterTest, AFailedLoginOfAnUploadCountsOnce) {
  const std::string tokens = testing::TempDir() + "router_tokens";
  ASSERT_TRUE(env::posix().files.write_atomic(tokens, "0123456789abcdef admin\n").ok());
  RouterOptions options;
  options.gatekeeper = std::make_shared<Gatekeeper>(GatekeeperOptions{"", tokens, {}}, env::posix());
  ASSERT_TRUE(options.gatekeeper->load().ok());
  Router router(all_endpoints(), gateway_, options);
  const auto upload = [&](const std::string& login) {
    net::HttpRequest request;
    request.method = "POST";
    request.target = "/jars/upload";
    request.peer = "a";
    request.headers = {{"host", "localhost:1"}, {"authorization", login}};
    if (router.keeps_files(request)) return 200;
    int status = 0;
    router.handle(std::move(request), [&](net::HttpResponse r) { status = r.status; });
    return status;
  };
  for (int i = 0; i < 9; ++i) EXPECT_EQ(upload("Bearer wrong"), 401) << i;
  EXPECT_EQ(upload("Bearer 0123456789abcdef"), 200);
  EXPECT_EQ(upload("Bearer wrong"), 401);
  EXPECT_EQ(upload("Bearer 0123456789abcdef"), 429);  // ten are one too many
}

TEST_F(RouterTest, ErrorsHaveFlinksTextsAndNothingBesideThem) {
  const Answered id = ask("GET", "/jobs/zz");
  EXPECT_EQ(id.status, 400);
  EXPECT_EQ(id.json().entries().size(), 1u);
  EXPECT_THAT(id.body, HasSubstr("Cannot resolve path parameter (jobid) from value \\\"zz\\\"."));
  const Answered unknown = ask("GET", "/jobs/" + JobId().to_string());
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("NotFoundException: Job 00000000000000000000000000000000 not found"));
  EXPECT_EQ(ask("PATCH", job_).status, 409);
  EXPECT_EQ(ask("PATCH", "/jobs/" + JobId().to_string()).status, 404);
  EXPECT_EQ(ask("PATCH", job_ + "?mode=stop").status, 308);
  EXPECT_EQ(ask("GET", job_ + "/yarn-stop").status, 308);
  EXPECT_EQ(ask("PATCH", job_ + "?mode=zz").status, 400);
  EXPECT_THAT(ask("GET", job_ + "/exceptions?maxExceptions=-1").body,
              HasSubstr("(maxExceptions) from value \\\"-1\\\"."));
  EXPECT_THAT(ask("GET", job_ + "/vertices/" + VertexId().to_string()).body, HasSubstr("JobVertex"));
  EXPECT_THAT(ask("GET", job_ + "/vertices/" + kVertex.to_string() + "/subtasks/7").body,
              HasSubstr("Invalid subtask index for vertex"));
  EXPECT_THAT(ask("GET", job_ + "/checkpoints/details/9").body,
              HasSubstr("Could not find checkpointing statistics for checkpoint 9."));
  EXPECT_EQ(ask("DELETE", "/jars/x.jar").status, 400);
}

TEST_F(RouterTest, BodiesOnGetAreReadLeniently) {
  EXPECT_EQ(ask("GET", "/overview", "{}").status, 200);
  EXPECT_EQ(ask("GET", "/overview", "{} trailing").status, 200);
  EXPECT_EQ(ask("GET", "/overview", "[]").status, 400);
  EXPECT_THAT(ask("GET", "/overview", "{").body, HasSubstr("Request did not match expected format EmptyRequestBody."));
}

TEST_F(RouterTest, HostileJsonIsRefusedOrHarmless) {
  const auto run = [&](const std::string& body) { return ask("POST", "/jars/a_b.jar/run", body); };
  // Deep, and cut while it is.
  for (const char* deep : {"[", "{\"a\":"}) {
    std::string body = "{\"programArgsList\":";
    for (int i = 0; i < 100'000; ++i) body += deep;
    EXPECT_EQ(run(body).status, 400);
  }
  std::string closed = "{\"x\":" + std::string(900, '[') + std::string(900, ']') + "}";
  EXPECT_EQ(run(closed).status, 200);  // a key that nobody knows
  // Numbers that fit nowhere.
  for (const char* number : {"1e999", "-1e999", "99999999999999999999", "1e400000000", "0x10", "1_0", "+1", "NaN"})
    EXPECT_EQ(run(std::string("{\"parallelism\":") + number + "}").status, 400) << number;
  EXPECT_EQ(run("{\"parallelism\":9223372036854775807}").status, 400);
  EXPECT_EQ(run("{\"parallelism\":" + std::string(50'000, '9') + "}").status, 400);
  // Text that is no UTF-8: bare bytes, overlong forms, halves of pairs.
  for (const char* bytes : {"\xff", "\xc0\xae", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    const Answered answer = run(std::string("{\"entryClass\":\"") + bytes + "\"}");
    EXPECT_EQ(answer.status, 400) << bytes;
  }
  // Of a key that comes twice the last counts, as Flink's mapper has it.
  EXPECT_EQ(run("{\"entryClass\":\"first\",\"entryClass\":\"last\"}").status, 200);
  EXPECT_EQ(gateway_.last_run.entry, "last");
  for (const char* cut :
       {"{", "{\"a\"", "{\"a\":1,", "{'a':1}", "{a:1}", "{\"a\":1}}}}{{{", "null", "\"x\"", "[]", "{/**/}"}) {
    const Answered answer = run(cut);
    EXPECT_TRUE(answer.status == 400 || std::string(cut).starts_with("{\"a\":1}")) << cut;
  }
}

TEST_F(RouterTest, PreflightsAreAnsweredOnlyForTheOriginThatIsConfigured) {
  const net::Headers asks{
      {"host", "localhost:1"}, {"origin", "http://ours.example"}, {"access-control-request-method", "PATCH"}};
  EXPECT_EQ(ask("OPTIONS", job_, "", asks).status, 404);  // as in Flink, with * configured
  RouterOptions options;
  options.allow_origin = "http://ours.example";
  Router router(all_endpoints(), gateway_, options);
  const auto status = [&](std::string method, net::Headers headers, Answered* whole = nullptr) {
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = job_;
    request.headers = std::move(headers);
    int out = 0;
    router.handle(std::move(request), [&](net::HttpResponse r) {
      out = r.status;
      if (whole != nullptr) *whole = {r.status, r.body, r.headers, r.stream};
    });
    return out;
  };
  Answered answer;
  EXPECT_EQ(status("OPTIONS", asks, &answer), 200);
  EXPECT_THAT(answer.headers, testing::Contains(testing::Pair("access-control-allow-origin", "http://ours.example")));
  EXPECT_EQ(status("PATCH", asks), 409);  // comes through
  for (const char* origin : {"http://evil.example", "https://ours.example", "http://ours.example.evil.example",
                             "http://ours.example:8080", "null", "*"}) {
    EXPECT_EQ(status("OPTIONS", {{"host", "localhost:1"}, {"origin", origin}}), 404) << origin;
    EXPECT_EQ(status("PATCH", {{"host", "localhost:1"}, {"origin", origin}}), 403) << origin;
  }
}

// What a gateway tells, with a count of changes that stands still until told otherwise.
class StillGateway final : public FakeGateway {
 public:
  std::uint64_t changes() const override { return count; }
  gateway::Future<gateway::JobModelRef> job(JobId id) override {
    ++asked_jobs;
    return FakeGateway::job(id);
  }
  std::uint64_t count = 1;
  int asked_jobs = 0;
};

TEST(AnswersThatAreShared, ComeFromTheClusterOnceUntilSomethingChanges) {
  StillGateway gateway;
  RouterOptions options;
  options.allowed_hosts = {"ours"};
  Router router(all_endpoints(), gateway, options);
  const std::string path = "/jobs/" + kJob.to_string();
  const auto ask = [&](const std::string& target, const std::string& host = "localhost",
                       const std::string& method = "GET") {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.headers = {{"host", host}};
    std::pair<int, std::string> out;
    router.handle(std::move(request), [&](net::HttpResponse r) { out = {r.status, r.body}; });
    return out;
  };
  const auto first = ask(path);
  EXPECT_EQ(first.first, 200);
  // The clock is real: of very many questions in a row most come within the time.
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(ask(path).first, 200);
  EXPECT_LT(gateway.asked_jobs, 500);
  // Another target is another answer; who may not ask gets none.
  EXPECT_NE(ask(path + "/config").second, first.second);
  EXPECT_EQ(ask(path, "evil.example").first, 403);
  EXPECT_EQ(ask(path, "ours").first, 200);
  const int before = gateway.asked_jobs;
  ++gateway.count;
  EXPECT_EQ(ask(path).first, 200);
  EXPECT_EQ(gateway.asked_jobs, before + 1);
  // Refusals and other verbs are never kept.
  const std::string unknown = "/jobs/" + JobId().to_string();
  const int known = gateway.asked_jobs;
  EXPECT_EQ(ask(unknown).first, 404);
  EXPECT_EQ(ask(unknown).first, 404);
  EXPECT_EQ(gateway.asked_jobs, known + 2);
  EXPECT_EQ(ask(path, "localhost", "PATCH").first, 409);
}

TEST_F(RouterTest, NamesOfHostsThatOnlyLookLikeThisMachineAreRefused) {
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
                           "evil.example:8081", "localhost@evil", "0x7f.1", "[evil.example]", "[::1", "[::1]evil",
                           "localhost.", "\xc4\xb1ocalhost"})
    EXPECT_EQ(ask("GET", "/overview", "", {{"host", host}}).status, 403) << host;
  for (const char* host :
       {"localhost", "localhost:8081", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8081", "LOCALHOST:1"})
    EXPECT_EQ(ask("GET", "/overview", "", {{"host", host}}).status, 200) << host;
}

TEST_F(RouterTest, ForeignOriginsAndHostNamesAreRefused) {
  EXPECT_EQ(ask("PATCH", job_, "", {{"host", "localhost:1"}, {"origin", "http://evil.example"}}).status, 403);
  EXPECT_EQ(ask("PATCH", job_, "", {{"host", "localhost:1"}, {"origin", "http://localhost:2"}}).status, 403);
  EXPECT_EQ(ask("GET", job_ + "/yarn-cancel", "", {{"host", "localhost:1"}, {"origin", "http://evil.example"}}).status,
            403);
  EXPECT_EQ(ask("GET", "/overview", "", {{"host", "evil.example"}}).status, 403);
  EXPECT_EQ(ask("PATCH", job_, "", {{"host", "localhost:1"}, {"origin", "http://localhost:1"}}).status, 409);
}

TEST_F(RouterTest, ViewsComeFromTheModel) {
  const Json details = ask("GET", job_).json();
  EXPECT_EQ(details["state"].text(), "RUNNING");
  const Json& vertex = details["vertices"].elements()[0];
  EXPECT_EQ(vertex["status"].text(), "RUNNING");
  EXPECT_EQ(vertex["metrics"]["read-records"].whole(), 30);
  EXPECT_EQ(details["status-counts"]["RUNNING"].whole(), 1);
  EXPECT_EQ(details["plan"]["nodes"].elements()[0]["description"].text(), "Source: rows<br/>+- map &lt;x&gt;<br/>");
  EXPECT_EQ(ask("GET", job_ + "/accumulators").json()["user-task-accumulators"].elements()[0]["value"].text(), "8");
  const Json overview = ask("GET", "/jobs/overview").json();
  EXPECT_EQ(overview.entries().size(), 1u);
  EXPECT_EQ(overview["jobs"].elements()[0]["tasks"]["total"].whole(), 2);
  EXPECT_EQ(ask("GET", job_ + "/execution-result").body, "{\"status\":{\"id\":\"IN_PROGRESS\"}}");
  const Json checkpoints = ask("GET", job_ + "/checkpoints").json();
  EXPECT_EQ(checkpoints["latest"]["completed"].entries()[0].first, "className");
  EXPECT_EQ(checkpoints["latest"]["completed"]["checkpointed_size"].whole(), 110);
  EXPECT_EQ(checkpoints["latest"]["completed"]["end_to_end_duration"].whole(), 20);
  EXPECT_TRUE(checkpoints["latest"]["savepoint"].is_null());
  const Json subtasks = ask("GET", job_ + "/checkpoints/details/3/subtasks/" + kVertex.to_string()).json();
  EXPECT_EQ(subtasks["subtasks"].elements()[1]["state_size"].whole(), 20);
  EXPECT_EQ(ask("GET", job_ + "/vertices/" + kVertex.to_string() + "/backpressure").json()["backpressureLevel"].text(),
            "high");
}

TEST_F(RouterTest, MetricsAreTextAggregatesAreNumbersAndAMissingOneEmptiesTheAnswer) {
  const std::string vertex = job_ + "/vertices/" + kVertex.to_string();
  EXPECT_EQ(ask("GET", "/jobmanager/metrics?get=taskSlotsTotal").body, "[{\"id\":\"taskSlotsTotal\",\"value\":\"4\"}]");
  EXPECT_EQ(ask("GET", vertex + "/subtasks/metrics?get=numRecordsIn").body,
            "[{\"id\":\"numRecordsIn\",\"min\":10.0,\"max\":20.0,\"avg\":15.0,\"sum\":30.0,"
            "\"skew\":33.33333333333333}]");
  EXPECT_EQ(ask("GET", vertex + "/subtasks/metrics?get=numRecordsIn,nothing").body, "[]");
  EXPECT_EQ(ask("GET", vertex + "/subtasks/metrics?get=numRecordsIn&agg=max&subtasks=0").body,
            "[{\"id\":\"numRecordsIn\",\"max\":10.0}]");
  EXPECT_EQ(ask("GET", "/jobs/" + JobId().to_string() + "/metrics").body, "[]");
  EXPECT_EQ(ask("GET", vertex + "/metrics?get=1.numRecordsIn").body, "[{\"id\":\"1.numRecordsIn\",\"value\":\"20\"}]");
  EXPECT_EQ(ask("GET", vertex + "/metrics?get=2.numRecordsIn,-1.numRecordsIn,numRecordsIn,1.,1").body, "[]");
}

TEST_F(RouterTest, RealNumbersTruthsAndTextsAreAsFlinkPrintsThem) {
  const std::string vertex = job_ + "/vertices/" + kVertex.to_string();
  const auto value = [&](const std::string& path, const std::string& name) {
    return ask("GET", path + "/metrics?get=" + name).json().elements()[0]["value"].text();
  };
  EXPECT_EQ(value(vertex + "/subtasks/0", "numRecordsInPerSecond"), "43.733333333333334");
  EXPECT_EQ(value(vertex + "/subtasks/0", "busyTimeMsPerSecond"), "300.0");
  EXPECT_EQ(value(vertex + "/subtasks/0", "idleTimeMsPerSecond"), "100");
  EXPECT_EQ(value(vertex + "/subtasks/0", "isBackPressured"), "true");
  EXPECT_EQ(value(vertex + "/subtasks/1", "Shuffle.Netty.Output.Buffers.outPoolUsage"), "0.16666667");
  EXPECT_EQ(value(job_, "lastCheckpointExternalPath"), "file:/c/chk-3");
  EXPECT_EQ(value(job_, "lastCheckpointMetadataSize"), "5419");
  EXPECT_EQ(value(job_, "lastCheckpointFullSize"), "220");
  EXPECT_EQ(ask("GET", vertex + "/subtasks/metrics?get=numRecordsInPerSecond&agg=sum").body,
            "[{\"id\":\"numRecordsInPerSecond\",\"sum\":43.733333333333334}]");
  for (const char* no_number : {"isBackPressured", "isBackPressured,numRecordsIn"}) {
    EXPECT_EQ(ask("GET", vertex + "/subtasks/metrics?get=" + std::string(no_number)).body, "[]");
  }
  EXPECT_EQ(ask("GET", "/jobs/metrics?get=lastCheckpointExternalPath").body, "[]");
}

TEST_F(RouterTest, RunTakesAllFourFormsOfArgumentsAndTheBodyWins) {
  const auto arguments = [&](const std::string& query, const std::string& body) {
    EXPECT_EQ(ask("POST", "/jars/a_b.jar/run" + query, body).status, 200);
    return gateway_.last_run.arguments;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(arguments("?programArg=a,b", ""), (List{"a", "b"}));
  EXPECT_EQ(arguments("?program-args=--x%20%27one%20two%27", ""), (List{"--x", "one two"}));
  EXPECT_EQ(arguments("?programArg=a", "{\"programArgs\":\"c d\",\"programArgsList\":null}"), (List{"a"}));
  EXPECT_EQ(arguments("?programArg=a", "{\"programArgsList\":[\"z\"],\"parallelism\":\"3\"}"), (List{"z"}));
  EXPECT_EQ(gateway_.last_run.parallelism, 3);
}

TEST_F(RouterTest, AnApplicationIsItsJob) {
  const Json one = ask("GET", "/applications/overview").json()["applications"].elements()[0];
  EXPECT_EQ(one["id"].text(), kJob.to_string());
  EXPECT_EQ(one["name"].text(), "SingleJobApplication(fails <every> & n)");
  EXPECT_EQ(one["status"].text(), "RUNNING");
  EXPECT_EQ(one["jobs"]["RUNNING"].whole(), 1);
  const std::string path = "/applications/" + kJob.to_string();
  const Json details = ask("GET", path).json();
  EXPECT_EQ(details["timestamps"]["RUNNING"].whole(), 1002);
  EXPECT_EQ(details["timestamps"]["FAILED"].whole(), 0);
  EXPECT_EQ(details["jobs"].elements()[0]["tasks"]["total"].whole(), 2);
  EXPECT_EQ(ask("GET", path + "/exceptions").body, "{\"exceptionHistory\":{\"entries\":[]}}");
  const Answered unknown = ask("GET", "/applications/" + JobId().to_string());
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("Could not find Flink application (00000000000000000000000000000000)"));
  EXPECT_EQ(ask("GET", "/applications/zz").status, 400);
  EXPECT_EQ(ask("POST", "/applications/overview").status, 404);
  const Answered ended = ask("POST", path + "/cancel", "{}");
  EXPECT_EQ(ended.status, 404);
  EXPECT_THAT(ended.body, HasSubstr("Application could not be found."));
}

TEST_F(RouterTest, UploadsNeedExactlyOneJar) {
  const auto upload = [&](std::vector<net::Part> parts, const std::string& path = "/jars/upload") {
    Answered out;
    net::HttpRequest request;
    request.method = "POST";
    request.target = path;
    request.headers = {{"host", "localhost"}};
    request.is_multipart = true;
    request.parts = std::move(parts);
    router_.handle(std::move(request), [&](net::HttpResponse r) { out = {r.status, r.body, r.headers}; });
    return out;
  };
  const auto jar = [](const std::string& name) {
    return net::Part{"any", name, "", std::make_shared<net::SpooledFile>(env::posix().files, "/nonexistent/x"), 1};
  };
  const net::Part request{"request", std::nullopt, "{}", nullptr, 2};
  EXPECT_THAT(upload({}).body, HasSubstr("RestHandlerException: Exactly 1 file must be sent, received 0."));
  EXPECT_THAT(upload({jar("a.jar"), jar("b.jar")}).body, HasSubstr("Exactly 1 file must be sent, received 2."));
  EXPECT_THAT(upload({jar("x.JAR")}).body, HasSubstr("Only Jar files are allowed."));
  EXPECT_EQ(upload({jar("")}).body, "{\"errors\":[\"File upload failed.\"]}");
  EXPECT_EQ(upload({{"what", std::nullopt, "{}", nullptr, 2}}).body,
            "{\"errors\":[\"Received unknown attribute what.\"]}");
  EXPECT_EQ(upload({request, jar("a.jar")}).body, "{\"filename\":\"/nonexistent/x_a.jar\",\"status\":\"success\"}");
  EXPECT_EQ(upload({jar("a.jar")}, "/jars/a/run").body, "{\"errors\":[\"File upload not allowed\"]}");
  EXPECT_EQ(upload({request}, "/jars/a/run").status, 200);  // without files it is a body like any other
  net::HttpRequest head;
  head.method = "POST";
  head.target = "/jars/upload";
  EXPECT_TRUE(router_.keeps_files(head));
  head.headers = {{"host", "a"}};
  EXPECT_FALSE(router_.keeps_files(head));  // refused, so nothing is written for it
  head.headers.clear();
  head.target = "/jars/x/run";
  EXPECT_FALSE(router_.keeps_files(head));
}

TEST_F(RouterTest, PrometheusNamesAreFlinksAndLabelsAreQuoted) {
  const Answered page = ask("GET", "/metrics");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("flink_jobmanager_taskSlotsTotal{} 4\n"));
  EXPECT_THAT(page.body, HasSubstr("subtask_index=\"0\"} 43.733333333333334\n"));
  EXPECT_THAT(page.body, HasSubstr("flink_taskmanager_job_task_Shuffle_Netty_Output_Buffers_outPoolUsage{"));
  EXPECT_THAT(page.body, HasSubstr("flink_taskmanager_job_task_operator_numRecordsSend{"));
  EXPECT_THAT(page.body, HasSubstr(",operator_name=\"Shuffle\"} 9\n"));
  EXPECT_THAT(page.body, Not(HasSubstr("lastCheckpointExternalPath")));
  EXPECT_THAT(page.body, HasSubstr("flink_taskmanager_job_task_numRecordsIn{job_id=\"" + kJob.to_string() +
                                   "\",job_name=\"fails <every> & n\",task_id=\"" + kVertex.to_string() +
                                   "\",task_name=\"Source: rows\",tm_id=\"tm\",subtask_index=\"1\"} 20\n"));
  EXPECT_THAT(ask("GET", "/metrics").body,
              HasSubstr("drey_rest_requests_total{verb=\"GET\",path=\"/metrics\",outcome=\"ok\"} 1\n"));
}

TEST_F(RouterTest, OldJavaClientsAreToldByTheirRequests) {
  const auto has_new_rows = [&](const std::string& path, net::Headers headers) {
    return ask("GET", path, "{}", std::move(headers)).json()["maxParallelism"].whole().has_value();
  };
  const net::Headers old{{"Host", "localhost:1"}, {"Connection", "close"}};
  EXPECT_FALSE(has_new_rows("/v1" + job_, old));
  EXPECT_TRUE(has_new_rows(job_, old));  // not below /v1: no Java client
  EXPECT_TRUE(has_new_rows("/v1" + job_, {{"host", "localhost:1"}}));
  EXPECT_TRUE(has_new_rows("/v1" + job_, {{"Host", "localhost:1"}, {"User-Agent", "curl"}}));
}

TEST_F(RouterTest, TheDashboardOf112GetsPlansSettingsAndMetricsInItsForm) {
  gateway_.job_model.vertices[0].vertex.name = "a -> b";
  gateway_.job_model.vertices[0].vertex.description = "a\n+- b\n";
  RouterOptions options;
  options.compat = Compat::k112;
  Router old(all_endpoints(), gateway_, options);
  const auto ask_old = [&](const std::string& target) { return ask_of(old, "GET", target).body; };
  for (const std::string& path : {job_, job_ + "/plan"}) {
    EXPECT_THAT(ask("GET", path).body, HasSubstr(R"("description":"a<br/>+- b<br/>")"));
    EXPECT_THAT(ask_old(path), HasSubstr(R"("description":"a -&gt; b")"));
  }
  EXPECT_THAT(ask_old(job_ + "/config"), HasSubstr(R"("execution-config":{"execution-mode":"PIPELINED",)"));
  EXPECT_THAT(ask("GET", job_ + "/config").body, testing::Not(HasSubstr("execution-mode")));
  const std::string name = "Status.JVM.GarbageCollector.All.TimeMsPerSecond";
  EXPECT_THAT(ask("GET", "/jobmanager/metrics").body, HasSubstr(name));
  EXPECT_THAT(ask_old("/jobmanager/metrics"), testing::Not(HasSubstr(name)));
}

TEST_F(RouterTest, OldClientsAreToldNoStateTheyDoNotKnow) {
  for (auto& subtask : gateway_.job_model.vertices[0].subtasks) subtask.back().state = "INITIALIZING";
  gateway_.job_model.state = "INITIALIZING";
  const auto ask_as = [&](Compat compat, const std::string& path) {
    RouterOptions options;
    options.compat = compat;
    Router router{all_endpoints(), gateway_, options};
    return ask_of(router, "GET", path).json();
  };
  const Json full = ask_as(Compat::kFull, job_);
  EXPECT_EQ(full["vertices"].elements()[0]["status"].text(), "INITIALIZING");
  EXPECT_EQ(full["vertices"].elements()[0]["tasks"]["INITIALIZING"].whole(), 2);
  EXPECT_EQ(full["status-counts"]["INITIALIZING"].whole(), 1);
  for (const Compat compat : {Compat::k112, Compat::k111}) {
    const Json old = ask_as(compat, job_);
    EXPECT_EQ(old["vertices"].elements()[0]["status"].text(), "RUNNING");
    EXPECT_EQ(old["vertices"].elements()[0]["tasks"]["RUNNING"].whole(), 2);
    EXPECT_EQ(old["vertices"].elements()[0]["tasks"].entries().size(), 9u);
    EXPECT_EQ(old["status-counts"]["RUNNING"].whole(), 1);
    EXPECT_EQ(old["status-counts"].entries().size(), 9u);
    const bool knows = compat == Compat::k112;  // as a job's state
    EXPECT_EQ(old["state"].text(), knows ? "INITIALIZING" : "CREATED");
    EXPECT_EQ(old["timestamps"].entries().size(), knows ? 11u : 10u);
    EXPECT_EQ(old["start-time"].whole(), knows ? 1000 : 1001);
    const Json item = ask_as(compat, "/jobs/overview")["jobs"].elements()[0];
    EXPECT_EQ(item["state"].text(), knows ? "INITIALIZING" : "CREATED");
  }
}

TEST_F(RouterTest, OldClientsMayAskForParallelismZero) {
  RouterOptions options;
  options.compat = Compat::k112;
  Router old{all_endpoints(), gateway_, options};
  const std::string body = "{\"parallelism\":0}";  // the default, once
  EXPECT_EQ(ask_of(old, "POST", "/jars/a.jar/run", body).status, 200);
  EXPECT_EQ(ask("POST", "/jars/a.jar/run", body).status, 400);
}

TEST_F(RouterTest, AFlameGraphOfWhatHasNoSamplesSaysSo) {
  EXPECT_THAT(ask("GET", job_ + "/vertices/" + kVertex.to_string() + "/flamegraph").body,
              testing::StartsWith("{\"endTimestamp\":-3"));
  EXPECT_EQ(ask("GET", job_ + "/vertices/" + kVertex.to_string() + "/flamegraph?subtaskindex=9").status, 404);
  EXPECT_EQ(ask("GET", job_ + "/vertices/" + kVertex.to_string() + "/flamegraph?type=zz").status, 400);
}

TEST_F(RouterTest, LogsAndProfilesAreAskedOfTheirProcess) {
  gateway_.answer_to_inspection = "0123";
  EXPECT_EQ(ask("GET", "/jobmanager/log?tail=4").body, "0123");
  EXPECT_EQ(gateway_.asked.offset, -4);
  EXPECT_EQ(ask("GET", "/jobmanager/log?tail=0").body, "");
  EXPECT_EQ(ask("GET", "/jobmanager/log").body, "0123");
  EXPECT_EQ(ask("GET", "/jobmanager/logs/..%252f..%252fpasswd").status, 200);
  EXPECT_EQ(gateway_.asked.name, "passwd");  // only the last part, as Flink
  EXPECT_EQ(ask("GET", "/taskmanagers/zz/logs").status, 404);
  EXPECT_THAT(ask("GET", "/taskmanagers/zz/logs").body, HasSubstr("Could not find TaskExecutor zz\""));
  EXPECT_THAT(ask("GET", "/taskmanagers/zz/log").body, HasSubstr("because it was unknown."));
  EXPECT_THAT(ask("GET", "/taskmanagers/zz/thread-dump").body, HasSubstr("No TaskExecutor registered under zz."));
  EXPECT_THAT(ask("POST", "/jobmanager/profiler", "{\"mode\":\"LOCK\",\"duration\":1}").body, HasSubstr("needs a JVM"));
  EXPECT_EQ(ask("POST", "/jobmanager/profiler", "{\"mode\":\"CPU\"}").status, 400);
  EXPECT_EQ(ask("POST", "/jobmanager/profiler", "{\"mode\":\"zz\",\"duration\":1}").status, 400);
  EXPECT_EQ(ask("POST", "/jobmanager/profiler", "{\"mode\":\"CPU\",\"duration\":301}").status, 400);
}

TEST_F(RouterTest, JavaGraphsAreToldWhereToGo) {
  EXPECT_THAT(ask("POST", "/jobs", "{}").body, HasSubstr("The jobGraphFileName field must not be omitted or be null."));
  EXPECT_THAT(
      ask("POST", "/jobs", "{\"executionPlanFileName\":\"g\"}").body,
      HasSubstr("JobSubmitHandler$MissingFileException: ExecutionPlan file g could not be found on the server."));
}

TEST_F(RouterTest, ClientsAndDataSetsAndTheEnd) {
  EXPECT_EQ(ask("PATCH", job_ + "/clientHeartbeat", "{\"expiredTimestamp\":7}").status, 202);
  EXPECT_EQ(gateway_.beats, (std::vector<std::pair<JobId, std::int64_t>>{{kJob, 7}}));
  EXPECT_THAT(ask("PATCH", job_ + "/clientHeartbeat", "{}").body,
              HasSubstr("Request did not match expected format JobClientHeartbeatRequestBody."));
  EXPECT_THAT(ask("PATCH", job_ + "/clientHeartbeat").body,
              HasSubstr("Bad request received. Request did not conform to expected format."));
  EXPECT_EQ(ask("GET", "/datasets").body, "{\"dataSets\":[]}");
  const Answered deletion = ask("DELETE", "/datasets/" + kJob.to_string());
  EXPECT_EQ(deletion.status, 202);
  EXPECT_EQ(ask("GET", "/datasets/delete/" + *deletion.json()["request-id"].text()).body,
            "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{}}");
  EXPECT_EQ(ask("GET", "/datasets/delete/" + kJob.to_string()).status, 404);
  EXPECT_EQ(ask("DELETE", "/cluster", "", {{"host", "localhost:1"}, {"origin", "http://evil"}}).status, 403);
  EXPECT_FALSE(gateway_.ended);
  EXPECT_EQ(ask("DELETE", "/cluster").body, "{}");
  EXPECT_TRUE(gateway_.ended);
}

TEST_F(RouterTest, OpenApiListsEveryEndpoint) {
  const Json openapi = ask("GET", "/openapi.json").json();
  std::size_t operations = 0;
  for (const auto& [path, verbs] : openapi["paths"].entries()) operations += verbs.entries().size();
  EXPECT_EQ(operations, all_endpoints().size());
}

TEST_F(RouterTest, SavepointsAndStopsAreTriggeredUnderTheIdThatWasChosen) {
  const std::string id = "0123456789abcdef0123456789abcdef";
  const Answered triggered = ask(
      "POST", job_ + "/savepoints",
      R"({"target-directory":"/s","cancel-job":true,"formatType":"NATIVE","triggerId":"0123456789ABCDEF0123456789abcdef"})");
  EXPECT_EQ(triggered.status, 202);
  EXPECT_EQ(triggered.body, "{\"request-id\":\"" + id + "\"}");
  const auto& savepoint = std::get<gateway::SavepointRequest>(gateway_.last_operation.action);
  EXPECT_EQ(savepoint.target, "/s");
  EXPECT_TRUE(savepoint.cancel_job);
  EXPECT_FALSE(savepoint.canonical);
  EXPECT_FALSE(savepoint.stop);
  EXPECT_EQ(
      ask("POST", job_ + "/stop", R"({"targetDirectory":"/s","drain":true,"formatType":null,"triggerId":null})").status,
      202);
  const auto& stop = std::get<gateway::SavepointRequest>(gateway_.last_operation.action);
  EXPECT_TRUE(stop.stop);
  EXPECT_TRUE(stop.drain);
  EXPECT_TRUE(stop.canonical);
  for (const char* path : {"/savepoints", "/stop"}) {
    const Answered nowhere = ask("POST", job_ + path);
    EXPECT_EQ(nowhere.status, 400);
    EXPECT_THAT(nowhere.body, HasSubstr("no place for it"));
  }
  for (const char* body :
       {R"({"formatType":"native"})", R"({"triggerId":"zz"})", "[]", "{", R"({"cancel-job":"perhaps"})"}) {
    const Answered bad = ask("POST", job_ + "/savepoints", body);
    EXPECT_EQ(bad.status, 400) << body;
    EXPECT_THAT(bad.body, HasSubstr("Request did not match expected format SavepointTriggerRequestBody.")) << body;
  }
}

TEST_F(RouterTest, OperationsAnswerAsFlinksDo) {
  const TriggerId id = TriggerId::from_halves(1, 2);
  gateway::OperationModel& operation = gateway_.operation_;
  operation.job = kJob;
  operation.id = id;
  const std::string savepoints = job_ + "/savepoints/" + id.to_string();
  EXPECT_EQ(ask("GET", savepoints).body, R"({"status":{"id":"IN_PROGRESS"},"operation":null})");
  operation.done = true;
  operation.location = "file:/s/savepoint-1";
  EXPECT_EQ(ask("GET", savepoints).body,
            R"({"status":{"id":"COMPLETED"},"operation":{"location":"file:/s/savepoint-1"}})");
  operation.failure_class = "java.util.concurrent.CompletionException";
  operation.failure = "no";
  const Answered failed = ask("GET", savepoints);
  EXPECT_EQ(failed.status, 200);
  EXPECT_THAT(
      failed.body,
      HasSubstr(R"("operation":{"failure-cause":{"class":"java.util.concurrent.CompletionException","stack-trace":)"));
  EXPECT_THAT(failed.body, testing::Not(HasSubstr("location")));
  operation.kind = gateway::OperationKind::kCheckpoint;
  EXPECT_THAT(ask("GET", job_ + "/checkpoints/" + id.to_string()).body, HasSubstr(R"({"failureCause":{)"));
  operation.failure_class.clear();
  operation.checkpoint = 7;
  EXPECT_EQ(ask("GET", job_ + "/checkpoints/" + id.to_string()).body,
            R"({"status":{"id":"COMPLETED"},"operation":{"checkpointId":7}})");
  const Answered unknown = ask("GET", savepoints);
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("There is no savepoint operation with triggerId=" + id.to_string() + " for job " +
                                      kJob.to_string() + "."));
  operation.kind = gateway::OperationKind::kDisposal;
  operation.job = JobId();
  EXPECT_EQ(ask("GET", "/savepoint-disposal/" + id.to_string()).body,
            R"({"status":{"id":"COMPLETED"},"operation":{}})");
  EXPECT_THAT(ask("GET", "/savepoint-disposal/" + TriggerId().to_string()).body,
              HasSubstr("Operation not found under key: "));
  EXPECT_THAT(ask("POST", "/savepoint-disposal").body,
              HasSubstr("Field savepoint-path must not be omitted or be null."));
  EXPECT_EQ(ask("POST", "/savepoint-disposal", R"({"savepoint-path":"/s"})").status, 200);
}

TEST_F(RouterTest, RescalingAndResourceRequirements) {
  EXPECT_EQ(ask("PATCH", job_ + "/rescaling?parallelism=4").status, 200);
  EXPECT_EQ(std::get<gateway::RescaleRequest>(gateway_.last_operation.action).parallelism, 4);
  for (const char* bad : {"", "?parallelism=0", "?parallelism=-1", "?parallelism=zz", "?parallelism=40000"}) {
    EXPECT_EQ(ask("PATCH", job_ + "/rescaling" + bad).status, 400) << bad;
  }
  EXPECT_THAT(ask("PATCH", "/jobs/" + JobId().to_string() + "/rescaling?parallelism=4").body, HasSubstr("not found"));
  const std::string path = job_ + "/resource-requirements";
  const std::string vertex = VertexId::from_halves(1, 1).to_string();
  EXPECT_EQ(ask("GET", path).body, "{\"" + vertex + R"(":{"parallelism":{"lowerBound":1,"upperBound":4}}})");
  const Answered put =
      ask("PUT", path, "{\"" + vertex + R"(":{"parallelism":{"lowerBound":"2","upperBound":-1},"x":1}})");
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.body, "{}");
  EXPECT_EQ(gateway_.requirements[0].second.lower, 2);
  EXPECT_EQ(gateway_.requirements[0].second.upper, -1);
  EXPECT_THAT(ask("PUT", path).body, HasSubstr("Request body does not specify resource requirements."));
  EXPECT_THAT(ask("PUT", path, R"({"zz":{"parallelism":{"lowerBound":1,"upperBound":2}}})").body,
              HasSubstr("Request did not match expected format JobResourceRequirementsBody."));
  const Answered unknown = ask("GET", "/jobs/" + JobId().to_string() + "/resource-requirements");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("Could not find Flink job"));
}

TEST_F(RouterTest, ClaimModesOfBothNames) {
  for (const auto& [body, claims] : {std::pair{R"({"savepointPath":"/s","claimMode":"CLAIM"})", true},
                                     {R"({"savepointPath":"/s","restoreMode":"CLAIM"})", true},
                                     {R"({"savepointPath":"/s","claimMode":"NO_CLAIM","restoreMode":"CLAIM"})", false},
                                     {R"({"savepointPath":"/s","claimMode":"LEGACY"})", false},
                                     {R"({"savepointPath":"/s"})", false}}) {
    EXPECT_EQ(ask("POST", "/jars/a.jar/run", body).status, 200) << body;
    EXPECT_EQ(gateway_.last_run.claim, claims) << body;
    EXPECT_EQ(gateway_.last_run.savepoint_path, "/s");
  }
  EXPECT_EQ(ask("POST", "/jars/a.jar/run", R"({"claimMode":"zz"})").status, 400);
}

}  // namespace
}  // namespace drey::rest
