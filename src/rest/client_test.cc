// The typed client against the router, without a network.
#include "rest/client.h"

#include <cmath>

#include "rest/client_endpoints.h"
#include "rest/fake_gateway.h"

namespace drey::rest {
namespace {

using testing::HasSubstr;

class ClientTest : public RouterTest {
 protected:
  ClientTest()
      : client_({}, [this](const net::HttpCall& call) -> Result<net::HttpResponse> {
          last_ = call;
          net::Headers headers = call.headers;
          headers.emplace_back("host", "localhost:1");
          const Answered answered = ask(call.method, call.target, call.body, headers);
          net::HttpResponse response;
          response.status = answered.status;
          response.body = answered.body;
          return response;
        }) {}
  net::HttpCall last_;
  Client client_;
};

TEST_F(ClientTest, AnswersAreReadIntoTheirTypes) {
  const auto job = client_.call<endpoints::GetJob>({kJob});
  ASSERT_TRUE(job.ok()) << job.status().to_string();
  EXPECT_EQ(job->state.text, "RUNNING");
  ASSERT_EQ(job->vertices.size(), 1u);
  EXPECT_EQ(job->vertices[0].metrics.read_records, 30);
  EXPECT_EQ(job->jid, kJob);
  const auto checkpoints = client_.call<endpoints::GetCheckpoints>({kJob});
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status().to_string();
  EXPECT_EQ(checkpoints->counts.completed, 1);
  ASSERT_TRUE(checkpoints->latest.completed);
  EXPECT_EQ(checkpoints->latest.completed->id, 3);
}

TEST_F(ClientTest, WhatHasNoNumberYetIsReadToo) {
  gateway_.job_model.checkpoints = {};
  const auto checkpoints = client_.call<endpoints::GetCheckpoints>({kJob});
  ASSERT_TRUE(checkpoints.ok()) << checkpoints.status().to_string();
  EXPECT_TRUE(std::isnan(checkpoints->summary.state_size.p99));
  EXPECT_FALSE(checkpoints->latest.completed);
}

TEST_F(ClientTest, QueriesAndBodiesSayWhatIsSetAndNothingElse) {
  ASSERT_TRUE(client_.call<endpoints::GetJobsOverview>({}, {{"FINISHED", "RUNNING"}, "a & b=c", Index{3}, ""}).ok());
  EXPECT_EQ(last_.target, "/v1/jobs/overview?state=FINISHED%2CRUNNING&name=a%20%26%20b%3Dc&limit=3");
  ASSERT_TRUE(client_.call<endpoints::GetJobsOverview>().ok());
  EXPECT_EQ(last_.target, "/v1/jobs/overview");
  StopTrigger stop;
  stop.drain = true;
  stop.target = "/savepoints";
  const auto triggered = client_.call<endpoints::StopJob>({kJob}, {}, stop);
  ASSERT_TRUE(triggered.ok()) << triggered.status().to_string();
  EXPECT_EQ(triggered->request_id, TriggerId::from_halves(7, 8));
  EXPECT_EQ(last_.body, R"({"drain":true,"targetDirectory":"/savepoints"})");
  EXPECT_TRUE(std::get<gateway::SavepointRequest>(gateway_.last_operation.action).drain);
}

TEST_F(ClientTest, NamesOfAllKindsReachTheHandler) {
  // The fake refuses with the name it was given.
  for (const std::string& name : {std::string("a b.jar"), std::string("50%25.jar"), std::string("ü&?#+.jar")}) {
    const auto refused = client_.call<endpoints::DeleteJar>({name});
    EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(refused.status().message(), "File " + name + " does not exist in /x.");
  }
}

TEST_F(ClientTest, RefusalsHaveACodeAndTheServersWords) {
  const auto unknown = client_.call<endpoints::GetJob>({JobId()});
  EXPECT_EQ(unknown.status().code(), Code::kNotFound);
  EXPECT_EQ(unknown.status().message().substr(0, 46), "Job 00000000000000000000000000000000 not found");
  EXPECT_EQ(client_.call<endpoints::CancelJob>({kJob}).status().code(), Code::kConflict);
  const Client garbage({}, [](const net::HttpCall&) -> Result<net::HttpResponse> {
    net::HttpResponse response;
    response.body = "<html>";
    return response;
  });
  EXPECT_EQ(garbage.call<endpoints::GetJob>({kJob}).status().code(), Code::kIo);
}

}  // namespace
}  // namespace drey::rest
