#include <gtest/gtest.h>

#include "env/env_conformance.h"
#include "sim/env/world.h"

namespace drey::sim {
namespace {

struct SimRig {
  SimRig() {
    world.start("a", std::make_shared<Disk>(), [](env::Env&, const auto&) { return std::make_shared<int>(0); });
  }
  World world{{.seed = 7}};
  env::Env& env() { return world.env("a"); }
  std::string scratch() {
    EXPECT_TRUE(env().files.make_directories("/scratch", 0755).ok());
    return "/scratch";
  }
  bool wait(const std::function<bool()>& holds) { return world.run_until(holds, std::chrono::minutes(1)); }
};

using env::ConnectionRef;
const Program kIdle = [](env::Env&, const std::vector<std::string>&) { return std::make_shared<int>(0); };

TEST(World, KillEndsAProcessAtOnceAndTellsItsPeers) {
  World world({.seed = 3});
  auto disk = std::make_shared<Disk>();
  world.start("server", disk, kIdle);
  world.start("client", disk, kIdle);
  auto server_loop = world.env("server").threads.make_loop("s");
  auto client_loop = world.env("client").threads.make_loop("c");
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    server_loop->after(Millis(1), tick);
  };
  server_loop->post(tick);
  auto listener = world.env("server").network.listen(
      *server_loop, "127.0.0.1", 6123, [](const ConnectionRef& c) { c->set_handler({[](std::string_view) {}}); });
  ASSERT_TRUE(listener.ok());
  ConnectionRef client;
  bool is_lost = false;
  world.env("client").network.connect(*client_loop, "127.0.0.1", 6123, Millis(100), [&](Result<ConnectionRef> c) {
    client = *c;
    client->set_handler({[](std::string_view) {}, [&](const Status&) { is_lost = true; }});
  });
  world.run_for(Millis(20));
  ASSERT_NE(client, nullptr);
  EXPECT_GE(ticks, 10);
  world.kill("server");
  const int before = ticks;
  world.run_for(Millis(20));
  EXPECT_EQ(ticks, before);
  EXPECT_TRUE(is_lost);
  world.start("server", disk, kIdle);
  EXPECT_TRUE(world.is_alive("server"));
}

TEST(World, CutHoldsFramesAndJoinDeliversThem) {
  World world({.seed = 4});
  auto disk = std::make_shared<Disk>();
  world.start("a", disk, kIdle);
  world.start("b", disk, kIdle);
  auto loop_a = world.env("a").threads.make_loop("a");
  auto loop_b = world.env("b").threads.make_loop("b");
  std::string got;
  std::vector<ConnectionRef> accepted;
  auto listener = world.env("b").network.listen(*loop_b, "127.0.0.1", 0, [&](const ConnectionRef& c) {
    accepted.push_back(c);
    c->set_handler({[&](std::string_view frame) { got += frame; }});
  });
  ConnectionRef connection;
  world.env("a").network.connect(*loop_a, "127.0.0.1", (*listener)->port(), Millis(100),
                                 [&](Result<ConnectionRef> c) { connection = *c; });
  world.run_for(Millis(5));
  world.wires().cut("a", "b");
  for (const char* word : {"1", "2", "3"}) connection->send(word);
  Status refused;
  world.env("a").network.connect(*loop_a, "127.0.0.1", (*listener)->port(), Millis(100),
                                 [&](Result<ConnectionRef> c) { refused = c.status(); });
  world.run_for(Millis(200));
  EXPECT_EQ(got, "");
  EXPECT_EQ(refused.code(), Code::kTimeout);
  world.wires().join_all();
  connection->send("4");
  world.run_for(Millis(10));
  EXPECT_EQ(got, "1234");
  bool is_lost = false;
  connection->set_handler({[](std::string_view) {}, [&](const Status&) { is_lost = true; }});
  EXPECT_EQ(world.wires().drop("b", "a"), 1);
  connection->send("5");
  world.run_for(Millis(10));
  EXPECT_EQ(got, "1234");
  EXPECT_TRUE(is_lost);
}

TEST(World, PausedProcessesWaitAndGoOn) {
  World world({.seed = 5});
  world.start("a", std::make_shared<Disk>(), kIdle);
  auto loop = world.env("a").threads.make_loop("a");
  int runs = 0;
  world.pause("a");
  loop->post([&] { ++runs; });
  world.run_for(Millis(10));
  EXPECT_EQ(runs, 0);
  world.resume("a");
  world.run_for(Millis(10));
  EXPECT_EQ(runs, 1);
}

TEST(World, SpawnedProcessesDieWithTheirParentAndReportTheirEnd) {
  World world({.seed = 6});
  world.set_program("/bin/drey", kIdle);
  world.start("parent", std::make_shared<Disk>(), kIdle);
  auto loop = world.env("parent").threads.make_loop("p");
  int ended_by = 0;
  env::SpawnOptions options;
  options.arguments = {"/bin/drey", "taskmanager"};
  auto pid = world.env("parent").processes.spawn(*loop, options, [&](env::ExitStatus s) { ended_by = s.signal; });
  ASSERT_TRUE(pid.ok());
  world.run_for(Millis(5));
  EXPECT_TRUE(world.env("parent").processes.is_alive(*pid));
  world.env("parent").processes.signal(*pid, 9);
  world.run_for(Millis(5));
  EXPECT_EQ(ended_by, 9);
  ASSERT_TRUE(world.env("parent").processes.spawn(*loop, options, [](env::ExitStatus) {}).ok());
  world.run_for(Millis(5));
  EXPECT_EQ(world.names().size(), 2u);
  world.kill("parent");
  EXPECT_TRUE(world.names().empty());
}

TEST(Disk, LosesOnlyWhatWasNotSynced) {
  int torn = 0;
  int renamed = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    World world({.seed = seed});
    auto disk = std::make_shared<Disk>();
    world.start("a", disk, kIdle);
    env::FileSystem& files = world.env("a").files;
    ASSERT_TRUE(files.make_directories("/d", 0755).ok());
    ASSERT_TRUE(files.write_atomic("/d/safe", "safe").ok());
    ASSERT_TRUE(files.write_atomic("/d/old", "old").ok());
    auto log = files.create("/d/log");
    ASSERT_TRUE((*log)->append("first").ok());
    ASSERT_TRUE((*log)->sync().ok());
    ASSERT_TRUE(files.sync_directory("/d").ok());
    ASSERT_TRUE((*log)->append("-second").ok());
    auto fresh = files.create("/d/new.tmp");
    ASSERT_TRUE((*fresh)->append("new").ok());
    ASSERT_TRUE((*fresh)->sync().ok());
    ASSERT_TRUE(files.rename("/d/new.tmp", "/d/old").ok());  // and the directory is not synced
    world.lose_power(disk);
    world.start("a", disk, kIdle);
    env::FileSystem& after = world.env("a").files;
    EXPECT_EQ(*after.read_all("/d/safe"), "safe");
    const std::string text = *after.read_all("/d/log");
    EXPECT_TRUE(text.starts_with("first")) << text;
    torn += text != "first" && text != "first-second" ? 1 : 0;
    const std::string old = *after.read_all("/d/old");
    EXPECT_TRUE(old == "old" || old == "new") << old;
    renamed += old == "new" ? 1 : 0;
  }
  EXPECT_GT(torn, 0);
  EXPECT_GT(renamed, 0);
  EXPECT_LT(renamed, 50);
}

