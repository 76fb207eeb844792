// sink.files: rows into CSV or JSON lines files, exactly once.
//
// Names: part-<first 8 digits of the job id>-<subtask>-<n>.csv, with a dot in front until committed. At a barrier the
// current file is written out, synced and becomes pending (its name is state); when the checkpoint is complete it is
// renamed, which makes it visible. A restored sink commits what its checkpoint had pending and removes other leftovers.
#pragma once

#include "operators/operator_context.h"
#include "operators/registry.h"

namespace drey::connectors::files {

operators::OperatorKind file_sink_kind();

}  // namespace drey::connectors::files
