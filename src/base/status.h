// Status: the outcome of an operation by value. Result<T>: a value or the Status why there is none.
//
// Success is a null pointer and costs nothing. A failure carries a code, a text (fixed words first,
// values last) and an optional chain of context lines that callers add on the way up.
// Threading: immutable once built; copies share one representation.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/code.h"

namespace drey {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ == nullptr ? Code::kOk : rep_->code; }
  // The text without context; empty when ok.
  const std::string& message() const;
  // Name of the failing class as a user's exception would be called ("std::runtime_error"); may be
  // empty. Shown as exceptionName in the job's exception history.
  const std::string& origin() const;
  // Native stack of the failure, one frame a line; may be empty.
  const std::string& stack() const;
  // "<context>: <context>: <message>".
  std::string to_string() const;

  // The same failure, with a line of context in front ("while restoring subtask 3 of 'join'").
  Status with_context(std::string_view context) const;
  Status with_origin(std::string origin) const;
  Status with_stack(std::string stack) const;

 private:
  struct Rep {
    Code code;
    std::string message;
    std::string context;
    std::string origin;
    std::string stack;
  };
  explicit Status(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  std::shared_ptr<const Rep> rep_;
};

inline Status ok() { return {}; }
inline Status fail(Code code, std::string message) { return Status(code, std::move(message)); }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    DREY_CHECK(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  // REQUIRES: ok().
  T& value() & {
    DREY_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    DREY_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    DREY_CHECK(ok());
    return std::move(*value_);
  }
  T value_or(T fallback) const { return ok() ? *value_ : std::move(fallback); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace drey

// Propagates a failure: DREY_TRY(file->sync());
#define DREY_TRY(expr)                                                                          \
  do {                                                                                          \
    if (::drey::Status drey_try_status = (expr); !drey_try_status.ok()) return drey_try_status; \
  } while (false)

#define DREY_CONCAT_(a, b) a##b
#define DREY_CONCAT(a, b) DREY_CONCAT_(a, b)
// Propagates or binds: DREY_TRY_ASSIGN(auto file, fs.open(path));
#define DREY_TRY_ASSIGN(lhs, expr) DREY_TRY_ASSIGN_(DREY_CONCAT(drey_result_, __LINE__), lhs, expr)
#define DREY_TRY_ASSIGN_(tmp, lhs, expr) \
  auto tmp = (expr);                     \
  if (!tmp.ok()) return tmp.status();    \
  lhs = std::move(tmp).value()
