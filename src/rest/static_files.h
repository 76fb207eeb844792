// StaticFiles: a dashboard's files below one folder, as Flink's server hands them out.
//
// The request path, decoded once, names the file; a path that ends in '/' means its index.html.
// Only files that lay there when make() read the folder are served, and by nothing but their name
// in that list: no path reaches the file system. Hidden files and folders are left out. Threading:
// any thread. Blocks: a file is read when it is asked for.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "env/env.h"
#include "net/http.h"

namespace drey::rest {

class StaticFiles {
 public:
  // FAILS WITH: kNotFound for a folder without index.html, what listing fails with, and
  // kResourceExhausted above kFilesMax files.
  static Result<StaticFiles> make(const std::string& folder, env::FileSystem& files);

  // 200, or 304 when `if_modified_since` is the file's own time; nullopt: there is no such file.
  std::optional<net::HttpResponse> get(std::string_view path, std::string_view if_modified_since, Instant now) const;

  // Whether files lie below this path.
  bool is_folder(std::string_view path) const;

  static constexpr std::size_t kFilesMax = 10'000;

 private:
  explicit StaticFiles(env::FileSystem& files) : files_(&files) {}
  Status add(const std::string& folder, const std::string& prefix, int depth);

  struct File {
    std::string path;
    Instant modified{};
  };
  env::FileSystem* files_;
  std::map<std::string, File, std::less<>> by_name_;  // "/assets/a.svg"
};

// "Sun, 22 Nov 2026 01:28:40 GMT" (RFC 9110, IMF-fixdate).
std::string http_date(Instant at);

}  // namespace drey::rest
