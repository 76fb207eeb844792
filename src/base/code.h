// The table of every failure: name, HTTP status, blame, retry. Adding a failure is adding a row.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace drey {

enum class Code : std::uint8_t {
  kOk,
  kInvalidArgument,  // The caller's value is wrong; the message names it and the way out.
  kNotFound,
  kAlreadyExists,
  kConflict,  // Right request, wrong moment (job already terminated).
  kUnauthorized,
  kForbidden,
  kPayloadTooLarge,
  kUriTooLong,
  kExpectationFailed,
  kTimeout,
  kCancelled,
  kUnavailable,        // Not now; the same call may go through later.
  kResourceExhausted,  // A stated bound was met: memory, slots, disk.
  kIo,                 // Disk or network failed us.
  kCorrupt,            // Bytes read back are not the bytes written.
  kIncompatible,       // Another version, format or architecture.
  kUserCode,           // User code failed.
  kPermanentRedirect,  // Flink's answer to mode=stop.
  kInternal,           // Our own bug that we survived.
};

enum class Blame : std::uint8_t { kNobody, kCaller, kExternal, kEngine };
// Whether a job that failed so may be healed by another start: a file may come, a permission be given; an option, a row
// or a program that is wrong stays wrong.
enum class Retry : std::uint8_t { kNo, kBackoff };

struct CodeRow {
  Code code;
  std::string_view name;
  int http;
  Blame blame;
  Retry retry;
};

inline constexpr std::array kCodeTable{
    CodeRow{Code::kOk, "ok", 200, Blame::kNobody, Retry::kNo},
    CodeRow{Code::kInvalidArgument, "invalid_argument", 400, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kNotFound, "not_found", 404, Blame::kCaller, Retry::kBackoff},
    CodeRow{Code::kAlreadyExists, "already_exists", 409, Blame::kCaller, Retry::kBackoff},
    CodeRow{Code::kConflict, "conflict", 409, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kUnauthorized, "unauthorized", 401, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kForbidden, "forbidden", 403, Blame::kCaller, Retry::kBackoff},
    CodeRow{Code::kPayloadTooLarge, "payload_too_large", 413, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kUriTooLong, "uri_too_long", 414, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kExpectationFailed, "expectation_failed", 417, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kTimeout, "timeout", 408, Blame::kExternal, Retry::kBackoff},
    CodeRow{Code::kCancelled, "cancelled", 500, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kUnavailable, "unavailable", 503, Blame::kExternal, Retry::kBackoff},
    CodeRow{Code::kResourceExhausted, "resource_exhausted", 500, Blame::kExternal, Retry::kBackoff},
    CodeRow{Code::kIo, "io", 500, Blame::kExternal, Retry::kBackoff},
    CodeRow{Code::kCorrupt, "corrupt", 500, Blame::kExternal, Retry::kBackoff},
    CodeRow{Code::kIncompatible, "incompatible", 400, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kUserCode, "user_code", 500, Blame::kCaller, Retry::kBackoff},
    CodeRow{Code::kPermanentRedirect, "permanent_redirect", 308, Blame::kCaller, Retry::kNo},
    CodeRow{Code::kInternal, "internal", 500, Blame::kEngine, Retry::kBackoff},
};

constexpr const CodeRow& row_of(Code code) { return kCodeTable[static_cast<std::size_t>(code)]; }

namespace detail {
constexpr bool code_table_is_complete() {
  for (std::size_t i = 0; i < kCodeTable.size(); ++i) {
    if (static_cast<std::size_t>(kCodeTable[i].code) != i) return false;
  }
  return kCodeTable.size() == static_cast<std::size_t>(Code::kInternal) + 1;
}
}  // namespace detail
static_assert(detail::code_table_is_complete(), "kCodeTable lists every Code once, in order");

}  // namespace drey
