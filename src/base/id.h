// Id<Tag>: 128 bits, printed as 32 lower-case hex digits. Two kinds of id never mix.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace drey {

// "0123..." of `bytes`, and back. from_hex fails (nullopt) unless exactly 2n hex digits, either case.
std::string to_hex(const std::uint8_t* bytes, std::size_t count);
bool from_hex(std::string_view text, std::uint8_t* bytes, std::size_t count);

template <typename Tag>
class Id {
 public:
  using Bytes = std::array<std::uint8_t, 16>;

  constexpr Id() = default;
  constexpr explicit Id(const Bytes& bytes) : bytes_(bytes) {}
  // The two halves, big end first.
  static constexpr Id from_halves(std::uint64_t high, std::uint64_t low) {
    Bytes b{};
    for (int i = 0; i < 8; ++i) {
      b[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
      b[static_cast<std::size_t>(8 + i)] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
    }
    return Id(b);
  }
  static std::optional<Id> parse(std::string_view hex) {
    Id id;
    if (!from_hex(hex, id.bytes_.data(), id.bytes_.size())) return std::nullopt;
    return id;
  }

  std::string to_string() const { return to_hex(bytes_.data(), bytes_.size()); }
  const Bytes& bytes() const { return bytes_; }
  bool is_zero() const { return bytes_ == Bytes{}; }
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  Bytes bytes_{};
};

using JobId = Id<struct JobTag>;
using VertexId = Id<struct VertexTag>;  // Flink's JobVertexID.
using OperatorId = Id<struct OperatorTag>;
using TriggerId = Id<struct TriggerTag>;  // Of an asynchronous operation.
using DatasetId = Id<struct DatasetTag>;
using AllocationId = Id<struct AllocationTag>;  // A slot given to a job.

}  // namespace drey

template <typename Tag>
struct std::hash<drey::Id<Tag>> {
  std::size_t operator()(const drey::Id<Tag>& id) const noexcept {
    std::size_t h = 0;
    for (auto b : id.bytes()) h = h * 1099511628211ULL + b;
    return h;
  }
};
