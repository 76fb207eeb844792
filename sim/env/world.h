// World: simulated machines, the processes on them, the wires between them; one thread, one seed.
//
// A process is what its program returns: an object that owns everything. Killing it destroys that
// object at once; nothing it does while it goes reaches a disk or a wire. Started again it is a new
// process on the same disk. Threading: one thread. Errors: a broken rule of use is a check.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/env.h"
#include "sim/env/disk.h"
#include "sim/env/loops.h"
#include "sim/env/network.h"
#include "sim/env/scheduler.h"

namespace drey::sim {

class World;

// Makes a process. What it returns lives as long as the process. The arguments are those of a
// spawn, else empty.
using Program = std::function<std::shared_ptr<void>(env::Env& env, const std::vector<std::string>& arguments)>;

struct WorldOptions {
  std::uint64_t seed = 0;
  Nanos event_cost_max = std::chrono::microseconds(20);
  NetworkOptions network = {};
  Millis clock_skew_max{5};  // between wall clocks of processes
};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Starts a process. REQUIRES: none of this name runs.
  void start(const std::string& name, DiskRef disk, const Program& program,
             const std::vector<std::string>& arguments = {});
  // What Processes::spawn starts for a program path of this name; its arguments[1] on are handed
  // over.
  void set_program(const std::string& path, Program program) { programs_[path] = std::move(program); }
  // SIGKILL. Children that die with their parent go too. Fine when it does not run. `silently`: no
  // peer is told, as when the machine's cable is pulled.
  void kill(const std::string& name, bool silently = false);
  // The process ends by itself in the middle of its n-th changing file operation from now.
  void kill_at_operation(const std::string& name, std::int64_t n);
  void pause(const std::string& name);
  void resume(const std::string& name);
  // Chance that a turn of the process passes; 0: as fast as the others.
  void starve(const std::string& name, double chance);
  // Work of the process on files takes up to so long, and up to so long again to be known as done; 0: as the others'.
  void slow_disk(const std::string& name, Nanos longest);
  // The machine of a disk goes dark: its processes end, the disk loses what was not synced.
  void lose_power(const DiskRef& disk);

  bool is_alive(const std::string& name) const;
  // Of a running process. What its program returned, and its env.
  std::shared_ptr<void> root(const std::string& name);
  env::Env& env(const std::string& name);
  std::vector<std::string> names() const;  // of running processes, sorted

  // One event; kills who is dying. False when nothing will ever happen.
  bool step();
  // False when the (virtual) time is over before it holds.
  bool run_until(const std::function<bool()>& holds, Nanos limit);
  void run_for(Nanos time);

  Scheduler& scheduler() { return scheduler_; }
  Wires& wires() { return wires_; }
  Prng& prng() { return scheduler_.prng(); }
  Ticks now() const { return scheduler_.now(); }
  std::uint64_t trace() const { return scheduler_.trace(); }

 private:
  friend class SimProcesses;
  struct Process;
  Process* find(const std::string& name) const;
  void start_as(std::int64_t pid, const std::string& name, DiskRef disk, const Program& program,
                const std::vector<std::string>& arguments);
  void end_dying();
  void end(Process& process, int signal_number, bool silently);

  WorldOptions options_;
  std::vector<std::unique_ptr<Process>> ended_;  // their env may still be used by what goes late
  Scheduler scheduler_;
  Wires wires_;
  std::map<std::string, Program> programs_;
  std::map<std::string, std::unique_ptr<Process>> processes_;
  std::int64_t next_pid_ = 1'000;
};

}  // namespace drey::sim
