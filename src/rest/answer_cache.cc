#include "rest/answer_cache.h"

namespace drey::rest {

std::shared_ptr<const AnswerCache::Kept> AnswerCache::find(std::string_view target, Dialect dialect,
                                                           std::uint64_t change, Ticks now) const {
  std::lock_guard lock(mutex_);
  const ByTarget& answers = by_dialect_[static_cast<std::size_t>(dialect)];
  const auto found = answers.find(target);
  if (found == answers.end()) return nullptr;
  const Kept& kept = *found->second;
  return kept.change == change && now - kept.made < kFreshFor ? found->second : nullptr;
}

void AnswerCache::keep(std::string_view target, Dialect dialect, Kept kept) {
  const std::size_t bytes = target.size() + kept.raw.body.size();
  if (bytes > kBytesMax / 4) return;
  auto made = std::make_shared<const Kept>(std::move(kept));
  std::lock_guard lock(mutex_);
  if (entries_ >= kEntriesMax || bytes_ + bytes > kBytesMax) {
    for (ByTarget& answers : by_dialect_) answers.clear();
    entries_ = bytes_ = 0;
  }
  auto [at, added] =
      by_dialect_[static_cast<std::size_t>(dialect)].try_emplace(std::string(target), std::shared_ptr<const Kept>());
  if (added) {
    ++entries_;
    bytes_ += target.size();
  } else {
    bytes_ -= at->second->raw.body.size();
  }
  bytes_ += made->raw.body.size();
  at->second = std::move(made);
}

}  // namespace drey::rest
