// The operator kinds of this room, one function each; docs/reference/operators.md says what they do.
#pragma once

#include "operators/operator_context.h"
#include "operators/registry.h"

namespace drey::operators {

OperatorKind discard_kind();
OperatorKind generator_kind();
OperatorKind print_kind();
OperatorKind user_kind();
OperatorKind watermarks_kind();
OperatorKind window_kind();

}  // namespace drey::operators
