// A value as text, as print sinks and CSV files show it.
#pragma once

#include <string>

#include "data/row_batch.h"
#include "data/type.h"

namespace drey::data {

// Appends the value in row `row`. Returns false, appending nothing, when it is null. Numbers in shortest
// form, instants as 2013-01-01T10:00:00Z, dates as 2013-01-01, lists as [a, b], records as (a, b).
bool append_text(std::string& out, const Type& type, const ArrowArray& column, std::uint32_t row);

}  // namespace drey::data