TEST(Disk, FullDisksTakeWhatFits) {
  World world({.seed = 1});
  auto disk = std::make_shared<Disk>();
  world.start("a", disk, kIdle);
  env::FileSystem& files = world.env("a").files;
  disk->set_capacity(10);
  auto file = files.create("/f");
  ASSERT_TRUE((*file)->append("12345678").ok());
  EXPECT_EQ((*file)->append("abcd").code(), Code::kResourceExhausted);
  EXPECT_EQ(*files.read_all("/f"), "12345678ab");
  EXPECT_EQ(*files.free_bytes("/"), 0u);
  disk->set_capacity(100);
  EXPECT_TRUE((*file)->append("cd").ok());
  Prng chance(1);
  ASSERT_TRUE(disk->flip_bit("/f", chance));
  EXPECT_NE(*files.read_all("/f"), "12345678abcd");
}

TEST(World, ProcessesCanDieAtAnyFileOperation) {
  for (std::int64_t n = 1; n <= 5; ++n) {
    World world({.seed = 9});
    auto disk = std::make_shared<Disk>();
    world.start("a", disk, kIdle);
    auto loop = world.env("a").threads.make_loop("a");
    ASSERT_TRUE(world.env("a").files.write_atomic("/f", "old").ok());
    world.kill_at_operation("a", n);
    Status status;
    loop->post([&, &files = world.env("a").files] { status = files.write_atomic("/f", "new"); });
    world.run_for(Millis(10));
    EXPECT_FALSE(world.is_alive("a"));
    EXPECT_FALSE(status.ok());
    world.start("a", disk, kIdle);
    EXPECT_EQ(*world.env("a").files.read_all("/f"), n <= 4 ? "old" : "new");
  }
}

// Two loops that talk and draw, for long enough that any leak of order would show.
std::uint64_t trace_of(std::uint64_t seed) {
  World world({.seed = seed});
  auto disk = std::make_shared<Disk>();
  world.start("a", disk, kIdle);
  world.start("b", disk, kIdle);
  auto loop_a = world.env("a").threads.make_loop("a");
  auto loop_b = world.env("b").threads.make_loop("b");
  std::vector<ConnectionRef> ends;
  auto listener = world.env("b").network.listen(*loop_b, "127.0.0.1", 0, [&](const ConnectionRef& c) {
    ends.push_back(c);
    c->set_handler({[&, raw = c.get()](std::string_view frame) { raw->send(std::string(frame) + "b"); }});
  });
  int rounds = 0;
  world.env("a").network.connect(*loop_a, "127.0.0.1", (*listener)->port(), Millis(100), [&](Result<ConnectionRef> c) {
    ends.push_back(*c);
    (*c)->set_handler({[&, raw = c->get()](std::string_view) {
      ++rounds;
      raw->send(std::to_string(world.env("a").random.next()));
      world.env("a").io.post([&] { (void)world.env("a").files.write_atomic("/x", "y"); });
    }});
    (*c)->send("start");
  });
  world.run_for(Millis(100));
  EXPECT_GT(rounds, 20);
  return world.trace();
}

TEST(World, EqualSeedsGiveEqualTraces) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) EXPECT_EQ(trace_of(seed), trace_of(seed));
  EXPECT_NE(trace_of(1), trace_of(2));
}

}  // namespace
}  // namespace drey::sim

namespace drey::env {
INSTANTIATE_TYPED_TEST_SUITE_P(Sim, EnvConformance, sim::SimRig);
}  // namespace drey::env
