// SendMetrics: a sink's metrics numRecordsSend and numBytesSend. Threading: the task's thread.
#pragma once

#include <cstdint>

#include "operators/operator_context.h"

namespace drey::operators {

class SendMetrics {
 public:
  // Before add().
  void open(OperatorContext& context) {
    rows_ = context.metric("numRecordsSend", DREY_COUNTER);
    bytes_ = context.metric("numBytesSend", DREY_COUNTER);
  }
  void add(std::uint64_t rows, std::uint64_t bytes) {
    OperatorContext::add(rows_, static_cast<std::int64_t>(rows));
    OperatorContext::add(bytes_, static_cast<std::int64_t>(bytes));
  }

 private:
  std::int64_t* rows_ = nullptr;
  std::int64_t* bytes_ = nullptr;
};

}  // namespace drey::operators
