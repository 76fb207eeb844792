#include "sim/env/world.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace drey::sim {
namespace {

constexpr std::int64_t kEpochMillis = 1'767'225'600'000;  // 2026-01-01T00:00:00Z

class SimClock final : public env::Clock {
 public:
  SimClock(Scheduler& scheduler, Millis skew) : scheduler_(scheduler), skew_(skew) {}
  Instant wall() override { return {kEpochMillis + skew_.count() + scheduler_.now().nanos / 1'000'000}; }
  Ticks ticks() override { return scheduler_.now(); }

 private:
  Scheduler& scheduler_;
  Millis skew_;
};

class SimRandom final : public env::Random {
 public:
  explicit SimRandom(std::uint64_t seed) : prng_(seed) {}
  std::uint64_t next() override { return prng_.next(); }

 private:
  Prng prng_;
};

}  // namespace

// Processes::spawn starts a World process from a program of the world's table.
class SimProcesses final : public env::Processes {
 public:
  SimProcesses(World& world, std::string owner, DiskRef disk)
      : world_(world), owner_(std::move(owner)), disk_(std::move(disk)) {}
  Result<std::int64_t> spawn(env::Loop& loop, const env::SpawnOptions& options,
                             std::function<void(env::ExitStatus)> on_exit) override;
  void signal(std::int64_t pid, int signal_number) override;
  std::string executable_path() override { return "/bin/drey"; }
  bool is_alive(std::int64_t pid) override { return find(pid) != nullptr; }

 private:
  World::Process* find(std::int64_t pid) const;
  World& world_;
  std::string owner_;
  DiskRef disk_;
};

struct World::Process {
  Process(World& world, const std::string& name, DiskRef its_disk, std::int64_t its_pid)
      : state(std::make_shared<NodeState>()),
        pid(its_pid),
        disk(std::move(its_disk)),
        clock(world.scheduler_, Millis(static_cast<std::int64_t>(world.prng().below(
                                    static_cast<std::uint64_t>(world.options_.clock_skew_max.count()) + 1)))),
        random(world.prng().next()),
        files(world.scheduler_, state, disk, clock),
        network(world.wires_, state),
        processes(world, name, disk),
        io(world.scheduler_, state),
        threads(world.scheduler_, state),
        env{clock, random, files, network, processes, io, threads} {
    state->name = name;
  }
  std::shared_ptr<NodeState> state;
  std::int64_t pid;
  DiskRef disk;
  SimClock clock;
  SimRandom random;
  SimFileSystem files;
  SimNetwork network;
  SimProcesses processes;
  SimIoPool io;
  SimThreads threads;
  env::Env env;
  std::string parent;  // ends with it; may be empty
  std::function<void(env::ExitStatus)> on_exit;
  std::shared_ptr<Lane> exit_lane;
  std::shared_ptr<void> root;
};

Result<std::int64_t> SimProcesses::spawn(env::Loop& loop, const env::SpawnOptions& options,
                                         std::function<void(env::ExitStatus)> on_exit) {
  World::Process* self = world_.find(owner_);
  if (self == nullptr || !self->state->acts()) return fail(Code::kIo, "The process has been killed");
  const auto program = options.arguments.empty() ? world_.programs_.end() : world_.programs_.find(options.arguments[0]);
  if (program == world_.programs_.end()) return fail(Code::kNotFound, "Cannot start a process: no such program");
  const std::int64_t pid = world_.next_pid_++;
  const std::string name = fmt::format("{}.{}", env::base_name_of(options.arguments[0]), pid);
  const auto lane = static_cast<SimLoop&>(loop).lane();
  world_.scheduler_.at(world_.now() + std::chrono::milliseconds(1),
                       [this, pid, name, program = program->second, arguments = options.arguments, lane,
                        on_exit = std::move(on_exit), dies_with_parent = options.dies_with_parent] {
                         if (world_.find(owner_) == nullptr) return;
                         world_.start_as(pid, name, disk_, program, arguments);
                         World::Process& child = *world_.find(name);
                         if (dies_with_parent) child.parent = owner_;
                         child.on_exit = on_exit;
                         child.exit_lane = lane;
                       });
  return pid;
}

World::Process* SimProcesses::find(std::int64_t pid) const {
  for (const auto& [name, process] : world_.processes_) {
    if (process->pid == pid) return process.get();
  }
  return nullptr;
}

