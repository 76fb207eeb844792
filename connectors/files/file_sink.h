// sink.files: rows into CSV or JSON lines files, exactly once.
//
// Names: part-<job id>-<operator id>-<subtask>-<writer>-<n>.csv, where the writer is a number drawn by each attempt: no
// two sinks, subtasks, jobs or attempts write a file of the same name. A file has a dot in front of its name until it
// is committed. At a barrier the current file becomes a committable; the checkpoint is acknowledged once the file is
// synced. The commit renames it, which makes it visible. A restored sink removes what failed attempts have left.
#pragma once

#include "operators/operator_context.h"
#include "operators/registry.h"

namespace drey::connectors::files {

operators::OperatorKind file_sink_kind();

}  // namespace drey::connectors::files
