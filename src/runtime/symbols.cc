#include "runtime/symbols.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "env/file_system.h"

namespace drey::runtime {
namespace {

// No debuginfod, no separate files: what is in the mapped files counts.
int no_debug_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) {
  return -1;
}

const Dwfl_Callbacks kCallbacks{.find_elf = dwfl_linux_proc_find_elf,
                                .find_debuginfo = no_debug_file,
                                .section_address = nullptr,
                                .debuginfo_path = nullptr};

std::string demangled(const char* name) {
  if (name == nullptr) return "";
  int status = 1;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string out = status == 0 ? text : name;
  std::free(text);
  return out;
}

// The linkage name of a function, possibly an inlined one.
std::string name_of(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (const unsigned which : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    if (dwarf_attr_integrate(die, which, &attribute) != nullptr) {
      if (const char* text = dwarf_formstring(&attribute)) return demangled(text);
    }
  }
  return demangled(dwarf_diename(die));  // with small debug information (-g1) without its namespaces
}

// The compilation unit of an address. Not every compiler writes the table that dwfl_module_addrdie
// reads.
Dwarf_Die* unit_of(Dwfl_Module* module, Dwarf_Addr address, Dwarf_Addr& bias) {
  if (Dwarf_Die* unit = dwfl_module_addrdie(module, address, &bias)) return unit;
  for (Dwarf_Die* unit = dwfl_module_nextcu(module, nullptr, &bias); unit != nullptr;
       unit = dwfl_module_nextcu(module, unit, &bias)) {
    if (dwarf_haspc(unit, address - bias) == 1) return unit;
  }
  return nullptr;
}

// Where an inlined function was called, in file and line of its caller.
void call_site(Dwarf_Die* unit, Dwarf_Die* inlined, std::string& file, int& line) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  file.clear();
  line = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &number) == 0 &&
      dwarf_getsrcfiles(unit, &files, &count) == 0 && number < count) {
    if (const char* name = dwarf_filesrc(files, number, nullptr, nullptr)) file = name;
  }
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &number) == 0) line = static_cast<int>(number);
}

}  // namespace

struct Symbols::Session {
  Dwfl* dwfl = nullptr;
  ~Session() {
    if (dwfl != nullptr) dwfl_end(dwfl);
  }
};

Symbols::Symbols(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Symbols::~Symbols() = default;
Symbols::Symbols(Symbols&&) noexcept = default;
Symbols& Symbols::operator=(Symbols&&) noexcept = default;

Result<Symbols> Symbols::of_maps(const std::string& maps) {
  auto session = std::make_unique<Session>();
  session->dwfl = dwfl_begin(&kCallbacks);
  if (session->dwfl == nullptr) return fail(Code::kIo, fmt::format("Cannot read symbols: {}", dwfl_errmsg(-1)));
  std::string text = maps;
  std::FILE* file = fmemopen(text.data(), text.size(), "r");
  if (file == nullptr) return fail(Code::kIo, "Cannot read the map of the process");
  const int reported = dwfl_linux_proc_maps_report(session->dwfl, file);
  std::fclose(file);
  if (reported != 0 || dwfl_report_end(session->dwfl, nullptr, nullptr) != 0) {
    return fail(Code::kIo, fmt::format("Cannot read the map of the process: {}", reported > 0 ? "" : dwfl_errmsg(-1)));
  }
  return Symbols(std::move(session));
}

std::vector<Frame> Symbols::at(std::uint64_t address) {
  Frame frame;
  Dwfl_Module* module = dwfl_addrmodule(session_->dwfl, address);
  if (module == nullptr) {
    frame.offset = address;
    return {frame};
  }
  Dwarf_Addr begin = 0;
  if (const char* name = dwfl_module_info(module, nullptr, &begin, nullptr, nullptr, nullptr, nullptr, nullptr))
    frame.module = name;
  frame.offset = address - begin;
  std::vector<Frame> frames;
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* unit = unit_of(module, address, bias)) {
    if (Dwarf_Line* line = dwarf_getsrc_die(unit, address - bias)) {
      if (const char* file = dwarf_linesrc(line, nullptr, nullptr)) frame.file = file;
      dwarf_lineno(line, &frame.line);
    }
    Dwarf_Die* scopes = nullptr;
    const int count = dwarf_getscopes(unit, address - bias, &scopes);
    for (int i = 0; i < count; ++i) {
      const int tag = dwarf_tag(&scopes[i]);
      if (tag == DW_TAG_inlined_subroutine) {
        frame.function = name_of(&scopes[i]);
        frames.push_back(frame);
        call_site(unit, &scopes[i], frame.file, frame.line);
      } else if (tag == DW_TAG_subprogram) {
        break;
      }
    }
    std::free(scopes);
  }
  frame.function = demangled(dwfl_module_addrname(module, address));
  frames.push_back(std::move(frame));
  return frames;
}

std::string to_string(const Frame& frame) {
  const std::string module = frame.module.empty() ? "?" : env::base_name_of(frame.module);
  const std::string function = frame.function.empty() ? "[unknown]" : frame.function;
  if (frame.file.empty()) return fmt::format("{} ({}+{:#x})", function, module, frame.offset);
  return fmt::format("{} ({}, {}:{})", function, module, env::base_name_of(frame.file), frame.line);
}

}  // namespace drey::runtime
