#include "cluster/jars.h"

#include <zip.h>

#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/utf8.h"

namespace drey::cluster {
namespace {

constexpr std::uint64_t kManifestBytesMax = 1u << 20;
constexpr std::uint64_t kModuleBytesMax = 512u << 20;
constexpr std::size_t kNameBytesMax = 180;
constexpr std::int64_t kEntriesMax = 100'000;
constexpr std::int64_t kUnpackedFilesMax = 10'000;
constexpr std::uint64_t kUnpackedBytesMax = 64u << 20;
constexpr std::uint64_t kUnpackedBytesAllMax = 512u << 20;
#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "x86_64";
#else
constexpr std::string_view kArchitecture = "aarch64";
#endif

struct CloseZip {
  void operator()(zip_t* zip) const { zip_discard(zip); }
};
using Zip = std::unique_ptr<zip_t, CloseZip>;

Status bad(const std::string& name, std::string_view what) {
  return fail(Code::kInvalidArgument, fmt::format("The jar {} cannot be used: {}", name, what));
}

// As it is in the archive: what is checked is what is used. Empty when there is none.
std::string name_of(zip_t* zip, zip_int64_t entry) {
  const char* name = zip_get_name(zip, static_cast<zip_uint64_t>(entry), ZIP_FL_ENC_RAW);
  return name != nullptr ? name : "";
}

Result<Zip> open_zip(const std::string& path, const std::string& name) {
  int error = 0;
  Zip zip(zip_open(path.c_str(), ZIP_RDONLY, &error));
  if (zip == nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("Error while opening jar file '{}'\nCaused by: it is not a zip archive (libzip error {})",
                            path, error));
  }
  const std::int64_t count = zip_get_num_entries(zip.get(), 0);
  if (count > kEntriesMax)
    return bad(name, fmt::format("it has {} entries, at most {} are allowed", count, kEntriesMax));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string entry = name_of(zip.get(), i);
    if (entry.starts_with('/') || entry == ".." || entry.starts_with("../") ||
        entry.find("/../") != std::string::npos || entry.ends_with("/..") || entry.find('\\') != std::string::npos) {
      return bad(name, fmt::format("the entry '{}' leaves the directory", entry));
    }
  }
  return zip;
}

// The declared size is checked first, the real one while reading.
Result<std::string> read_entry(zip_t* zip, zip_uint64_t index, std::uint64_t bytes_max, const std::string& name) {
  zip_stat_t stat{};
  if (zip_stat_index(zip, index, 0, &stat) != 0) return bad(name, zip_strerror(zip));
  if (stat.size > bytes_max)
    return bad(name,
               fmt::format("the entry '{}' has {} bytes, at most {} are allowed", stat.name, stat.size, bytes_max));
  zip_file_t* file = zip_fopen_index(zip, index, 0);
  if (file == nullptr) return bad(name, zip_strerror(zip));
  std::string bytes;
  std::string block(1u << 16, '\0');
  zip_int64_t got = 0;
  while ((got = zip_fread(file, block.data(), block.size())) > 0) {
    bytes.append(block, 0, static_cast<std::size_t>(got));
    if (bytes.size() > stat.size || bytes.size() > bytes_max) {
      zip_fclose(file);
      return bad(name, fmt::format("the entry '{}' holds more bytes than it declares", stat.name));
    }
  }
  const bool damaged = got < 0 || bytes.size() != stat.size;
  zip_fclose(file);
  if (damaged) return bad(name, fmt::format("the entry '{}' is damaged", stat.name));
  return bytes;
}

// Values of a manifest's main section; continuation lines begin with a blank.
std::optional<std::string> manifest_value(const std::string& manifest, std::string_view key) {
  std::string joined;
  for (std::size_t i = 0; i < manifest.size(); ++i) {
    if (manifest[i] == '\r') continue;
    if (manifest[i] == '\n' && i + 1 < manifest.size() && manifest[i + 1] == ' ') {
      ++i;
      continue;
    }
    joined += manifest[i];
  }
  std::size_t at = 0;
  while (at < joined.size()) {
    const std::size_t end = std::min(joined.find('\n', at), joined.size());
    const std::string_view line(joined.data() + at, end - at);
    if (line.empty()) break;
    if (line.starts_with(key) && line.substr(key.size()).starts_with(": "))
      return std::string(line.substr(key.size() + 2));
    at = end + 1;
  }
  return std::nullopt;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",") {
    if (c != ',') {
      if (c != ' ') part += c;
      continue;
    }
    if (!part.empty()) parts.push_back(part);
    part.clear();
  }
  return parts;
}

