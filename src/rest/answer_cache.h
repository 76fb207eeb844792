// AnswerCache: answers that all callers share, given again for a twentieth of a second unless
// something has changed meanwhile.
//
// An answer is stored with the count of changes (ClusterGateway::changes) that was read before it
// was made, and found only while that is still the count: what is told of states is never old,
// values that move by themselves (metrics, durations) are at most kFreshFor old. Who may see it is
// asked each time, by the caller. Bounds: kEntriesMax answers, kBytesMax in all; at a bound all go.
// Threading: any thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"
#include "rest/router.h"

namespace drey::rest {

class AnswerCache {
 public:
  static constexpr Millis kFreshFor{50};
  static constexpr std::size_t kEntriesMax = 1024;
  static constexpr std::size_t kBytesMax = 16u << 20;

  struct Kept {
    const Endpoint* endpoint = nullptr;
    RawReply raw;  // without a file
    std::uint64_t change = 0;
    Ticks made{};  // when it was asked for
  };
  // Null when there is none that is fresh.
  std::shared_ptr<const Kept> find(std::string_view target, Dialect dialect, std::uint64_t change, Ticks now) const;
  void keep(std::string_view target, Dialect dialect, Kept kept);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using ByTarget = std::unordered_map<std::string, std::shared_ptr<const Kept>, Hash, std::equal_to<>>;

  mutable std::mutex mutex_;
  std::array<ByTarget, 3> by_dialect_;  // guarded by mutex_, as is what follows
  std::size_t entries_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace drey::rest
