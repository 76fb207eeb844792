#include "background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace drey::apps {
namespace {

constexpr char kReady = '\0';  // says over the pipe that the child is up

void redirect(const char* path, int to) {
  const int descriptor = ::open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor < 0) return;
  ::dup2(descriptor, to);
  ::close(descriptor);
}

}  // namespace

int run_in_background(const std::function<int(const std::function<void(const std::string&)>&)>& body) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    std::perror("drey up: pipe");
    return 2;
  }
  const pid_t child = ::fork();
  if (child < 0) {
    std::perror("drey up: fork");
    return 2;
  }
  if (child == 0) {
    ::close(ends[0]);
    ::setsid();
    redirect("/dev/null", 0);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::close(ends[1]);
    const int code = body([](const std::string& output) {
      std::fflush(nullptr);
      [[maybe_unused]] const auto put = ::write(1, &kReady, 1);
      redirect(output.c_str(), 1);
      ::dup2(1, 2);
    });
    std::fflush(nullptr);
    ::_exit(code);
  }
  ::close(ends[1]);
  std::array<char, 4096> text{};
  bool ready = false;
  for (;;) {
    const ssize_t got = ::read(ends[0], text.data(), text.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    std::size_t count = static_cast<std::size_t>(got);
    if (const void* mark = std::memchr(text.data(), kReady, count)) {
      ready = true;
      count = static_cast<std::size_t>(static_cast<const char*>(mark) - text.data());
    }
    std::fwrite(text.data(), 1, count, stdout);
    if (ready) break;
  }
  std::fflush(stdout);
  if (ready) return 0;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace drey::apps
