#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include <fmt/format.h>

#include "env/env.h"

namespace drey::env {
namespace {

std::string scratch(const std::string& name) {
  const std::string path = fmt::format("{}/scratch/{}-{}", DREY_BINARY_DIR, name, getpid());
  EXPECT_TRUE(posix().files.remove_tree(path).ok());
  EXPECT_TRUE(posix().files.make_directories(path).ok());
  return path;
}

TEST(Loop, RunsPostsInOrderAndTimersByTime) {
  auto loop = posix().threads.make_loop("test");
  std::promise<std::string> done;
  auto* text = new std::string();
  loop->post([&, text] {
    loop->after(std::chrono::milliseconds(2), [&, text] {
      *text += "c";
      done.set_value(*text);
      delete text;
    });
    const TimerId never = loop->after(std::chrono::milliseconds(1), [text] { *text += "x"; });
    loop->cancel(never);
    *text += "a";
  });
  loop->post([text] { *text += "b"; });
  EXPECT_EQ(done.get_future().get(), "abc");
}

TEST(Network, CarriesFramesOfAnySizeInOrder) {
  auto loop = posix().threads.make_loop("test");
  std::promise<void> done;
  std::vector<std::size_t> sizes;
  ConnectionRef server;
  ConnectionRef client;
  auto listener = posix().network.listen(*loop, "127.0.0.1", 0, [&](ConnectionRef c) {
    server = c;
    c->set_handler({[&](std::string_view frame) {
                      sizes.push_back(frame.size());
                      if (sizes.size() == 5) done.set_value();
                    },
                    [](const Status&) {}});
  });
  ASSERT_TRUE(listener.ok());
  posix().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5), [&](Result<ConnectionRef> c) {
    ASSERT_TRUE(c.ok());
    client = *c;
    for (std::size_t n : {0u, 1u, 100'000u, 5'000'000u, 3u}) client->send(std::string(n, 'x'));
  });
  done.get_future().get();
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1, 100'000, 5'000'000, 3}));
  std::promise<void> gone;
  loop->post([&] {
    client->close();
    server->close();
    loop->post([&] { gone.set_value(); });
  });
  gone.get_future().get();
}

TEST(Network, SaysWhenThePeerGoes) {
  auto loop = posix().threads.make_loop("test");
  std::promise<Status> closed;
  auto listener = posix().network.listen(*loop, "127.0.0.1", 0, [&](ConnectionRef c) { c->close(); });
  ASSERT_TRUE(listener.ok());
  ConnectionRef client;
  posix().network.connect(*loop, "127.0.0.1", (*listener)->port(), std::chrono::seconds(5), [&](Result<ConnectionRef> c) {
    ASSERT_TRUE(c.ok());
    client = *c;
    client->set_handler({[](std::string_view) {}, [&](const Status& why) { closed.set_value(why); }});
  });
  EXPECT_EQ(closed.get_future().get().code(), Code::kIo);
}

TEST(Files, WriteAtomicReplacesAndListSorts) {
  FileSystem& files = posix().files;
  const std::string dir = scratch("files");
  ASSERT_TRUE(files.write_atomic(dir + "/b", "one").ok());
  ASSERT_TRUE(files.write_atomic(dir + "/b", "two").ok());
  ASSERT_TRUE(files.write_atomic(dir + "/a", "").ok());
  EXPECT_EQ(*files.read_all(dir + "/b"), "two");
  EXPECT_EQ(*files.list(dir), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(files.open(dir + "/none").status().code(), Code::kNotFound);
  ASSERT_TRUE(files.remove_tree(dir).ok());
}

TEST(Processes, ReportHowTheyEnd) {
  auto loop = posix().threads.make_loop("test");
  std::promise<ExitStatus> exit;
  const std::string dir = scratch("process");
  SpawnOptions options;
  options.arguments = {"/bin/sh", "-c", "echo $WORD; exit 3"};
  options.environment["WORD"] = "hello";
  options.stdout_path = dir + "/out";
  ASSERT_TRUE(posix().processes.spawn(*loop, options, [&](ExitStatus s) { exit.set_value(s); }).ok());
  EXPECT_EQ(exit.get_future().get().code, 3);
  EXPECT_EQ(*posix().files.read_all(dir + "/out"), "hello\n");
  std::promise<ExitStatus> killed;
  options.arguments = {"/bin/sleep", "60"};
  auto pid = posix().processes.spawn(*loop, options, [&](ExitStatus s) { killed.set_value(s); });
  ASSERT_TRUE(pid.ok());
  posix().processes.signal(*pid, 9);
  EXPECT_EQ(killed.get_future().get().signal, 9);
}

}  // namespace
}  // namespace drey::env
