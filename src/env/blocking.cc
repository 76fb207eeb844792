#include "env/blocking.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"

namespace drey::env {
namespace {

thread_local const char* t_refused_by = nullptr;

}  // namespace

MayNotBlock::MayNotBlock(const char* who) : before_(std::exchange(t_refused_by, who)) {}
MayNotBlock::~MayNotBlock() { t_refused_by = before_; }

MayBlock::MayBlock() : before_(std::exchange(t_refused_by, nullptr)) {}
MayBlock::~MayBlock() { t_refused_by = before_; }

const char* blocking_is_refused_by() { return t_refused_by; }

void check_blocking(const char* what) {
  if (t_refused_by == nullptr) return;
  check_failed(__FILE__, __LINE__, "a blocking call belongs on the I/O pool",
               fmt::format("{} would block {}", what, t_refused_by));
}

}  // namespace drey::env