Result<std::string> read_manifest(zip_t* zip, const std::string& name) {
  const zip_int64_t index = zip_name_locate(zip, "META-INF/MANIFEST.MF", ZIP_FL_NOCASE);
  if (index < 0) return bad(name, "it has no META-INF/MANIFEST.MF");
  return read_entry(zip, static_cast<zip_uint64_t>(index), kManifestBytesMax, name);
}

std::vector<std::string> entries_of(const std::string& manifest) {
  auto value = manifest_value(manifest, "program-class");
  if (!value) value = manifest_value(manifest, "Main-Class");
  return value ? split(*value) : std::vector<std::string>();
}

std::string short_name(const std::string& id) {
  const auto cut = id.find('_');
  return cut == std::string::npos ? id : id.substr(cut + 1);
}

// The last part of a name that somebody gave, as one that a file can have and an answer can tell.
std::string file_name_of(std::string_view name) {
  if (const auto slash = name.find_last_of("/\\"); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  if (name.size() > kNameBytesMax) name.remove_prefix(name.size() - kNameBytesMax);
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::size_t length = utf8_sequence_bytes(name.substr(i));
    if (length == 0) {
      out += '_';
    } else if (static_cast<unsigned char>(name[i]) >= 0x20) {
      out += name.substr(i, length);
      i += length - 1;
    }
  }
  return out;
}

}  // namespace

Result<std::string> Jars::resolve(const std::string& id) const {
  auto path = env::path_beneath(env_.files, directory_, id);
  if (!path.ok()) return fail(Code::kInvalidArgument, fmt::format("File {} does not exist in {}.", id, directory_));
  return path;
}

Result<std::vector<gateway::JarModel>> Jars::list() {
  std::vector<gateway::JarModel> jars;
  DREY_TRY_ASSIGN(const auto names, env_.files.list(directory_));
  for (const std::string& id : names) {
    if (!id.ends_with(".jar") || id.find('_') == std::string::npos) continue;
    const auto stat = env_.files.stat(directory_ + "/" + id);
    if (!stat.ok()) continue;
    gateway::JarModel jar;
    jar.id = id;
    jar.name = short_name(id);
    jar.uploaded = stat->modified.millis;
    if (auto zip = open_zip(directory_ + "/" + id, id); zip.ok()) {
      if (auto manifest = read_manifest(zip->get(), id); manifest.ok()) jar.entries = entries_of(*manifest);
    }
    jars.push_back(std::move(jar));
  }
  std::stable_sort(jars.begin(), jars.end(), [](const auto& a, const auto& b) { return a.uploaded > b.uploaded; });
  return jars;
}

Result<std::string> Jars::add(const std::string& path, const std::string& name) {
  const std::string base = file_name_of(name);
  const JobId random = env_.random.id<struct JobTag>();
  const std::string hex = random.to_string();
  const std::string uuid = fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                                       hex.substr(16, 4), hex.substr(20));
  const std::string target = fmt::format("{}/{}_{}", directory_, uuid, base);
  // On the disk before it is said to be there.
  DREY_TRY_ASSIGN(const auto file, env_.files.create(path, true));
  DREY_TRY(file->sync());
  DREY_TRY(file->close());
  DREY_TRY(env_.files.rename(path, target));
  DREY_TRY(env_.files.sync_directory(directory_));
  return target;
}

Status Jars::remove(const std::string& id, bool keep_unpacked) {
  DREY_TRY_ASSIGN(const std::string path, resolve(id));
  if (!keep_unpacked) remove_unpacked(id);
  return env_.files.remove(path);
}

void Jars::remove_unpacked(const std::string& id) {
  if (resolve(id).ok()) static_cast<void>(env_.files.remove_tree(cache_ + "/" + id));
}

