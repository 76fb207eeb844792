// The JobManager's RPC port against peers of every kind, over real sockets.
#include "cluster/job_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <semaphore>

#include "drey/kinds.h"
#include "operators/registry.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

using testing::HasSubstr;
constexpr auto kDeadline = std::chrono::seconds(20);

class NoPrograms final : public ProgramRunner {
 public:
  void plan(env::Loop&, Request, std::function<void(Result<graph::JobGraph>)> done) override {
    done(fail(Code::kUnavailable, "no programs here"));
  }
};

control::Register good(const std::string& id) {
  control::Register message;
  message.secret = "the secret";
  message.id = id;
  message.host = "127.0.0.1";
  message.slots = 2;
  return message;
}

// A peer that sends one frame and keeps what comes back.
class Peer {
 public:
  Peer(std::uint16_t port, std::string frame) : loop_(env::posix().threads.make_loop("peer")) {
    env::posix().network.connect(
        *loop_, "127.0.0.1", port, kDeadline, [this, frame = std::move(frame)](Result<env::ConnectionRef> connected) {
          if (!connected.ok()) return closed_.release();
          connection_ = *connected;
          connection_->set_handler({[this](std::string_view bytes) {
                                      auto message = wire::decode<control::ToTaskManager>(bytes);
                                      if (message.ok()) answer_ = std::get<control::RegisterAnswer>(*message);
                                      answered_.release();
                                    },
                                    [this](const Status&) { closed_.release(); }});
          connection_->send(frame);
        });
  }
  ~Peer() {
    std::binary_semaphore gone{0};
    loop_->post([&] {
      if (connection_ != nullptr) connection_->close();
      connection_ = nullptr;
      gone.release();
    });
    gone.acquire();
  }

  bool is_closed() { return closed_.try_acquire_for(kDeadline); }
  control::RegisterAnswer answer() {
    EXPECT_TRUE(answered_.try_acquire_for(kDeadline));
    return answer_;
  }

 private:
  env::ConnectionRef connection_;
  control::RegisterAnswer answer_;
  std::binary_semaphore answered_{0};
  std::binary_semaphore closed_{0};
  std::unique_ptr<env::Loop> loop_;
};

const operators::Registry& kinds() {
  static const operators::Registry registry = [] {
    operators::Registry all;
    operators::add_builtin_kinds(all);
    return all;
  }();
  return registry;
}

class JobManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    JobManagerOptions options;
    options.cluster.secret = "the secret";
    manager_ = std::make_unique<JobManager>(
        options, env::posix(), kinds(), make_memory_store(std::make_shared<StoreMemory>()),
        std::make_unique<Jars>("/nowhere", "/nowhere", env::posix()), std::make_unique<NoPrograms>());
    ASSERT_TRUE(manager_->start().ok());
  }

  std::vector<gateway::TaskManagerModel> task_managers() {
    std::binary_semaphore answered{0};
    std::vector<gateway::TaskManagerModel> all;
    manager_->task_managers().then([&](Result<std::vector<gateway::TaskManagerModel>> models) {
      all = *models;
      answered.release();
    });
    EXPECT_TRUE(answered.try_acquire_for(kDeadline));
    return all;
  }

  void expect_refused(const control::Register& message, const std::string& why) {
    const std::int64_t before = manager_->refused();
    Peer peer(manager_->rpc_port(), wire::encode(control::ToJobManager(message)));
    const control::RegisterAnswer answer = peer.answer();
    EXPECT_FALSE(answer.accepted);
    EXPECT_THAT(answer.why, HasSubstr(why));
    EXPECT_TRUE(peer.is_closed());
    EXPECT_EQ(manager_->refused(), before + 1);
  }

  std::unique_ptr<JobManager> manager_;
};

// What `ask` hands to the callback it gets.
template <typename T>
Result<T> taken(const std::function<void(std::function<void(Result<T>)>)>& ask) {
  std::binary_semaphore answered{0};
  Result<T> out = fail(Code::kTimeout, "no answer");
  ask([&](Result<T> result) {
    out = std::move(result);
    answered.release();
  });
  EXPECT_TRUE(answered.try_acquire_for(kDeadline));
  return out;
}

