// Symbols: what code lies at an address of a process: functions (static ones, too), inlined calls,
// file and line, out of the ELF and DWARF of the files that the process had mapped. Threading: one
// thread at a time. Blocks: reads those files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace drey::runtime {

struct Frame {
  std::string function;      // demangled; empty when nothing is known
  std::string module;        // path of the file
  std::uint64_t offset = 0;  // within the module
  std::string file;          // of the source; empty when nothing is known
  int line = 0;
};

class Symbols {
 public:
  // `maps`: the text of /proc/PID/maps, of now or then. FAILS WITH: kIo.
  static Result<Symbols> of_maps(const std::string& maps);
  ~Symbols();
  Symbols(Symbols&&) noexcept;
  Symbols& operator=(Symbols&&) noexcept;

  // Innermost first: the calls that were inlined there, then the function. One frame at least. For
  // a return address pass the address before it.
  std::vector<Frame> at(std::uint64_t address);

 private:
  struct Session;
  explicit Symbols(std::unique_ptr<Session> session);
  std::unique_ptr<Session> session_;
};

// "function (module, file:line)", or "(module+0x12)" where no line is known.
std::string to_string(const Frame& frame);

}  // namespace drey::runtime