Result<Jars::Program> Jars::open(const std::string& id, const std::string& entry) {
  const std::string path = directory_ + "/" + id;
  if (!resolve(id).ok()) return fail(Code::kInvalidArgument, fmt::format("Jar file {} does not exist", path));
  const std::string name = short_name(id);
  DREY_TRY_ASSIGN(Zip zip, open_zip(path, name));
  DREY_TRY_ASSIGN(const std::string manifest, read_manifest(zip.get(), name));
  Program program;
  program.entry = entry;
  if (program.entry.empty()) {
    const auto entries = entries_of(manifest);
    if (entries.empty()) {
      return fail(Code::kInvalidArgument,
                  "Neither a 'Main-Class', nor a 'program-class' entry was found in the jar file.");
    }
    program.entry = entries[0];
  }
  const std::string prefix = fmt::format("lib/{}/", kArchitecture);
  std::optional<zip_uint64_t> module;
  std::string others;
  bool has_classes = false;
  for (zip_int64_t i = 0; i < zip_get_num_entries(zip.get(), 0); ++i) {
    const std::string file = name_of(zip.get(), i);
    if (file.starts_with(prefix) && file.ends_with(".so")) module = static_cast<zip_uint64_t>(i);
    if (file.starts_with("lib/") && file.ends_with(".so")) others += (others.empty() ? "" : ", ") + file;
    has_classes = has_classes || file.ends_with(".class");
  }
  if (!module) {
    if (has_classes) {
      return bad(name,
                 "it holds Java classes. Drey runs native programs (built with drey_add_job); Java programs need a "
                 "Flink cluster");
    }
    return bad(name, others.empty() ? fmt::format("it has no shared object {}*.so", prefix)
                                    : fmt::format("it has no program for this architecture ({}); it has: {}",
                                                  kArchitecture, others));
  }
  const std::string directory = cache_ + "/" + id;
  program.module = module_path(id);
  if (env_.files.stat(program.module).ok()) return program;
  DREY_TRY_ASSIGN(const std::string bytes, read_entry(zip.get(), *module, kModuleBytesMax, name));
  DREY_TRY(env_.files.make_directories(directory, 0700));
  if (Status written = env_.files.write_atomic(program.module, bytes); !written.ok()) {
    static_cast<void>(env_.files.remove_tree(directory));
    return written;
  }
  return program;
}

namespace {

Status unpack_into(env::FileSystem& files, zip_t* zip, const std::string& name, const std::string& prefix,
                   const std::string& directory) {
  std::uint64_t bytes_all = 0;
  std::int64_t count = 0;
  for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0); ++i) {
    const std::string entry = name_of(zip, i);
    if (!entry.starts_with(prefix) || entry.ends_with('/')) continue;
    if (++count > kUnpackedFilesMax)
      return bad(name, fmt::format("more than {} files lie below {}", kUnpackedFilesMax, prefix));
    DREY_TRY_ASSIGN(const std::string bytes, read_entry(zip, static_cast<zip_uint64_t>(i), kUnpackedBytesMax, name));
    bytes_all += bytes.size();
    if (bytes_all > kUnpackedBytesAllMax)
      return bad(name, fmt::format("the files below {} have more than {} bytes", prefix, kUnpackedBytesAllMax));
    const std::string path = directory + "/" + entry.substr(prefix.size());
    DREY_TRY(files.make_directories(env::directory_of(path), 0700));
    DREY_TRY_ASSIGN(auto file, files.create(path));
    DREY_TRY(file->append(bytes));
    DREY_TRY(file->close());
  }
  return count > 0 ? Status() : bad(name, fmt::format("nothing lies below {}", prefix));
}

}  // namespace

Status unpack_folder(env::FileSystem& files, const std::string& archive, const std::string& prefix,
                     const std::string& directory) {
  const std::string name = env::base_name_of(archive);
  DREY_TRY_ASSIGN(Zip zip, open_zip(archive, name));
  DREY_TRY(files.remove_tree(directory));
  Status status = unpack_into(files, zip.get(), name, prefix, directory);
  if (!status.ok()) static_cast<void>(files.remove_tree(directory));
  return status;
}

}  // namespace drey::cluster
