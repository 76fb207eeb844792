#include "base/status.h"

namespace drey {
namespace {
const std::string kEmpty;
}  // namespace

Status::Status(Code code, std::string message)
    : rep_(std::make_shared<const Rep>(Rep{code, std::move(message), {}, {}, {}})) {
  DREY_CHECK(code != Code::kOk);
}

const std::string& Status::message() const { return ok() ? kEmpty : rep_->message; }
const std::string& Status::origin() const { return ok() ? kEmpty : rep_->origin; }
const std::string& Status::stack() const { return ok() ? kEmpty : rep_->stack; }

std::string Status::to_string() const {
  if (ok()) return "ok";
  return rep_->context.empty() ? rep_->message : rep_->context + ": " + rep_->message;
}

Status Status::with_context(std::string_view context) const {
  if (ok()) return *this;
  Rep rep = *rep_;
  rep.context = rep.context.empty() ? std::string(context) : std::string(context) + ": " + rep.context;
  return Status(std::make_shared<const Rep>(std::move(rep)));
}

Status Status::with_origin(std::string origin) const {
  if (ok()) return *this;
  Rep rep = *rep_;
  rep.origin = std::move(origin);
  return Status(std::make_shared<const Rep>(std::move(rep)));
}

Status Status::with_stack(std::string stack) const {
  if (ok()) return *this;
  Rep rep = *rep_;
  rep.stack = std::move(stack);
  return Status(std::make_shared<const Rep>(std::move(rep)));
}

}  // namespace drey
