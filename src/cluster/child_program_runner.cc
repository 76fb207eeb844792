#include "cluster/child_program_runner.h"

#include <atomic>

#include <fmt/format.h>

#include "runtime/module.h"
#include "wire/binary/codec.h"

namespace drey::cluster {
namespace {

// The last lines of what a program printed, for its error.
std::string last_lines(const std::string& output) {
  constexpr std::size_t kShown = 2000;
  std::string tail = output.size() > kShown ? output.substr(output.size() - kShown) : output;
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  return tail.empty() ? "" : "; its last output: " + tail;
}

class ChildRunner final : public ProgramRunner {
 public:
  ChildRunner(env::Env& env, std::string directory, ProgramLimits limits)
      : env_(env), directory_(std::move(directory)), limits_(limits) {}

  void plan(env::Loop& loop, Request request, std::function<void(Result<graph::JobGraph>)> done) override {
    struct Run {
      std::string base;
      std::string output;
      std::int64_t pid = 0;
      env::TimerId deadline = 0;
      bool late = false;
      bool loud = false;
      std::uint64_t total = 0;
    };
    auto run = std::make_shared<Run>();
    run->base = fmt::format("{}/program-{}-{}", directory_, env_.clock.wall().millis, number_++);
    const std::string task = run->base + ".task";
    const std::string answer = run->base + ".answer";
    const ProgramTask program{request.module, request.entry, request.arguments, request.configuration};
    if (Status written = env_.files.write_atomic(task, wire::encode(program)); !written.ok()) return done(written);
    env::SpawnOptions options;
    options.arguments = {env_.processes.executable_path(), "program", task, answer};
    options.memory_bytes_max = limits_.memory_bytes;
    options.stderr_path = "&1";
    options.on_output = [this, run](std::string_view text) {
      run->output += text;
      // A program that prints without end is ended; what it said last is kept.
      if (run->output.size() > 2 * limits_.output_bytes) run->output.erase(0, limits_.output_bytes);
      run->total += text.size();
      if (run->total > 64 * limits_.output_bytes && !run->loud) {
        run->loud = true;
        env_.processes.signal(run->pid, 9);
      }
    };
    auto pid = env_.processes.spawn(loop, options, [this, run, &loop, task, answer, done](env::ExitStatus exit) {
      loop.cancel(run->deadline);
      static_cast<void>(env_.files.remove(task));
      auto bytes = env_.files.read_all(answer);
      static_cast<void>(env_.files.remove(answer));
      if (run->late) {
        return done(
            fail(Code::kUserCode, fmt::format("The program did not return within {} ms (drey.program.timeout){}",
                                              limits_.deadline.count(), last_lines(run->output))));
      }
      if (run->loud)
        return done(
            fail(Code::kUserCode, "The program printed too much before it built its graph" + last_lines(run->output)));
      if (exit.signal != 0) {
        return done(fail(Code::kUserCode,
                         fmt::format("The program was ended by signal {}{}", exit.signal, last_lines(run->output))));
      }
      auto decoded = bytes.ok() ? wire::decode<ProgramAnswer>(*bytes) : Result<ProgramAnswer>(bytes.status());
      if (!decoded.ok()) {
        return done(fail(Code::kUserCode, fmt::format("The program exited with code {} before its graph was built{}",
                                                      exit.code, last_lines(run->output))));
      }
      if (!decoded->ok) {
        if (decoded->origin == "std::bad_alloc") {
          return done(
              fail(Code::kUserCode,
                   fmt::format("The program needs more memory than the {} bytes it may have (drey.program.memory){}",
                               limits_.memory_bytes, last_lines(run->output)))
                  .with_origin(decoded->origin));
        }
        const std::string origin = decoded->origin.empty() ? "" : decoded->origin + ": ";
        // Without an origin it is not the program that failed: its entry or its graph does not fit.
        const Code code = decoded->origin.empty() ? Code::kInvalidArgument : Code::kUserCode;
        return done(fail(code, origin + decoded->message + last_lines(run->output)).with_origin(decoded->origin));
      }
      done(std::move(decoded->graph));
    });
    if (!pid.ok()) return done(pid.status());
    run->pid = *pid;
    run->deadline = loop.after(limits_.deadline, [this, run] {
      run->late = true;
      env_.processes.signal(run->pid, 9);
    });
  }

 private:
  env::Env& env_;
  const std::string directory_;
  const ProgramLimits limits_;
  std::atomic<std::uint64_t> number_{0};
};

}  // namespace

std::unique_ptr<ProgramRunner> make_child_runner(env::Env& env, std::string directory, ProgramLimits limits) {
  return std::make_unique<ChildRunner>(env, std::move(directory), limits);
}

int run_program(const std::string& task_path, const std::string& answer_path) {
  env::FileSystem& files = env::posix().files;
  ProgramAnswer answer;
  auto built = [&]() -> Result<graph::JobGraph> {
    DREY_TRY_ASSIGN(const std::string bytes, files.read_all(task_path));
    DREY_TRY_ASSIGN(const ProgramTask task, wire::decode<ProgramTask>(bytes));
    DREY_TRY_ASSIGN(const drey_module* module, runtime::load_module(task.module));
    DREY_TRY_ASSIGN(const auto code, runtime::build_job(*module, {task.entry, task.arguments, task.configuration}));
    return code->graph;
  }();
  answer.ok = built.ok();
  if (built.ok()) {
    answer.graph = std::move(*built);
  } else {
    answer.message = built.status().to_string();
    answer.origin = built.status().origin();
  }
  return files.write_atomic(answer_path, wire::encode(answer)).ok() ? 0 : 1;
}

}  // namespace drey::cluster
