// What every Env promises, as a typed test suite: the real one and the simulated one pass the same
// tests.
//
//   struct PosixRig { env::Env& env(); std::string scratch(); bool wait(const
//   std::function<bool()>& holds); }; INSTANTIATE_TYPED_TEST_SUITE_P(Posix, EnvConformance,
//   PosixRig);
// wait() lets the world go on until the condition holds (asked on the test's thread), or a minute
// is over.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/env.h"
#include "env/mutex.h"

namespace drey::env {

// A text that one loop appends to and the test reads.
class Transcript {
 public:
  void add(std::string_view text) {
    MutexLock lock(mutex_);
    text_ += text;
  }
  std::string text() const {
    MutexLock lock(mutex_);
    return text_;
  }

 private:
  mutable Mutex mutex_;
  std::string text_ DREY_GUARDED_BY(mutex_);
};

template <typename Rig>
class EnvConformance : public testing::Test {
 protected:
  Rig rig_;
  Env& env() { return rig_.env(); }
  // Runs on the loop, and is over on return.
  void on(Loop& loop, const std::function<void()>& function) {
    std::atomic<bool> done{false};
    loop.post([&] {
      function();
      done = true;
    });
    ASSERT_TRUE(rig_.wait([&] { return done.load(); }));
  }
};
TYPED_TEST_SUITE_P(EnvConformance);

TYPED_TEST_P(EnvConformance, LoopRunsPostsInOrderAndTimersByTime) {
  auto loop = this->env().threads.make_loop("test");
  Transcript out;
  EXPECT_FALSE(loop->is_current());
  // Posted from the loop: from here the second might come when the first has run.
  loop->post([&] {
    loop->post([&] {
      loop->after(Millis(4), [&] { out.add("e"); });
      loop->after(Millis(2), [&] { out.add("d"); });
      const TimerId never = loop->after(Millis(1), [&] { out.add("x"); });
      loop->cancel(never);
      loop->post([&] { out.add("c"); });
      out.add(loop->is_current() ? "a" : "?");
    });
    loop->post([&] { out.add("b"); });
  });
  EXPECT_TRUE(this->rig_.wait([&] { return out.text().size() == 5; }));
  EXPECT_EQ(out.text(), "abcde");
}

TYPED_TEST_P(EnvConformance, LoopDropsWhatHasNotRunWhenItGoes) {
  auto held = std::make_shared<int>(1);
  auto loop = this->env().threads.make_loop("test");
  this->on(*loop, [&] { loop->after(std::chrono::hours(1), [held] {}); });
  EXPECT_EQ(held.use_count(), 2);
  loop.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TYPED_TEST_P(EnvConformance, ClockGoesForward) {
  auto loop = this->env().threads.make_loop("test");
  const Ticks begin = this->env().clock.ticks();
  const Instant wall = this->env().clock.wall();
  std::atomic<bool> rang{false};
  loop->post([&] { loop->after(Millis(20), [&] { rang = true; }); });
  ASSERT_TRUE(this->rig_.wait([&] { return rang.load(); }));
  EXPECT_GE(this->env().clock.ticks() - begin, Millis(20));
  EXPECT_GE(this->env().clock.wall() - wall, Millis(15));
}

TYPED_TEST_P(EnvConformance, DriverStepsUntilDoneAndWakesAtOnce) {
  std::atomic<int> steps{0};
  std::atomic<bool> may_go_on{false};
  auto driver = this->env().threads.make_driver({.name = "test"}, [&]() -> Nanos {
    if (++steps < 3) return Nanos::zero();
    return may_go_on ? kStepsDone : kUntilWoken;
  });
  ASSERT_TRUE(this->rig_.wait([&] { return steps == 3; }));
  may_go_on = true;
  driver->wake();
  ASSERT_TRUE(this->rig_.wait([&] { return steps == 4; }));
  driver->wake();
  driver.reset();
  EXPECT_EQ(steps, 4);
}

TYPED_TEST_P(EnvConformance, DriverTakesItsOwnWakeWhileStepping) {
  std::atomic<int> steps{0};
  Driver* self = nullptr;
  std::atomic<bool> is_set{false};
  auto driver = this->env().threads.make_driver({.name = "test"}, [&]() -> Nanos {
    if (!is_set) return Micros(100);
    if (++steps == 1) self->wake();
    return kUntilWoken;
  });
  self = driver.get();
  is_set = true;
  EXPECT_TRUE(this->rig_.wait([&] { return steps >= 2; }));
}

TYPED_TEST_P(EnvConformance, IoPoolRunsEveryJob) {
  std::atomic<int> count{0};
  for (int i = 0; i < 50; ++i) this->env().io.post([&] { ++count; });
  EXPECT_TRUE(this->rig_.wait([&] { return count == 50; }));
}

TYPED_TEST_P(EnvConformance, NetworkCarriesFramesInOrderBothWays) {
  auto loop = this->env().threads.make_loop("test");
  std::vector<std::size_t> sizes;
  std::vector<ConnectionRef> servers;
  ConnectionRef client;
  std::atomic<int> answers{0};
  auto listener = this->env().network.listen(*loop, "127.0.0.1", 0, [&](ConnectionRef c) {
    servers.push_back(c);
    c->set_handler({[&, raw = c.get()](std::string_view frame) {
      sizes.push_back(frame.size());
      raw->send(std::string(frame));
    }});
  });
  ASSERT_TRUE(listener.ok());
  ASSERT_NE((*listener)->port(), 0);
  this->env().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5),
                              [&](Result<ConnectionRef> c) {
                                ASSERT_TRUE(c.ok()) << c.status().to_string();
                                client = *c;
                                client->set_handler({[&](std::string_view) { ++answers; }});
                                for (std::size_t n : {0u, 1u, 100'000u, 5'000'000u, 3u}) {
                                  client->send(std::string(n, 'x'));
                                }
                              });
  ASSERT_TRUE(this->rig_.wait([&] { return answers == 5; }));
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1, 100'000, 5'000'000, 3}));
  this->on(*loop, [&] {
    EXPECT_EQ(client->queued_bytes(), 0u);
    client->close();
    for (const auto& server : servers) server->close();
  });
}

TYPED_TEST_P(EnvConformance, NetworkKeepsFramesUntilThereIsAHandler) {
  auto loop = this->env().threads.make_loop("test");
  Transcript out;
  ConnectionRef server;
  ConnectionRef client;
  std::atomic<bool> sent{false};
  auto listener = this->env().network.listen(*loop, "127.0.0.1", 0, [&](ConnectionRef c) {
    if (server == nullptr) server = c;
    c->send("hello");
    c->send("again");
    c->close();
    sent = true;
  });
  ASSERT_TRUE(listener.ok());
  std::atomic<bool> connected{false};
  this->env().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5),
                              [&](Result<ConnectionRef> c) {
                                client = *c;
                                connected = true;
                              });
  ASSERT_TRUE(this->rig_.wait([&] { return sent && connected; }));
  std::atomic<bool> waited{false};
  loop->post([&] { loop->after(Millis(30), [&] { waited = true; }); });
  ASSERT_TRUE(this->rig_.wait([&] { return waited.load(); }));
  this->on(*loop, [&] {
    client->set_handler({[&](std::string_view frame) { out.add(frame); },
                         [&](const Status& why) { out.add(why.code() == Code::kIo ? "." : "?"); }});
    EXPECT_EQ(out.text(), "");  // not from within the call
  });
  EXPECT_TRUE(this->rig_.wait([&] { return out.text() == "helloagain."; })) << out.text();
}