// Ended jobs as a JobManager finds them in its store, the first one ended first; `ended`: ms ago.
std::vector<std::string> remembered(const ClusterOptions& cluster, const std::vector<std::int64_t>& ended) {
  auto memory = std::make_shared<StoreMemory>();
  const auto store = make_memory_store(memory);
  for (std::size_t i = 0; i < ended.size(); ++i) {
    gateway::JobModel model;
    model.id = JobId::from_halves(0, i + 1);
    model.name = std::to_string(i + 1);
    model.state = "FINISHED";
    model.entered = {{"FINISHED", env::posix().clock.wall().millis - ended[i]}};
    StoredJob job;
    job.id = model.id;
    job.submitted = static_cast<std::int64_t>(i);
    job.ended = true;
    job.model = wire::encode(model);
    EXPECT_TRUE(store->put(job).ok());
  }
  JobManagerOptions options;
  options.cluster = cluster;
  JobManager manager(options, env::posix(), kinds(), make_memory_store(memory),
                     std::make_unique<Jars>("/nowhere", "/nowhere", env::posix()), std::make_unique<NoPrograms>());
  EXPECT_TRUE(manager.start().ok());
  std::binary_semaphore answered{0};
  std::vector<std::string> names;
  manager.jobs().then([&](Result<std::vector<gateway::JobOutlineRef>> jobs) {
    for (const auto& job : *jobs) names.push_back(job->name);
    answered.release();
  });
  EXPECT_TRUE(answered.try_acquire_for(kDeadline));
  EXPECT_EQ(memory->jobs.size(), names.size());
  return names;
}

TEST(JobHistory, KeepsAsManyEndedJobsAsConfiguredTheLatest) {
  using testing::ElementsAre;
  ClusterOptions cluster;
  EXPECT_THAT(remembered(cluster, {3000, 2000, 1000}), ElementsAre("3", "2", "1"));
  cluster.ended_jobs = 2;
  // By their end, not by their submission.
  EXPECT_THAT(remembered(cluster, {1000, 3000, 2000}), ElementsAre("3", "1"));
  cluster.archived_jobs = 1;
  EXPECT_THAT(remembered(cluster, {3000, 2000, 1000}), ElementsAre("3"));
  cluster.archived_jobs = 5;
  EXPECT_THAT(remembered(cluster, {3000, 2000, 1000}), ElementsAre("3", "2"));
}

TEST(JobHistory, ForgetsJobsThatEndedTooLongAgo) {
  using testing::ElementsAre;
  ClusterOptions cluster;
  cluster.ended_job_age_s = 3600;
  EXPECT_THAT(remembered(cluster, {7'200'000, 1000}), ElementsAre("2"));
  cluster.archived_age = std::chrono::days(1);
  EXPECT_THAT(remembered(cluster, {7'200'000, 1000}), ElementsAre("2"));
  cluster.ended_job_age_s = 0;
  EXPECT_THAT(remembered(cluster, {7'200'000, 1000}), ElementsAre("2", "1"));
  cluster.archived_age = std::chrono::minutes(1);
  EXPECT_THAT(remembered(cluster, {7'200'000, 1000}), ElementsAre("2"));
}

// A store whose disk is full when told to.
class FullStore final : public JobStore {
 public:
  explicit FullStore(std::shared_ptr<std::atomic<bool>> full) : full_(std::move(full)) {}
  Status put(const StoredJob& job) override {
    return *full_ ? fail(Code::kResourceExhausted, "full") : under_->put(job);
  }
  Status each(const std::function<void(StoredJob)>& visit) override { return under_->each(visit); }
  Result<StoredJob> get(JobId id) override { return under_->get(id); }
  Status remove(JobId id) override { return under_->remove(id); }
  Status put_operation(const std::string& key, const std::string& operation) override {
    return under_->put_operation(key, operation);
  }
  Result<std::vector<std::pair<std::string, std::string>>> load_operations() override {
    return under_->load_operations();
  }
  Status remove_operation(const std::string& key) override { return under_->remove_operation(key); }

 private:
  const std::shared_ptr<std::atomic<bool>> full_;
  const std::unique_ptr<JobStore> under_ = make_memory_store(std::make_shared<StoreMemory>());
};

