// The engine's side of the C ABI: drey_host for one operator instance.
//
// Threading: task thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "drey/abi.h"
#include "operators/operator_context.h"

namespace drey::runtime {
struct UserTask;
}

struct drey_state {
  drey::runtime::UserTask* task = nullptr;
  drey_state_kind kind = DREY_STATE_VALUE;
  drey::state::Table* table = nullptr;
  drey::state::OperatorList* list = nullptr;
  drey::state::BroadcastMap* broadcast = nullptr;
  std::uint32_t fixed_bytes = 0;
  std::string scratch;  // what spans handed to user code point into
};

namespace drey::runtime {

// Behind the opaque drey_task.
struct UserTask {
  operators::OperatorContext* context = nullptr;
  operators::Emitter* out = nullptr;      // during a call
  const data::BatchRef* batch = nullptr;  // the batch being processed
  Status failure;                         // first one wins
  std::map<std::string, drey_state, std::less<>> states;
  std::deque<std::unique_ptr<data::BatchBuilder>> builders;  // begun and not yet emitted
};

const drey_host& user_host();

}  // namespace drey::runtime

struct drey_task {
  drey::runtime::UserTask user;
};
