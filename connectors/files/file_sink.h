// sink.files: rows into CSV or JSON lines files, exactly once.
//
// Names: part-<job id>-<operator id>-<subtask>-<n>.csv: no two sinks, subtasks or jobs write a file of the same name. A
// file has a dot in front of its name until it is committed. At a barrier the current file becomes a committable; the
// checkpoint is acknowledged once the file is synced. The commit renames it, which makes it visible. A restored sink
// goes on with the number that its checkpoint had come to and removes what failed attempts have left.
#pragma once

#include "operators/operator_context.h"
#include "operators/registry.h"

namespace drey::connectors::files {

operators::OperatorKind file_sink_kind();

}  // namespace drey::connectors::files
