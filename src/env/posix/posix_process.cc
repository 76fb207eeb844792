#include "env/posix/posix_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "env/posix/posix_loop.h"

extern char** environ;

namespace drey::env {
namespace {

// Everything the child needs, prepared before fork: nothing may be allocated after it.
struct Prepared {
  std::vector<std::string> texts;
  std::vector<char*> arguments;
  std::vector<char*> environment;
};

// What is in the pipe now goes to the callback; false at its end.
bool drain(int pipe, const std::function<void(std::string_view)>& on_output) {
  char buffer[16 << 10];
  while (true) {
    const ssize_t got = ::read(pipe, buffer, sizeof buffer);
    if (got > 0) {
      on_output(std::string_view(buffer, static_cast<std::size_t>(got)));
    } else if (got == 0 || (errno != EINTR)) {
      return got != 0 && errno == EAGAIN;
    }
  }
}

[[noreturn]] void run_child(const Prepared& prepared, const SpawnOptions& options, pid_t parent, int output) {
  if (options.dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
  }
  // Own group: Ctrl-C in the terminal reaches the supervisor alone, which ends its children in
  // order.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  const int null_in = ::open("/dev/null", O_RDONLY);
  if (null_in >= 0) dup2(null_in, 0);
  if (output >= 0) {
    dup2(output, 1);
  } else if (!options.stdout_path.empty()) {
    const int out = ::open(options.stdout_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out >= 0) dup2(out, 1);
  }
  if (options.stderr_path == "&1") {
    dup2(1, 2);
  } else if (!options.stderr_path.empty()) {
    const int err = ::open(options.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (err >= 0) dup2(err, 2);
  }
  if (options.memory_bytes_max != 0) {
    const rlimit limit{options.memory_bytes_max, options.memory_bytes_max};
    setrlimit(RLIMIT_AS, &limit);
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
  }
  close_range(3, ~0U, 0);
  execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  _exit(127);
}

}  // namespace

Result<std::int64_t> PosixProcesses::spawn(Loop& loop, const SpawnOptions& options,
                                           std::function<void(ExitStatus)> on_exit) {
  Prepared prepared;
  prepared.texts = options.arguments;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string entry = *e;
    if (!options.environment.contains(entry.substr(0, entry.find('=')))) prepared.texts.push_back(entry);
  }
  for (const auto& [key, value] : options.environment) prepared.texts.push_back(key + "=" + value);
  for (std::size_t i = 0; i < prepared.texts.size(); ++i) {
    (i < options.arguments.size() ? prepared.arguments : prepared.environment).push_back(prepared.texts[i].data());
  }
  prepared.arguments.push_back(nullptr);
  prepared.environment.push_back(nullptr);

  int pipe[2] = {-1, -1};
  if (options.on_output && pipe2(pipe, O_CLOEXEC) != 0) {
    return fail(Code::kIo, fmt::format("Cannot make a pipe: errno={} ({})", errno, std::strerror(errno)));
  }
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) run_child(prepared, options, parent, pipe[1]);
  if (pipe[1] >= 0) ::close(pipe[1]);
  if (pid < 0 && pipe[0] >= 0) ::close(pipe[0]);
  if (pid < 0)
    return fail(Code::kIo, fmt::format("Cannot start a process: errno={} ({})", errno, std::strerror(errno)));
  const int watch = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (watch < 0) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (pipe[0] >= 0) ::close(pipe[0]);
    return fail(Code::kIo, fmt::format("Cannot watch a process: errno={} ({})", errno, std::strerror(errno)));
  }
  auto& posix_loop = static_cast<PosixLoop&>(loop);
  posix_loop.post(
      [&posix_loop, watch, pid, output = pipe[0], on_output = options.on_output, on_exit = std::move(on_exit)] {
        auto open_output = std::make_shared<int>(output);
        const auto close_output = [&posix_loop, open_output] {
          if (*open_output < 0) return;
          posix_loop.unwatch(*open_output);
          ::close(std::exchange(*open_output, -1));
        };
        if (output >= 0) {
          fcntl(output, F_SETFL, O_NONBLOCK);
          posix_loop.watch(output, EPOLLIN, [output, on_output, close_output](std::uint32_t) {
            if (!drain(output, on_output)) close_output();
          });
        }
        posix_loop.watch(watch, EPOLLIN,
                         [&posix_loop, watch, pid, open_output, on_output, close_output, on_exit](std::uint32_t) {
                           int status = 0;
                           if (waitpid(pid, &status, WNOHANG) != pid) return;
                           posix_loop.unwatch(watch);
                           ::close(watch);
                           // Its own children may hold the pipe: what is there now is all that is waited for.
                           if (*open_output >= 0) drain(*open_output, on_output);
                           close_output();
                           ExitStatus exit;
                           if (WIFEXITED(status)) exit.code = WEXITSTATUS(status);
                           if (WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
                           on_exit(exit);
                         });
      });
  return static_cast<std::int64_t>(pid);
}

void PosixProcesses::signal(std::int64_t pid, int signal_number) {
  if (pid > 0) kill(static_cast<pid_t>(pid), signal_number);
}

std::string PosixProcesses::executable_path() {
  char buffer[4096];
  const ssize_t size = readlink("/proc/self/exe", buffer, sizeof buffer);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

bool PosixProcesses::is_alive(std::int64_t pid) {
  return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

}  // namespace drey::env
