// KeyIndex: numbers keys 0, 1, 2, ... as they are first seen. For passes over keys that lie
// elsewhere.
//
// Lifetime: far keys must outlive the next clear(). Threading: one owner.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "data/key.h"

namespace drey::operators {

class KeyIndex {
 public:
  // Number of the key; keys().size() grew when it is a new one.
  std::uint32_t number(const data::View& key, std::uint64_t hash) {
    if (keys_.size() * 2 >= slots_.size()) grow();
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      Slot& slot = slots_[at];
      if (slot.number == kNone) {
        slot = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::uint32_t>(keys_.size())};
        keys_.push_back(key);
        hashes_.push_back(hash);
        return slot.number;
      }
      if (slot.tag == static_cast<std::uint32_t>(hash >> 32) && data::equal(keys_[slot.number], key)) {
        return slot.number;
      }
    }
  }
  const std::vector<data::View>& keys() const { return keys_; }
  void clear() {
    // Not larger than the last use needed: a single large one is forgotten.
    slots_.assign(std::min(slots_.size(), std::bit_ceil(keys_.size() * 4 + 512)), Slot{});
    mask_ = slots_.empty() ? 0 : slots_.size() - 1;
    keys_.clear();
    hashes_.clear();
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t number = kNone;
  };

  void grow() {
    slots_.assign(std::max<std::size_t>(1024, slots_.size() * 2), Slot{});
    mask_ = slots_.size() - 1;
    for (std::uint32_t i = 0; i < keys_.size(); ++i) {
      std::size_t at = hashes_[i] & mask_;
      while (slots_[at].number != kNone) at = (at + 1) & mask_;
      slots_[at] = {static_cast<std::uint32_t>(hashes_[i] >> 32), i};
    }
  }

  std::vector<data::View> keys_;
  std::vector<std::uint64_t> hashes_;
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
};

}  // namespace drey::operators