TYPED_TEST_P(EnvConformance, NetworkSaysNothingAfterClose) {
  auto loop = this->env().threads.make_loop("test");
  std::vector<ConnectionRef> servers;
  ConnectionRef client;
  std::atomic<int> heard{0};
  std::atomic<bool> server_lost_it{false};
  auto listener = this->env().network.listen(*loop, "127.0.0.1", 0, [&](ConnectionRef c) {
    servers.push_back(c);
    c->set_handler({[](std::string_view) {}, [&](const Status&) { server_lost_it = true; }});
    for (int i = 0; i < 10; ++i) c->send("x");
  });
  ASSERT_TRUE(listener.ok());
  this->env().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5),
                              [&](Result<ConnectionRef> c) {
                                client = *c;
                                client->set_handler({[&](std::string_view) {
                                                       ++heard;
                                                       client->close();
                                                     },
                                                     [&](const Status&) { heard += 100; }});
                              });
  ASSERT_TRUE(this->rig_.wait([&] { return server_lost_it && heard > 0; }));
  this->on(*loop, [] {});
  EXPECT_EQ(heard, 1);
  this->on(*loop, [&] {
    client->send("into the void");
    client->close();
    for (const auto& server : servers) server->close();
  });
}

TYPED_TEST_P(EnvConformance, NetworkCallsNoHandlerWithinSend) {
  auto loop = this->env().threads.make_loop("test");
  auto server_loop = this->env().threads.make_loop("server");
  auto listener =
      this->env().network.listen(*server_loop, "127.0.0.1", 0, [](const ConnectionRef& server) { server->close(); });
  ASSERT_TRUE(listener.ok());
  ConnectionRef client;
  std::atomic<bool> is_lost{false};
  bool is_sending = false;
  bool within_send = false;
  this->env().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5),
                              [&](Result<ConnectionRef> c) {
                                client = *c;
                                client->set_handler({[](std::string_view) {},
                                                     [&](const Status&) {
                                                       within_send = is_sending;
                                                       is_lost = true;
                                                     }});
                                is_sending = true;  // the server closes meanwhile
                                for (int i = 0; i < 5'000; ++i) client->send(std::string(1'000, 'x'));
                                is_sending = false;
                              });
  ASSERT_TRUE(this->rig_.wait([&] { return is_lost.load(); }));
  this->on(*loop, [&] { client->close(); });
  EXPECT_FALSE(within_send);
}