TEST(JobHistory, AnEndedJobIsKnownInFullWhetherItsEndCouldBeStoredOrNot) {
  const auto full = std::make_shared<std::atomic<bool>>(false);
  JobManager manager({}, env::posix(), kinds(), std::make_unique<FullStore>(full),
                     std::make_unique<Jars>("/nowhere", "/nowhere", env::posix()), std::make_unique<NoPrograms>());
  ASSERT_TRUE(manager.start().ok());
  for (const bool is_full : {false, true}) {
    *full = false;
    graph::JobGraph graph;
    graph.name = is_full ? "not stored" : "stored";
    graph.operators.resize(2);
    graph.operators[0].kind = DREY_KIND_GENERATOR;
    graph.operators[0].outputs = {"a:l"};
    graph.operators[0].has_code = true;
    graph.operators[1].number = 1;
    graph.operators[1].kind = DREY_KIND_DISCARD;
    graph.edges.emplace_back();
    graph.edges[0].to = 1;
    const auto id = taken<JobId>([&](auto done) { manager.submit(graph, "", std::nullopt, "", done); });
    ASSERT_TRUE(id.ok()) << id.status().to_string();
    *full = is_full;
    // No slots: it waits for them until it is cancelled, and is cancelled at once.
    ASSERT_TRUE(taken<bool>([&](auto done) { manager.cancel(*id).then(done); }).ok());
    const auto listed = taken<std::vector<gateway::JobOutlineRef>>([&](auto done) { manager.jobs().then(done); });
    ASSERT_EQ(listed->size(), is_full ? 2u : 1u);
    EXPECT_EQ(listed->front()->name, graph.name);
    EXPECT_EQ(listed->front()->state, "CANCELED");
    EXPECT_TRUE(
        taken<std::vector<gateway::JobModelRef>>([&](auto done) { manager.running_jobs().then(done); })->empty());
    const auto model = taken<gateway::JobModelRef>([&](auto done) { manager.job(*id).then(done); });
    ASSERT_TRUE(model.ok()) << model.status().to_string();
    EXPECT_EQ((*model)->state, "CANCELED");
    EXPECT_EQ((*model)->vertices.size(), 1u);
    EXPECT_EQ((*model)->name, graph.name);
  }
}

TEST_F(JobManagerTest, ATaskManagerOfTheClusterIsAccepted) {
  Peer peer(manager_->rpc_port(), wire::encode(control::ToJobManager(good("tm-1"))));
  EXPECT_TRUE(peer.answer().accepted);
  ASSERT_EQ(task_managers().size(), 1u);
  EXPECT_EQ(task_managers()[0].slots, 2);
  EXPECT_EQ(manager_->refused(), 0);
}

TEST_F(JobManagerTest, AnotherVersionIsRefusedWithBothNumbers) {
  control::Register message = good("tm-1");
  message.version = control::kProtocolVersion + 1;
  expect_refused(message, fmt::format("protocol version {}, this JobManager has {}", control::kProtocolVersion + 1,
                                      control::kProtocolVersion));
  EXPECT_TRUE(task_managers().empty());
}

TEST_F(JobManagerTest, WithoutTheSecretNothingElseIsSaid) {
  for (const char* secret : {"", "the secre", "the secrets", "the Secret"}) {
    control::Register message = good("tm-1");
    message.secret = secret;
    message.version = 99;
    expect_refused(message, "the secret of the cluster does not match");
  }
  EXPECT_TRUE(task_managers().empty());
}

TEST_F(JobManagerTest, TheSecondOfTwoWithOneIdIsRefusedAndTheFirstStays) {
  Peer first(manager_->rpc_port(), wire::encode(control::ToJobManager(good("tm-1"))));
  ASSERT_TRUE(first.answer().accepted);
  control::Register twin = good("tm-1");
  twin.slots = 7;
  expect_refused(twin, "tm-1 is registered already");
  ASSERT_EQ(task_managers().size(), 1u);
  EXPECT_EQ(task_managers()[0].slots, 2);
}

TEST_F(JobManagerTest, SlotsAndIdsThatMakeNoSenseAreRefused) {
  for (const std::int32_t slots : {0, -1, 100'001}) {
    control::Register message = good("tm-1");
    message.slots = slots;
    expect_refused(message, fmt::format("{} slots", slots));
  }
  expect_refused(good(""), "it has no id");
}

TEST_F(JobManagerTest, FramesThatAreNoRegistrationCloseTheConnectionAndAreCounted) {
  const std::string registration = wire::encode(control::ToJobManager(good("tm-1")));
  std::int64_t count = 0;
  for (const std::string& frame : {std::string("garbage"), std::string(), registration.substr(0, 20),
                                   registration + "x", wire::encode(control::ToJobManager(control::Heartbeat{}))}) {
    Peer peer(manager_->rpc_port(), frame);
    EXPECT_TRUE(peer.is_closed());
    EXPECT_EQ(manager_->refused(), ++count);
  }
  EXPECT_TRUE(task_managers().empty());
}

}  // namespace
}  // namespace drey::cluster
