// EndedRows: what lists tell of jobs, as text; of a job that has ended once: it never changes, and
// of ten thousand jobs most have ended.
//
// Bounds: twice the rows of the ended jobs that are still remembered, and a thousand. Threading:
// any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/job_outline.h"
#include "rest/shape.h"

namespace drey::rest {

class EndedRows {
 public:
  struct Row {
    std::string text;       // JSON
    std::uint64_t tag = 0;  // of what it says
  };
  // What a list shows of a job; which function it is tells the lists apart.
  using Encode = Row (*)(const gateway::JobOutline&, Dialect);
  // An object with the rows of these jobs as an array under `key`, and one tag for all of it.
  Row list(std::string_view key, const std::vector<gateway::JobOutlineRef>& jobs, Dialect dialect, Encode encode);
  // How many are kept, of all lists.
  std::size_t known();

 private:
  struct Known {
    std::weak_ptr<const gateway::JobOutline> job;  // as long as it is here nobody else has its address
    Row row;
  };
  struct Rows {
    std::unordered_map<const gateway::JobOutline*, Known> known;
    std::size_t most = 1000;  // then those that nobody remembers go
  };
  std::mutex mutex_;
  std::map<std::pair<Encode, Dialect>, Rows> lists_;  // guarded by mutex_
};

}  // namespace drey::rest
