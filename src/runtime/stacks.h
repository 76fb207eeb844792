// Stacks of this process's threads: taken by a signal, named from debug information.
//
// A thread's signal handler copies its registers and the top of its stack and walks the frame
// pointers within the copy: no lock, no allocation, no fault. What was compiled without frame
// pointers ends the walk. Threading: any thread; one stack is taken at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "runtime/symbols.h"

namespace drey::runtime {

struct Stack {
  std::vector<std::uintptr_t> frames;  // innermost first
  // The task that the thread was stepping, if any.
  bool in_task = false;
  JobId job;
  std::uint32_t vertex = 0;
  std::uint32_t subtask = 0;
};

struct ThreadState {
  int id = 0;
  std::string name;
  char state = '?';  // as /proc has it: R runs, S sleeps, D waits for a disk
};
std::vector<ThreadState> threads_of_process();
ThreadState thread_state(int id);

// A file of /proc: they say that they are empty, so it is read until it ends.
std::string proc_file(const std::string& path);

// Nullopt: the thread has gone or does not answer in time.
std::optional<Stack> take_stack(int thread);

// Names of code addresses of this process: "namespace::Class::method:line", with what templates add
// folded away. Reads debug information; drop it when done, it takes memory.
class FrameNames {
 public:
  FrameNames();
  // Of a stack, innermost first, its frames with the inlined ones; outermost first.
  std::vector<std::string> of(const std::vector<std::uintptr_t>& stack);

 private:
  const std::vector<std::string>& at(std::uintptr_t address);  // innermost first
  std::optional<Symbols> symbols_;
  std::map<std::uintptr_t, std::vector<std::string>> names_;
};

// "a::b<c<d>>::e(f) const" -> "a::b<…>::e"; ordinals of lambdas go too.
std::string folded(std::string name);

}  // namespace drey::runtime
