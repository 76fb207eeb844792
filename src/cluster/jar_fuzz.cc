// Jars as they are uploaded, and the manifest in them (packed here, since no mutation hits a
// checksum): listed and opened, or refused; nothing is written outside of the directories for it.
#include <unistd.h>
#include <zip.h>

#include "cluster/jars.h"
#include "fuzz.h"

namespace drey::cluster {
namespace {

void pack(const std::string& path, std::string_view manifest) {
  int error = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  const auto add = [&](const char* name, std::string_view bytes) {
    zip_source_t* source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(zip, name, source, 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  };
  add("META-INF/MANIFEST.MF", manifest);
  add("lib/x86_64/job.so", "ELF");
  zip_close(zip);
}

void run(std::string_view input) {
  env::FileSystem& files = env::posix().files;
  static const std::string base = [&] {
    const bool in_memory = files.stat("/dev/shm").ok();
    const std::string made = (in_memory ? "/dev/shm/drey-fuzz-" : "/tmp/drey-fuzz-") + std::to_string(::getpid());
    fuzz::expect(files.make_directories(made + "/jars").ok(), "there is a directory");
    std::atexit([] {
      static_cast<void>(env::posix().files.remove_tree(
          (env::posix().files.stat("/dev/shm").ok() ? "/dev/shm/drey-fuzz-" : "/tmp/drey-fuzz-") +
          std::to_string(::getpid())));
    });
    return made;
  }();
  const std::string id = "1_a.jar";
  const std::string path = base + "/jars/" + id;
  const bool packs = (input[0] & 1) != 0;
  if (packs) {
    pack(path, input.substr(1));
  } else {
    auto file = files.create(path);
    fuzz::expect(file.ok() && (*file)->append(input.substr(1)).ok() && (*file)->close().ok(), "the jar is written");
  }
  Jars jars(base + "/jars", base + "/cache", env::posix());
  const auto listed = jars.list();
  fuzz::expect(listed.ok() && listed->size() == 1, "whatever it is, it is listed");
  fuzz::planted(packs && (*listed)[0].entries.size() == 3);
  const auto program = jars.open(id, "");
  fuzz::expect(!program.ok() || (!program->entry.empty() && files.stat(program->module).ok()),
               "a program has an entry and a module");
  static_cast<void>(unpack_folder(files, path, "lib/", base + "/out"));
  for (const std::string& name : files.list(base).value_or({})) {
    fuzz::expect(name == "jars" || name == "cache" || name == "out", "nothing is written beside the directories");
  }
  jars.remove_unpacked(id);
}

}  // namespace
}  // namespace drey::cluster

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) drey::cluster::run(drey::fuzz::text(data, size));
  return 0;
}
