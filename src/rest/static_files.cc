#include "rest/static_files.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace drey::rest {
namespace {

constexpr int kDepthMax = 16;
constexpr std::int64_t kFreshMillis = 300'000;
constexpr std::string_view kUnknownType = "application/octet-stream";

// What Flink's server says of them (recorded); .ico has no type of its own there.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kTypes{{
    {".css", "text/css"},
    {".gif", "image/gif"},
    {".html", "text/html"},
    {".jpg", "image/jpeg"},
    {".js", "application/javascript"},
    {".json", "application/json"},
    {".png", "image/png"},
    {".svg", "image/svg+xml"},
    {".ttf", "font/ttf"},
    {".txt", "text/plain"},
    {".woff2", "font/woff2"},
    {".xml", "text/xml"},
}};

std::string_view type_of(std::string_view name) {
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return kUnknownType;
}

}  // namespace

std::string http_date(Instant at) {
  static constexpr const char* kDays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr std::int64_t kDaySeconds = 86'400;
  std::int64_t seconds = at.millis / 1000;
  std::int64_t days = seconds / kDaySeconds;
  seconds %= kDaySeconds;
  if (seconds < 0) {
    seconds += kDaySeconds;
    --days;
  }
  const CivilDate date = civil_from_days(days);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[((days % 7) + 7) % 7], date.day,
                     kMonths[date.month - 1], date.year, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

Result<StaticFiles> StaticFiles::make(const std::string& folder, env::FileSystem& files) {
  StaticFiles made(files);
  DREY_TRY(made.add(folder, "/", 0).with_context("reading the web UI"));
  if (!made.by_name_.contains("/index.html")) {
    return fail(Code::kNotFound, fmt::format("The web UI has no index.html: folder={}", folder));
  }
  return made;
}

Status StaticFiles::add(const std::string& folder, const std::string& prefix, int depth) {
  if (depth > kDepthMax) {
    return fail(Code::kResourceExhausted, fmt::format("Folders lie more than {} deep: {}", kDepthMax, folder));
  }
  DREY_TRY_ASSIGN(const auto names, files_->list(folder));
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    const std::string path = folder + "/" + name;
    DREY_TRY_ASSIGN(const env::FileStat stat, files_->stat(path));
    if (stat.is_link) continue;  // wherever it leads
    if (stat.is_directory) {
      DREY_TRY(add(path, prefix + name + "/", depth + 1));
      continue;
    }
    if (by_name_.size() == kFilesMax) {
      return fail(Code::kResourceExhausted, fmt::format("It has more than {} files: folder={}", kFilesMax, folder));
    }
    by_name_[prefix + name] = {path, stat.modified};
  }
  return {};
}

bool StaticFiles::is_folder(std::string_view path) const {
  const std::string prefix = std::string(path) + "/";
  const auto first = by_name_.lower_bound(prefix);
  return !path.ends_with('/') && first != by_name_.end() && first->first.starts_with(prefix);
}

std::optional<net::HttpResponse> StaticFiles::get(std::string_view path, std::string_view if_modified_since,
                                                  Instant now) const {
  while (path.starts_with("//")) path.remove_prefix(1);
  const auto found = by_name_.find(path.ends_with('/') ? std::string(path) + "index.html" : std::string(path));
  if (found == by_name_.end()) return std::nullopt;
  net::HttpResponse answer;
  const std::string modified = http_date(found->second.modified);
  if (if_modified_since == modified) {
    answer.status = 304;
    answer.headers = {{"date", http_date(now)}, {"connection", "close"}};
    answer.close = true;
    return answer;
  }
  const auto stat = files_->stat(found->second.path);
  if (!stat.ok() || stat->is_link) return std::nullopt;
  auto bytes = files_->read_all(found->second.path);
  if (!bytes.ok()) return std::nullopt;
  answer.headers = {{"content-type", std::string(type_of(found->first))},
                    {"date", http_date(now)},
                    {"expires", http_date(Instant{now.millis + kFreshMillis})},
                    {"cache-control", "private, max-age=300"},
                    {"last-modified", modified}};
  answer.body = std::move(*bytes);
  return answer;
}

}  // namespace drey::rest
