#include "operators/user_code.h"

#include <fmt/format.h>

namespace drey::operators {

UserCode::~UserCode() {
  if (self_ != nullptr && functions().destroy != nullptr) functions().destroy(self_);
}

Status UserCode::create(OperatorContext& context, const char* needs, bool there_is) {
  context_ = &context;
  if (context.functions() == nullptr || context.functions()->create == nullptr || !there_is) {
    return fail(Code::kIncompatible,
                fmt::format("The job's code for operator '{}' lacks the function '{}': build the job again with this "
                            "version's drey/datastream.h",
                            context.node().name, needs));
  }
  context.enter_user_code(nullptr, nullptr);
  self_ = functions().create(context.closure(), context.abi_task(), context.abi_host());
  if (self_ == nullptr) return failure();
  return call(&drey_functions::open, nullptr, nullptr);
}

Status UserCode::failure() {
  Status status = context_->take_failure();
  if (!status.ok()) return status;
  return fail(Code::kUserCode,
              fmt::format("A function of operator '{}' failed without a message", context_->node().name));
}

}  // namespace drey::operators
