// Sources and sinks of the API on the engine.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "drey/testing.h"

using namespace drey::literals;
using drey::testing::Failure;
using drey::testing::Job;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

// A server in a process of its own: sends one text to each that connects, and closes.
class Server {
 public:
  explicit Server(const std::vector<std::string>& texts) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      ADD_FAILURE() << "cannot listen";
    }
    port = ntohs(address.sin_port);
    child_ = fork();
    if (child_ == 0) {
      alarm(60);
      for (const std::string& text : texts) {
        const int peer = accept(listener, nullptr, nullptr);
        for (std::size_t at = 0; at < text.size();) {
          const ssize_t n = send(peer, text.data() + at, text.size() - at, MSG_NOSIGNAL);
          if (n <= 0) break;
          at += static_cast<std::size_t>(n);
        }
        close(peer);
      }
      _exit(0);
    }
    close(listener);
  }
  ~Server() { waitpid(child_, nullptr, 0); }
  int port = 0;

 private:
  pid_t child_ = -1;
};

std::vector<std::string> texts(const std::vector<drey::Text>& rows) {
  std::vector<std::string> all;
  for (const drey::Text& t : rows) all.push_back(t.str());
  return all;
}

}  // namespace

DREY_JOB("socket", env, args) {
  auto source = drey::socket_text("127.0.0.1", args.get<int>("port", 0)).reconnect(args.get<int>("reconnects", 0), 1ms);
  if (const auto d = args.get<std::string>("delimiter", ""); !d.empty()) source.delimiter(d);
  if (args.flag("skip")) source.on_error_skip();
  env.from(source).to(drey::collect("rows"));
}
TEST(SocketSource, ReadsLinesAndConnectsAgain) {
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "line " + std::to_string(i) + "\n";
  Server server({"one\r\ntwo, a text that does not fit into twelve bytes\n\nlast without end", many});
  Job job("socket");
  const auto& rows = job.collect<drey::Text>("rows");
  job.run({"--port", std::to_string(server.port), "--reconnects", "1"});
  const auto all = texts(rows);
  ASSERT_EQ(all.size(), 100'004u);
  EXPECT_THAT(std::vector(all.begin(), all.begin() + 5),
              ElementsAre("one", "two, a text that does not fit into twelve bytes", "", "last without end", "line 0"));
  EXPECT_EQ(all.back(), "line 99999");
}
TEST(SocketSource, AByteOrderMarkIsNoPartOfTheFirstRow) {
  Server server(
      {"\xEF\xBB\xBF"
       "one\ntwo\n",
       "\xEF\xBB\xBF"
       "three\n\xEF\xBB\xBF"
       "four\n"});
  Job job("socket");
  const auto& rows = job.collect<drey::Text>("rows");
  job.run({"--port", std::to_string(server.port), "--reconnects", "1"});
  EXPECT_THAT(texts(rows), ElementsAre("one", "two", "three",
                                       "\xEF\xBB\xBF"
                                       "four"));
}
TEST(SocketSource, OtherDelimiters) {
  Server server({"a\n;;b;;;;c;"});
  Job job("socket");
  const auto& rows = job.collect<drey::Text>("rows");
  job.run({"--port", std::to_string(server.port), "--delimiter", ";;"});
  EXPECT_THAT(texts(rows), ElementsAre("a\n", "b", "", "c;"));
}
TEST(SocketSource, BadTextFailsTheJobOrIsCounted) {
  {
    Server server({"good\nb\xff d\n"});
    try {
      Job("socket").run({"--port", std::to_string(server.port)});
      FAIL();
    } catch (const Failure& e) {
      EXPECT_THAT(e.what(), HasSubstr("line=2"));
    }
  }
  Server server({"good\nb\xff d\nalso\n"});
  Job job("socket");
  const auto& rows = job.collect<drey::Text>("rows");
  job.run({"--port", std::to_string(server.port), "--skip"});
  EXPECT_THAT(texts(rows), ElementsAre("good", "also"));
  EXPECT_EQ(job.accumulator("numRecordsInErrors"), 1);
}
TEST(SocketSource, NobodyListens) {
  int port = 0;
  {
    Server gone({});
    port = gone.port;
  }
  try {
    Job("socket").run({"--port", std::to_string(port), "--reconnects", "2"});
    FAIL();
  } catch (const Failure& e) {
    EXPECT_THAT(e.what(), HasSubstr("Nobody listens on 127.0.0.1:" + std::to_string(port)));
  }
}

// --- files, through a failure and at other parallelisms ---

namespace {

struct Line {
  std::int64_t number = 0;
  drey::Text text;
  std::optional<drey::Decimal<12, 2>> price;
  std::optional<drey::Date> day;
  drey::Timestamp time;
  DREY_FIELDS(Line, number, text, price, day, time)
};
constexpr std::int64_t kLines = 40'000;
Line line(std::int64_t n) {
  static const char* const texts[] = {"plain", "with, comma", "with \"quotes\"", "with\nnewline",
                                      "\xc3\xa4\xc3\xb6\xc3\xbc and more than twelve bytes"};
  Line l{n, texts[n % 5], {}, {}, {n * 1000}};
  if (n % 2 == 0) l.price = drey::Decimal<12, 2>{n};
  if (n % 3 == 0) l.day = drey::Date{static_cast<std::int32_t>(n % 1000)};
  return l;
}
std::string text_of(const Line& l) {
  return std::to_string(l.number) + "|" + l.text.str() + "|" + (l.price ? std::to_string(l.price->unscaled) : "") +
         "|" + (l.day ? std::to_string(l.day->days) : "") + "|" + std::to_string(l.time.ms);
}

struct FailsOnce : drey::Process<Line, Line> {
  void process(const Line& l, Context& ctx, Out& out) {
    if (l.number == kLines - 100 && ctx.attempt() == 0) throw std::runtime_error("on purpose");
    out.pass();
  }
};

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/drey-files-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    path = name;
    for (const char* sub : {"state", "csv", "json", "text"}) std::filesystem::create_directory(path + "/" + sub);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

void expect_all(const std::vector<Line>& rows) {
  std::vector<std::string> got, expected;
  for (const Line& l : rows) got.push_back(text_of(l));
  for (std::int64_t n = 0; n < kLines; ++n) expected.push_back(text_of(line(n)));
  std::sort(got.begin(), got.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_TRUE(got == expected) << got.size() << " rows instead of " << expected.size();
}

}  // namespace

DREY_JOB("write_files", env, args) {
  env.from(drey::generator<Line>(kLines, line).rate(200'000)).process(FailsOnce{}).to(drey::csv_files(args.path("to")));
}
DREY_JOB("csv_to_json", env, args) {
  env.from(drey::csv<Line>(args.path("from")).multiline()).process(FailsOnce{}).to(drey::json_files(args.path("to")));
}
DREY_JOB("read_json", env, args) {
  env.from(drey::json_lines<Line>(args.path("from"))).process(FailsOnce{}).to(drey::collect("rows"));
}
TEST(Files, ExactlyOnceThroughFailuresAndParallelisms) {
  Folder folder;
  const auto state = folder.path + "/state", csv = folder.path + "/csv", json = folder.path + "/json";
  Job("write_files").parallelism(2).checkpoints(state, 5ms).restart_at({3}).run({"--to", csv});
  Job("csv_to_json").parallelism(1).checkpoints(state, 5ms).restart_at({2}).run({"--from", csv, "--to", json});
  Job job("read_json");
  const auto& rows = job.collect<Line>("rows");
  job.parallelism(3).checkpoints(state, 5ms).restart_at({2}).run({"--from", json});
  expect_all(rows);
  for (const auto& dir : {csv, json}) {
    for (const auto& f : std::filesystem::directory_iterator(dir))
      EXPECT_EQ(f.path().filename().string().rfind("part-", 0), 0u) << f.path();
  }
}

DREY_JOB("read_text", env, args) { env.from(drey::text_lines(args.path("from"))).to(drey::collect("rows")); }
TEST(Files, TextLines) {
  Folder folder;
  const std::string path = folder.path + "/text/lines.txt";
  std::ofstream(path) << "one\r\n\nthree, which is longer than twelve bytes\nlast";
  Job job("read_text");
  const auto& rows = job.collect<drey::Text>("rows");
  job.parallelism(2).run({"--from", path});
  EXPECT_THAT(texts(rows),
              testing::UnorderedElementsAre("one", "", "three, which is longer than twelve bytes", "last"));
}

// Rows are numbers; each lets the next file appear, the last one ends the job.
namespace {
std::string watched;
void add_file(int number) {
  const std::string fresh = watched + "/../fresh";
  std::ofstream(fresh) << number << "\n";
  std::filesystem::rename(fresh, watched + "/" + std::to_string(number) + ".txt");
}
struct AddsFiles : drey::Process<drey::Text, drey::Text> {
  void process(const drey::Text& line, Context&) {
    const int number = std::stoi(line.str());
    if (number == 5) throw std::runtime_error("all six files were seen");
    add_file(number + 1);
  }
};
}  // namespace
DREY_JOB("watch_text", env, args) {
  env.from(drey::text_lines(args.path("from")).watch(5ms)).process(AddsFiles{}).to(drey::discard());
}
TEST(Files, AWatchedDirectoryHasNoEnd) {
  Folder folder;
  watched = folder.path + "/text";
  add_file(0);
  try {
    Job("watch_text").parallelism(2).run({"--from", watched});
    FAIL() << "the job came to an end";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("all six files were seen"));
  }
}

namespace {
struct Tick {
  drey::Timestamp time;
  DREY_FIELDS(Tick, time)
};
// A job with a source without end ends by a failure only.
struct FailsAtTheLastWindow : drey::Process<drey::WindowCount<std::int64_t>, drey::Text> {
  void process(const drey::WindowCount<std::int64_t>& window, Context&) {
    if (window.start.ms == 9000) throw std::runtime_error("the last window");
  }
};
}  // namespace
// Ten windows, and a source that never has a row: it holds nobody back.
DREY_JOB("silent", env, args) {
  auto silent = env.from(drey::text_lines(args.path("from")).watch(5ms))
                    .map([](const drey::Text&) { return Tick{}; })
                    .watermarks(drey::monotonous(&Tick::time).idle_after(20ms));
  env.from(drey::generator<Tick>(10'002, [](std::int64_t i) { return Tick{{i}}; }))
      .watermarks(drey::monotonous(&Tick::time))
      .union_with(silent)
      .key_by([](const Tick&) { return std::int64_t{0}; })
      .window(drey::tumbling(1s))
      .count()
      .process(FailsAtTheLastWindow{})
      .to(drey::discard());
}
TEST(Watermarks, ASourceThatIsSilentFromTheStartHoldsNobodyBack) {
  Folder folder;
  try {
    Job("silent").run({"--from", folder.path + "/text"});
    FAIL() << "the job came to an end";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("the last window"));
  }
}
