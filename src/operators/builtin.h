// The operator kinds of this room: a new one has its file, a line and a row here.
#pragma once

#include "operators/kind.h"

namespace drey::operators {

OperatorKind discard_kind();
OperatorKind generator_kind();
OperatorKind print_kind();
OperatorKind user_kind();
OperatorKind watermarks_kind();
OperatorKind window_kind();

inline constexpr OperatorKind (*kBuiltinKinds[])() = {
    discard_kind, generator_kind, print_kind, user_kind, watermarks_kind, window_kind,
};

}  // namespace drey::operators
