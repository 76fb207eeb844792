// source.files: rows of CSV, JSON lines or text files. Options and splits: docs/reference/operators.md.
#pragma once

#include "operators/operator_context.h"
#include "operators/registry.h"

namespace drey::connectors::files {

operators::OperatorKind file_source_kind();

// "/p", "file:/p" and "file:///p" name the same file.
std::string local_path(std::string path);

}  // namespace drey::connectors::files