TYPED_TEST_P(EnvConformance, NetworkRefusesWhereNobodyListens) {
  auto loop = this->env().threads.make_loop("test");
  std::uint16_t port = 0;
  {
    auto listener = this->env().network.listen(*loop, "127.0.0.1", 0, [](ConnectionRef) {});
    ASSERT_TRUE(listener.ok());
    port = (*listener)->port();
    auto second = this->env().network.listen(*loop, "127.0.0.1", port, [](ConnectionRef) {});
    EXPECT_EQ(second.status().code(), Code::kUnavailable);
  }
  this->on(*loop, [] {});
  std::atomic<int> failed{0};
  this->env().network.connect(*loop, "127.0.0.1", port, std::chrono::seconds(5),
                              [&](Result<ConnectionRef> c) { failed = c.ok() ? 2 : 1; });
  ASSERT_TRUE(this->rig_.wait([&] { return failed != 0; }));
  EXPECT_EQ(failed, 1);
}

TYPED_TEST_P(EnvConformance, FilesReadWhatWasWritten) {
  FileSystem& files = this->env().files;
  const std::string dir = this->rig_.scratch();
  auto file = files.create(dir + "/a");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->append("hello ").ok());
  ASSERT_TRUE((*file)->append("world").ok());
  ASSERT_TRUE((*file)->sync().ok());
  ASSERT_TRUE((*file)->close().ok());
  auto more = files.create(dir + "/a", true);
  ASSERT_TRUE((*more)->append("!").ok());
  ASSERT_TRUE((*more)->close().ok());
  EXPECT_EQ(*files.read_all(dir + "/a"), "hello world!");
  auto reader = files.open(dir + "/a");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->size(), 12u);
  char part[16];
  EXPECT_EQ(*(*reader)->read_at(6, part, 5), 5u);
  EXPECT_EQ(std::string(part, 5), "world");
  EXPECT_EQ(*(*reader)->read_at(10, part, 16), 2u);
  EXPECT_EQ(*(*reader)->read_at(99, part, 16), 0u);
  ASSERT_TRUE(files.write_atomic(dir + "/a", "short").ok());
  EXPECT_EQ(*files.read_all(dir + "/a"), "short");
  EXPECT_EQ(*files.list(dir), (std::vector<std::string>{"a"}));
  const auto stat = files.stat(dir + "/a");
  ASSERT_TRUE(stat.ok());
  EXPECT_EQ(stat->size, 5u);
  EXPECT_FALSE(stat->is_directory);
  EXPECT_GT(files.free_bytes(dir).value_or(0), 0u);
}

