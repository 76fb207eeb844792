// UserCode: one instance of a job's functions (drey_functions), as operators call it.
//
// Owns the instance. Every call sets where the ABI's host functions emit to, and turns a non-zero return
// into the failure that the user's code recorded. Threading: task thread.
#pragma once

#include "operators/operator.h"
#include "operators/operator_context.h"

namespace drey::operators {

class UserCode {
 public:
  UserCode() = default;
  ~UserCode();
  UserCode(const UserCode&) = delete;
  UserCode& operator=(const UserCode&) = delete;

  // Creates and opens the instance. FAILS WITH: kUserCode; kIncompatible when the job's table lacks a
  // function that the kind needs (`needs`: member name for the message, pointer).
  Status create(OperatorContext& context, const char* needs, bool there_is);
  const drey_functions& functions() const { return *context_->functions(); }
  void* self() const { return self_; }

  // call(&drey_functions::process, out, &batch, args...): self is passed first.
  template <typename... Params, typename... Args>
  Status call(int (*drey_functions::*member)(void*, Params...), Emitter* out, const data::BatchRef* batch,
              Args... args) {
    int (*function)(void*, Params...) = functions().*member;
    if (function == nullptr) return {};
    context_->enter_user_code(out, batch);
    const int code = function(self_, args...);
    context_->enter_user_code(nullptr, nullptr);
    return code == 0 ? Status() : failure();
  }

 private:
  Status failure();

  OperatorContext* context_ = nullptr;
  void* self_ = nullptr;
};

}  // namespace drey::operators