void SimProcesses::signal(std::int64_t pid, int signal_number) {
  World::Process* process = find(pid);
  if (process == nullptr) return;
  if (signal_number == SIGSTOP) return world_.pause(process->state->name);
  if (signal_number == SIGCONT) return world_.resume(process->state->name);
  // Not now: the caller is in the middle of an event.
  process->state->is_dying = true;
  world_.scheduler_.refresh(*process->state);
}

World::World(WorldOptions options)
    : options_(options), scheduler_({options.seed, options.event_cost_max}), wires_(scheduler_, options.network) {}

World::~World() {
  while (!processes_.empty()) end(*processes_.begin()->second, SIGKILL, true);
  wires_.clear();
  scheduler_.clear();
}

World::Process* World::find(const std::string& name) const {
  const auto found = processes_.find(name);
  return found == processes_.end() ? nullptr : found->second.get();
}

void World::start(const std::string& name, DiskRef disk, const Program& program,
                  const std::vector<std::string>& arguments) {
  start_as(next_pid_++, name, std::move(disk), program, arguments);
}

void World::start_as(std::int64_t pid, const std::string& name, DiskRef disk, const Program& program,
                     const std::vector<std::string>& arguments) {
  DREY_CHECK(find(name) == nullptr);
  auto process = std::make_unique<Process>(*this, name, std::move(disk), pid);
  Process& started = *process;
  processes_[name] = std::move(process);
  started.root = program(started.env, arguments);
}

void World::end(Process& process, int signal_number, bool silently) {
  const std::string name = process.state->name;
  scheduler_.note(static_cast<std::uint64_t>(process.pid));
  process.state->is_alive = false;
  scheduler_.refresh(*process.state);
  wires_.end_process(*process.state, silently);
  ended_.push_back(std::move(processes_.find(name)->second));
  processes_.erase(name);
  process.root.reset();
  process.io.end();
  if (process.on_exit && process.exit_lane != nullptr) {
    process.exit_lane->post([on_exit = process.on_exit, signal_number] { on_exit({0, signal_number}); });
  }
  std::vector<std::string> children;
  for (const auto& [child, other] : processes_) {
    if (other->parent == name) children.push_back(child);
  }
  for (const std::string& child : children) kill(child, silently);
}

void World::kill(const std::string& name, bool silently) {
  if (Process* process = find(name); process != nullptr) end(*process, SIGKILL, silently);
}

void World::kill_at_operation(const std::string& name, std::int64_t n) {
  if (Process* process = find(name); process != nullptr) process->state->operations_left = n;
}

void World::pause(const std::string& name) {
  Process* process = find(name);
  if (process == nullptr) return;
  process->state->is_paused = true;
  scheduler_.refresh(*process->state);
}

void World::resume(const std::string& name) {
  Process* process = find(name);
  if (process == nullptr) return;
  process->state->is_paused = false;
  scheduler_.refresh(*process->state);
}

void World::slow_disk(const std::string& name, Nanos longest) {
  if (Process* process = find(name); process != nullptr) process->io.set_slow(longest);
}

void World::starve(const std::string& name, double chance) {
  DREY_CHECK(chance < 1);
  if (Process* process = find(name); process != nullptr) process->state->starved = chance;
}

void World::lose_power(const DiskRef& disk) {
  std::vector<std::string> lost;
  for (const auto& [name, process] : processes_) {
    if (process->disk == disk) lost.push_back(name);
  }
  for (const std::string& name : lost) kill(name, true);
  disk->lose_power(prng());
}

bool World::is_alive(const std::string& name) const { return find(name) != nullptr; }

std::shared_ptr<void> World::root(const std::string& name) {
  Process* process = find(name);
  DREY_CHECK(process != nullptr);
  return process->root;
}

env::Env& World::env(const std::string& name) {
  Process* process = find(name);
  DREY_CHECK(process != nullptr);
  return process->env;
}

std::vector<std::string> World::names() const {
  std::vector<std::string> names;
  for (const auto& [name, process] : processes_) names.push_back(name);
  return names;
}

bool World::step() {
  end_dying();
  const bool went = scheduler_.step();
  end_dying();
  return went;
}

void World::end_dying() {
  std::vector<std::string> dying;
  for (const auto& [name, process] : processes_) {
    if (process->state->is_dying) dying.push_back(name);
  }
  for (const std::string& name : dying) kill(name);
}

bool World::run_until(const std::function<bool()>& holds, Nanos limit) {
  const Ticks end = now() + limit;
  while (!holds()) {
    if (now() > end || !step()) return holds();
  }
  return true;
}

void World::run_for(Nanos time) {
  const Ticks end = now() + time;
  scheduler_.at(end, [] {});
  while (now() < end && step()) {
  }
}

}  // namespace drey::sim
