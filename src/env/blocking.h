// Blocking calls, and the threads that must not make them: loops and workers, which others wait for.
//
// Whatever may wait for a disk, a name server, a peer or a child says so with blocks(). On a thread that is marked it
// is refused when compiled with DREY_DEBUG (an internal check that names the call), as the simulation does always;
// other builds pay nothing. Work that blocks goes to the IoPool. Threading: marks are of the calling thread.
#pragma once

namespace drey::env {

// Marks the thread while it lives.
class MayNotBlock {
 public:
  explicit MayNotBlock(const char* who);
  ~MayNotBlock();
  MayNotBlock(const MayNotBlock&) = delete;
  MayNotBlock& operator=(const MayNotBlock&) = delete;

 private:
  const char* before_;
};

// Lifts the mark while it lives: for calls that are known not to wait (/proc), and for the start and end of a process.
class MayBlock {
 public:
  MayBlock();
  ~MayBlock();
  MayBlock(const MayBlock&) = delete;
  MayBlock& operator=(const MayBlock&) = delete;

 private:
  const char* before_;
};

// Who marked this thread; null: nobody.
const char* blocking_is_refused_by();

void check_blocking(const char* what);
inline void blocks([[maybe_unused]] const char* what) {
#ifdef DREY_DEBUG
  check_blocking(what);
#endif
}

}  // namespace drey::env
