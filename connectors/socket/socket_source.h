// source.socket: lines of text from a TCP server. Options: docs/reference/operators.md.
#pragma once

#include "operators/registry.h"

namespace drey::connectors::socket {

operators::OperatorKind socket_source_kind();

}  // namespace drey::connectors::socket