TYPED_TEST_P(EnvConformance, FilesHaveDirectories) {
  FileSystem& files = this->env().files;
  const std::string dir = this->rig_.scratch();
  ASSERT_TRUE(files.make_directories(dir + "/x/y/z", 0700).ok());
  ASSERT_TRUE(files.make_directories(dir + "/x/y", 0700).ok());
  EXPECT_TRUE(files.stat(dir + "/x/y")->is_directory);
  EXPECT_EQ(files.stat(dir + "/x/y")->mode, 0700u);
  ASSERT_TRUE(files.write_atomic(dir + "/x/y/z/b", "1").ok());
  ASSERT_TRUE(files.write_atomic(dir + "/x/a", "2").ok());
  EXPECT_EQ(*files.list(dir + "/x"), (std::vector<std::string>{"a", "y"}));
  ASSERT_TRUE(files.rename(dir + "/x/y", dir + "/x/w").ok());
  EXPECT_EQ(*files.read_all(dir + "/x/w/z/b"), "1");
  EXPECT_EQ(files.stat(dir + "/x/y").status().code(), Code::kNotFound);
  ASSERT_TRUE(files.hard_link(dir + "/x/a", dir + "/x/c").ok());
  ASSERT_TRUE(files.remove(dir + "/x/a").ok());
  EXPECT_EQ(*files.read_all(dir + "/x/c"), "2");
  ASSERT_TRUE(files.sync_directory(dir + "/x").ok());
  ASSERT_TRUE(files.remove_tree(dir + "/x").ok());
  ASSERT_TRUE(files.remove_tree(dir + "/x").ok());
  EXPECT_EQ(files.list(dir)->size(), 0u);
}

TYPED_TEST_P(EnvConformance, FilesSayWhatIsWrong) {
  FileSystem& files = this->env().files;
  const std::string dir = this->rig_.scratch();
  const Status missing = files.open(dir + "/none").status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find(dir + "/none"), std::string::npos);
  EXPECT_EQ(files.create(dir + "/no/file").status().code(), Code::kNotFound);
  EXPECT_EQ(files.remove(dir + "/none").code(), Code::kNotFound);
  EXPECT_EQ(files.rename(dir + "/none", dir + "/b").code(), Code::kNotFound);
  EXPECT_EQ(files.list(dir + "/none").status().code(), Code::kNotFound);
  EXPECT_EQ(files.stat(dir + "/none").status().code(), Code::kNotFound);
  EXPECT_FALSE(files.open(dir).ok());
  ASSERT_TRUE(files.write_atomic(dir + "/a", "1").ok());
  ASSERT_TRUE(files.write_atomic(dir + "/b", "2").ok());
  EXPECT_EQ(files.hard_link(dir + "/a", dir + "/b").code(), Code::kAlreadyExists);
  EXPECT_FALSE(files.make_directories(dir + "/a/below").ok());
}

REGISTER_TYPED_TEST_SUITE_P(EnvConformance, LoopRunsPostsInOrderAndTimersByTime, LoopDropsWhatHasNotRunWhenItGoes,
                            ClockGoesForward, DriverStepsUntilDoneAndWakesAtOnce, DriverTakesItsOwnWakeWhileStepping,
                            IoPoolRunsEveryJob, NetworkCarriesFramesInOrderBothWays,
                            NetworkKeepsFramesUntilThereIsAHandler, NetworkSaysNothingAfterClose,
                            NetworkCallsNoHandlerWithinSend, NetworkRefusesWhereNobodyListens, FilesReadWhatWasWritten,
                            FilesHaveDirectories, FilesSayWhatIsWrong);

}  // namespace drey::env
