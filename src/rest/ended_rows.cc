#include "rest/ended_rows.h"

#include <fmt/format.h>

#include "rest/tag.h"

namespace drey::rest {

EndedRows::Row EndedRows::list(std::string_view key, const std::vector<gateway::JobOutlineRef>& jobs, Dialect dialect,
                               Encode encode) {
  Row all;
  all.text = fmt::format("{{\"{}\":[", key);
  Tag tag;
  const std::lock_guard lock(mutex_);
  Rows& rows = lists_[{encode, dialect}];
  for (const auto& job : jobs) {
    Row now;
    const Row* row = &now;
    if (job->is_terminal()) {
      auto [at, is_new] = rows.known.try_emplace(job.get());
      if (is_new) at->second = {job, encode(*job, dialect)};
      row = &at->second.row;
    } else {
      now = encode(*job, dialect);
    }
    if (&job == &jobs.front()) {
      all.text.reserve(jobs.size() * (row->text.size() + 16));
    } else {
      all.text += ',';
    }
    all.text += row->text;
    tag.add(static_cast<std::int64_t>(row->tag));
  }
  all.text += "]}";
  all.tag = tag.value();
  if (rows.known.size() > rows.most) {
    std::erase_if(rows.known, [](const auto& entry) { return entry.second.job.expired(); });
    rows.most = 2 * rows.known.size() + 1000;
  }
  return all;
}

std::size_t EndedRows::known() {
  const std::lock_guard lock(mutex_);
  std::size_t all = 0;
  for (const auto& [key, rows] : lists_) all += rows.known.size();
  return all;
}

}  // namespace drey::rest
